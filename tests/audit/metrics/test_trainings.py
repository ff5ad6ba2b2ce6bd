"""Training runs: a t interval over runs, and two stages that see what one run cannot."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from audit.errors import MetricError
from audit.estimates import NotMeasured
from audit.metrics.trainings import between_runs, hierarchical_bootstrap


def test_runs_get_the_interval_of_a_t_test():
    values = np.random.default_rng(0).normal(0.4, 0.1, 6)
    found, known = between_runs(values, level=0.9), ttest_1samp(values, 0).confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((known.low, known.high))
    assert (found.n, found.method) == (6, "Student interval over 6 training runs")


def test_fewer_than_two_runs_are_not_measured():
    assert between_runs([0.5]) == NotMeasured("1 training runs; two or more are needed to tell how runs differ", 1)
    assert isinstance(hierarchical_bootstrap([np.ones(9)], rng=np.random.default_rng(0)), NotMeasured)
    assert hierarchical_bootstrap([np.ones(9), []], rng=np.random.default_rng(0)) == NotMeasured("a training run has no images", 2)


def test_values_that_are_no_numbers_are_a_sentence():
    for wrong in ([[0.1, 0.2]], [0.1, np.nan], ["a", "b"]):
        with pytest.raises(MetricError, match="one finite number a training run"):
            between_runs(wrong)
    with pytest.raises(MetricError, match="two resamples"):
        hierarchical_bootstrap([[1, 2], [3]], rng=np.random.default_rng(0), resamples=1)


def test_two_stages_cover_what_runs_differ_by_and_images_alone_do_not():
    rng, held, naive, rounds = np.random.default_rng(1), 0, 0, 150
    for _ in range(rounds):
        runs = [rng.normal(rng.normal(0.5, 0.05), 0.2, 100) for _ in range(5)]
        found = hierarchical_bootstrap(runs, rng=rng, resamples=200)
        held += found.low <= 0.5 <= found.high
        pooled = np.concatenate(runs)
        naive += abs(pooled.mean() - 0.5) <= 1.96 * pooled.std() / np.sqrt(len(pooled))
    assert held >= 135 > 120 > naive


def test_the_same_random_numbers_give_the_same_interval():
    runs = [np.arange(9.0), np.arange(5.0)]
    first, again, other = (hierarchical_bootstrap(runs, rng=np.random.default_rng(s), resamples=50) for s in (1, 1, 2))
    assert first == again != other


def test_runs_without_images_luck_have_the_interval_of_their_numbers():
    values = np.array([0.2, 0.5, 0.3, 0.6])  # every image of a run says the same, so only runs differ
    found = hierarchical_bootstrap([np.full(5, v) for v in values], rng=np.random.default_rng(3), resamples=4000)
    known = between_runs(values)
    assert found.value == pytest.approx(known.value)
    assert found.high - found.value == pytest.approx(known.high - known.value, rel=0.05)
