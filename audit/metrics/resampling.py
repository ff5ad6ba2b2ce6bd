"""The independent unit: images of one lineage, prompt or latent of a bank are not so many witnesses.

Two images of one latent of a finite bank are the same picture, and ten images of one prompt agree more than ten images of ten
prompts. What is drawn again to make an interval is therefore the unit with all of its images, never the single image.

Source: Liang and Zeger 1986 (Biometrika 73) for sums over clusters; Rao and Scott 1981 (JASA 76) and 1992 (Biometrics 48) for
    counts divided by a design effect; Korn and Graubard 1998 (Survey Methodology 24) for the Student factor on few units; Efron and
    Tibshirani 1993 (An Introduction to the Bootstrap, chapter 8) for units resampled whole.
Formula: pulls c_i of images are added within a unit, variance U/(U-1) sum (sum_i c_i)^2, Student on U-1. Counts: with p the shares,
    z_u = sum over images of u of (e_y - p) / n, V = U/(U-1) sum z_u z_u', the design effect is the largest over classes of
    n V_kk / (p_k (1 - p_k)), at least 1; n_eff = n / effect times (z / t_(U-1))^2. Of one class only: sum m_u^2 / n, m_u images of u.
Parity: as of the number that is resampled; a design effect of 1.
Direction: none; intervals only widen.
Blind to: dependence that no unit names, and units that depend on each other (prompts that share a word).
Departures: Rao and Scott divide by the mean of the effects of the classes; the largest is taken here, because each class has an
    interval of its own. Units of one image each give exactly what images give.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from audit.errors import MetricError
from audit.estimates import Estimate, Measurement, NotMeasured
from audit.metrics.features import MISSING, as_array, as_labels
from audit.metrics.shares import check_level

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


class EffectiveCounts(NamedTuple):
    """Counts as so many independent images would have given them.

    Attributes:
        counts: (K,) floats in proportion to the counts, adding up to ``n``.
        n: effective number of images, at most those counted.
    """

    counts: Floats
    n: float


def effective_counts(labels: Any, units: Any, k: int, *, level: float = 0.95) -> EffectiveCounts | NotMeasured:
    """Return class counts scaled to the effective number of images.

    Args:
        labels: (n,) integers 0..k-1, -1 = missing; those are left out.
        units: (n,) what each image belongs to, as :func:`independent_units`.
        k: number of classes.
        level: confidence level of the interval that is to be made of them; it enters by Student's factor on few units.

    Returns:
        The counts; NotMeasured where no image was counted or all are of one unit.

    Raises:
        MetricError: lengths differ, or a label is out of range.

    Example:
        >>> effective_counts([0, 0, 1, 1], ["a", "b", "c", "d"], 2)
        EffectiveCounts(counts=array([2., 2.]), n=4.0)
        >>> round(effective_counts([0, 0, 1, 1] * 20, np.arange(80) // 2, 2).n, 1)
        36.6
    """
    check_level(level)
    said, codes = as_labels(labels, k), independent_units(units)
    if said.shape != codes.shape:
        raise MetricError(f"{said.size} labels and {codes.size} units; give one unit a label")
    said, codes = said[said != MISSING], unit_codes(codes[said != MISSING])
    n, count = said.size, int(codes.max(initial=-1)) + 1
    counts = np.bincount(said, minlength=k).astype(np.float64)
    if n == 0:
        return NotMeasured("no image was counted")
    if count == n:
        return EffectiveCounts(counts, float(n))
    if count < 2:
        return one_unit(n)
    shares, seen = counts / n, counts > 0
    if seen.sum() == 1:
        effect = float(np.square(np.bincount(codes)).sum()) / n
    else:
        moved = np.zeros((count, k))
        np.add.at(moved, (codes, said), 1.0)
        moved -= np.bincount(codes)[:, None] * shares
        variance = count / (count - 1) * np.square(moved).sum(axis=0)[seen] / n**2
        effect = float((n * variance / (shares * (1 - shares))[seen]).max())
    few = float(ndtri(0.5 + level / 2) / stdtrit(count - 1, 0.5 + level / 2)) ** 2
    size = n * min(1.0, few / max(effect, 1.0))
    return EffectiveCounts(counts * (size / n), size)


def independent_units(units: Any) -> Codes:
    """Return (n,) codes 0..U-1 of units as a record holds them: null and negative numbers are images by themselves.

    Args:
        units: (n,) numbers or strings, equal for images of one unit.

    Raises:
        MetricError: not one-dimensional.

    Example:
        >>> independent_units([7, -1, 7, -1]).tolist()
        [2, 0, 2, 1]
        >>> independent_units(["a", None, "a", None]).tolist()
        [2, 0, 2, 1]
    """
    array = as_array(units)
    if array.dtype == object:
        alone = np.array([u is None or u != u for u in array], dtype=bool)  # NaN is the number that differs from itself
    else:
        alone = ~(array >= 0) if array.dtype.kind in "if" else np.zeros(array.shape, dtype=bool)
    if not alone.any() or array.ndim != 1:
        return unit_codes(array)
    codes = np.empty(len(array), dtype=np.int64)
    codes[alone] = np.arange(alone.sum())
    codes[~alone] = alone.sum() + unit_codes(array[~alone])
    return codes


def unit_codes(units: Any) -> Codes:
    """Return (n,) codes 0..U-1 of units given as numbers or strings, equal where the units are.

    Raises:
        MetricError: not one-dimensional.
    """
    array = as_array(units)
    if array.ndim != 1:
        raise MetricError(f"units must be one-dimensional, got shape {array.shape}; give one unit an image")
    return np.unique(array.astype(str) if array.dtype == object else array, return_inverse=True)[1].astype(np.int64)


def one_unit(n: int, unit: str = "share") -> NotMeasured:
    """Return what is said of images that are all of one unit: how far they are from other units, they cannot tell."""
    return NotMeasured(f"all {n} images are of one unit; an interval needs two units or more", n, unit)


def unit_sums(pulls: Floats, units: Codes | None) -> Floats:
    """Return pulls added up within units, scaled so that their squares add up to the variance.

    Args:
        pulls: (n,) whose squares add up to the variance of independent images.
        units: (n,) codes of any range; None = each image is one.

    Returns:
        (U,) sums times sqrt(U / (U-1)); the pulls themselves where each unit has one image.

    Example:
        >>> unit_sums(np.array([1.0, 1.0, -2.0]), np.array([4, 4, 7])).round(3).tolist()
        [2.828, -2.828]
    """
    if units is None:
        return pulls
    codes = unit_codes(units)
    count = int(codes.max(initial=-1)) + 1
    if count in (len(pulls), 1):
        return pulls if count > 1 else np.zeros(1)
    return np.bincount(codes, weights=pulls) * np.sqrt(count / (count - 1))


def linear_bootstrap(value: float, *sides: tuple[Floats, Codes | None], rng: np.random.Generator, resamples: int = 1000,
                     level: float = 0.95, unit: str = "distance") -> Measurement:  # fmt: skip
    """Return a bootstrap interval of a number from the pulls of its images: units drawn again with replacement, side by side.

    A resample of the number is the number plus the pulls of the units drawn. No distance is made again, and a repeated image does not
    shrink a covariance or become its own neighbour, which is what spoils the plain bootstrap of the Frechet distance.

    Args:
        value: the number.
        sides: for each set (pulls (n,), units (n,) or None).
        rng: draws the units.
        resamples: how often.
        level: confidence level of the percentile interval.
        unit: as in :class:`audit.estimates.Estimate`.

    Returns:
        The number with its interval; NotMeasured where a side has fewer than two units.

    Raises:
        MetricError: no side, or fewer than two resamples.

    Example:
        >>> found = linear_bootstrap(1.0, (np.tile([0.1, -0.1], 50), None), rng=np.random.default_rng(0))
        >>> 0.8 < found.high - 1 < 2.8
        True
    """
    check_level(level)
    if not sides or resamples < 2:
        raise MetricError(f"got {len(sides)} sets and {resamples} resamples; expected one set or more and two resamples or more")
    moved, sizes = np.zeros(resamples), []
    for pulls, units in sides:
        sums = unit_sums(pulls, units)
        sizes.append(len(sums))
        if len(sums) < 2:
            return one_unit(len(pulls), unit)
        centred = sums - sums.mean()
        for at in range(0, resamples, 64):  # counts of units in a block of resamples, not in all of them
            part = slice(at, min(at + 64, resamples))
            drawn = rng.integers(len(sums), size=(part.stop - at, len(sums)))
            moved[part] += centred[drawn].sum(axis=1)
    low, high = np.quantile(moved, [(1 - level) / 2, (1 + level) / 2])
    method = f"bootstrap of pulls, {resamples} resamples of {sizes[0]} units"
    return Estimate(value, value + float(low), value + float(high), len(sides[0][0]), level, unit, method)
