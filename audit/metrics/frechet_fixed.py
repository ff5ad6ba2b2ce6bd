"""The Frechet distance to published statistics: a mean and a covariance, of images that are not at hand.

Source: Heusel et al. 2017 (arXiv 1706.08500); statistics as clean-fid publishes them: Parmar, Zhang, Zhu 2022 (arXiv 2104.11222); the
    interval after Jaeckel 1972 and Efron 1982 as in :mod:`audit.metrics.frechet_pulls`.
Formula: with generated rows A = (x - m1) / sqrt(n - 1), reference S2 = L L', A L = U s V', g = m1 - m2: distance |g|^2 + tr S1 + tr S2 - 2 sum s;
    pull of image i (2 g.(x_i - m1)) / n + |A_i|^2 - (U s U')_ii, less its mean. With more images than dimensions U s^(1/2) = A L V s^(-1/2)
    comes from the eigenvectors V of L' S1 L.
Parity: 0 for equal distributions and n without limit; at finite n about c/n above it.
Direction: lower is nearer the reference.
Blind to: how far the reference's own images happened to fall: it is taken for the truth, so the interval is narrower than one for two
    samples by the reference's part. To KID, precision, recall and everything about groups, which need the images. To whether the statistics
    were made with the same network and resize: the caller compares the names.
Departures: the published n of the generated side is 50,000; at another n the distance is larger, and is not comparable with it.
"""

import numpy as np
from numpy.typing import NDArray

from audit.errors import MetricError
from audit.estimates import NotMeasured
from audit.metrics.features import as_features
from audit.metrics.frechet import Moments, distance_of_moments, moments, pivoted_factor
from audit.metrics.frechet_pulls import FrechetPulls
from audit.metrics.replicates import Pulls
from audit.metrics.resampling import Codes

Floats = NDArray[np.float64]

_BLOCK = 2048


def frechet_to_statistics(generated: NDArray, reference: Moments, splits: NDArray[np.bool_]) -> FrechetPulls:
    """Return the distance of images to a fixed mean and covariance, with the pull of each image.

    Args:
        generated: (n, d) features, n >= 2.
        reference: mean (d,) and covariance (d, d); its n is not used.
        splits: (R, n) flags of halves that the small-sample bias is told from, two images or more on each side; R = 0: bias 0.

    Returns:
        Value, bias, pulls of the n images, and no pulls of the reference.

    Raises:
        MetricError: shapes do not fit, or a value is not finite.

    Example:
        >>> none = np.zeros((0, 4), dtype=bool)
        >>> rows = np.array([[0.0], [2.0], [0.0], [2.0]])
        >>> round(frechet_to_statistics(rows, Moments(np.array([4.0]), np.array([[4 / 3]]), 50), none).value, 9)
        9.0
    """
    x = as_features(generated)
    mean, covariance = (np.asarray(a, dtype=np.float64) for a in reference[:2])
    d = x.shape[1]
    if mean.shape != (d,) or covariance.shape != (d, d):
        raise MetricError(f"statistics of {mean.size} dimensions do not fit features of {d}; they are of another network")
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise MetricError("the statistics hold NaN or infinity")
    if splits.ndim != 2 or splits.shape[1] != len(x):
        raise MetricError(f"halves of shape {splits.shape} do not fit {len(x)} images; expected (R, {len(x)}) flags")
    fixed = Moments(mean, covariance, reference[2])
    factor = pivoted_factor(covariance)[0]
    value, own, spread, toward = _of_rows(x, fixed, factor) if len(x) <= d else _of_moments(x, fixed, factor)
    pulls = 2 * toward / len(x) + spread - own
    halves = [_distance(x[held], fixed, factor) for split in splits for held in (split, ~split)]
    sizes = [int(held.sum()) for split in splits for held in (split, ~split)]
    bias = float((np.mean(halves) - value) / (np.mean([len(x) / size for size in sizes]) - 1)) if halves else 0.0
    return FrechetPulls(value, bias, pulls - pulls.mean(), np.zeros(0))


def statistics_replicates(generated: NDArray, reference: Moments, splits: NDArray[np.bool_], ids: NDArray[np.int64], *,
                          units: Codes | None = None) -> Pulls | NotMeasured:  # fmt: skip
    """Return the same, ready for :func:`audit.metrics.replicates.estimate` and differences on paired ids.

    Args:
        generated: (n, d) features.
        reference: fixed mean and covariance.
        splits: (R, n) flags of halves.
        ids: (n,) ids of the images.
        units: (n,) what they belong to; None = each is independent.

    Returns:
        NotMeasured below four images, of which halves have no covariance.
    """
    if len(generated) < 4:
        return NotMeasured(f"{len(generated)} images; four are needed", len(generated), "distance")
    found = frechet_to_statistics(generated, reference, splits)
    return Pulls(found.value, ids, found.generated, found.reference, "distance", units, None, found.bias, 0.0,
                 method="infinitesimal jackknife of the generated images, reference statistics fixed")  # fmt: skip


def _of_rows(x: NDArray, fixed: Moments, factor: Floats) -> tuple[float, Floats, Floats, Floats]:
    """Return the value and each image's parts, from an n x d matrix: for no more images than dimensions."""
    mean = x.mean(axis=0, dtype=np.float64)
    rows = (x - mean) / np.sqrt(len(x) - 1)
    gap = mean - fixed.mean
    u, s, _ = np.linalg.svd(rows @ factor, full_matrices=False)
    spread = np.square(rows).sum(axis=1)
    value = gap @ gap + spread.sum() + np.trace(fixed.covariance) - 2 * s.sum()
    return max(float(value), 0.0), np.square(u) @ s, spread, rows @ gap * np.sqrt(len(x) - 1)


def _of_moments(x: NDArray, fixed: Moments, factor: Floats) -> tuple[float, Floats, Floats, Floats]:
    """Return the same from d x d matrices, a block of images at a time."""
    own = moments(x)
    squares, v = np.linalg.eigh(factor.T @ own.covariance @ factor)
    kept = squares > squares[-1] * len(squares) * np.finfo(np.float64).eps  # empty directions: rounding, not spread
    directions = factor @ (v[:, kept] / squares[kept] ** 0.25)
    gap, parts = own.mean - fixed.mean, []
    for start in range(0, len(x), _BLOCK):
        centred = x[start : start + _BLOCK] - own.mean
        parts.append((np.square(centred @ directions).sum(axis=1), np.square(centred).sum(axis=1), centred @ gap))
    overlap, spread, toward = (np.concatenate(part) for part in zip(*parts, strict=True))
    return distance_of_moments(own, fixed, quick=False), overlap / (own.n - 1), spread / (own.n - 1), toward


def _distance(x: NDArray, fixed: Moments, factor: Floats) -> float:
    return _of_rows(x, fixed, factor)[0] if len(x) <= x.shape[1] else distance_of_moments(moments(x), fixed, quick=True)
