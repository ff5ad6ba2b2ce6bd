"""Figures: what is drawn, in whose colours, with which words for those who do not see it."""

import re

import matplotlib as mpl
import pytest

from reports.figures import share_figure
from reports.forest import comparison_figure, quality_figure
from reports.heatmap import _legible, intersection_figures
from reports.reading import Reading
from reports.svg import drawing
from reports.tradeoff import tradeoff_figure


@pytest.fixture
def reading(example):
    return Reading(example)


def markers(svg):
    return re.findall(r"<use [^>]*>", svg)


def test_each_share_is_drawn_raw_and_corrected(reading):
    svg = share_figure(reading, reading.attributes[0], "f")
    hollow = [m for m in markers(svg) if "fill: var(--page)" in m]
    assert len(markers(svg)) == 2 * 6 * 2 and len(hollow) == 12
    assert svg.count("target 50.0%") >= 2 and "labelled feminine" in svg


def test_what_was_not_measured_is_written_not_drawn(example):
    for row in example["measures"]:
        if row["generator"] == "magnet" and row["metric"] == "share" and row["attribute"] == "gender":
            row.update(value=None, low=None, high=None, reason="no face <found>")
    reading = Reading(example)
    svg = share_figure(reading, reading.attributes[0], "f")
    assert len(markers(svg)) == 2 * 5 * 2 and svg.count(">not measured: no face &lt;found&gt;</text>") == 2


def test_colours_are_left_to_the_page_so_that_it_can_be_dark(reading):
    for svg in (share_figure(reading, reading.attributes[0], "f"), tradeoff_figure(reading, reading.attributes[0], "t"),
                comparison_figure(reading, "c")):  # fmt: skip
        assert "var(--candidate)" in svg and not re.search(r"#[0-9a-f]{6}\b", svg)


def test_the_description_holds_the_numbers(reading):
    svg = share_figure(reading, reading.attributes[0], "f")
    assert '<desc id="f-description">Labelled feminine, target 50.0%: StyleGAN2 79.9% (77.1% to 82.7%)' in svg


def test_names_reach_the_figure_escaped_and_formulas_are_not_set(example):
    example["generators"][0]["title"] = "$x_1$ <b> \U0001f600"
    svg = share_figure(Reading(example), Reading(example).attributes[0], "f")
    assert svg.count(">$x_1$ &lt;b&gt; \U0001f600</text>") == 2


def test_fairness_is_set_against_fid_and_recall_of_the_first_reference(reading):
    svg = tradeoff_figure(reading, reading.attributes[0], "t")
    assert "FID, balanced reference (lower is better)" in svg and "Recall, balanced reference (higher is better)" in svg
    assert len(list(re.findall(r">(\d)</text>", svg))) == 12


def test_without_quality_there_is_no_trade_off(example):
    example["measures"] = [row for row in example["measures"] if row["metric"] not in ("fid", "recall")]
    assert tradeoff_figure(Reading(example), Reading(example).attributes[0], "t") is None


def test_a_heat_map_states_share_and_count_of_each_cell(reading):
    (svg,) = intersection_figures(reading, reading.intersections[0], "h")
    texts = re.findall(r">([^<>]+)</text>", svg)
    assert "0 images" in texts and "\u2264 0.2%" in texts and "328" in texts and "16.4%" in texts
    assert len([t for t in texts if t.endswith("%") and "\u2264" not in t]) == 35


def test_more_generators_than_fit_make_another_heat_map(example):
    example["generators"] += [g | {"name": g["name"] + "2"} for g in example["generators"]]
    example["measures"] += [m | {"generator": m["generator"] + "2"} for m in example["measures"]]
    reading = Reading(example)
    assert len(intersection_figures(reading, reading.intersections[0], "h")) == 2


def test_numbers_in_a_heat_map_stay_legible():
    assert [_legible(r) for r in (-2.0, 0.0, 1.0)] == ["#ffffff", "#101214", "#101214"]


def test_a_forest_has_a_row_a_candidate_and_attribute(reading):
    svg = comparison_figure(reading, "c")
    assert len(markers(svg)) == 2 * 4 * 4 and ">3 Rebalanced \u2212 1</text>" in svg
    assert "Rebalanced, Perceived gender presentation, second rater: \u22120.359" in svg


def test_a_forest_prefers_the_corrected_difference_and_the_classifier(example):
    example["comparisons"] = [c for c in example["comparisons"] if not (c["reader"] == "classifier" and c["corrected"])]
    raw = comparison_figure(Reading(example), "c")
    assert len([m for m in markers(raw) if "fill: var(--page)" in m]) == 32
    example["comparisons"] = [c for c in example["comparisons"] if c["reader"] != "second_rater"]
    assert len(markers(comparison_figure(Reading(example), "c"))) == 16


def test_the_forest_of_quality_has_a_panel_a_number_and_says_which_side_is_better(example):
    svg = quality_figure(Reading(example), "q")
    assert len(markers(svg)) == 6 * 4
    assert svg.count(">left is better</text>") == 3 and svg.count(">right is better</text>") == 3
    assert "FID, balanced reference: Self-conditioned +3.70 (+3.00 to +4.40)" in svg
    example["comparisons"] = [c for c in example["comparisons"] if c["reader"]]
    assert quality_figure(Reading(example), "q") is None


def test_no_comparison_makes_no_forest(example):
    example["comparisons"] = [c for c in example["comparisons"] if c["metric"] != "fairness_discrepancy"]
    assert comparison_figure(Reading(example), "c") is None


def test_all_differences_at_zero_still_make_a_forest(example):
    for row in example["comparisons"]:
        row.update(difference=0.0, low=0.0, high=0.0)
    assert comparison_figure(Reading(example), "c")


def test_the_style_of_the_caller_neither_matters_nor_changes(reading):
    plain = share_figure(reading, reading.attributes[0], "f")
    with mpl.rc_context({"font.size": 30, "xtick.labelsize": 30, "lines.marker": "x"}):
        assert share_figure(reading, reading.attributes[0], "f") == plain
        assert mpl.rcParams["font.size"] == 30


def test_ids_inside_a_figure_begin_with_its_key():
    with drawing("key", height=50) as d:
        d.axes(left=0, top=0, width=100, height=40).plot([0, 1], [0, 1], "o")
        svg = d.svg(title="t", description="d")
    assert set(re.findall(r'id="([^"]*)"', svg)) and all(i.startswith("key-") for i in re.findall(r'id="([^"]*)"', svg))
