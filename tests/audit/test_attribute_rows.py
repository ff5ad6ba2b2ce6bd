import numpy as np
import pytest

from audit.attribute_rows import About, Reading, attribute_rows
from audit.metrics.error_model import ErrorModel
from audit.quantities import LADDER

ABOUT = About("g", "gender", ("feminine", "masculine"))


def _by(rows, metric, group=None, corrected=False):
    return next(r for r in rows if (r.metric, r.group, r.corrected) == (metric, group, corrected))


def test_raw_and_corrected_stand_side_by_side():
    rows = attribute_rows(ABOUT, Reading(np.array([600, 400]), errors=ErrorModel.from_confusion([[950, 50], [100, 900]])))
    assert _by(rows, "share", "feminine").value == 0.6
    assert _by(rows, "share", "feminine", corrected=True).value == pytest.approx(0.588, abs=1e-3)


def test_every_number_carries_intervals_that_widen_with_the_level():
    for row in attribute_rows(ABOUT, Reading(np.array([60, 40]))):
        assert [level for level, _, _ in row.curve] == list(LADDER)
        lows, highs = np.array(row.curve)[:, 1], np.array(row.curve)[:, 2]
        assert (np.diff(lows) <= 1e-12).all() and (np.diff(highs) >= -1e-12).all(), row.metric


def test_the_curve_passes_through_the_interval_itself():
    row = _by(attribute_rows(ABOUT, Reading(np.array([60, 40]))), "share", "feminine")
    below, above = max(c for c in row.curve if c[0] < 0.95), min(c for c in row.curve if c[0] > 0.95)
    assert above[1] <= row.low <= below[1]
    assert below[2] <= row.high <= above[2]


def test_images_that_were_not_read_bound_the_shares_from_both_sides():
    rows = attribute_rows(ABOUT, Reading(np.array([50, 30]), missing=20))
    bound = _by(rows, "share_worst_case", "feminine")
    assert bound.value == 50 / 80
    assert bound.n == 100
    assert bound.low < 0.5 and bound.high > 0.7
    far = _by(rows, "fairness_discrepancy_worst_case")
    assert far.low == 0.0  # the twenty might all be masculine
    assert far.high > np.sqrt(2) * 0.2


def test_the_worst_case_covers_whatever_the_unread_were():
    rng = np.random.default_rng(2)
    held = []
    for _ in range(300):
        true = rng.random(200) < 0.3
        unread = rng.random(200) < np.where(true, 0.3, 0.02)  # class 0 is hard to read
        counts = np.array([(true & ~unread).sum(), (~true & ~unread).sum()])
        bound = _by(attribute_rows(ABOUT, Reading(counts, missing=int(unread.sum()))), "share_worst_case", "feminine")
        held.append(bound.low <= 0.3 <= bound.high)
    assert np.mean(held) >= 0.94


def test_without_unread_images_there_are_no_bounds():
    assert not [r for r in attribute_rows(ABOUT, Reading(np.array([5, 5]))) if r.metric.endswith("worst_case")]


def test_no_image_at_all_is_not_measured_with_its_reason():
    rows = attribute_rows(ABOUT, Reading(np.array([0, 0]), missing=3))
    assert all(r.value is None and r.reason for r in rows)
    assert {r.curve for r in rows} == {None}


def test_looks_make_wider_intervals_of_the_same_counts():
    once = _by(attribute_rows(ABOUT, Reading(np.array([300, 200]))), "share", "feminine")
    again = _by(attribute_rows(ABOUT, Reading(np.array([300, 200]), path=np.array([[70, 30], [300, 200]]))), "share", "feminine")
    assert again.high - again.low > 1.3 * (once.high - once.low)
    assert "confidence sequence" in again.method
