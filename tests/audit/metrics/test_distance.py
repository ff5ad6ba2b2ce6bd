import math

import numpy as np
import pytest
from scipy.stats import chi2, ncx2

from audit.metrics.discrepancy import discrepancy_ceiling, fairness_discrepancy
from audit.metrics.distance import _probability, distance_interval
from audit.metrics.shares import share_box


def _multinomial(n):
    return lambda p: (np.diag(p) - np.outer(p, p)) / n


def test_at_the_target_the_squared_distance_is_chi_squared():
    k, n = 4, 500
    covariance = _multinomial(n)(np.full(k, 1 / k))
    along = np.array([1, -1, 0, 0]) / math.sqrt(2)
    for quantile in (0.1, 0.5, 0.9, 0.99):
        seen = math.sqrt(chi2.ppf(quantile, k - 1) / (k * n))
        assert _probability(seen, 0.0, along, covariance) == pytest.approx(quantile, abs=1e-3)


def test_with_round_noise_the_squared_distance_is_noncentral_chi_squared():
    covariance = (np.eye(5) - 0.2) * 0.01  # variance .01 in every direction of the simplex
    along = np.array([1, 0, 0, 0, -1]) / math.sqrt(2)
    for d, seen in ((0.1, 0.2), (0.3, 0.28), (0.5, 0.7)):
        assert _probability(seen, d, along, covariance) == pytest.approx(ncx2.cdf(seen**2 / 0.01, 4, d**2 / 0.01), abs=2e-4)


def test_far_from_the_target_the_interval_is_the_delta_interval():
    p, n = np.array([0.6, 0.3, 0.1]), 200_000
    u = (p - 1 / 3) / np.linalg.norm(p - 1 / 3)
    half = 1.96 * math.sqrt(u @ _multinomial(n)(p) @ u)
    low, high = distance_interval(p, np.full(3, 1 / 3), _multinomial(n), level=0.95, ceiling=0.8165)
    centre = np.linalg.norm(p - 1 / 3)
    assert (low, high) == pytest.approx((centre - half, centre + half), abs=half / 50)


def test_the_interval_is_never_empty_and_holds_the_distance_seen():
    for shares in ([1 / 3, 1 / 3, 1 / 3], [0.334, 0.333, 0.333], [1.0, 0.0, 0.0], [0.9, 0.1, 0.0]):
        seen = np.linalg.norm(np.array(shares) - 1 / 3)
        low, high = distance_interval(np.array(shares), np.full(3, 1 / 3), _multinomial(1000), level=0.95, ceiling=discrepancy_ceiling(3))
        assert 0 <= low <= seen <= high + 1e-12
        assert high <= discrepancy_ceiling(3) + 1e-12
        assert high > low


@pytest.mark.parametrize("shares", [[1 / 3, 1 / 3, 1 / 3], [0.4, 0.35, 0.25], [0.75, 0.2, 0.05]])
def test_it_covers_about_as_often_as_it_says_where_the_box_covers_nearly_always(shares):
    rng = np.random.default_rng(3)
    truth = np.linalg.norm(np.array(shares) - 1 / 3)
    tight, wide = [], []
    for counts in rng.multinomial(300, shares, size=400):
        found, box = fairness_discrepancy(counts), fairness_discrepancy(counts, interval="box")
        tight.append(found.low - 1e-9 <= truth <= found.high)
        wide.append(box.high - box.low)
        assert found.high - found.low <= wide[-1] + 1e-9
    assert 0.92 <= np.mean(tight) <= 0.995


def test_a_higher_level_gives_a_wider_interval():
    widths = [np.ptp(distance_interval(np.array([0.5, 0.3, 0.2]), np.full(3, 1 / 3), _multinomial(400), level=level, ceiling=0.8165))
              for level in (0.5, 0.9, 0.95, 0.99, 0.9999)]  # fmt: skip
    assert (np.diff(widths) > 0).all()


def test_two_classes_use_the_exact_box():
    found, box = fairness_discrepancy([300, 700]), share_box([300, 700])
    assert found.low == pytest.approx(math.sqrt(2) * (0.5 - box.high[0]))
