"""How far a set of class shares is from a target, in seven numbers that all take their interval from one share box.

Source: Choi et al. 2020 (ICML, arXiv 1910.12008) for the fairness discrepancy; the others are textbook quantities.
Formula: q the shares, t the target (1/K unless given). fairness_discrepancy = ||q - t||_2; total_variation =
    sum |q - t| / 2; kl_divergence = sum q log(q/t) in nats, 0 log 0 = 0; entropy = -sum q log q / log K;
    share_gap = max q - min q; parity_ratio = min q / max q. The squared discrepancy without its small-sample bias is
    ||q - t||^2 - (1 - sum q^2) / (n - 1), which may be negative. Every interval is the range of the quantity over the
    simultaneous box of class intervals, cut with the simplex: it holds whenever the box holds, at parity too, where a
    percentile bootstrap never does. The fairness discrepancy of three classes or more, for which that range is far too
    careful, has the interval of `audit.metrics.distance`; ``interval="box"`` asks for the range all the same.
Parity: 0 for discrepancy, variation, divergence and gap; 1 for entropy and parity_ratio.
Direction: lower is nearer the target, except entropy and parity_ratio, where higher is.
Blind to: which class is favoured (see the shares), who was not read, and the classifier's errors unless the box is a
    corrected one. The largest discrepancy depends on K (`discrepancy_ceiling`), and the plug-in value is biased
    upwards: with n images of a generator at parity its mean square is (1-1/K)/n.
Departures: empty classes count (the released fairgen code drops them, so that it rates 100/0 below 90/10); the
    soft-label variant is not computed.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import xlogy

from audit.errors import MetricError
from audit.estimates import Estimate, Measurement, NotMeasured
from audit.metrics.boxes import (
    Floats,
    greatest_convex,
    least_variation,
    nearest_divergence,
    nearest_euclidean,
    spread_range,
)
from audit.metrics.distance import distance_interval
from audit.metrics.features import as_array
from audit.metrics.shares import ShareBox, as_counts, share_box

_Quantity = Callable[[Floats, Floats, Floats, Floats], tuple[float, float, float]]
"""Maps shares, target, lower and upper ends to value, least and greatest."""


def fairness_discrepancy(shares: Any, target: Any = None, *, level: float = 0.95, interval: str = "distance") -> Measurement:
    """Return the distance between the class shares and the target.

    Args:
        shares: (K,) counts, or a :class:`~audit.metrics.shares.ShareBox`; NotMeasured passes through.
        target: (K,) shares adding to 1; None = 1/K each.
        level: simultaneous level of the box made from counts; a box brings its own.
        interval: "distance" (about ``level``), or "box" (at least ``level``, and for three classes or more nearly always 1).
            A box without a spread, as confidence sequences and worst cases give, takes "box" whatever is asked for.

    Returns:
        The discrepancy, 0..`discrepancy_ceiling`, unit "distance"; NotMeasured where no image was counted.

    Raises:
        MetricError: shares, target or interval are not as above.

    Example:
        >>> round(fairness_discrepancy([100, 0]).value, 4)
        0.7071
    """
    if interval not in ("distance", "box"):
        raise MetricError(f"no interval {interval!r} for the fairness discrepancy; choose distance or box")
    box = shares if isinstance(shares, ShareBox | NotMeasured) else share_box(shares, level=level)
    if interval == "box" or isinstance(box, NotMeasured) or box.spread is None or box.k == 2:
        return _measure(box, target, level, "distance", _euclidean)
    t = as_target(target, box.k)
    value = float(np.linalg.norm(box.value - t))
    low, high = distance_interval(box.spread.plain, t, box.spread.covariance, level=box.level, ceiling=discrepancy_ceiling(box.k, t))
    method = f"inverted distribution of the distance; shares by {box.method}"
    return Estimate(value, min(low, value), max(high, value), box.n, box.level, "distance", method)


def fairness_discrepancy_squared_unbiased(counts: Any, target: Any = None, *, level: float = 0.95) -> Measurement:
    """Return the squared discrepancy without its upward small-sample bias; the value may be negative.

    Args:
        counts: (K,) counts; two images or more.
        target: (K,) shares adding to 1; None = 1/K each.
        level: simultaneous level of the box.

    Returns:
        The squared discrepancy with the squared interval of :func:`fairness_discrepancy`, unit "distance".

    Raises:
        MetricError: a share box was given: the correction needs the counts themselves.

    Example:
        >>> round(fairness_discrepancy_squared_unbiased([50, 50]).value, 6)
        -0.005051
    """
    if isinstance(counts, ShareBox):
        raise MetricError("the squared discrepancy without bias needs counts, not a share box")
    plain = fairness_discrepancy(counts, target, level=level)
    if isinstance(plain, NotMeasured):
        return plain
    if plain.n < 2:
        return NotMeasured("one image says nothing about its own sampling error", plain.n, "distance")
    q = as_counts(counts) / plain.n
    value = plain.value**2 - (1 - float((q**2).sum())) / (plain.n - 1)
    return Estimate(value, plain.low**2, plain.high**2, plain.n, plain.level, "distance", plain.method)


def share_gap(shares: Any, *, level: float = 0.95) -> Measurement:
    """Return the largest class share minus the smallest; arguments as :func:`fairness_discrepancy`.

    Example:
        >>> share_gap([25, 75]).value
        0.5
    """
    return _measure(shares, None, level, "share", lambda q, t, low, high: (np.ptp(q), *spread_range(low, high)[0]))


def parity_ratio(shares: Any, *, level: float = 0.95) -> Measurement:
    """Return the smallest class share divided by the largest, 0..1; arguments as :func:`fairness_discrepancy`.

    Example:
        >>> round(parity_ratio([25, 75]).value, 4)
        0.3333
    """
    return _measure(
        shares, None, level, "ratio", lambda q, t, low, high: (q.min() / q.max(), *spread_range(low, high)[1])
    )


def total_variation(shares: Any, target: Any = None, *, level: float = 0.95) -> Measurement:
    """Return the share of images that would have to change class; arguments as :func:`fairness_discrepancy`.

    Example:
        >>> total_variation([25, 75]).value
        0.25
    """
    return _measure(shares, target, level, "share", _variation)


def kl_divergence(shares: Any, target: Any = None, *, level: float = 0.95) -> Measurement:
    """Return the Kullback-Leibler divergence of the shares from the target, in nats.

    Arguments as :func:`fairness_discrepancy`; NotMeasured too where the target gives a class no share, because the
    divergence is then infinite as soon as one image shows it.

    Example:
        >>> round(kl_divergence([100, 0]).value, 4)
        0.6931
    """
    if target is not None and not isinstance(shares, NotMeasured) and (np.asarray(as_array(target)) == 0).any():
        return NotMeasured("the target gives a class no share, so the divergence has no upper limit", unit="nats")
    return _measure(shares, target, level, "nats", _divergence)


def entropy(shares: Any, *, level: float = 0.95) -> Measurement:
    """Return the entropy of the shares over its greatest value log K, 0..1; arguments as :func:`fairness_discrepancy`.

    Example:
        >>> entropy([50, 50]).value
        1.0
    """
    return _measure(shares, None, level, "ratio", _evenness)


def discrepancy_ceiling(k: int, target: Any = None) -> float:
    """Return the greatest fairness discrepancy K classes allow: sqrt(1 - 1/K) for the uniform target.

    Example:
        >>> round(discrepancy_ceiling(2), 4)
        0.7071
    """
    t = as_target(target, k)
    return float(np.sqrt(1 - 2 * t.min() + (t**2).sum()))


def as_target(target: Any, k: int) -> Floats:
    """Return ``target`` as (k,) shares; None is uniform.

    Raises:
        MetricError: of another length, negative, not finite, or not adding to 1.
    """
    if target is None:
        return np.full(k, 1 / k)
    t = np.asarray(as_array(target), dtype=np.float64)
    if t.shape != (k,) or not (np.isfinite(t) & (t >= 0)).all() or abs(t.sum() - 1) > 1e-6:
        raise MetricError(f"a target needs {k} shares >= 0 adding to 1, got {t.tolist()}")
    return t / t.sum()


def _measure(shares: Any, target: Any, level: float, unit: str, quantity: _Quantity) -> Measurement:
    box = shares if isinstance(shares, ShareBox | NotMeasured) else share_box(shares, level=level)
    if isinstance(box, NotMeasured):
        return NotMeasured(box.reason, box.n, unit)
    value, low, high = quantity(box.value, as_target(target, box.k), box.low, box.high)
    # rounding may leave the value a hair outside a range it attains
    low, high = min(float(low), float(value)), max(float(high), float(value))
    return Estimate(float(value), max(low, 0.0), high, box.n, box.level, unit, f"range over {box.method}")


def _euclidean(q: Floats, t: Floats, low: Floats, high: Floats) -> tuple[float, float, float]:
    least = np.linalg.norm(nearest_euclidean(t, low, high) - t)
    return np.linalg.norm(q - t), least, np.sqrt(greatest_convex(lambda x: (x - t) ** 2, low, high))


def _variation(q: Floats, t: Floats, low: Floats, high: Floats) -> tuple[float, float, float]:
    greatest = greatest_convex(lambda x: np.abs(x - t) / 2, low, high)
    return np.abs(q - t).sum() / 2, least_variation(t, low, high), greatest


def _divergence(q: Floats, t: Floats, low: Floats, high: Floats) -> tuple[float, float, float]:
    def terms(x: Floats) -> Floats:
        return xlogy(x, x / t)

    least = max(float(terms(nearest_divergence(t, low, high)).sum()), 0.0)
    return max(float(terms(q).sum()), 0.0), least, greatest_convex(terms, low, high)


def _evenness(q: Floats, t: Floats, low: Floats, high: Floats) -> tuple[float, float, float]:
    value, least, greatest = (1 - d / np.log(q.size) for d in _divergence(q, t, low, high))
    return max(value, 0.0), max(greatest, 0.0), least
