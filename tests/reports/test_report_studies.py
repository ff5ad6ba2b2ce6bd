"""Sections that studies add: shown after the verdicts where the kind is known, nothing where it is not."""

import copy
import re
import sys

import pytest

from reports import studies
from reports.html import render
from reports.markdown import render as summary

MODULE = '''
from markupsafe import Markup
from reports.fragments import figure, folded, heading, legend, pair, paragraph, table
from reports.svg import drawing
from reports.tables import Cell, Table

TITLE = "A planted study"


def section(study, result):
    with drawing("planted", height=40) as d:
        d.axes(left=10, top=5, width=300, height=20)
        svg = d.svg(title="Planted", description=d_text(study))
    rows = Table("Planted numbers", ["What", "Value"], [[Cell("a", "", "head"), Cell("1", "", "number")]])
    words = paragraph(study["finding"]) + paragraph("small", quiet=True) + legend(("square", "a"), ("round", "b"), ("bar", "c"))
    return words + pair(figure(svg), heading("Below", anchor="planted-below") + table(rows)) + folded("Again", rows)


def d_text(study):
    return "planted figure"


def markdown(study, result):
    return f"Found {study['finding']}."
'''


@pytest.fixture
def planted(tmp_path, monkeypatch):
    (tmp_path / "planted_kind.py").write_text(MODULE)
    monkeypatch.setattr(studies, "__path__", [*studies.__path__, str(tmp_path)])
    yield "planted_kind"
    sys.modules.pop("reports.studies.planted_kind", None)


def test_a_study_of_a_known_kind_has_its_section_after_the_verdicts_and_an_entry_in_the_navigation(planted, small):
    small["study"] = {"kind": planted, "finding": "<b>seven</b>"}
    page = render(small)
    ids = re.findall(r'<section id="([^"]+)"', page)
    assert ids[:3] == ["verdicts", "study", "answers"] and '<a href="#study">A planted study</a>' in page
    assert "<p>&lt;b&gt;seven&lt;/b&gt;</p>" in page and "planted figure" in page and ">Planted numbers</caption>" in page
    assert '<h3 id="planted-below">Below</h3>' in page and "<summary>Again</summary>" in page
    text = summary(small)
    assert "## A planted study\n\nFound <b>seven</b>." in text
    assert text.index("A planted study") < text.index("Perceived gender presentation")


@pytest.mark.parametrize("study", [{"kind": "nobody_knows"}, {"kind": "__init__"}, {"kind": "../html"}, {"kind": "os"}, {}, [], None])
def test_a_study_of_unknown_kind_is_shown_as_nothing(study, small):
    plain = render(copy.deepcopy(small))
    small["study"] = study
    assert render(small) == plain and "Study" not in summary(small)


def test_the_registries_list_what_lies_beside_them(planted):
    assert planted in studies.SECTIONS and planted in list(studies.MARKDOWN) and len(studies.SECTIONS) >= 1
    assert "nobody_knows" not in studies.SECTIONS


def test_of_many_generators_the_figures_show_the_baselines_and_the_tables_are_folded(example):
    extra = [row for row in example["measures"] if row["generator"] == "magnet"]
    for i in range(40):
        example["generators"].append(example["generators"][3] | {"name": f"m{i}", "title": f"Copy {i}"})
        example["measures"] += [row | {"generator": f"m{i}"} for row in extra]
    page = render(example)
    figure = re.search(r"<title[^>]*>Perceived gender presentation: shares against target</title>.*?</svg>", page, re.DOTALL)[0]
    assert "StyleGAN2" in figure and "Latent diffusion" in figure and "Copy 7" not in figure
    assert "46 generators the figures and samples show the baselines" in page
    assert re.search(r"<summary>All 46 generators side by side</summary>", page) and "Copy 39" in page
    assert len(page.encode()) < 5_000_000
