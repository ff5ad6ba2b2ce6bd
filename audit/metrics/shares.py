"""Shares of images per class, with intervals that hold for all classes of an attribute at once.

Source: Clopper and Pearson 1934 (Biometrika 26) with Bonferroni's inequality; Goodman 1965 (Technometrics 7); Sison and Glaz
    1995 (JASA 90, 366-369) with the interval of May and Johnson 2000 (J. Statistical Software 5(6)).
Formula: for class k with count c of n, the box is [Beta(a/2; c, n-c+1), Beta(1-a/2; c+1, n-c)] with a = (1-level)/K;
    Goodman: [A + 2c -/+ sqrt(A (A + 4c(n-c)/n))] / (2(n+A)) with A the (1-a) quantile of chi-squared on 1 degree.
    Sison-Glaz: [c - w, c + w + 2g] / n, w the greatest whole number with P(all counts within w of c) < level, that
    probability by truncated Poisson variables and an Edgeworth series, g the part of a step that is missing.
    Images that are not independent: counts and n are divided by the design effect.
Parity: every share equals its target, 1/K unless another is asked for.
Direction: towards the target.
Blind to: the classifier's own errors (see `audit.metrics.correction`) and images whose class could not be read.
Departures: two classes are one comparison, not two, because their shares add to 1; K=2 therefore uses a = 1-level.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, ndtri

from audit.errors import MetricError
from audit.estimates import Estimate, NotMeasured
from audit.metrics.features import MISSING, as_array, as_labels
from audit.metrics.sison_glaz import sison_glaz

BoxMethod = Literal["bonferroni-clopper-pearson", "goodman", "sison-glaz"]

_WORDS = {"bonferroni-clopper-pearson": "Bonferroni Clopper-Pearson", "goodman": "Goodman", "sison-glaz": "Sison-Glaz"}


class Spread(NamedTuple):
    """Shares as estimated, before they were moved onto the simplex, and their covariance as a function of the true shares."""

    plain: NDArray[np.float64]
    covariance: Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class ShareBox:
    """Class shares with simultaneous intervals: with probability ``level`` all K intervals hold together.

    Attributes:
        value: (K,) shares, summing to 1.
        low: (K,) lower ends in 0..1.
        high: (K,) upper ends in 0..1.
        n: images behind the shares.
        level: simultaneous confidence level.
        method: how the intervals were made.
        spread: how the shares scatter, for the interval of their distance from a target; None = the box is all that is known.
    """

    value: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    n: int
    level: float
    method: str
    spread: "Spread | None" = None

    def __post_init__(self) -> None:
        """Refuse what no set of shares can be."""
        arrays = {name: np.array(getattr(self, name), dtype=np.float64) for name in ("value", "low", "high")}
        for name, array in arrays.items():
            if array.ndim != 1 or array.shape != arrays["value"].shape or array.size < 2:
                raise MetricError(f"a share box needs one {name} a class and two classes or more, got {array.shape}")
            if not ((array >= 0) & (array <= 1)).all():  # false for NaN too
                raise MetricError(f"shares lie in 0..1, got {name} {array.tolist()}")
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        if abs(self.value.sum() - 1) > 1e-6:
            raise MetricError(f"shares must add to 1, got {self.value.sum()}")
        if (self.low > self.value + 1e-9).any() or (self.value > self.high + 1e-9).any():
            raise MetricError("each share must lie within its interval")

    @property
    def k(self) -> int:
        """Number of classes."""
        return self.value.size

    def estimates(self) -> tuple[Estimate, ...]:
        """Return one Estimate a class, in class order."""
        rows = zip(self.value.tolist(), self.low.tolist(), self.high.tolist(), strict=True)
        return tuple(Estimate(v, lo, hi, self.n, self.level, "share", self.method) for v, lo, hi in rows)


def class_counts(labels: Any, k: int) -> NDArray[np.int64]:
    """Count the labels of each class, empty classes included.

    Args:
        labels: (n,) integers 0..k-1; -1 marks an image that could not be read and is left out.
        k: number of classes.

    Returns:
        (k,) int64.

    Raises:
        MetricError: a label lies outside -1..k-1.

    Example:
        >>> class_counts([0, 0, 2, -1], 3).tolist()
        [2, 0, 1]
    """
    array = as_labels(labels, k)
    return np.bincount(array[array != MISSING], minlength=k).astype(np.int64)


def share_box(counts: Any, *, level: float = 0.95, method: BoxMethod = "bonferroni-clopper-pearson",
              design_effect: float = 1.0) -> ShareBox | NotMeasured:  # fmt: skip
    """Return class shares with simultaneous intervals.

    Args:
        counts: (K,) whole numbers >= 0, K >= 2.
        level: simultaneous confidence level, in (0, 1).
        method: "bonferroni-clopper-pearson" never covers less than ``level``; "goodman" is a little narrower and
            covers about ``level`` on average, less for very rare classes; "sison-glaz" is narrowest for shares of like size,
            and covers less than ``level`` where one class is rare.
        design_effect: images counted for each independent one, 1 or more; see `audit.metrics.resampling`.

    Returns:
        The box, or NotMeasured where no image was counted.

    Raises:
        MetricError: counts, level, method or design effect are not as above.

    Example:
        >>> box = share_box([30, 70])
        >>> [round(float(x), 3) for x in (box.value[0], box.low[0], box.high[0])]
        [0.3, 0.212, 0.4]
    """
    c = as_counts(counts)
    check_level(level)
    if method not in _WORDS:
        raise MetricError(f"no interval method {method!r}; choose {', '.join(_WORDS)}")
    if not 1 <= design_effect < np.inf:
        raise MetricError(f"a design effect is 1 or more, got {design_effect}")
    n = int(c.sum())
    if n == 0:
        return NotMeasured("no image was counted")
    value, (kept, worth) = c / n, (c / design_effect, n / design_effect)
    alpha = (1 - level) / comparisons(c.size)
    if method == "sison-glaz":
        low, high = sison_glaz(np.round(kept).astype(np.int64), level)
        low, high = np.minimum(low, value), np.maximum(high, value)
    else:
        low, high = _clopper_pearson(kept, worth, alpha) if method != "goodman" else _goodman(kept, worth, alpha)
    words = f"{_WORDS[method]}, simultaneous over {c.size} classes" + said_of_design(design_effect)
    return ShareBox(value, low, high, n, level, words, Spread(value, _multinomial(worth)))


def said_of_design(design_effect: float) -> str:
    """Return what a method says of images that are not independent: nothing where they are."""
    return "" if design_effect == 1 else f", {design_effect:.3g} images counted as one"


def _multinomial(n: float) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    worth = n / (1 + 4 / n)  # skewness of few images, as by adding four (Agresti and Coull 1998)
    return lambda p: (np.diag(p) - np.outer(p, p)) / worth


def proportion(successes: int, n: int, level: float = 0.95) -> Estimate | NotMeasured:
    """Return one share with its Clopper-Pearson interval.

    Args:
        successes: images counted, 0..n.
        n: images looked at.
        level: confidence level, in (0, 1).

    Returns:
        The share, or NotMeasured where ``n`` is 0.

    Raises:
        MetricError: ``successes`` lies outside 0..n.

    Example:
        >>> round(proportion(0, 100).high, 4)
        0.0362
    """
    check_level(level)
    if not 0 <= successes <= n or successes != int(successes) or n != int(n):
        raise MetricError(f"{successes} of {n} is not a share; expected whole numbers with 0 <= successes <= n")
    if n == 0:
        return NotMeasured("no image was counted")
    low, high = _clopper_pearson(np.array([successes]), int(n), 1 - level)
    return Estimate(successes / n, float(low[0]), float(high[0]), int(n), level, "share", "Clopper-Pearson")


def as_counts(counts: Any) -> NDArray[np.int64]:
    """Return ``counts`` as (K,) int64 with K >= 2.

    Raises:
        MetricError: fewer than two classes, negative, not finite or not whole.
    """
    array = as_array(counts)
    if array.ndim != 1 or array.size < 2:
        raise MetricError(f"counts must have one entry a class and two classes or more, got shape {array.shape}")
    if array.dtype.kind not in "iuf" or not (np.isfinite(array) & (array >= 0) & (array == np.floor(array))).all():
        raise MetricError(f"counts must be whole numbers >= 0, got {array.tolist()}; give counts, not shares")
    return array.astype(np.int64)


def check_level(level: float) -> None:
    """Refuse a confidence level outside (0, 1).

    Raises:
        MetricError: it is outside.
    """
    if not 0 < level < 1:
        raise MetricError(f"a confidence level lies between 0 and 1, got {level}")


def comparisons(k: int) -> int:
    """Return how many intervals Bonferroni must share the error between: two shares that add to 1 are one."""
    return 1 if k == 2 else k


def _clopper_pearson(c: NDArray, n: float, alpha: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rest = n - c
    low = np.where(c > 0, betaincinv(np.where(c > 0, c, 1), rest + 1, alpha / 2), 0.0)
    high = np.where(rest > 1e-9, betaincinv(c + 1, np.where(rest > 1e-9, rest, 1), 1 - alpha / 2), 1.0)
    return low, high


def _goodman(c: NDArray, n: float, alpha: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    a = ndtri(1 - alpha / 2) ** 2  # the quantile of chi-squared on 1 degree of freedom
    half = np.sqrt(a * (a + 4 * c * (n - c) / n))
    return np.clip((a + 2 * c - half) / (2 * (n + a)), 0, 1), np.clip((a + 2 * c + half) / (2 * (n + a)), 0, 1)
