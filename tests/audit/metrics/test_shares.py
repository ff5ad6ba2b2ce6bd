"""Shares: empty classes count, intervals hold for all classes at once, and no image is no number."""

import numpy as np
import pytest

from audit.errors import MetricError
from audit.estimates import NotMeasured
from audit.metrics.shares import ShareBox, class_counts, proportion, share_box


def test_empty_classes_are_counted():
    assert class_counts([1, 1], 4).tolist() == [0, 2, 0, 0]


def test_missing_labels_are_left_out_and_not_counted_as_a_class():
    assert class_counts([-1, 0, -1, 1], 2).tolist() == [1, 1]
    assert class_counts([], 3).tolist() == [0, 0, 0]


def test_a_share_of_nothing_in_a_hundred_reaches_to_the_closed_form():
    estimate = proportion(0, 100)
    assert estimate.low == 0
    assert estimate.high == pytest.approx(1 - 0.025 ** (1 / 100))


def test_no_image_is_not_measured():
    assert isinstance(share_box([0, 0]), NotMeasured)
    assert isinstance(proportion(0, 0), NotMeasured)


def test_two_classes_are_one_comparison_and_mirror_each_other():
    box = share_box([30, 70])
    single = proportion(30, 100)
    assert (box.low[0], box.high[0]) == pytest.approx((single.low, single.high))
    assert box.low[1] == pytest.approx(1 - box.high[0])


@pytest.mark.parametrize("method", ["bonferroni-clopper-pearson", "goodman"])
@pytest.mark.parametrize("shares", [[1 / 7] * 7, [0.5, 0.3, 0.15, 0.05]])
def test_all_classes_are_covered_at_once(method, shares):
    rng = np.random.default_rng(3)
    truth = np.array(shares)
    held = 0
    for counts in rng.multinomial(300, truth, size=600):
        box = share_box(counts, method=method)
        held += bool(((box.low <= truth) & (truth <= box.high)).all())
    assert held / 600 > 0.95 - 3 * np.sqrt(0.95 * 0.05 / 600)


def test_a_higher_level_is_wider():
    narrow, wide = share_box([20, 30, 50], level=0.9), share_box([20, 30, 50], level=0.99)
    assert (wide.low < narrow.low).all()
    assert (wide.high > narrow.high).all()


def test_a_box_becomes_one_estimate_a_class():
    estimates = share_box([1, 2, 3]).estimates()
    assert [round(e.value, 3) for e in estimates] == [0.167, 0.333, 0.5]
    assert all(e.n == 6 and e.unit == "share" and e.low < e.value < e.high for e in estimates)


def test_a_box_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        share_box([1, 2]).value[0] = 0.5


@pytest.mark.parametrize("counts", [[1], [-1, 2], [0.5, 0.5], [np.nan, 1], [[1, 2]]])
def test_what_are_no_counts_is_refused(counts):
    with pytest.raises(MetricError):
        share_box(counts)


@pytest.mark.parametrize("arguments", [{"level": 1.0}, {"level": 0.0}, {"method": "wald"}])
def test_impossible_intervals_are_refused(arguments):
    with pytest.raises(MetricError):
        share_box([1, 2], **arguments)


@pytest.mark.parametrize(("successes", "n"), [(3, 2), (-1, 2), (0.5, 2)])
def test_what_is_no_share_is_refused(successes, n):
    with pytest.raises(MetricError):
        proportion(successes, n)


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [([0.5, 0.6], [0, 0], [1, 1]), ([0.5, 0.5], [0.6, 0], [1, 1]), ([0.5, 0.5], [0, 0], [1, 2]), ([1.0], [0], [1])],
)
def test_a_box_that_no_shares_could_have_is_refused(value, low, high):
    with pytest.raises(MetricError):
        ShareBox(np.array(value), np.array(low), np.array(high), 10, 0.95, "by hand")
