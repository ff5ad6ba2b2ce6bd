"""A verdict as text: the picture agrees with the numbers, the words say what was found and what to do."""

import pytest

from audit.verdict_text import allowed, describe, describe_all, needed, picture, scale

ROW = {"limit": "fairness_discrepancy of gender at most 0.1", "generator": "stylegan2", "metric": "fairness_discrepancy", "attribute": "gender",
       "group": None, "bound": 0.1, "value": 0.42, "low": 0.39, "high": 0.45, "outcome": "broken", "why": "the whole interval lies above it",
       "bound_high": None, "baseline": None, "level": 0.95, "p_value": 0.00001, "p_adjusted": 0.00002, "n": 2000, "images_to_decide": None}  # fmt: skip


def drawn(row, **more):
    """Return the track of a picture without the ends of its scale."""
    return picture({**row, **more}).split(" ")[1]


@pytest.mark.parametrize(("row", "expected"), [
    ({}, (None, 0.1)),
    ({"limit": "entropy of gender at least 0.1"}, (0.1, None)),
    ({"limit": "share between 0.1 and 0.2", "bound_high": 0.2}, (0.1, 0.2)),
    ({"baseline": "a", "bound": 0.02}, (None, 0.02)),
    ({"baseline": "a", "bound": 0.02, "metric": "recall"}, (-0.02, None)),
    ({"baseline": "a", "bound": -0.02, "metric": "recall"}, (-0.02, None)),
])  # fmt: skip
def test_the_allowed_side_follows_the_limit(row, expected):
    assert allowed({**ROW, **row}) == expected


def test_a_broken_interval_is_drawn_beyond_the_limit():
    line = drawn(ROW)
    assert line.index("|") < line.index("[") < line.index("o") < line.index("]")
    assert "x" in line[line.index("|") : line.index("[")] and "x" not in line[: line.index("|")]


def test_an_interval_that_only_touches_the_limit_is_drawn_on_its_good_side():
    line = drawn(ROW, value=0.08, low=0.06, high=0.1, outcome="held")
    assert line.index("]") < line.index("|")


def test_an_undecided_interval_is_drawn_across_the_limit():
    line = drawn(ROW, value=0.09, low=0.06, high=0.12, outcome="undecided")
    assert line.index("[") < line.index("|") < line.index("]")


def test_both_sides_are_forbidden_around_a_range():
    line = drawn(ROW, limit="share between 0.3 and 0.5", bound=0.3, bound_high=0.5, value=0.4, low=0.38, high=0.42)
    assert line[0] == line[-1] == "x" and line.count("|") == 2


def test_a_negative_difference_has_room_to_the_left():
    assert scale([ROW | {"baseline": "a", "bound": 0.02, "value": -0.1, "low": -0.2, "high": 0.0}])[0] < -0.2
    assert picture(ROW | {"baseline": "a", "bound": 0.02, "value": -0.1, "low": -0.2, "high": 0.0}).startswith("-0.2")


@pytest.mark.parametrize("more", [{"value": 0.1, "low": 0.1, "high": 0.1}, {"bound": 0.0, "value": 0.0, "low": 0.0, "high": 0.0}])
def test_an_interval_of_no_width_and_a_limit_of_zero_can_be_drawn(more):
    assert "o" in drawn(ROW, **more)


def test_a_message_says_limit_generator_number_interval_images_p_and_what_to_do():
    lines = describe(ROW).splitlines()
    assert lines[0] == "broken: fairness_discrepancy of gender at most 0.1 [stylegan2]"
    assert lines[1] == "  measured 0.42, 95% interval 0.39 to 0.45, on 2,000 images, adjusted p < 0.0001"
    assert "|" in lines[2] and lines[3] == "  why: the whole interval lies above it" and lines[4].startswith("  to do: change the generator")
    assert max(map(len, lines)) < 110


def test_an_undecided_message_starts_so_and_carries_the_images():
    text = describe(ROW | {"outcome": "undecided", "images_to_decide": 12_400})
    assert text.startswith("undecided: ") and "about 12,400 images would decide it" in text


def test_what_was_not_measured_has_no_picture_and_no_number():
    text = describe(ROW | {"outcome": "undecided", "value": None, "low": None, "high": None, "why": "not measured: no face"})
    assert "measured 0" not in text and "o=" not in text and "why: not measured: no face" in text


def test_a_margin_is_told_as_a_difference_from_its_baseline():
    assert "difference from stylegan2 -0.1" in describe(ROW | {"baseline": "stylegan2", "value": -0.1, "low": -0.2, "high": 0.2})


def test_the_class_is_named_once():
    assert describe(ROW | {"group": "feminine"}).splitlines()[0].endswith("[stylegan2] (feminine)")
    assert describe(ROW | {"group": "feminine", "limit": "share (feminine) at most 0.1"}).count("feminine") == 1


def test_broken_ones_come_first_and_many_are_counted():
    rows = [ROW | {"outcome": "undecided"}, ROW | {"outcome": "held"}, *[ROW] * 9]
    text = describe_all(rows)
    assert text.startswith("broken") and text.endswith("and 2 more") and "held" not in text


def test_no_number_of_images_is_made_up():
    assert needed({"images_to_decide": None}) == needed({}) == ""
