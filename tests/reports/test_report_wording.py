"""Sentences and numerals: exact, honest about overlap, never zero for what is small."""

import pytest

from reports import numerals as num
from reports import wording
from reports.reading import Reading


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0.0%"),
        (1e-6, "<0.1%"),
        (0.0005, "0.1%"),
        (0.5, "50.0%"),
        (0.9996, ">99.9%"),
        (1.0, "100.0%"),
        (-0.02, "\u22122.0%"),
    ],
)
def test_a_share_reads_as_a_percentage_and_a_small_one_never_as_none(share, text):
    assert num.percent(share) == text


@pytest.mark.parametrize(("bound", "text"), [(0.0018, "0.2%"), (0.002, "0.2%"), (0.00201, "0.3%"), (0.3, "30.0%")])
def test_an_upper_bound_is_rounded_up(bound, text):
    assert num.percent_at_most(bound) == text


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"metric": "fid", "unit": "distance", "value": 12.345}, "12.35"),
        ({"metric": "fid", "unit": "distance", "value": 123.45}, "123.5"),
        ({"metric": "kid", "unit": "distance", "value": 0.00281}, "0.0028"),
        ({"metric": "share", "unit": "share", "value": 0.25}, "25.0%"),
        ({"metric": "fairness_discrepancy", "unit": "share", "value": 0.0004}, "0.000"),
        ({"metric": "fairness_discrepancy", "unit": "distance", "value": 0.0297}, "0.030"),
        ({"metric": "skin_tone_shift", "unit": "degrees", "value": -3.26}, "\u22123.3"),
    ],
)
def test_a_value_gets_the_decimals_its_metric_deserves(row, text):
    assert num.value(row) == text


def test_differences_of_shares_are_in_points_with_their_sign():
    row = {"metric": "share", "unit": "share", "difference": 0.021, "low": -0.004, "high": 0.046}
    assert num.difference(row) == ("+2.1 points", "\u22120.4 to +4.6")


def test_minus_zero_reads_as_zero():
    assert num.signed(-0.0004, 3) == "0.000"


def test_a_plain_text_hides_nothing_and_fits():
    assert num.plain("a\u202eb\x07\nc") == "a\\u202eb\\u0007 c"
    short = num.plain("x" * 50 + "end", limit=20)
    assert len(short) == 20 and short.endswith("xxend") and num.CUT in short


def test_who_is_farthest_and_who_is_closest_is_said_with_intervals(example):
    text = wording.finding(Reading(example), "gender")
    assert text == (
        "StyleGAN2 is farthest from the target, with a fairness discrepancy of 0.423 (0.393 to 0.453): an estimated "
        "79.9% (77.1% to 82.7%) of images labelled feminine, target 50.0%. Rebalanced is closest, with 0.018 "
        "(0.000 to 0.048)."
    )


def test_an_order_within_overlapping_intervals_is_called_unsettled(example):
    for row in example["measures"]:
        if row["metric"] == "fairness_discrepancy":
            row.update(low=0.0, high=0.6)
    assert wording.finding(Reading(example), "gender").endswith(
        "Their intervals overlap, so this order is not settled."
    )


def test_nothing_measured_is_said_with_its_reasons(example):
    for row in example["measures"]:
        if row["attribute"] == "gender":
            row.update(value=None, low=None, high=None, reason="no classifier reads it")
    text = wording.finding(Reading(example), "gender")
    assert text == "The fairness discrepancy could not be measured: no classifier reads it."


def test_images_that_could_not_be_used_are_counted_by_reason(example):
    assert wording.missing(Reading(example)) == (
        "77 of 12,000 images could not be used: no face was found in 60, several faces were found in 15 "
        "and 2 were unreadable."
    )


def test_none_missing_is_said_too(example):
    for row in example["generators"]:
        row.update(no_face=0, several_faces=0, unreadable=0)
    assert wording.missing(Reading(example)) == "Each of the 12,000 images was read: none is missing."


@pytest.mark.parametrize(
    ("verdict", "text"),
    [
        ({"limit": "share of gender at most 0.6", "metric": "share", "attribute": "gender", "group": "feminine"},
         "Share of images of perceived gender presentation at most 0.6 (feminine)"),
        ({"limit": "fid at most 20", "metric": "fid", "attribute": None, "group": "reference:balanced"},
         "FID at most 20 (balanced reference)"),
        ({"limit": "fid (reference:training) at most 20", "metric": "fid", "group": "reference:training"},
         "FID (training reference) at most 20"),
        ({"metric": "share_gap", "attribute": "smile"}, "Share gap of smile"),
    ],
)  # fmt: skip
def test_a_limit_is_put_into_words_with_the_class_it_was_applied_to(example, verdict, text):
    assert wording.limit(Reading(example), verdict) == text


def test_an_intersection_is_titled_by_its_parts(example):
    assert wording.attribute(Reading(example), "gender*skin_tone") == "Perceived gender presentation \u00d7 skin tone"
