"""The range of a quantity over all shares that a box of intervals allows: exact where that is cheap, else a valid bound.

The region is {q : low <= q <= high, sum q = 1}. Least values of the convex quantities have closed forms. Greatest values
of convex quantities lie at its corners, where all shares but one sit at an end: up to `MAX_CORNERS_K` classes all corners
are visited; beyond, each term is replaced by its chord, which bounds the greatest value from above and is attained but
for one term (fractional knapsack).
"""

from collections.abc import Callable
from itertools import product

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MAX_CORNERS_K = 12
"""Classes up to which every corner of the region is visited: 24,576 of them."""


def nearest_euclidean(target: Floats, low: Floats, high: Floats) -> Floats:
    """Return the shares of the region nearest to ``target``: clip(target + shift, low, high) for one shift."""
    shifts = np.sort(np.concatenate([low - target, high - target]))
    sums = np.clip(target + shifts[:, None], low, high).sum(axis=1)
    return np.clip(target + np.interp(1.0, sums, shifts), low, high)


def nearest_divergence(target: Floats, low: Floats, high: Floats) -> Floats:
    """Return the shares q of the region with the least sum q log(q/target), target > 0: clip(scale target, low, high)."""
    scales = np.sort(np.concatenate([low / target, high / target]))
    sums = np.clip(scales[:, None] * target, low, high).sum(axis=1)
    return np.clip(np.interp(1.0, sums, scales) * target, low, high)


def least_variation(target: Floats, low: Floats, high: Floats) -> float:
    """Return the least sum |q - target| / 2: what the intervals force above the target, or below it."""
    return float(max(np.maximum(low - target, 0).sum(), np.maximum(target - high, 0).sum()))


def greatest_convex(terms: Callable[[Floats], Floats], low: Floats, high: Floats) -> float:
    """Return the greatest sum of ``terms(q)``, one convex function a class, over the region (a bound for many classes).

    Args:
        terms: maps (..., K) shares to (..., K) terms, class by class.
        low: (K,) lower ends.
        high: (K,) upper ends.
    """
    return _over_corners(terms, low, high) if low.size <= MAX_CORNERS_K else _over_chords(terms, low, high)


def spread_range(low: Floats, high: Floats) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the ranges of max q - min q and of min q / max q over the region, exactly."""
    k = low.size
    counts = np.arange(1, k + 1)
    # as level as possible: the smallest shares raised to `floor`, the largest cut to `ceiling`, each as far as the sum lets
    up, down = np.sort(low)[::-1], np.sort(high)
    floor = min(high.min(), ((1 - np.concatenate([up.cumsum()[::-1][1:], [0]])) / counts).min())
    ceiling = max(low.max(), ((1 - np.concatenate([down.cumsum()[::-1][1:], [0]])) / counts).max())
    floor = min(max(floor, 0.0), ceiling)
    # as uneven as possible: class i high and class j low, as far as the other classes can make up the sum
    i, j = (index.ravel() for index in np.nonzero(~np.eye(k, dtype=bool)))
    most = 1 - (low.sum() - low[i] - low[j])
    least = 1 - (high.sum() - high[i] - high[j])
    top = np.minimum(high[i], most - low[j])
    bottom = np.maximum(low[j], least - high[i])
    ratio = np.divide(bottom, top, out=np.ones(top.shape), where=top > 0)
    gaps = (float(ceiling - floor), float(max((top - bottom).max(), ceiling - floor)))
    return gaps, (float(min(max(ratio.min(), 0.0), floor / ceiling)), float(floor / ceiling))


def _over_corners(terms: Callable[[Floats], Floats], low: Floats, high: Floats) -> float:
    ends = np.array(list(product((0, 1), repeat=low.size - 1)), dtype=bool)
    best = -np.inf
    for free in range(low.size):
        others = np.arange(low.size) != free
        corner = np.empty((len(ends), low.size))
        corner[:, others] = np.where(ends, high[others], low[others])
        corner[:, free] = 1 - corner[:, others].sum(axis=1)
        allowed = (corner[:, free] >= low[free] - 1e-12) & (corner[:, free] <= high[free] + 1e-12)
        if allowed.any():
            corner[:, free] = np.clip(corner[:, free], low[free], high[free])
            best = max(best, float(terms(corner[allowed]).sum(axis=1).max()))
    return best


def _over_chords(terms: Callable[[Floats], Floats], low: Floats, high: Floats) -> float:
    width = high - low
    rise = terms(high) - terms(low)
    slope = np.divide(rise, width, out=np.zeros_like(rise), where=width > 0)
    order = np.argsort(-slope)
    room = np.clip(1 - low.sum(), 0, None)
    used = np.clip(room - np.concatenate([[0], width[order].cumsum()[:-1]]), 0, width[order])
    return float(terms(low).sum() + (used * slope[order]).sum())
