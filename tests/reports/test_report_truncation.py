"""The sweep of truncation: found among generators that differ in psi alone, drawn with what was measured, left out otherwise."""

import pytest

from reports.html import render
from reports.reading import Reading
from reports.truncation import sweep, truncation_figure


def _spec(psis, **more):
    return {name: {"source": "stylegan2", "weights": "portraits/stylegan2", "truncation_psi": psi, **more} for name, psi in psis.items()}


@pytest.fixture
def swept(example):
    example["spec"]["generators"] = _spec({"stylegan2": 1.0, "self_conditioned": 0.5, "rebalanced": 0.7})
    return example


def test_a_sweep_is_sorted_by_psi(swept):
    assert sweep(Reading(swept)) == [(0.5, "self_conditioned"), (0.7, "rebalanced"), (1.0, "stylegan2")]


def test_two_values_of_psi_are_no_sweep(swept):
    swept["spec"]["generators"].pop("rebalanced")
    assert sweep(Reading(swept)) == []
    assert truncation_figure(Reading(swept), "t") is None


@pytest.mark.parametrize("change", [{"weights": "portraits/rebalanced"}, {"noise": "none"}, {"sampler": {"method": "magnet"}}])
def test_generators_that_differ_in_more_than_psi_are_not_one_sweep(swept, change):
    swept["spec"]["generators"]["rebalanced"] |= change
    assert sweep(Reading(swept)) == []


def test_the_figure_says_its_ends_to_those_who_do_not_see_it(swept):
    svg = str(truncation_figure(Reading(swept), "t"))
    reading = Reading(swept)
    share = reading.best("self_conditioned", "share", "gender", "feminine")["value"]
    assert f"feminine {share:.2f} at 0.5" in svg
    assert "truncation psi" in svg
    assert "Truncation" in render(swept)


def test_what_was_not_measured_is_left_out_of_the_line_and_said(swept):
    for row in swept["measures"]:
        if (row["generator"], row["metric"], row["group"]) == ("stylegan2", "share", "feminine"):
            row |= {"value": None, "low": None, "high": None, "reason": "no image was read"}
    assert "at 0.5 and not measured at 1" in str(truncation_figure(Reading(swept), "t"))
