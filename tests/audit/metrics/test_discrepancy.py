"""Distances from parity: closed forms, empty classes, monotone, and intervals that cover at parity too."""

import math

import numpy as np
import pytest

from audit.errors import MetricError
from audit.estimates import NotMeasured
from audit.metrics import discrepancy
from audit.metrics.correction import corrected_share_box
from audit.metrics.discrepancy import (
    discrepancy_ceiling,
    entropy,
    fairness_discrepancy,
    fairness_discrepancy_squared_unbiased,
    kl_divergence,
    parity_ratio,
    share_gap,
    total_variation,
)
from audit.metrics.shares import share_box

EVERY = [fairness_discrepancy, share_gap, parity_ratio, total_variation, kl_divergence, entropy]


@pytest.mark.parametrize("k", [2, 4, 6, 7, 10])
def test_full_collapse_reaches_the_ceiling(k):
    counts = [1000] + [0] * (k - 1)
    assert fairness_discrepancy(counts).value == pytest.approx(math.sqrt(1 - 1 / k))
    assert discrepancy_ceiling(k) == pytest.approx(math.sqrt(1 - 1 / k))
    assert fairness_discrepancy(counts).high <= discrepancy_ceiling(k) + 1e-12
    assert (share_gap(counts).value, parity_ratio(counts).value, entropy(counts).value) == (1, 0, 0)
    assert total_variation(counts).value == pytest.approx(1 - 1 / k)
    assert kl_divergence(counts).value == pytest.approx(math.log(k))


@pytest.mark.parametrize("k", [2, 3, 7])
def test_parity_is_what_the_docstring_says(k):
    values = [f([100] * k).value for f in EVERY]
    assert values == pytest.approx([0, 0, 1, 0, 0, 1])


@pytest.mark.parametrize("metric", EVERY)
def test_every_measure_is_monotone_from_parity_to_collapse(metric):
    values = [metric([50 + i, 50 - i]).value for i in range(51)]
    steps = np.diff(values)
    assert (steps > 0).all() or (steps < 0).all()


def test_all_of_one_class_is_never_rated_nearer_parity_than_nine_of_ten():
    assert fairness_discrepancy([100, 0]).value > fairness_discrepancy([90, 10]).value
    assert fairness_discrepancy([50, 50, 0, 0]).value == pytest.approx(0.5)


def test_a_target_other_than_uniform_moves_the_zero():
    assert fairness_discrepancy([25, 75], [0.25, 0.75]).value == 0
    assert total_variation([50, 50], [0.2, 0.8]).value == pytest.approx(0.3)
    assert kl_divergence([50, 50], [0.2, 0.8]).value == pytest.approx(0.5 * math.log(2.5) + 0.5 * math.log(0.625))


def test_two_classes_have_the_discrepancy_of_their_interval():
    box = share_box([300, 700])
    estimate = fairness_discrepancy(box)
    assert estimate.low == pytest.approx(math.sqrt(2) * (0.5 - box.high[0]))
    assert estimate.high == pytest.approx(math.sqrt(2) * (0.5 - box.low[0]))
    assert estimate.n == 1000


@pytest.mark.parametrize("metric", EVERY)
def test_the_interval_is_valid_for_shares_within_the_box(metric):
    rng = np.random.default_rng(5)
    for k in (2, 3, 5, 14):
        counts = rng.multinomial(200, rng.dirichlet(np.ones(k)))
        whole = metric(counts) if metric is not fairness_discrepancy else metric(counts, interval="box")
        assert whole.low <= whole.value <= whole.high
        truth = counts / 200
        box = share_box(counts)
        for _ in range(30):
            direction = rng.standard_normal(k)
            direction -= direction.mean()
            limits = np.where(direction > 0, box.high - truth, truth - box.low) / np.abs(direction)
            inside = truth + rng.random() * limits.min() * direction
            value = metric(np.round(inside * 10**9).astype(np.int64)).value
            assert whole.low - 1e-6 <= value <= whole.high + 1e-6


@pytest.mark.parametrize("shares", [[0.5, 0.5], [1 / 3, 1 / 3, 1 / 3], [0.54, 0.46], [0.7, 0.2, 0.1]])
@pytest.mark.parametrize("metric", EVERY)
def test_the_intervals_cover_at_parity_and_away_from_it(metric, shares):
    rng = np.random.default_rng(11)
    truth = metric(np.round(np.array(shares) * 3_000_000_000).astype(np.int64)).value
    draws = rng.multinomial(400, shares, size=400)
    held = sum(e.low - 1e-9 <= truth <= e.high + 1e-9 for e in map(metric, draws))
    assert held / 400 >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / 400)


def test_the_squared_discrepancy_has_no_small_sample_bias():
    rng = np.random.default_rng(2)
    draws = rng.multinomial(50, [0.25] * 4, size=4000)
    values = np.array([fairness_discrepancy_squared_unbiased(c).value for c in draws])
    assert abs(values.mean()) < 4 * values.std() / math.sqrt(4000)
    plain = np.mean([fairness_discrepancy(c).value ** 2 for c in draws[:500]])
    assert plain == pytest.approx(0.75 / 50, rel=0.15)  # the bias that is removed


def test_a_corrected_box_is_taken_as_it_is():
    box = corrected_share_box([600, 400], [[950, 50], [100, 900]])
    estimate = fairness_discrepancy(box)
    assert estimate.value == pytest.approx(math.sqrt(2) * abs(box.value[0] - 0.5))
    with pytest.raises(MetricError, match="needs counts"):
        fairness_discrepancy_squared_unbiased(box)


@pytest.mark.parametrize("metric", [*EVERY, fairness_discrepancy_squared_unbiased])
def test_no_image_is_not_measured_and_never_zero(metric):
    assert isinstance(metric([0, 0, 0]), NotMeasured)
    assert metric(NotMeasured("no calibration", 7)).reason == "no calibration"


def test_a_target_without_a_class_has_no_divergence():
    assert isinstance(kl_divergence([5, 5], [0, 1]), NotMeasured)
    assert fairness_discrepancy([5, 5], [0, 1]).value == pytest.approx(math.sqrt(0.5))


@pytest.mark.parametrize("target", [[0.5, 0.6], [1.0], [-0.5, 1.5], [math.nan, 1]])
def test_what_is_no_target_is_refused(target):
    with pytest.raises(MetricError, match="target"):
        discrepancy.fairness_discrepancy([5, 5], target)
