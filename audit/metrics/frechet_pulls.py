"""How far each image pulls the Frechet distance, in closed form: one decomposition instead of one distance a leave-out.

The distance is a smooth function of weighted means and covariances, so its derivative by the weight of an image is known
exactly. The sum of squared derivatives is its variance; a bootstrap of them costs a product of matrices and no distance.

Source: Jaeckel 1972 (Bell Laboratories memorandum MM 72-1215-11) and Efron 1982 (The Jackknife, SIAM, chapter 6) for the
    infinitesimal jackknife; Quenouille 1956 (Biometrika 43) for the bias from halves; Dowson and Landau 1982 for the distance.
Formula: with S = L L', L1' L2 = U s V', g = m1 - m2, x a generated and y a reference image less their means: pull of x
    (2 g.x + |x|^2 - |s^(1/2) U' L1^-1 x|^2) / n, of y (-2 g.y + |y|^2 - |s^(-1/2) U' L1' y|^2) / m, each less its mean. In
    words x' (I - T) x with T the optimal transport map S1^(-1/2) (S1^(1/2) S2 S1^(1/2))^(1/2) S1^(-1/2). From no more images than
    dimensions the rows are their own factor, A = X1 X2' = U s V', and the last terms are the diagonals of U s U' and V s V'.
    Bias: the mean of the distance over halves of both sets, less the distance, over how much 1/n differs, times 1/n.
Parity: as the distance; pulls of equal distributions are small but not 0.
Direction: a positive pull lengthens the distance.
Blind to: second-order movement. At parity the derivative itself is noise, and its squares add up to twice the variance of
    the distance at this n, so that the interval is wide there (.99 at .95); the estimate less its bias has that variance.
Departures: bias is taken off differences and never off a distance, which is to be the published number. Two random
    splits in halves: with one the difference was .89 to .95 covered at n/d = 16, with two .93 to .98. Where half of the
    images are not more than the dimensions, bias is no longer in proportion to 1/n and a part of it remains.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from audit.metrics.frechet import Moments, distance_of_moments, distance_of_rows, moments, overlap, pivoted_factor

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

SPLITS = 2
"""Random splits in halves that the small-sample bias is told from."""

_BLOCK = 2048


class Cloud(NamedTuple):
    """One set with what of the distance depends on it alone.

    Attributes:
        features: (n, d) as they came.
        whole: mean and covariance; None where n <= d and the rows serve better.
        halves: for each split the moments of both halves; empty where n <= d.
        splits: (R, n) which images the first half of each split holds.
    """

    features: NDArray
    whole: Moments | None
    halves: tuple[tuple[Moments, Moments], ...]
    splits: Mask


class FrechetPulls(NamedTuple):
    """The distance, its small-sample bias, and its derivative by each image times the weight of one.

    Attributes:
        value: as :func:`audit.metrics.frechet.frechet_distance`, clipped at 0.
        bias: by how much it is expected to exceed the distance of both populations; 0 without splits.
        generated: (n,) pulls, adding up to 0.
        reference: (m,) pulls, adding up to 0.
    """

    value: float
    bias: float
    generated: Floats
    reference: Floats


def cloud(features: NDArray, splits: Mask) -> Cloud:
    """Return a set ready to be held against others.

    Args:
        features: (n, d) finite numbers.
        splits: (R, n) flags; each row and its opposite hold two images or more. R = 0: no bias is told.
    """
    if len(features) <= features.shape[1]:
        return Cloud(features, None, (), splits)
    whole = moments(features)
    return Cloud(features, whole, tuple(_both(features, whole, held) for held in splits), splits)


def frechet_pulls(generated: Cloud, reference: Cloud) -> FrechetPulls:
    """Return the Frechet distance with the pull of each image of both sets.

    Args:
        generated: the one set; its splits are as many as the other's.
        reference: the other.

    Example:
        >>> none = np.zeros((0, 4), dtype=bool)
        >>> one = cloud(np.array([[0.0], [2.0], [0.0], [2.0]]), none)
        >>> frechet_pulls(one, cloud(one.features + 3, none)).generated.tolist()
        [1.5, -1.5, 1.5, -1.5]
    """
    if generated.whole is None or reference.whole is None:
        overlap, own, other = _of_rows(generated.features, reference.features)
    else:
        overlap, own, other = _of_moments(generated.features, generated.whole, reference.features, reference.whole)
    (x, spread), (y, spread_reference) = (_centred(side.features) for side in (generated, reference))
    n, m = len(spread), len(spread_reference)
    gap = x - y
    toward = [(_dot(side.features, gap) - mean @ gap) * 2 for side, mean in ((generated, x), (reference, y))]
    value = max(float(gap @ gap + spread.sum() / (n - 1) + spread_reference.sum() / (m - 1) - 2 * overlap), 0.0)
    pulls = (toward[0] / n + (spread / (n - 1) - own), -toward[1] / m + (spread_reference / (m - 1) - other))
    return FrechetPulls(value, _bias(value, generated, reference), *(p - p.mean() for p in pulls))


def _of_rows(generated: NDArray, reference: NDArray) -> tuple[float, Floats, Floats]:
    """Return the overlap and each image's part in it, from the images themselves: an n x m matrix."""
    left, right = ((x - x.mean(axis=0, dtype=np.float64)) / np.sqrt(len(x) - 1) for x in (generated, reference))
    u, s, v = np.linalg.svd(left @ right.T, full_matrices=False)
    return float(s.sum()), np.square(u) @ s, s @ np.square(v)


def _of_moments(gen: NDArray, own: Moments, ref: NDArray, other: Moments) -> tuple[float, Floats, Floats]:
    """Return the same from moments: d x d matrices.

    The parts are made of roots of eigenvalues, three times as fast as singular vectors; so is the overlap itself, unless a steep
    spectrum would cost it its last digits.
    """
    (left, rows), (right, _) = pivoted_factor(own.covariance), pivoted_factor(other.covariance)
    if not left.size or not right.size:
        return 0.0, np.zeros(len(gen)), np.zeros(len(ref))
    product = left.T @ right
    squares, u = np.linalg.eigh(product @ product.T)
    kept = squares > squares[-1] * len(squares) * np.finfo(np.float64).eps  # empty directions: rounding, not spread
    root, u = np.sqrt(np.sqrt(squares[kept])), u[:, kept]
    to_gen, to_ref = np.zeros((len(left), len(root))), left @ (u / root)
    to_gen[rows] = solve_triangular(left[rows], u * root, lower=True, trans="T")
    parts = _squares(gen, own.mean, to_gen) / (own.n - 1), _squares(ref, other.mean, to_ref) / (other.n - 1)
    gap = own.mean - other.mean
    spread = float(gap @ gap + np.trace(own.covariance) + np.trace(other.covariance))
    return overlap(product, squares, spread=spread), *parts


def _bias(value: float, generated: Cloud, reference: Cloud) -> float:
    """Return c / n, from what halves have more of it: c / n_h."""
    n = 1 / len(generated.features) + 1 / len(reference.features)
    halves, sizes = [], []
    for at in range(len(generated.splits)):
        for first in (0, 1):
            if generated.whole is not None and reference.whole is not None:
                sides = [side.halves[at][first] for side in (generated, reference)]
                halves.append(distance_of_moments(*sides, quick=True))
                sizes.append(sum(1 / side.n for side in sides))
            else:
                rows = [side.features[side.splits[at] == (first == 0)] for side in (generated, reference)]
                halves.append(distance_of_rows(*rows, quick=True))
                sizes.append(sum(1 / len(part) for part in rows))
    return float((np.mean(halves) - value) / (np.mean(sizes) / n - 1)) if halves else 0.0


def _both(features: NDArray, whole: Moments, held: NDArray[np.bool_]) -> tuple[Moments, Moments]:
    """Return the moments of the images held, and of the others as what is left of the whole."""
    one = moments(features[held])
    rest = whole.n - one.n
    shift = (one.mean - whole.mean) * (one.n / rest)
    apart = one.mean - whole.mean
    scatter = whole.covariance * (whole.n - 1) - one.covariance * (one.n - 1)
    scatter -= one.n * np.outer(apart, apart) + rest * np.outer(shift, shift)
    return one, Moments(whole.mean - shift, scatter / (rest - 1), rest)


def _centred(features: NDArray) -> tuple[Floats, Floats]:
    """Return the mean, and (n,) squared lengths of the centred rows."""
    mean = features.mean(axis=0, dtype=np.float64)
    blocks = range(0, len(features), _BLOCK)
    return mean, np.concatenate([np.square(features[i : i + _BLOCK] - mean).sum(axis=1) for i in blocks])


def _dot(features: NDArray, direction: Floats) -> Floats:
    return np.concatenate([features[i : i + _BLOCK].astype(np.float64) @ direction for i in range(0, len(features), _BLOCK)])


def _squares(features: NDArray, mean: Floats, directions: Floats) -> Floats:
    """Return (n,) squared lengths of the centred rows along the columns of ``directions``."""
    blocks = range(0, len(features), _BLOCK)
    return np.concatenate([np.square((features[i : i + _BLOCK] - mean) @ directions).sum(axis=1) for i in blocks])
