"""How much do nights differ, compared with what their own intervals say? A prior for that, from all watched series together.

Intervals are wider than the spread between nights where they also count what nights have in common (one calibration, one reference),
and narrower where nights differ by more than sampling (machines, data that drifts). What is known of a series alone after a few weeks is too
little, so the series of a family lend each other strength: their variances, in units of their intervals', are taken to come from one
scaled inverse chi-square distribution.
Source: Smyth 2004 (Statistical Applications in Genetics and Molecular Biology 3:3), section 6.2, moments of log variances.
Departures: nights are never taken to differ by less than their intervals say. Numbers with a boundary (a discrepancy near parity) are
skewed: nights differ by less than the interval most of the time, and then by much more, which a variance learned from them would take
for a step nearly every year (counted: 9 years in 10). An interval always counts as much as three nights; the prior never counts more than all nights of all series together.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import digamma, polygamma

LEAST_DF = 3.0
"""What a series' own intervals count for, in nights."""

FEWEST_SERIES = 5
"""Series from which a common spread can be told; below it the intervals are believed for :data:`LEAST_DF` nights."""

_TINY = 1e-6


@dataclass(frozen=True)
class Prior:
    """Variance between nights, in squared standard errors of the intervals, and the nights this knowledge is worth.

    Both are numbers, or arrays with a number a series where several families are seen at once. ``least`` is the variance that is
    never gone below: that of the intervals themselves.
    """

    variance: float | np.ndarray = 1.0
    df: float | np.ndarray = LEAST_DF
    least: float = 1.0


def fit_prior(variances: np.ndarray, df: np.ndarray) -> Prior:
    """Return what the variances of a family have in common.

    Args:
        variances: (series,) within the regimes, in squared standard errors; or (families, series).
        df: their degrees of freedom; series with fewer than three, or without any spread, are left out.

    Returns:
        The prior; of arrays (families, 1) where several families were given.

    Example:
        >>> rng = np.random.default_rng(1)
        >>> prior = fit_prior(1.44 * rng.chisquare(60, 500) / 60, np.full(500, 60.0))
        >>> round(float(prior.variance), 1), bool(prior.df > 300)
        (1.4, True)
    """
    usable = (df >= 3) & (variances > _TINY)
    count = usable.sum(axis=-1, keepdims=True)
    half = np.where(usable, df, 3.0) / 2
    logs = np.log(np.where(usable, variances, 1.0)) - digamma(half) + np.log(half)
    mean = _mean(logs, usable, count)
    excess = _mean((logs - mean) ** 2, usable, count - 1) - _mean(polygamma(1, half), usable, count)
    most = np.where(usable, df, 0.0).sum(axis=-1, keepdims=True)
    alike = excess <= 0  # no more different than chance makes them
    strength = np.minimum(np.where(alike, np.inf, 2 * _inverse_trigamma(np.where(alike, 1.0, excess))), np.maximum(most, 1.0))
    shift = np.where(alike, 0.0, digamma(strength / 2) - np.log(strength / 2))
    told = count >= FEWEST_SERIES
    variance, worth = np.where(told, np.exp(mean + shift), 1.0), np.where(told, np.maximum(LEAST_DF, strength), LEAST_DF)
    return Prior(variance, worth) if variances.ndim > 1 else Prior(float(variance[0]), float(worth[0]))


def _mean(values: np.ndarray, usable: np.ndarray, count: np.ndarray) -> np.ndarray:
    return np.where(usable, values, 0.0).sum(axis=-1, keepdims=True) / np.maximum(count, 1)


def _inverse_trigamma(value: np.ndarray) -> np.ndarray:
    """Return x with trigamma(x) = value, by Newton's method on its reciprocal (Smyth 2004, appendix)."""
    bounded = np.clip(value, 1e-6, 1e7)
    x = 0.5 + 1 / bounded
    for _ in range(8):
        slope = polygamma(1, x)
        step = slope * (1 - slope / bounded) / polygamma(2, x)
        x = x + step
        if np.all(np.abs(step) < 1e-8 * x):
            break
    return x
