"""The answers of the first screen: known truth in, the sentence a reader needs out; what is open is said to be open."""

import pytest

from reports.answers import HEADS, answer, sentences
from reports.reading import Reading


def said(result, name):
    reading = Reading(result)
    found = sentences(reading, answer(reading, reading.attribute(name)))
    return {next(key for key, head in HEADS.items() if head == heading): lead + rest for heading, lead, rest in found}


def discrepancies(result, name, numbers):
    """Give the generators corrected discrepancies of (value, half of the interval); None = not measured."""
    for generator, pair in zip(result["generators"], numbers, strict=True):
        for row in result["measures"]:
            if (row["generator"], row["metric"], row["attribute"]) == (generator["name"], "fairness_discrepancy", name):
                value, half = pair or (None, None)
                ends = {"low": None, "high": None, "reason": "no image was read"} if value is None else {"low": value - half, "high": value + half}
                row.update(value=value, **ends)


def test_the_nearest_stands_alone_where_no_interval_touches_its_own(small):
    discrepancies(small, "gender", [(0.4, 0.02), (0.1, 0.02)])
    told = said(small, "gender")
    assert told["nearest"] == "Self-conditioned, 0.100 (0.080 to 0.120)."
    assert told["farthest"] == "StyleGAN2, 0.400 (0.380 to 0.420): 79.9% labelled feminine, target 50.0%."
    assert "open" not in told


@pytest.mark.parametrize(("half", "apart"), [(0.149, True), (0.151, False)])
def test_generators_are_told_apart_only_where_their_intervals_do_not_overlap(small, half, apart):
    discrepancies(small, "gender", [(0.4, half), (0.1, half)])
    told = said(small, "gender")
    assert ("not told apart from StyleGAN2 (0.400)" in told["nearest"]) is not apart
    assert ("Which of the two is nearer: their intervals overlap." in told.get("open", "")) is not apart


def test_the_price_is_the_paired_difference_and_says_when_it_is_not_settled(small):
    discrepancies(small, "gender", [(0.4, 0.02), (0.1, 0.02)])
    for row in small["comparisons"]:
        if row["metric"] == "recall":
            row.update(low=-0.062, high=0.002)
    told = said(small, "gender")
    assert told["price"] == ("Against StyleGAN2: FID 11.20 \u2192 14.90, +3.70 (+3.00 to +4.40), worse; "
                             "Recall 0.520 \u2192 0.490, \u22120.030 (\u22120.062 to +0.002), not settled.")  # fmt: skip


def test_of_a_generator_without_baseline_the_price_stands_beside_the_lowest_fid(small):
    discrepancies(small, "gender", [(0.05, 0.02), (0.4, 0.02)])
    assert said(small, "gender")["price"] == "FID 11.20 (10.60 to 11.80), the lowest of all."
    for row in small["measures"]:
        if row["metric"] == "fid" and row["generator"] == "self_conditioned":
            row.update(value=5.0, low=4.0, high=6.0)
    assert said(small, "gender")["price"] == "FID 11.20 (10.60 to 11.80); the lowest is 5.00 (4.00 to 6.00) of Self-conditioned."


def test_a_difference_whose_interval_holds_zero_cannot_be_concluded(small):
    for row in small["comparisons"]:
        if row["metric"] == "fairness_discrepancy" and row["attribute"] == "gender":
            row.update(difference=-0.01, low=-0.03, high=0.01)
    assert "Whether Self-conditioned differs from its baseline." in said(small, "gender")["open"]


def test_a_second_rater_that_says_the_opposite_is_heard(small):
    for row in small["comparisons"]:
        if row["metric"] == "fairness_discrepancy" and row["attribute"] == "gender" and row["reader"] == "second_rater":
            row.update(difference=0.2, low=0.1, high=0.3)
    assert "Which way Self-conditioned moved: the second rater says the opposite." in said(small, "gender")["open"]


def test_what_was_not_measured_is_neither_nearest_nor_zero(small):
    discrepancies(small, "gender", [(0.4, 0.02), None])
    told = said(small, "gender")
    assert told["nearest"].startswith("StyleGAN2") and told["open"].endswith("Not measured for 1 generator: no image was read.")
    discrepancies(small, "gender", [None, None])
    assert said(small, "gender") == {"open": "The fairness discrepancy could not be measured: no image was read."}


def test_one_generator_has_no_rival_and_a_result_without_quality_no_price(small):
    small["generators"], quality = small["generators"][:1], ("fid", "kid", "precision", "recall", "density", "coverage")
    small["measures"] = [m for m in small["measures"] if m["generator"] == "stylegan2" and m["metric"] not in quality]
    small["comparisons"] = []
    told = said(small, "gender")
    assert set(told) == {"nearest", "farthest"} and "told apart" not in told["nearest"]
    assert told["farthest"].endswith("labelled feminine, target 50.0%.")
