"""A number together with how it moves when images are left out, so that two generators on the same ids can be subtracted.

An interval of a difference needs to know how the two numbers move together. Each number here carries its own movement under
leave-outs or halves that are the same for every generator; subtracting them image by image, or half by half, pairs the
candidate with its baseline and with the reference that both are held against.

Source: Efron and Stein 1981 (Annals of Statistics 9) for the jackknife; Kott 2001 (J. Official Statistics 17) for groups left
    out; Politis and Romano 1994 (Annals of Statistics 22) for halves without replacement.
Formula: Pulls: with v_i the number without image i, c_i = (mean v - v_i) sqrt((n-1)/n); variance = sum c_i^2, of a difference
    sum (c_i - b_i)^2 over ids, an id that one side lacks counting with its one pull, plus the same over reference images;
    normal. Leave-outs: (G-1)/G sum (v_g - mean)^2 over G groups of ids, Student on G-1. Halves: the variance over R random
    halves of both sets, Student on R-1, the error of a difference never less than one image in n.
Parity: 0 for a difference.
Direction: that of the number itself.
Blind to: what another training run would have given; the ids are resampled, the generators are not.
Departures: p-values are two-sided and in step with the interval. A difference of exactly 0 has p = 1. Two sets of equal features
    have a difference of 0 with an interval of no width under leave-outs and pulls: no image tells them apart.
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from audit.errors import MetricError
from audit.estimates import Estimate, Measurement, NotMeasured
from audit.metrics.neighbours import density_interval, share_interval
from audit.metrics.shares import check_level

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Resampled:
    """A number, and the same number in R resamplings shared by all generators.

    Attributes:
        value: on all images.
        again: (R,) on each resampling.
        kind: "leave-outs" of groups of images, or random "halves".
        n: images behind it.
        unit: as in :class:`audit.estimates.Estimate`.
    """

    value: float
    again: Floats
    kind: Literal["leave-outs", "halves"]
    n: int
    unit: str


@dataclass(frozen=True, eq=False)
class Pulls:
    """A number, and how far each image pulls it: its variance is the sum of the squared pulls.

    Attributes:
        value: on all images.
        ids: (n,) ids of the generated images.
        own: (n,) their pulls.
        reference: (m,) pulls of the reference images; empty where there is no reference.
        unit: as in :class:`audit.estimates.Estimate`.
    """

    value: float
    ids: NDArray[np.int64]
    own: Floats
    reference: Floats
    unit: str

    @property
    def n(self) -> int:
        """Generated images behind the number."""
        return len(self.own)


Replicated = Resampled | Pulls | NotMeasured


class Difference(NamedTuple):
    """Candidate minus baseline, and the p-value of no change; None where it was not measured."""

    difference: Measurement
    p_value: float | None


def estimate(found: Replicated, *, level: float = 0.95) -> Measurement:
    """Return a replicated number with its interval.

    Args:
        found: what :mod:`audit.metrics.shared` or :mod:`audit.metrics.groups` returned; NotMeasured passes through.
        level: confidence level.

    Returns:
        Distances of leave-outs: a Student interval cut at 0. Shares of halves: Clopper-Pearson at the size that has this
        standard error. Ratios of halves: Student. Pulls: normal.

    Example:
        >>> pulls = Pulls(0.5, np.arange(4), np.array([0.1, -0.1, 0.1, -0.1]), np.zeros(0), "ratio")
        >>> round(estimate(pulls).high, 3)
        0.892
    """
    check_level(level)
    if isinstance(found, NotMeasured):
        return found
    if isinstance(found, Pulls):
        half = float(ndtri(0.5 + level / 2)) * _error(found)
        return Estimate(found.value, found.value - half, found.value + half, found.n, level, found.unit, "delete-one jackknife, all pairs")
    t = float(stdtrit(len(found.again) - 1, 0.5 + level / 2))
    error = _spread(found.again, found.kind)
    if found.kind == "leave-outs":
        half = t * error
        method = f"delete-a-group jackknife, {len(found.again)} groups"
        return Estimate(found.value, max(found.value - half, 0.0), found.value + half, found.n, level, found.unit, method)
    interval = share_interval if found.unit == "share" else density_interval
    return interval(found.value, error, found.n, t, level)


def difference(candidate: Replicated, baseline: Replicated, *, level: float = 0.95) -> Difference:
    """Return candidate minus baseline, two numbers of one kind made under the same resamplings.

    Args:
        candidate: the number of the candidate.
        baseline: the number of the baseline.
        level: confidence level.

    Returns:
        The difference and its p-value; NotMeasured and None where either side was not measured.

    Raises:
        MetricError: the two were not made under the same resamplings, or differ in kind or unit.

    Example:
        >>> one, two = (Resampled(v, np.array([v, v + 0.1, v - 0.1]), "leave-outs", 30, "distance") for v in (2.0, 3.0))
        >>> found = difference(one, two)
        >>> (found.difference.low, found.difference.high)
        (-1.0, -1.0)
    """
    check_level(level)
    for side, name in ((candidate, "candidate"), (baseline, "baseline")):
        if isinstance(side, NotMeasured):
            return Difference(NotMeasured(f"{name}: {side.reason}", side.n, side.unit), None)
    if isinstance(candidate, Pulls) and isinstance(baseline, Pulls):
        return _pulled(candidate, baseline, level)
    if isinstance(candidate, Resampled) and isinstance(baseline, Resampled):
        return _resampled(candidate, baseline, level)
    raise MetricError(f"a difference needs two numbers of one kind, got {type(candidate).__name__} and {type(baseline).__name__}")


def _pulled(candidate: Pulls, baseline: Pulls, level: float) -> Difference:
    if candidate.reference.shape != baseline.reference.shape or candidate.unit != baseline.unit:
        raise MetricError(f"{candidate.reference.size} and {baseline.reference.size} reference images; a difference needs the same ones")
    ids = np.union1d(candidate.ids, baseline.ids)
    moved = np.zeros(len(ids))
    moved[np.searchsorted(ids, candidate.ids)] += candidate.own
    moved[np.searchsorted(ids, baseline.ids)] -= baseline.own
    error = math.sqrt(float((moved**2).sum() + ((candidate.reference - baseline.reference) ** 2).sum()))
    value = candidate.value - baseline.value
    half = float(ndtri(0.5 + level / 2)) * error
    p = _p_value(value, error, lambda x: float(ndtr(x)))
    n = min(candidate.n, baseline.n)
    return Difference(Estimate(value, value - half, value + half, n, level, candidate.unit, "delete-one jackknife on paired ids"), p)


def _resampled(candidate: Resampled, baseline: Resampled, level: float) -> Difference:
    if (candidate.kind, candidate.unit, len(candidate.again)) != (baseline.kind, baseline.unit, len(baseline.again)):
        raise MetricError("candidate and baseline were resampled differently; make both with the same folds or halves")
    moved = candidate.again - baseline.again
    value, n, df = candidate.value - baseline.value, min(candidate.n, baseline.n), len(moved) - 1
    error = _spread(moved, candidate.kind)
    if candidate.kind == "halves":
        error = max(error, 1 / n)  # equal in every half does not mean equal in images not drawn
        method = f"Student interval of {len(moved)} random halves of paired ids and reference"
    else:
        method = f"delete-a-group jackknife on paired ids and reference, {len(moved)} groups"
    half = float(stdtrit(df, 0.5 + level / 2)) * error
    p = _p_value(value, error, lambda x: float(stdtr(df, x)))
    return Difference(Estimate(value, value - half, value + half, n, level, candidate.unit, method), p)


def _p_value(value: float, error: float, tail) -> float:  # noqa: ANN001 (a distribution function)
    if value == 0:
        return 1.0
    return 0.0 if error == 0 else min(1.0, 2 * tail(-abs(value) / error))


def _error(pulls: Pulls) -> float:
    return math.sqrt(float((pulls.own**2).sum() + (pulls.reference**2).sum()))


def _spread(values: Floats, kind: str) -> float:
    if kind == "halves":
        return float(values.std(ddof=1))
    return math.sqrt(float(((values - values.mean()) ** 2).sum()) * (len(values) - 1) / len(values))
