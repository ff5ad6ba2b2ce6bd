"""The mitigations section: its table, what methods say of themselves, charts, hostile words, and when it is left out."""

import re
from html.parser import HTMLParser

import pytest

from reports import mitigations, phrases
from reports.charts import method_chart
from reports.html import render
from reports.reading import Reading

LINE = {"title": "Loss", "kind": "line", "x": [0, 1, 2], "y": [3.0, 2.0, 1.5], "x_label": "steps", "y_label": "loss"}


class Outline(HTMLParser):
    """Collects tags, their nesting and the words of a page."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.open, self.wrong, self.tags, self.words = [], [], [], ""
        self.feed(page)
        self.close()
        self.words = " ".join(self.words.split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "img", "path", "use", "image", "rect", "br", "link"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        self.words += data + " "

    def all(self, name):
        return [attrs for tag, attrs in self.tags if tag == name]


def section(page, name):
    return re.search(rf'<section id="{name}".*?</section>', page, flags=re.DOTALL)[0]


def line(table, title, under=""):
    return next(row for row in table.rows if (row[0].text, row[0].under) == (title, under))


def test_a_cell_holds_both_numbers_the_difference_its_interval_and_the_ratio(example):
    table = mitigations.overview(Reading(example))
    assert table.columns == ["Number", "2 Self-conditioned \u2212 1", "3 Rebalanced \u2212 1", "4 MaGNET sampling \u2212 1",
                             "6 Gaussian mixture \u2212 5"]  # fmt: skip
    cell = line(table, "Skin tone", "fairness discrepancy")[2]
    assert (cell.text, cell.under) == ("0.470 \u2192 0.025", "\u22120.445 (\u22120.485 to \u22120.405), \u00d70.05")
    second = line(table, "Skin tone", "fairness discrepancy, second rater")[2]
    assert second.under.endswith("\u00d70.05, raw")
    least = line(table, "Share of the class drawn least", "skin tone")[1]
    assert (least.text, least.under) == ("8.0% \u2192 24.0%", "dark: +16.0 points (+13.2 to +18.8)")
    assert line(table, "Coverage of the class drawn least", "skin tone")[1].under == "dark: +0.230 (+0.180 to +0.280)"
    assert line(table, "FID", "training reference")[4].under == "+0.20 (\u22120.50 to +0.90)"


def test_costs_are_written_out_and_missing_ones_are_not_zero(example):
    table = mitigations.overview(Reading(example))
    assert [c.text for c in line(table, "Time to fit")[1:]] == ["not recorded", "30 min 40 s", "6 min 50 s", "not recorded"]
    assert [c.text for c in line(table, "Training images")[1:]] == ["not recorded", "64,000", "none", "not recorded"]
    assert mitigations.cost_text("fitting_seconds", None) == "not recorded"
    assert mitigations.cost_text("calls_per_image", 6.25) == "6.25"


def test_a_number_nobody_compared_has_no_row_and_a_refused_one_says_why(example):
    for row in example["comparisons"]:
        if row["metric"] == "recall" and row["generator"] == "magnet":
            row.update(difference=None, low=None, high=None, reason="candidate: too few")
    example["comparisons"] = [c for c in example["comparisons"] if c["metric"] != "precision"]
    table = mitigations.overview(Reading(example))
    cell = line(table, "Recall", "balanced reference")[3]
    assert (cell.text, cell.under) == ("not compared", "candidate: too few")
    assert "Precision" not in {row[0].text for row in table.rows}


def test_a_ratio_to_nothing_is_not_given():
    assert mitigations.ratio({"before": 0.0, "after": 0.2}) is None
    assert mitigations.ratio({"before": 0.4, "after": None}) is None
    assert mitigations.ratio({"before": 0.4, "after": 0.1}) == 0.25


def test_each_method_has_a_part_with_its_words_facts_charts_and_caveats(example):
    part = section(render(example), "mitigations")
    outline = Outline(part)
    for said in ("Searches the latent space", "arXiv 2301.00000", "labels of portraits_b", "Images found by search", "31.4%", "15 min 12 s",
                 "not looked for", "One training seed", "412.7 of 50,000", "no labels", "38,214"):  # fmt: skip
        assert said in outline.words, said
    assert len(outline.all("article")) == 2
    assert len([a for a in outline.all("svg") if a["aria-labelledby"].startswith("method-")]) == 3
    assert "Bars of images by group, as labelled by portraits_b. feminine light: 3,000" in part


def test_a_method_guided_by_the_second_rater_says_so(example):
    reading = Reading(example)
    told = {g.name: mitigations.caveats(reading, g) for g in reading.candidates}
    assert phrases.SECOND_GUIDED in told["rebalanced"] and phrases.SECOND_GUIDED not in told["magnet"]


def test_without_comparisons_a_method_still_speaks(example):
    example["comparisons"] = []
    outline = Outline(section(render(example), "mitigations"))
    assert "Rebalancing by latent-space search" in outline.words and "1,840" not in outline.words and "30 min 40 s" in outline.words


def test_without_methods_and_comparisons_there_is_no_section_and_no_link_to_it(example):
    example["comparisons"] = []
    for generator in example["generators"]:
        generator["method"] = None
    page = render(example)
    assert 'id="mitigations"' not in page and "#mitigations" not in page
    assert "No generator was compared" in page


def test_comparisons_without_methods_still_make_the_table(example):
    for generator in example["generators"]:
        generator.pop("method")
    part = section(render(example), "mitigations")
    assert "<article" not in part and "0.399 \u2192 0.086" in part


HOSTILE = "<script>alert(1)</script> {{ 7*7 }} $x_1$ \u202e"


def test_what_a_method_says_is_text_and_nothing_else(example):
    for generator in example["generators"]:
        if generator["name"] == "rebalanced":
            said = generator["method"]
            said.update(title=HOSTILE, sentence=HOSTILE, paper=HOSTILE, uses=HOSTILE, caveats=[HOSTILE])
            said["facts"] = [{"name": HOSTILE, "value": HOSTILE, "unit": HOSTILE, "note": HOSTILE}]
            said["charts"] = [{"title": HOSTILE, "kind": "bar", "x": [HOSTILE], "y": [1.0], "x_label": HOSTILE, "y_label": HOSTILE}]
    page = render(example)
    outline = Outline(page)
    assert outline.wrong == [] and outline.open == []
    assert len(outline.all("script")) == 1 and "\u202e" not in page
    assert "<script>alert(1)</script> {{ 7*7 }} $x_1$" in outline.words


@pytest.mark.parametrize("method", [{}, {"method": "x"}, {"facts": None, "charts": None, "cost": None, "caveats": None}, "words", ["x"]])
def test_a_method_that_says_little_breaks_nothing(small, method):
    small["generators"][1]["method"] = method
    outline = Outline(render(small))
    assert outline.wrong == [] and outline.open == []


@pytest.mark.parametrize(
    ("change", "drawn"),
    [
        ({}, True),
        ({"y": [1.0, None, 2.0]}, True),
        ({"kind": "bar", "x": ["a", "b", None]}, True),
        ({"kind": "bar", "x": ["a name that is much too long to stand"] * 3}, True),
        ({"kind": "histogram", "x": [0, 1, 2, 3]}, True),
        ({"kind": "histogram"}, False),
        ({"kind": "pie"}, False),
        ({"y": [1.0]}, False),
        ({"y": [None, None, None]}, False),
        ({"x": ["a", "b", "c"]}, False),
        ({"x": [], "y": []}, False),
        ({"x": [0], "y": [1.0]}, True),
        ({"x": [float("nan"), 1, 2]}, False),
    ],
)
def test_charts_are_drawn_where_they_can_be(change, drawn):
    svg = method_chart(LINE | change, "m")
    assert (svg is not None) is drawn
    if drawn:
        assert svg.count("<svg") == 1 and '<desc id="m-description">' in svg and not re.search(r"#[0-9a-f]{6}\b|nan", svg)


def test_scales_keep_the_digits_of_their_numbers():
    svg = method_chart(LINE | {"y": [0.001, 0.002, 0.0035]}, "m")
    assert ">0.001</text>" in svg and ">0.003</text>" in svg


def test_what_cannot_be_drawn_is_named(example):
    example["generators"][2]["method"]["charts"].append({"title": "A pie", "kind": "pie", "x": [], "y": []})
    assert "Not drawn, because it holds nothing that can be: A pie." in Outline(render(example)).words


def test_a_long_line_is_thinned_and_keeps_both_ends():
    n = 5000
    svg = method_chart(LINE | {"x": list(range(n)), "y": [float(i % 7) for i in range(n)]}, "m")
    assert len(svg) < 20_000
    assert "4988 more" in svg and "4,999: 1" in svg
