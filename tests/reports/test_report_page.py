"""The page: whole, self-contained, honest about what is missing, and safe whatever a file is called."""

import base64
import copy
import hashlib
import html
import math
import os
import re
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

from audit.errors import ReportError
from reports.html import render

VOID = {"meta", "img", "br", "hr", "link", "input", "path", "use", "image", "rect"}
BANNED = re.compile(r"debias|unbiased|bias-free|\b(fair (model|generator)|solve[sd]?)\b")
HOSTILE = [
    "<script>alert(1)</script>",
    "\u202egpj.evil\u202c \u05d4\u05d5\u05d2\u05df",
    "\U0001f600 $x_1$ {{ 7 * 7 }}",
    "x" * 400,
    "\"quoted\" & 'it' \x1b[31m\x00",
    "--><svg onload=alert(1)>",
]


class Outline(HTMLParser):
    """Collects what the tests ask about: tags left open, ids, attributes, the text of tables."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.open, self.wrong, self.tags, self.text = [], [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.text.append(data)

    def all(self, name):
        return [attrs for tag, attrs in self.tags if tag == name]

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


def rows_of(page, caption):
    """Return the rows of the first table with this caption, each a list of cell texts."""
    tables = re.findall(r"<table>(.*?)</table>", page, flags=re.DOTALL)
    body = next(t for t in tables if re.search(rf"<caption[^>]*>{re.escape(caption)}</caption>", t))
    rows = re.findall(r"<tr>(.*?)</tr>", body.split("<tbody>")[1], flags=re.DOTALL)
    cells = [re.findall(r"<(?:td|th)[^>]*>(.*?)</(?:td|th)>", row, flags=re.DOTALL) for row in rows]
    return [[html.unescape(re.sub(r"<[^>]+>", " ", cell)).split() for cell in row] for row in cells]


@pytest.fixture(scope="module")
def result(request):
    return request.getfixturevalue("builder")()


@pytest.fixture(scope="module")
def page(result):
    return render(result)


def test_every_tag_is_closed_and_every_id_is_used_once(page):
    outline = Outline(page)
    ids = [attrs["id"] for _, attrs in outline.tags if "id" in attrs]
    assert outline.wrong == [] and outline.open == []
    assert len(ids) == len(set(ids))
    assert outline.tags[0][0] == "html" and page.startswith("<!DOCTYPE html>")


def test_the_outline_notices_a_tag_left_open():
    assert Outline("<div><p></div>").wrong and Outline("<div>").open


def test_every_reference_inside_the_page_leads_somewhere(page):
    outline = Outline(page)
    ids = {attrs["id"] for _, attrs in outline.tags if "id" in attrs}
    pointed = {attrs["href"].removeprefix("#") for _, attrs in outline.tags if attrs.get("href", "").startswith("#")}
    pointed |= set(re.findall(r"url\(#([^)]+)\)", page))
    pointed |= {word for _, attrs in outline.tags for word in attrs.get("aria-labelledby", "").split()}
    assert pointed and pointed <= ids


def test_the_page_asks_the_network_for_nothing_and_runs_one_script_known_by_its_digest(run_dir, small):
    page = render(small, run_dir=run_dir)
    outline = Outline(page)
    assert {"link", "iframe", "object", "base", "form"}.isdisjoint(tag for tag, _ in outline.tags)
    scripts = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert len(scripts) == len(outline.all("script")) == 1 and f"script-src 'sha256-{digest}'\"" in page and len(scripts[0]) < 6000
    for _, attrs in outline.tags:
        assert not [name for name in attrs if name.startswith("on")]
        for name in ("src", "href", "srcset", "xlink:href", "action", "poster", "data"):
            assert attrs.get(name, "#").startswith(("#", "data:image/"))
    assert "@import" not in page and not re.search(r"url\((?!#)", page) and not re.search(r"https?:", page)


def test_the_same_result_gives_the_same_bytes(result, page):
    assert render(copy.deepcopy(result)) == page


def test_another_process_with_another_hash_seed_writes_the_same_bytes(run_dir, example):
    code = "import sys, reports; reports.write_all(sys.argv[1])"
    command = [sys.executable, "-c", code, str(run_dir)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": "7"}, cwd=Path(__file__).parents[2])
    assert (run_dir / "report.html").read_text(encoding="utf-8") == render(example, run_dir=run_dir)


def test_the_sections_come_in_the_order_a_reader_needs_them(page):
    ids = [attrs["id"] for attrs in Outline(page).all("section") if "id" in attrs]
    wanted = "verdicts answers side-by-side discrepancy shares trade-off intersections mitigations comparisons quality groups"
    wanted += " samples missing second-rater method"
    assert " ".join(ids) == wanted


def test_hostile_names_are_shown_as_text(example):
    for generator, name in zip(example["generators"], HOSTILE, strict=True):
        generator["title"] = name
        generator["files_unreadable"] = [name]
        generator["unreadable"] = 1
    example["name"] = HOSTILE[0]
    example["attributes"]["gender"]["title"] = HOSTILE[5]
    for row in example["measures"]:
        if row["metric"] == "group_fid":
            row["reason"] = HOSTILE[0]
    page = render(example)
    outline = Outline(page)
    assert outline.wrong == [] and outline.open == []
    assert len(outline.all("script")) == 1 and "onload" not in {k for _, a in outline.tags for k in a}
    for name in (HOSTILE[0], HOSTILE[2], HOSTILE[5], "\\u202egpj.evil\\u202c", "\\u001b[31m\\u0000"):
        assert name in outline.words
    assert not set(page) & {"\x00", "\x1b", "\u202e"}


def test_what_is_missing_is_shown_with_its_reason_and_never_as_zero(small):
    for row in small["measures"]:
        if row["generator"] == "self_conditioned" and row["attribute"] == "age":
            row.update(value=None, low=None, high=None, n=0, reason="no image was read")
    page = render(small)
    row = rows_of(page, "Generators side by side")[1]
    assert row[3] == ["not", "measured", "no", "image", "was", "read"]
    shares = [r for r in rows_of(page, "Perceived age: share of images by label") if r[0][0] == "2"]
    assert len(shares) == 3 and all(r[2][:2] == ["not", "measured"] for r in shares)
    assert "Not measured for 1 generator: no image was read." in page


def test_a_measure_no_figure_shows_is_still_on_the_page_with_its_reason(page):
    assert "41 images of this group, 200 are needed" in page


def test_a_number_that_is_not_finite_counts_as_not_measured(small):
    for row in small["measures"]:
        if row["metric"] == "fid":
            row.update(value=math.nan, low=math.inf)
    page = render(small)
    assert " ".join(rows_of(page, "Generators side by side")[0][4]) == (
        "not measured the result holds no finite number here"
    )
    assert not re.search(r"\b(nan|inf|None)\b", Outline(page).words)


def test_raw_and_corrected_shares_stand_side_by_side(page):
    row = rows_of(page, "Perceived gender presentation: share of images by label")[0]
    assert row[2][0] == "78.2%" and row[3][0] == "79.9%"


def test_a_raw_number_in_place_of_a_corrected_one_says_so(small):
    for row in small["measures"]:
        if row["corrected"] and row["attribute"] == "gender" and row["generator"] == "stylegan2":
            row.update(value=None, low=None, high=None, reason="the confusion matrix cannot be inverted")
    page = render(small)
    assert rows_of(page, "Generators side by side")[0][2][-1] == "raw"
    assert "not corrected for the classifier's errors" in Outline(page).words


def test_an_empty_cell_says_what_the_share_may_be_at_most(page):
    assert "StyleGAN2, masculine \u00d7 dark: 0 images, share at most 0.2%." in Outline(page).words


def test_words_that_promise_too_much_are_absent(page):
    words = Outline(page).words.lower()
    assert BANNED.findall(words) == []
    assert "images labelled" in words and "perceived gender presentation" in words


def test_no_sentence_of_the_reports_promises_too_much():
    folder = Path(__file__).parents[2] / "reports"
    files = [*folder.glob("*.py"), *folder.glob("templates/*")]
    assert len(files) > 20
    assert [file.name for file in files if BANNED.search(file.read_text(encoding="utf-8").lower())] == []


def test_every_figure_and_image_has_a_text_alternative(run_dir, small):
    outline = Outline(render(small, run_dir=run_dir))
    pictures = [a for a in outline.all("svg") if a.get("aria-hidden") != "true"]
    figures, strips, samples = 11, 3, 2 * 6
    assert len(pictures) == figures + strips + samples and all(a.get("aria-labelledby") or a.get("aria-label") for a in pictures)
    assert all(a.get("role") in ("img", "group") for a in pictures)
    assert all("alt" in a for a in outline.all("img"))
    assert sum(a.get("aria-label", "").startswith("Image ") for a in pictures) == samples


def test_every_row_has_a_cell_for_every_column(page):
    for table in re.findall(r"<table>.*?</table>", page, flags=re.DOTALL):
        head, body = table.split("<tbody>")
        columns = len(re.findall('scope="col"', head))
        for row in re.findall(r"<tr>.*?</tr>", body, flags=re.DOTALL):
            assert len(re.findall(r"<t[dh]\b", row)) == columns


def test_one_generator_and_nothing_else_still_makes_a_page(small):
    quality = ("fid", "kid", "precision", "recall", "density", "coverage")
    small["generators"] = small["generators"][:1]
    small["measures"] = [m for m in small["measures"] if m["generator"] == "stylegan2" and m["metric"] not in quality
                           and "*" not in str(m["attribute"])]  # fmt: skip
    small.update(comparisons=[], verdicts=[], gallery={}, provenance={}, timings={}, spec={})
    words = Outline(render(small)).words
    said = ["No limit was set", "No reference was given", "No intersection of attributes", "kept no thumbnails"]
    for sentence in [*said, "No generator was compared", "does not record the command"]:
        assert sentence in words
    assert "farthest" not in words


def test_a_result_without_any_measure_still_makes_a_page():
    words = Outline(render({"schema": "genbias.result/1", "generators": [], "measures": []})).words
    assert "0 generators" in words and "No attribute was read" in words


def test_thumbnails_are_embedded_and_absent_files_leave_a_labelled_place(run_dir, small):
    (run_dir / small["gallery"]["stylegan2"][0]["file"]).unlink()
    page = render(small, run_dir=run_dir)
    outline = Outline(page)
    assert len(set(re.findall(r'<image id="[^"]*" width="128" height="128" href="(data:image/png;base64,[^"]+)"', page))) == 2
    gone = [a for tag, a in outline.tags if a.get("class") == "gone"]
    assert len([a for a in gone if a.get("aria-label", "").endswith("file is missing")]) == 1
    assert all("aria-label" in a or a["aria-hidden"] == "true" for a in gone)


def test_a_picture_shown_twice_is_stored_once_and_named_twice(run_dir, small):
    samples = small["gallery"]["stylegan2"]
    samples.append(samples[0] | {"group": "gender=feminine"})
    page = render(small, run_dir=run_dir)
    assert page.count('<use href="#p1-0"/>') > page.count('aria-label="Image 0 of StyleGAN2') == 1
    assert page.count('id="p1-0"') == page.count('id="image-stylegan2-0"') == 1
    assert page.count('href="#image-stylegan2-0"') == page.count('<use href="#p1-0"/>') - 1


def test_every_bar_leads_to_the_images_in_it(run_dir, small):
    page = render(small, run_dir=run_dir)
    ids = {attrs["id"] for _, attrs in Outline(page).tags if "id" in attrs}
    wanted = "images-stylegan2-gender.skin_tone-feminine.light"
    figure = re.search(r"<svg[^>]*>(?:(?!</svg>).)*share and count of each cell.*?</svg>", page, re.DOTALL)[0]
    assert f'<a href="#{wanted}" aria-label="Images of StyleGAN2 labelled feminine \u00d7 light">' in figure and wanted in ids
    table = rows_of(page, "Perceived gender presentation \u00d7 skin_tone: share of images by label")
    assert table and f'<a href="#{wanted}">' in page.split(figure)[1]
    block = page[page.index(f'id="{wanted}"') :].split("</ul>")[0]
    assert 1 <= block.count("<li") <= 4 and all("feminine" in tip and "light" in tip for tip in re.findall(r'<span class="tip">.*?</span>', block))


def test_references_are_explained_only_where_there_are_two(page, small):
    sentence = "a distance to the training data rewards a generator"
    assert sentence in page
    small["measures"] = [m for m in small["measures"] if m["group"] != "reference:training"]
    assert sentence not in render(small)


def test_provenance_names_versions_seed_weights_and_the_command(page):
    words = Outline(page).words
    for fact in (
        "genbias run embedded",
        "Seed 20261122",
        "torch 2.15.0",
        "0123abc",
        "cd" * 32,
        "MIT",
        "ab" * 32,
        "5 min 35 s",
    ):
        assert fact in words


def test_many_attributes_are_named_but_not_all_drawn(small):
    for i in range(20):
        rows = [m | {"attribute": f"extra{i}"} for m in small["measures"] if m["attribute"] == "age"]
        small["attributes"][f"extra{i}"] = small["attributes"]["age"] | {"title": f"Extra {i}"}
        small["measures"] += rows
    page = render(small)
    assert page.count("shares against target</title>") == page.count('<article class="card"') == 8
    assert "Not drawn here, to keep the page small: Extra 6" in page and "<dt>Extra 19</dt>" in page


def test_the_page_is_quick_and_small(run_dir, example):
    began = time.process_time()
    page = render(example, run_dir=run_dir)
    assert time.process_time() - began < 8
    assert len(page.encode()) < 1_500_000


def test_a_result_of_another_schema_is_refused():
    with pytest.raises(ReportError, match=r"schema 'genbias\.result/9'; this version reads 'genbias\.result/1'"):
        render({"schema": "genbias.result/9", "generators": [], "measures": []})
