"""The range over a box of shares is exact: held against brute force over a fine grid."""

import numpy as np
import pytest

from audit.metrics.boxes import (
    greatest_convex,
    least_variation,
    nearest_divergence,
    nearest_euclidean,
    spread_range,
)

LOW, HIGH = np.array([0.1, 0.25, 0.2]), np.array([0.45, 0.6, 0.5])
TARGET = np.array([0.2, 0.2, 0.6])


def allowed(low, high):
    first, second = (a.ravel() for a in np.meshgrid(*(np.linspace(low[i], high[i], 701) for i in (0, 1))))
    shares = np.stack([first, second, 1 - first - second], axis=1)
    return shares[(shares[:, 2] >= low[2] - 1e-12) & (shares[:, 2] <= high[2] + 1e-12)]


@pytest.fixture(scope="module")
def grid():
    return allowed(LOW, HIGH)


def squares(q):
    return (q - TARGET) ** 2


def divergences(q):
    return q * np.log(q / TARGET)


def test_the_nearest_shares_are_the_nearest(grid):
    found = nearest_euclidean(TARGET, LOW, HIGH)
    assert found.sum() == pytest.approx(1)
    assert squares(found).sum() == pytest.approx(squares(grid).sum(axis=1).min(), abs=2e-3)
    assert squares(found).sum() <= squares(grid).sum(axis=1).min() + 1e-12


def test_the_least_divergence_is_the_least(grid):
    found = nearest_divergence(TARGET, LOW, HIGH)
    assert found.sum() == pytest.approx(1)
    best = divergences(grid).sum(axis=1).min()
    assert best - 2e-3 <= divergences(found).sum() <= best + 1e-12


def test_the_least_variation_is_the_least(grid):
    assert least_variation(TARGET, LOW, HIGH) == pytest.approx(np.abs(grid - TARGET).sum(axis=1).min() / 2, abs=2e-3)


@pytest.mark.parametrize("terms", [squares, divergences])
def test_the_greatest_is_at_a_corner(grid, terms):
    best = terms(grid).sum(axis=1).max()
    assert best - 1e-12 <= greatest_convex(terms, LOW, HIGH) <= best + 2e-3


def test_many_classes_get_a_bound_from_above_that_is_tight():
    rng = np.random.default_rng(0)
    middle = rng.dirichlet(np.ones(20) * 5)
    low, high = np.maximum(middle - 0.02, 0), middle + 0.02
    target = np.full(20, 1 / 20)
    bound = greatest_convex(lambda q: (q - target) ** 2, low, high)
    best = 0.0
    for _ in range(2000):
        corner = np.where(rng.random(20) < 0.5, low, high)
        best = max(best, float(((nearest_euclidean(corner, low, high) - target) ** 2).sum()))
    assert best <= bound <= best * 1.3


@pytest.mark.parametrize(
    ("low", "high"),
    [
        (LOW, HIGH),
        ([0.0, 0.0, 0.3], [0.9, 0.9, 0.5]),
        ([0.0, 0.0, 0.0], [0.5, 0.4, 0.2]),
        ([0.3, 0.3, 0.3], [0.4, 0.4, 0.4]),
    ],
)
def test_gap_and_ratio_have_their_exact_ranges(low, high):
    region = allowed(np.asarray(low), np.asarray(high))
    gaps, ratios = spread_range(np.asarray(low), np.asarray(high))
    spread, ratio = np.ptp(region, axis=1), region.min(axis=1) / region.max(axis=1)
    assert gaps == pytest.approx((spread.min(), spread.max()), abs=4e-3)
    assert ratios == pytest.approx((ratio.min(), ratio.max()), abs=8e-3)
    assert gaps[0] <= spread.min() + 1e-12
    assert gaps[1] >= spread.max() - 1e-12
