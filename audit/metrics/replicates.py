"""A number together with how it moves when images are left out, so that two generators on the same ids can be subtracted.

An interval of a difference needs to know how the two numbers move together. Each number here carries its own movement under
leave-outs or halves that are the same for every generator; subtracting them image by image, or half by half, pairs the
candidate with its baseline and with the reference that both are held against.

Source: Efron and Stein 1981 (Annals of Statistics 9) for the jackknife; Efron 1982 (SIAM) for its infinitesimal form; Politis and
    Romano 1994 (Annals of Statistics 22) for halves without replacement.
Formula: Pulls: with v_i the number without image i, c_i = (mean v - v_i) sqrt((n-1)/n), or the derivative by the weight of image i;
    variance = sum c_i^2, of a difference sum (c_i - b_i)^2 over ids, an id that one side lacks counting with its one pull, plus
    the same over reference images; normal. Where images have units, pulls are first added within a unit, and the interval is
    Student on the units less one: see `audit.metrics.resampling`. Halves: the variance over R random halves of both sets,
    dealt by unit, Student on R-1 or fewer units less one, the error of a difference never less than one image (unit) in n.
Parity: 0 for a difference.
Direction: that of the number itself.
Blind to: what another training run would have given; the ids are resampled, the generators are not.
Departures: p-values are two-sided and in step with the interval. A difference of exactly 0 has p = 1. Two sets of equal features
    have a difference of 0 with an interval of no width under pulls: no image tells them apart. A difference of Frechet distances has
    their small-sample bias taken off and is about the populations; the two distances themselves are those of n images, so that the
    difference is not theirs exactly. Two sides that both have units are paired by unit, otherwise by id.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from audit.errors import MetricError
from audit.estimates import Estimate, Measurement, NotMeasured
from audit.metrics.neighbours import density_interval, share_interval
from audit.metrics.resampling import Codes, one_unit, unit_codes, unit_sums
from audit.metrics.shares import check_level

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Resampled:
    """A number, and the same number on R random halves shared by all generators.

    Attributes:
        value: on all images.
        again: (R,) on each half.
        n: images behind it.
        unit: as in :class:`audit.estimates.Estimate`.
        units: independent units behind it, where they are fewer than images; None = each image is one.
    """

    value: float
    again: Floats
    n: int
    unit: str
    units: int | None = None


@dataclass(frozen=True, eq=False)
class Pulls:
    """A number, and how far each image pulls it: its variance is the sum of the squared pulls.

    Attributes:
        value: on all images.
        ids: (n,) ids of the generated images.
        own: (n,) their pulls.
        reference: (m,) pulls of the reference images; empty where there is no reference.
        unit: as in :class:`audit.estimates.Estimate`.
        units: (n,) codes of what each generated image belongs to; None = each is independent.
        reference_units: (m,) the same for the reference.
        bias: small-sample bias, taken off differences only; None where there is none or it is not told.
        lowest: what the number cannot fall below.
    """

    value: float
    ids: NDArray[np.int64]
    own: Floats
    reference: Floats
    unit: str
    units: Codes | None = None
    reference_units: Codes | None = None
    bias: float | None = None
    lowest: float = -math.inf
    method: str = "delete-one jackknife"

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
        Shares of halves: Clopper-Pearson at the size that has this standard error. Ratios of halves: Student. Pulls: normal, or
        Student over units. NotMeasured where all images are of one unit.

    Example:
        >>> pulls = Pulls(0.5, np.arange(4), np.array([0.1, -0.1, 0.1, -0.1]), np.zeros(0), "ratio")
        >>> round(estimate(pulls).high, 3)
        0.892
    """
    check_level(level)
    if isinstance(found, NotMeasured):
        return found
    if isinstance(found, Pulls):
        spread = _spread((found.own, found.units), (found.reference, found.reference_units))
        if spread.units == 1:
            return one_unit(found.n, found.unit)
        half = _quantile(spread.units, level) * spread.error
        low, high = max(found.value - half, found.lowest), found.value + half
        return Estimate(found.value, low, high, found.n, level, found.unit, found.method + _over(spread.units))
    t = _quantile(_least(len(found.again), found.units), level)
    interval = share_interval if found.unit == "share" else density_interval
    made = interval(found.value, float(found.again.std(ddof=1)), found.units or found.n, t, level)
    return replace(made, n=found.n, method=made.method + _over(found.units))


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
        >>> one, two = (Resampled(v, np.array([v, v + 0.1, v - 0.1]), 30, "ratio") for v in (2.0, 3.0))
        >>> found = difference(one, two)
        >>> round(found.difference.high, 2)
        -0.86
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
    n = min(candidate.n, baseline.n)
    spread = _spread(_paired(candidate, baseline), (candidate.reference - baseline.reference, candidate.reference_units))
    if spread.units == 1:
        return Difference(one_unit(n, candidate.unit), None)
    value, method = candidate.value - baseline.value, f"{candidate.method} on paired {_pairing(candidate, baseline)}{_over(spread.units)}"
    if candidate.bias is not None and baseline.bias is not None:
        value -= candidate.bias - baseline.bias
        method += ", small-sample bias taken off"
    half = _quantile(spread.units, level) * spread.error
    p = _p_value(value, spread.error, ndtr if spread.units is None else lambda x: stdtr(spread.units - 1, x))  # type: ignore[operator]
    return Difference(Estimate(value, value - half, value + half, n, level, candidate.unit, method), p)


def _paired(candidate: Pulls, baseline: Pulls) -> tuple[Floats, Codes | None]:
    """Return candidate pulls less baseline pulls, an entry an image that either has, and the units of the entries."""
    if candidate.units is not None and baseline.units is not None:
        moved, units = np.concatenate([candidate.own, -baseline.own]), np.concatenate([candidate.units, baseline.units])
        if all(len(np.unique(side.units)) == side.n for side in (candidate, baseline)):  # units of one image each are ids
            return np.bincount(unit_codes(units), weights=moved), None
        return moved, units
    ids = np.union1d(candidate.ids, baseline.ids)
    moved, units = np.zeros(len(ids)), -1 - ids  # an id that no unit holds is its own
    for side, pulls in ((candidate, candidate.own), (baseline, -baseline.own)):
        at = np.searchsorted(ids, side.ids)
        moved[at] += pulls
        if side.units is not None:
            units[at] = side.units
    return moved, None if candidate.units is None and baseline.units is None else units


def _pairing(candidate: Pulls, baseline: Pulls) -> str:
    return "ids" if candidate.units is None or baseline.units is None else "units"


def _resampled(candidate: Resampled, baseline: Resampled, level: float) -> Difference:
    if (candidate.unit, len(candidate.again)) != (baseline.unit, len(baseline.again)):
        raise MetricError("candidate and baseline were resampled differently; make both with the same halves")
    moved = candidate.again - baseline.again
    value, n = candidate.value - baseline.value, min(candidate.n, baseline.n)
    units = _least(candidate.units, baseline.units)
    error = max(float(moved.std(ddof=1)), 1 / (units or n))  # equal in every half does not mean equal in images not drawn
    draws = _least(len(moved), units)
    method = f"Student interval of {len(moved)} random halves of paired ids and reference{_over(units)}"
    half = _quantile(draws, level) * error
    p = _p_value(value, error, lambda x: stdtr(draws - 1, x))  # type: ignore[operator]
    return Difference(Estimate(value, value - half, value + half, n, level, candidate.unit, method), p)


class _Spread(NamedTuple):
    """A standard error, and the units it rests on; None = images."""

    error: float
    units: int | None


def _spread(*sides: tuple[Floats, Codes | None]) -> _Spread:
    total, units = 0.0, None
    for pulls, codes in sides:
        if len(pulls):
            sums = unit_sums(pulls, codes)
            total += float(np.square(sums).sum())
            units = _least(units, len(sums) if codes is not None and len(sums) < len(pulls) else None)
    return _Spread(math.sqrt(total), units)


def _least(*counts: int | None) -> int | None:
    return min((c for c in counts if c is not None), default=None)


def _quantile(units: int | None, level: float) -> float:
    return float(ndtri(0.5 + level / 2) if units is None else stdtrit(units - 1, 0.5 + level / 2))


def _over(units: int | None) -> str:
    return "" if units is None else f", over {units} units"


def _p_value(value: float, error: float, tail: Callable[[float], float]) -> float:
    if value == 0:
        return 1.0
    return 0.0 if error == 0 else min(1.0, 2 * float(tail(-abs(value) / error)))
