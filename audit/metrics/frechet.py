"""Frechet distance between two sets of features: how far their means and covariances lie apart (FID).

Source: Heusel et al. 2017 (arXiv 1706.08500); Dowson and Landau 1982 (J. Multivariate Analysis 12) for the formula.
Formula: ||m1 - m2||^2 + tr S1 + tr S2 - 2 ||L1' L2||_*, with S = L L', covariances over n - 1 and ||.||_* the sum of
    singular values, which equals tr (S1 S2)^(1/2). No matrix square root is taken: from moments L is a pivoted Cholesky
    factor; from fewer images than dimensions the centred features themselves are L, so the matrix is n x n. The
    sum is of roots of eigenvalues of the symmetric square, three times faster than singular values and good to the last
    digits only where the spectrum is not steep: where it is, the value takes singular values, the leave-outs do not.
Parity: 0 for equal distributions and n without limit; at finite n about c/n above it.
Direction: lower is nearer the reference.
Blind to: everything beyond the second moment, and to fairness itself: against an imbalanced reference it rewards
    imbalance, so it is to be read against a balanced one as well. It depends on n and on the encoder; values at unequal
    n are not comparable, which is why the estimate refuses them.
Departures: float64 throughout, never a jitter on the diagonal; clipped at 0. Intervals are by delete-a-group jackknife,
    not by bootstrap: resampling with replacement repeats images, which shrinks the covariance and doubled the standard
    error on Gaussians of 64 dimensions. The interval is for the distance at this n, not for n without limit.
"""

import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack
from scipy.special import stdtrit

from audit.errors import MetricError
from audit.estimates import Estimate, Measurement, NotMeasured
from audit.metrics.features import as_array, as_features, feature_pair
from audit.metrics.shares import check_level

Floats = NDArray[np.float64]

_LARGE = 512
"""Matrices wider than this cost seconds each, so fewer groups are left out."""

_UNITS, _LOST = 4, 1e-9
"""Units of rounding of the largest eigenvalue that each may be off by; share of a distance that may be lost to it."""


class Moments(NamedTuple):
    """Mean (d,), covariance (d, d) over n - 1, and the number of images behind them."""

    mean: Floats
    covariance: Floats
    n: int


def moments(features: Any) -> Moments:
    """Return mean and covariance of (n, d) features in float64, n >= 2.

    Raises:
        MetricError: features are not (n, d), n < 2, or not finite.

    Example:
        >>> moments([[0.0, 0.0], [2.0, 0.0]]).covariance.tolist()
        [[2.0, 0.0], [0.0, 0.0]]
    """
    x = as_features(features)
    mean = x.mean(axis=0, dtype=np.float64)
    scatter = np.zeros((x.shape[1], x.shape[1]))
    for start in range(0, len(x), 4096):  # a float64 copy of a part, not of a memory-mapped whole
        part = x[start : start + 4096] - mean
        scatter += part.T @ part
    return Moments(mean, scatter / (len(x) - 1), len(x))


def frechet_distance(generated: Any, reference: Any) -> float:
    """Return the Frechet distance between two sets of features.

    Args:
        generated: (n, d) features, n >= 2.
        reference: (m, d) features from the same encoder, m >= 2.

    Returns:
        The distance, >= 0. About 0 for identical sets: ask :func:`~audit.metrics.features.identical_inputs`.

    Raises:
        MetricError: shapes do not fit, or a value is not finite.

    Example:
        >>> frechet_distance([[0.0], [2.0]], [[3.0], [5.0]])
        9.0
    """
    gen, ref = feature_pair(generated, reference)
    if min(len(gen), len(ref)) > gen.shape[1]:
        return distance_of_moments(moments(gen), moments(ref), quick=False)
    return distance_of_rows(gen, ref, quick=False)


def frechet_distance_from_moments(generated: Moments, reference: Moments) -> float:
    """Return the Frechet distance between two sets of moments.

    Args:
        generated: mean (d,), covariance (d, d), n.
        reference: the same for the reference.

    Returns:
        The distance, >= 0.

    Raises:
        MetricError: dimensions differ, or a value is not finite.

    Example:
        >>> frechet_distance_from_moments(Moments([0.0], [[1.0]], 9), Moments([0.0], [[4.0]], 9))
        1.0
    """
    mean1, cov1 = (np.asarray(as_array(a), dtype=np.float64) for a in generated[:2])
    mean2, cov2 = (np.asarray(as_array(a), dtype=np.float64) for a in reference[:2])
    d = mean1.size
    if mean1.shape != (d,) or mean2.shape != (d,) or cov1.shape != (d, d) or cov2.shape != (d, d):
        raise MetricError(
            f"moments do not fit: means {mean1.shape} and {mean2.shape}, covariances {cov1.shape} and {cov2.shape}"
        )
    if not all(np.isfinite(a).all() for a in (mean1, mean2, cov1, cov2)):
        raise MetricError("moments hold NaN or infinity")
    return distance_of_moments(Moments(mean1, cov1, generated[2]), Moments(mean2, cov2, reference[2]), quick=False)


def frechet_estimate(
    generated: Any, reference: Any, *, rng: np.random.Generator, groups: int | None = None, level: float = 0.95
) -> Measurement:
    """Return the Frechet distance with its interval; the estimand is the expected distance at this n.

    Args:
        generated: (n, d) features.
        reference: (n, d) features: the same n, because the distance depends on it.
        rng: deals the images into groups.
        groups: how many leave-outs estimate the standard error; None = 20, or 8 where both n and d exceed 512.
        level: confidence level.

    Returns:
        The distance with a Student interval of the delete-a-group jackknife, cut at 0, unit "distance"; NotMeasured
        where there are fewer than two images a group.

    Raises:
        MetricError: n differs between the sets, or as :func:`frechet_distance`.
    """
    gen, ref = feature_pair(generated, reference)
    check_level(level)
    n, d = gen.shape
    if len(ref) != n:
        raise MetricError(
            f"{n} generated and {len(ref)} reference images: the distance depends on n, take equal numbers"
        )
    groups = groups or (8 if min(n, d) > _LARGE else 20)
    if groups < 2:
        raise MetricError(f"a jackknife needs two groups or more, got {groups}")
    if n < 2 * groups:
        return NotMeasured(f"{n} images are too few for an interval over {groups} groups", n, "distance")
    size = n // groups
    deal = [rng.permutation(n)[: groups * size].reshape(groups, size) for _ in range(2)]
    left_out = without_groups(gen, ref, deal) if n > d else without_groups_short(gen, ref, deal)
    spread = ((left_out - left_out.mean()) ** 2).sum() * (groups - 1) / groups * n / (groups * size)
    half = float(stdtrit(groups - 1, 0.5 + level / 2) * np.sqrt(spread))
    value = frechet_distance(gen, ref)
    return Estimate(
        value, max(value - half, 0.0), value + half, n, level, "distance", f"delete-a-group jackknife, {groups} groups"
    )


def without_groups(gen: NDArray, ref: NDArray, deal: list[NDArray[np.int64]]) -> Floats:
    """Leave out one group of both sets at a time, by taking its sums away from the sums of all."""
    sides = [_moments_without(x, parts) for x, parts in zip((gen, ref), deal, strict=True)]
    return np.array([distance_of_moments(g, r, quick=True) for g, r in zip(*sides, strict=True)])


def _moments_without(features: NDArray, parts: NDArray[np.int64]) -> Iterator[Moments]:
    whole = moments(features)
    for part in parts:
        gone, left = features[part] - whole.mean, whole.n - len(part)
        shift = -gone.sum(axis=0) / left
        scatter = whole.covariance * (whole.n - 1) - gone.T @ gone - left * np.outer(shift, shift)
        yield Moments(whole.mean + shift, scatter / (left - 1), left)


def without_groups_short(gen: NDArray, ref: NDArray, deal: list[NDArray[np.int64]]) -> Floats:
    """Return the distance with each group left out in turn, for fewer images than dimensions: nothing can be shared."""
    pairs = (
        (np.delete(x, out, axis=0) for x, out in zip((gen, ref), outs, strict=True)) for outs in zip(*deal, strict=True)
    )
    return np.array([distance_of_rows(*pair, quick=True) for pair in pairs])


def distance_of_rows(generated: NDArray, reference: NDArray, *, quick: bool) -> float:
    """Return the distance from features themselves: right where there are fewer images than dimensions."""
    sides = []
    for features in (generated, reference):
        x = features.astype(np.float64)
        mean = x.mean(axis=0)
        sides.append((mean, (x - mean) / np.sqrt(len(x) - 1)))
    (mean1, rows1), (mean2, rows2) = sides
    distance = ((mean1 - mean2) ** 2).sum() + (rows1**2).sum() + (rows2**2).sum()
    product = rows1 @ rows2.T
    return max(float(distance) - 2 * overlap(product, _squares(product), spread=None if quick else float(distance)), 0.0)


def distance_of_moments(generated: Moments, reference: Moments, *, quick: bool) -> float:
    """Return the distance from moments; quickly, with half of the digits, where it is one of many."""
    distance = ((generated.mean - reference.mean) ** 2).sum() + np.trace(generated.covariance + reference.covariance)
    product = _factor(generated.covariance).T @ _factor(reference.covariance)
    return max(float(distance) - 2 * overlap(product, _squares(product), spread=None if quick else float(distance)), 0.0)


def _factor(covariance: Floats) -> Floats:
    """Return L with L L' = covariance: plain Cholesky, and with pivoting only where a direction may be empty, which takes twice as long."""
    try:
        factor = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        return pivoted_factor(covariance)[0]
    pivots = np.diagonal(factor) ** 2
    surely_full = pivots.min() > _UNITS * len(pivots) * np.finfo(np.float64).eps * np.diagonal(covariance).max()
    return factor if surely_full else pivoted_factor(covariance)[0]


def _squares(product: Floats) -> Floats:
    square = product @ product.T if len(product) <= len(product.T) else product.T @ product
    torch = sys.modules.get("torch")
    if torch is None or not square.size:
        return np.linalg.eigvalsh(square)
    return torch.linalg.eigvalsh(torch.from_numpy(square)).numpy()  # where it is loaded: twice as fast as OpenBLAS's


def overlap(product: Floats, squares: Floats, *, spread: float | None) -> float:
    """Return the sum of the singular values of ``product``: roots of its ``squares`` where these keep enough digits.

    A root of a small eigenvalue has lost digits: each eigenvalue is off by some units of rounding of the largest, each by its own.

    Args:
        product: (r, s).
        squares: eigenvalues of its square, the smaller of both ways, in increasing order.
        spread: the distance is this less twice the sum; singular values are taken where the roots could move it by more than
            :data:`_LOST` of itself. None = roots will do.
    """
    if not product.size:
        return 0.0
    rounding = squares[-1] * np.finfo(np.float64).eps
    roots = np.sqrt(squares[squares > rounding * len(squares)])  # empty directions: rounding, not spread
    found = float(roots.sum())
    if spread is None:
        return found
    certain = len(roots) == len(squares) and _UNITS * rounding * np.sqrt((1 / roots**2).sum()) <= _LOST * (spread - 2 * found)
    return found if certain else float(np.linalg.svd(product, compute_uv=False).sum())


def pivoted_factor(covariance: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Return L (d, rank) with L L' = covariance, and the (rank,) rows of L that are lower triangular.

    By Cholesky with pivoting: it stops at the rank, where plain fails.
    """
    packed, pivots, rank, _ = lapack.dpstrf(covariance, lower=1)
    factor = np.empty((len(covariance), rank))
    factor[pivots - 1] = np.tril(packed)[:, :rank]
    return factor, pivots[:rank] - 1
