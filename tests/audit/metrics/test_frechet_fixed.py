"""The distance to published statistics: identities, the pulls against leave-outs, and the interval against many draws."""

import numpy as np
import pytest

from audit.errors import MetricError
from audit.estimates import NotMeasured
from audit.metrics.frechet import Moments, frechet_distance, frechet_distance_from_moments, moments
from audit.metrics.frechet_fixed import frechet_to_statistics, statistics_replicates
from audit.metrics.replicates import difference, estimate

NONE = {n: np.zeros((0, n), dtype=bool) for n in (12, 30, 60, 300)}


def rows(n, d, seed=0, shift=0.3):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)) * np.arange(1, d + 1) ** -0.5 + shift


def halves(n, rng):
    return np.array([rng.permutation(n) < n // 2 for _ in range(2)])


@pytest.mark.parametrize(("n", "d"), [(300, 8), (60, 60), (12, 40)])
def test_the_value_is_the_distance_from_both_moments(n, d):
    x, other = rows(n, d), rows(500, d, 1, 0.0)
    found = frechet_to_statistics(x, moments(other), NONE[n])
    assert found.value == pytest.approx(frechet_distance_from_moments(moments(x), moments(other)), rel=1e-8)
    assert found.value == pytest.approx(frechet_distance(x, other), rel=1e-6)
    assert found.reference.size == 0
    assert frechet_to_statistics(x, moments(x), NONE[n]).value == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("n", "d"), [(300, 8), (30, 40)])
def test_a_pull_is_what_leaving_the_image_out_takes_away(n, d):
    x, reference = rows(n, d), moments(rows(500, d, 1, 0.0))
    found = frechet_to_statistics(x, reference, NONE[n])
    assert found.generated.sum() == pytest.approx(0, abs=1e-9)
    without = [frechet_to_statistics(np.delete(x, i, axis=0), reference, np.zeros((0, n - 1), dtype=bool)).value for i in range(n)]
    jackknife = (np.mean(without) - np.array(without)) * (n - 1) / n
    assert np.corrcoef(found.generated, jackknife)[0, 1] > (0.99 if n > d else 0.9)
    if n > d:
        assert np.linalg.norm(found.generated) == pytest.approx(np.linalg.norm(jackknife), rel=0.1)


def test_the_interval_covers_the_distance_at_this_n_about_as_often_as_it_says():
    reference = Moments(np.zeros(6), np.diag(1.0 / np.arange(1, 7)), 0)
    draws = [rows(300, 6, seed, 0.2) for seed in range(300)]
    found = [estimate(statistics_replicates(x, reference, NONE[300], np.arange(300))) for x in draws]
    truth = np.mean([f.value for f in found])
    assert 0.91 <= np.mean([f.low <= truth <= f.high for f in found]) <= 0.985


def test_the_bias_is_what_n_adds():
    reference = Moments(np.zeros(6), np.diag(1.0 / np.arange(1, 7)), 0)
    rng = np.random.default_rng(0)
    found = [frechet_to_statistics(rows(300, 6, seed, 0.2), reference, halves(300, rng)) for seed in range(60)]
    limit = 6 * 0.04
    assert np.mean([f.value for f in found]) - limit > 0.01
    assert np.mean([f.value - f.bias for f in found]) == pytest.approx(limit, abs=0.006)


def test_two_generators_on_the_same_ids_are_subtracted_in_pairs():
    reference, ids = moments(rows(500, 8, 1, 0.0)), np.arange(300)
    x = rows(300, 8)
    one, same, other = (statistics_replicates(y, reference, NONE[300], ids) for y in (x, x, x + 0.05))
    assert difference(one, same).difference.value == 0
    moved = difference(other, one).difference
    apart = np.hypot(*(estimate(side).high - estimate(side).value for side in (one, other)))
    assert 0 < moved.low < moved.high
    assert moved.high - moved.value < 0.5 * apart


def test_what_the_interval_leaves_out_is_said_in_its_method():
    found = estimate(statistics_replicates(rows(300, 8), moments(rows(50, 8, 1)), NONE[300], np.arange(300)))
    assert found.method == "infinitesimal jackknife of the generated images, reference statistics fixed"


def test_statistics_of_another_network_are_refused():
    with pytest.raises(MetricError, match="statistics of 9 dimensions do not fit features of 8; they are of another network"):
        frechet_to_statistics(rows(300, 8), moments(rows(50, 9)), NONE[300])
    with pytest.raises(MetricError, match="NaN or infinity"):
        frechet_to_statistics(rows(300, 8), Moments(np.full(8, np.nan), np.eye(8), 5), NONE[300])
    with pytest.raises(MetricError, match="halves of shape"):
        frechet_to_statistics(rows(60, 8), moments(rows(50, 8)), NONE[300])
    few = statistics_replicates(rows(3, 8), moments(rows(50, 8)), np.zeros((0, 3), dtype=bool), np.arange(3))
    assert few == NotMeasured("3 images; four are needed", 3, "distance")
