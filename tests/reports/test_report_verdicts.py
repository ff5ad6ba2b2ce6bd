"""Verdicts in the reports: strips, evidence, margins, paths of sequential runs, worst-case bounds, tables of labels."""

import re

import pytest

from reports import decisions, looks, sheets, tables
from reports.html import render
from reports.markdown import render as summary
from reports.reading import Reading
from reports.strips import strips

NEW = {"bound_high": None, "baseline": None, "level": 0.95, "p_value": 0.2, "p_adjusted": 0.4, "n": 2000, "images_to_decide": None}


@pytest.fixture
def judged(example):
    """The example with the fields of every verdict filled, a range, and a margin against a baseline."""
    example["verdicts"] = [v | NEW for v in example["verdicts"]]
    example["verdicts"][2] |= {"why": "the interval contains the limit", "images_to_decide": 12_400}
    share = {"metric": "share", "attribute": "skin_tone", "group": "dark", "generator": "rebalanced"}
    example["verdicts"].append(example["verdicts"][1] | share | {
        "limit": "share of skin_tone (dark) between 0.25 and 0.4", "bound": 0.25, "bound_high": 0.4, "value": 0.33, "low": 0.3, "high": 0.36})
    example["verdicts"].append(example["verdicts"][1] | {
        "limit": "recall (reference:balanced) not worse than stylegan2 by more than 0.02", "metric": "recall", "attribute": None,
        "group": "reference:balanced", "baseline": "stylegan2", "bound": 0.02, "value": -0.01, "low": -0.015, "high": -0.005})
    return example  # fmt: skip


@pytest.fixture
def sequential(judged):
    """The same, drawn until decided with a budget of 2,000 images."""
    rows = []
    for v, stop in zip(judged["verdicts"], (400, 800, None, None, None), strict=True):
        about = {k: v[k] for k in ("generator", "metric", "attribute", "group")}
        for n in (200, 400, 800, 2000) if v["baseline"] is None and v["bound_high"] is None else ():
            if stop is None or n <= stop:
                outcome = v["outcome"] if n == stop else "undecided"
                rows.append(about | {"n": n, "low": max(0, v["value"] - 2 / n**0.5), "high": v["value"] + 2 / n**0.5, "outcome": outcome})
    judged["looks"] = rows
    return judged


def rectangles(svg):
    return [(float(x), float(w)) for x, w in re.findall(r'<rect x="([\d.]+)" [^>]*width="([\d.]+)"', svg)]


def lines(svg, ink):
    return [float(x) for x in re.findall(rf'<path d="M([\d.]+) [^"]*" stroke="var\(--{ink}\)"', svg)]


# Strips


def test_the_forbidden_side_is_shaded_from_the_limit_on(judged):
    broken, _, _, between, margin = strips(judged["verdicts"])
    (x, width), = rectangles(broken)
    assert x == lines(broken, "ink")[0] and x + width == pytest.approx(220, abs=0.2)
    assert len(rectangles(between)) == 2 and rectangles(between)[0][0] == 0
    (x, width), = rectangles(margin)  # less recall is worse: what lies left of -0.02 is forbidden
    assert x == 0 and width == lines(margin, "ink")[0]


def test_outcomes_differ_in_shape_colour_and_word(judged):
    broken, held, undecided = strips(judged["verdicts"])[:3]
    assert "<circle" not in broken and 'stroke-width="2.4"' in broken and "var(--broken)" in broken
    assert 'fill="var(--held)"' in held and 'fill="var(--page)" stroke="var(--undecided)"' in undecided
    for strip, word in ((broken, "broken"), (held, "held"), (undecided, "undecided")):
        assert re.search(rf'aria-label="{word}: 0.\d+ .* against the limit 0.1"', strip)


def test_strips_of_one_metric_share_a_scale(judged):
    first, second = strips(judged["verdicts"])[:2]
    assert lines(first, "ink") == lines(second, "ink")
    assert lines(first, "ink") != lines(strips(judged["verdicts"][1:2])[0], "ink")


def test_a_strip_without_a_number_shows_the_limit_and_says_so(judged):
    strip, = strips([judged["verdicts"][0] | {"value": None, "low": None, "high": None}])
    assert "not measured" in strip and len(rectangles(strip)) == 1 and "var(--ink)" in strip and 'stroke-width="4"' not in strip


def test_hostile_text_stays_text(judged):
    assert "<script" not in strips([judged["verdicts"][0] | {"outcome": '"><script>'}])[0]


@pytest.mark.parametrize("count", [1, 60])
def test_a_page_of_one_or_sixty_verdicts_has_a_strip_for_each(small, count):
    small["verdicts"] = [small["verdicts"][0] | NEW for _ in range(count)]
    assert render(small).count('<svg class="strip"') == count


# Words


def test_an_undecided_limit_says_how_many_images_would_decide_it(judged):
    for text in (render(judged), summary(judged), tables.headline(judged)):
        assert "about 12,400 images would decide it" in text


def test_the_number_of_images_is_not_said_twice(judged):
    told = judged["verdicts"][2] | {"why": "about 12,400 images would decide it if the value stays"}
    assert decisions.why(told) == told["why"]


def test_the_sentence_names_the_limit_that_needs_most(judged):
    judged["verdicts"][0] |= {"outcome": "undecided", "images_to_decide": 300}
    said = decisions.to_decide(Reading(judged))
    assert said.startswith("More images would decide 2 of the limits. Most are needed for Self-conditioned, ") and "12,400" in said


def test_adjusted_p_and_images_stand_beside_the_number(judged):
    table = sheets.verdicts(Reading(judged))
    assert table.columns[5] == "Adjusted p" and (table.rows[0][5].text, table.rows[0][5].under) == ("p\u00a00.400", "2,000 images")
    assert "| 0.400 | 2,000 |" in summary(judged)


def test_a_margin_is_a_difference_from_the_baseline_by_its_title(judged):
    row = next(r for r in sheets.verdicts(Reading(judged)).rows if r[2].text.startswith("Recall"))
    assert row[2].text == "Recall (balanced reference) not worse than StyleGAN2 by more than 0.02"
    assert (row[1].under, row[4].text) == ("against StyleGAN2", "\u22120.010")


# Sampling until decided


def test_each_path_says_when_it_was_decided(sequential):
    found = looks.paths(Reading(sequential), "look")
    assert [p.ending for p in found] == ["broken after 400 images instead of the budget of 2,000", "held after 800 images instead of the budget of 2,000",
                                         "undecided after 2,000 images, the whole budget"]  # fmt: skip
    page = render(sequential)
    assert page.count("look-0") and "held after 800 images instead of the budget of 2,000" in page
    assert "held after 800 images instead of the budget of 2,000" in summary(sequential)


def test_a_path_is_drawn_in_colours_of_the_page_with_its_numbers_told(sequential):
    path = looks.paths(Reading(sequential), "look")[1]
    assert "var(--candidate)" in path.figure and "var(--held)" in path.figure and not re.search(r"#[0-9a-f]{6}\b", path.figure)
    assert "200 images 0.000 to 0.161; 400 images" in path.figure and "Limit 0.1." in path.figure


def test_many_paths_are_counted_beyond_the_first_twelve(sequential):
    sequential["verdicts"] = sequential["verdicts"][:1] * 15
    assert len(looks.paths(Reading(sequential), "look")) == 12
    assert "3 further paths not drawn" in render(sequential)


def test_a_run_of_fixed_size_has_no_such_section(judged):
    assert "until-decided" not in render(judged)


def test_a_single_look_can_be_drawn(sequential):
    sequential["looks"] = sequential["looks"][:1]
    sequential["spec"]["samples"] = 200
    assert len(looks.paths(Reading(sequential), "look")) == 1


# Unread images, further levels, tables of labels


def test_bounds_of_shares_stand_in_the_table_where_images_were_not_read(small):
    share = next(m for m in small["measures"] if m["metric"] == "share" and m["attribute"] == "gender" and not m["corrected"])
    small["measures"].append(share | {"metric": "share_worst_case", "low": 0.7, "high": 0.8})
    reading = Reading(small)
    table = sheets.shares(reading, reading.attributes[0])
    at = table.columns.index("If all unread images were of one class")
    assert [row[at].text for row in table.rows[:2]] == ["between 70.0% and 80.0%", "\u2013"]
    assert "between what bounds a share lies" in render(small)


def test_intervals_at_further_levels_are_no_column(small):
    for row in [*small["measures"], *small["comparisons"]]:
        row["curve"] = [[0.9, 0.1, 0.2], [0.99, 0.0, 0.3]]
    with_curve = tables.measures_csv(small), render(small)
    for row in [*small["measures"], *small["comparisons"]]:
        del row["curve"]
    assert with_curve == (tables.measures_csv(small), render(small))


def test_a_table_of_labels_makes_a_page_that_claims_no_image(small):
    quality = ("fid", "kid", "precision", "recall", "density", "coverage", "group_fid", "no_face", "several_faces")
    small["measures"] = [m for m in small["measures"] if m["metric"] not in quality and "*" not in str(m["attribute"])]
    small.update(gallery={}, comparisons=[], spec={"labels": "labels.csv"}, timings={"seconds": {"read": 1.0}, "images_per_second": 900.0})
    for g in small["generators"]:
        g.update(method=None, unreadable=7, no_face=0, several_faces=0)
    page = render(small)
    wanted = ["verdicts", "answers", "side-by-side", "discrepancy", "shares", "missing", "second-rater", "method"]
    assert re.findall(r'<section id="([^"]*)"', page) == wanted
    assert "The images themselves were not looked at." in page and "14 of 4,000 images in the table have no label at all." in page
    for wrong in ("No face", "thumbnails", "images a second", "labelled so by a classifier", "No reference was given"):
        assert wrong not in page
    assert "table of labels made elsewhere" in summary(small)
