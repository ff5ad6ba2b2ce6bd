"""How much do nights differ, compared with what their own intervals say? A prior for that, from all watched series together.

Intervals are wider than the spread between nights where they also count what nights have in common (one calibration, one reference),
and narrower where nights differ by more than sampling (machines, data that drifts). What is known of a series alone after a few weeks is too
little, so the series of a family lend each other strength: their variances, in units of their intervals', are taken to come from one
scaled inverse chi-square distribution.
Source: Smyth 2004 (Statistical Applications in Genetics and Molecular Biology 3:3), section 6.2, moments of log variances.
Departures: an interval always counts as much as three nights; the prior never counts more than all nights of all series together.
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
    """Variance between nights, in squared standard errors of the intervals, and the nights this knowledge is worth."""

    variance: float = 1.0
    df: float = LEAST_DF


def fit_prior(variances: np.ndarray, df: np.ndarray) -> Prior:
    """Return what the variances of a family have in common.

    Args:
        variances: (series,) within the regimes, in squared standard errors.
        df: (series,) their degrees of freedom; series with fewer than three, or without any spread, are left out.

    Example:
        >>> rng = np.random.default_rng(1)
        >>> prior = fit_prior(1.44 * rng.chisquare(60, 500) / 60, np.full(500, 60.0))
        >>> round(prior.variance, 1), prior.df > 300
        (1.4, True)
    """
    usable = (df >= 3) & (variances > _TINY)
    if usable.sum() < FEWEST_SERIES:
        return Prior()
    half = df[usable] / 2
    logs = np.log(variances[usable]) - digamma(half) + np.log(half)
    excess = logs.var(ddof=1) - polygamma(1, half).mean()
    most = float(df[usable].sum())
    if excess <= 0:
        return Prior(float(np.exp(logs.mean())), max(LEAST_DF, most))
    strength = min(2 * _inverse_trigamma(float(excess)), most)
    variance = float(np.exp(logs.mean() + digamma(strength / 2) - np.log(strength / 2)))
    return Prior(variance, max(LEAST_DF, strength))


def _inverse_trigamma(value: float) -> float:
    """Return x with trigamma(x) = value, by Newton's method on its reciprocal (Smyth 2004, appendix)."""
    if value > 1e7:
        return value**-0.5
    if value < 1e-6:
        return 1 / value
    x = 0.5 + 1 / value
    for _ in range(50):
        slope = polygamma(1, x)
        step = slope * (1 - slope / value) / polygamma(2, x)
        x += step
        if -step / x < 1e-8:
            break
    return float(x)
