"""A map from image to image, pair by pair: labels that flipped, how far the skin's colour moved, whether the person stayed.

Source: McNemar 1947 (Psychometrika 12) with the exact binomial tail; Stuart 1955 and Maxwell 1970 (Biometrika 42; British Journal of
    Psychiatry 116) for K classes; Oldham 1962 (Journal of Chronic Diseases 15) for strata by the mean of both readings.
Formula: two classes, g pairs flipped one way and l the other: p = min(1, 2 P(X <= min(g, l))), X binomial(g + l, 1/2). K classes, table n_ij
    from i to j: chi2 = d' V^+ d, d_i = n_i. - n_.i, V_ii = n_i. + n_.i - 2 n_ii, V_ij = -(n_ij + n_ji), on rank(V) degrees of freedom;
    below 100 flipped pairs the tail is that of 9,999 tables in which each flipped pair runs either way with probability 1/2. Mean
    change: mean -+ t_(n-1) sd / sqrt(n), at level 1 - (1 - level) / S for S strata. Shares: see `audit.metrics.paired`. Identity: mean
    cosine of the pairs, and the share of pairs below the 95th percentile of the cosine of two different images before.
Parity: 0 for changes and differences; equal counts both ways; similarity 1.
Direction: none is better: a map may be meant to change what it changes. A lower similarity is less of the person kept.
Blind to: whether a changed label or a moved colour is an error of the instrument (blur and light move both: hold the controls beside
    it); two maps that undo each other in the mean.
Departures: classes that nobody left or entered drop out of the K-class test through the pseudo-inverse. Strata by a noisy reading of the
    input show regression to the mean: high readings fall and low ones rise though nothing changed; strata by the mean of both readings
    do not where the noise before and after is alike, and true strata never do.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, stdtrit
from scipy.stats import chi2

from audit.errors import MetricError
from audit.estimates import Estimate, Measurement, NotMeasured
from audit.metrics.features import as_features
from audit.metrics.paired import paired_share_difference, pairs_of
from audit.metrics.shares import check_level, proportion

FEW = 100
"""Flipped pairs below which the K-class test draws its tail instead of taking that of chi-squared."""

TABLES = 9_999

STRANGERS = 0.95
"""Quantile of the similarity of two different people below which a pair counts as no longer the same person."""

MOST_PEOPLE = 1_000
"""Images before that are held against one another to find that quantile."""


class Flips(NamedTuple):
    """Labels before and after.

    Attributes:
        table: (K, K) pairs, from class i (row) to class j (column).
        gained: (K,) pairs that entered each class.
        lost: (K,) pairs that left it.
        differences: share after minus share before by class, unit "share", simultaneous over the classes.
        p_value: of no change of the shares; None where no pair was read.
        test: its name, with how its tail was had.
        n: pairs read on both sides.
        dropped: pairs that were not.
    """

    table: NDArray[np.int64]
    gained: NDArray[np.int64]
    lost: NDArray[np.int64]
    differences: tuple[Measurement, ...]
    p_value: float | None
    test: str
    n: int
    dropped: int


class Kept(NamedTuple):
    """How much of the person a map kept.

    Attributes:
        similarity: mean cosine of a pair, unit "ratio".
        strangers: level that two different people reach: the quantile :data:`STRANGERS` of their cosine; None where unknown.
        lost: share of pairs below that level, unit "share".
    """

    similarity: Measurement
    strangers: float | None
    lost: Measurement


def label_flips(before: Any, after: Any, k: int, *, rng: np.random.Generator, level: float = 0.95) -> Flips:
    """Return how labels changed from before to after.

    Args:
        before: (n,) integers 0..k-1, -1 = missing.
        after: (n,) the same, of the images after the map, in the same order.
        k: number of classes, two or more.
        rng: for the tail of the K-class test where few pairs flipped.
        level: simultaneous confidence level of the differences.

    Raises:
        MetricError: unequal lengths, a label out of range, or k < 2.

    Example:
        >>> found = label_flips([0, 0, 0, 1], [1, 1, 0, 1], 2, rng=np.random.default_rng(0))
        >>> found.table.tolist(), found.gained.tolist(), found.p_value
        ([[1, 2], [0, 1]], [0, 2], 0.5)
    """
    table = pairs_of(before, after, k)[0]
    shares = paired_share_difference(after, before, k, level)
    gained, lost = (table.sum(axis=axis) - np.diag(table) for axis in (0, 1))
    p, test = (None, "") if shares.n == 0 else _exact(table) if k == 2 else _stuart_maxwell(table, rng)
    return Flips(table, gained, lost, shares.differences, p, test, shares.n, shares.dropped)


def mean_change(changes: Any, *, level: float = 0.95, strata: int = 1, unit: str = "lightness") -> Measurement:
    """Return the mean of paired changes with its t interval.

    Args:
        changes: (n,) after minus before; NaN where a side was not read, which is left out.
        level: confidence level, of all ``strata`` intervals together.
        strata: how many such intervals are quoted together.
        unit: "lightness" (L*), "degrees", "tones" or "distance".

    Returns:
        The mean; NotMeasured below two pairs. Equal changes give an interval of length 0.

    Raises:
        MetricError: changes are not (n,) numbers, or ``strata`` is below 1.

    Example:
        >>> found = mean_change([1.0, 2.0, 3.0])
        >>> round(found.value, 3), round(found.low, 3)
        (2.0, -0.484)
    """
    x = np.asarray(changes, dtype=np.float64)
    check_level(level)
    if x.ndim != 1 or np.isinf(x).any():
        raise MetricError(f"changes must be (n,) finite numbers or NaN, got shape {x.shape}")
    if strata < 1:
        raise MetricError(f"intervals are quoted together with at least themselves, got strata = {strata}")
    x = x[~np.isnan(x)]
    if len(x) < 2:
        return NotMeasured(f"{len(x)} pairs were read on both sides; 2 are needed", len(x), unit)
    mean, error = float(x.mean()), float(x.std(ddof=1)) / math.sqrt(len(x))
    half = float(stdtrit(len(x) - 1, 1 - (1 - level) / strata / 2)) * error
    method = "paired t interval" + (f", simultaneous over {strata} strata" if strata > 1 else "")
    return Estimate(mean, mean - half, mean + half, len(x), level, unit, method)


def hue_change(before: Any, after: Any) -> NDArray[np.float64]:
    """Return the turn from one hue to another, (n,) degrees in -180..180, the short way round; NaN where a side has none.

    Example:
        >>> hue_change([350.0, 60.0], [10.0, 50.0]).tolist()
        [20.0, -10.0]
    """
    return (np.asarray(after, dtype=np.float64) - np.asarray(before, dtype=np.float64) + 180) % 360 - 180


def tertiles(values: Any) -> NDArray[np.int64]:
    """Return 0, 1 or 2 for the lowest, middle and highest third of (n,) values, -1 where a value is NaN."""
    x = np.asarray(values, dtype=np.float64)
    known = ~np.isnan(x)
    out = np.full(len(x), -1, dtype=np.int64)
    if known.any():
        out[known] = np.searchsorted(np.quantile(x[known], [1 / 3, 2 / 3]), x[known], side="left")
    return out


def identity_kept(before: Any, after: Any, *, level: float = 0.95) -> Kept:
    """Return how alike each image is to itself after the map, against how alike two different people are.

    Args:
        before: (n, d) embeddings of identity, one person a row; rows with NaN are left out with their pair.
        after: (n, d) in the same order.
        level: confidence level.

    Raises:
        MetricError: shapes differ, or an embedding has length 0.
    """
    x, y = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    if x.ndim != 2 or x.shape != y.shape:
        raise MetricError(f"embeddings before {x.shape} and after {y.shape}; expected (n, d) of one shape")
    read = np.isfinite(x).all(axis=1) & np.isfinite(y).all(axis=1)
    if read.sum() < 2:
        few = NotMeasured(f"{int(read.sum())} pairs have an embedding on both sides; 2 are needed", int(read.sum()), "ratio")
        return Kept(few, None, few)
    x, y = (_unit(as_features(side[read], name="identity features", least=0).astype(np.float64)) for side in (x, y))
    alike = (x * y).sum(axis=1).clip(-1, 1)
    people = x[:MOST_PEOPLE]
    apart = (people @ people.T)[np.triu_indices(len(people), 1)]
    strangers = float(np.quantile(apart, STRANGERS))
    below = proportion(int((alike < strangers).sum()), len(alike), level)
    return Kept(mean_change(alike, level=level, unit="ratio"), strangers, below)


def _unit(x: NDArray[np.float64]) -> NDArray[np.float64]:
    length = np.linalg.norm(x, axis=1, keepdims=True)
    if (length == 0).any():
        raise MetricError("an identity feature has length 0 and no direction; drop images that could not be read")
    return x / length


def _exact(table: NDArray[np.int64]) -> tuple[float, str]:
    up, down = int(table[0, 1]), int(table[1, 0])
    p = 1.0 if up == down else min(1.0, 2 * float(bdtr(min(up, down), up + down, 0.5)))
    return p, "exact McNemar"


def _stuart_maxwell(table: NDArray[np.int64], rng: np.random.Generator) -> tuple[float, str]:
    flipped = int(table.sum() - np.trace(table))
    if flipped == 0:
        return 1.0, "Stuart-Maxwell, no pair flipped"
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    spread = (np.diag(rows + columns) - table - table.T).astype(np.float64)  # the same whichever way each pair flipped
    rank, weights = int(np.linalg.matrix_rank(spread, hermitian=True)), np.linalg.pinv(spread, hermitian=True)
    moved = (rows - columns).astype(np.float64)
    seen = float(moved @ weights @ moved)
    if flipped >= FEW:
        return float(chi2.sf(seen, rank)), f"Stuart-Maxwell, chi-squared on {rank} degrees"
    first, second = np.triu_indices(len(table), 1)
    both = (table + table.T)[first, second]
    surplus = 2.0 * rng.binomial(both, 0.5, size=(TABLES, len(both))) - both  # flips from first to second beyond those back
    drawn = np.zeros((TABLES, len(table)))
    for at, (i, j) in enumerate(zip(first, second, strict=True)):
        drawn[:, i] += surplus[:, at]
        drawn[:, j] -= surplus[:, at]
    beyond = int((((drawn @ weights) * drawn).sum(axis=1) >= seen - 1e-9).sum())
    return (1 + beyond) / (TABLES + 1), f"Stuart-Maxwell, tail of {TABLES:,} tables with flips either way"
