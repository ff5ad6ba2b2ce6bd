"""Balls around images and who lies in them, block by block: memory O(n block), never an n x n matrix.

Works on several subsets of both sets at once, so that leave-outs for an interval cost one pass over the distances and
not one each: rows of ``keep`` say which images a subset holds.

Time is n m d, whatever the data, so a first look in float32 gives each pair a distance that it surely reaches: the product of two
images less all that rounding can have added. Only pairs that this does not decide, a few for each image, are worked out in float64;
the result is that of float64 throughout. Where more than one pair in :data:`_RARE` is left (clusters narrower than float32 can see),
the block is multiplied in float64 instead.
"""

import sys
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Rows = NDArray[np.int64]

_TIE = 1e-11
"""Squared distances nearer than this times the squared norms are equal: 1000 times the rounding of the products."""

_LISTED = 4
"""Neighbours listed per wanted k, plus 3: a half of the images finds its k-th among them, else the row is searched."""

_WIDER = 4
"""How many times as many neighbours are listed where the first list did not settle all subsets."""

_RARE = 100
"""A pair worked out by itself costs about as much as this many in a product of blocks."""

_COLUMNS = 2048
_PAIR_NUMBERS = 1 << 18
"""Columns of a block, and numbers of the pairs worked out at a time: both stay in the cache."""


class Pairs(NamedTuple):
    """Reference image, generated image, and squared distance less and plus its tie, each (p,)."""

    reference: Rows
    generated: Rows
    inner: Floats
    outer: Floats


class _Scene(NamedTuple):
    """Two sets seen from a point between them.

    Attributes:
        left, right: (n, d) and (m, d) features as they came.
        centre: (d,) the point.
        left_norms, right_norms: squared distances from it.
        scale: brings the longest to length 1, so that float32 neither overflows nor loses small sets.
        slack: share of the squared norms that float32 can have added to a squared distance.
    """

    left: NDArray
    right: NDArray
    centre: Floats
    left_norms: Floats
    right_norms: Floats
    scale: float
    slack: float


def squared_radii(features: NDArray, ks: tuple[int, ...], keep: Mask, *, block: int) -> list[Floats]:
    """Return the squared distance to the k-th neighbour within each subset.

    Args:
        features: (n, d).
        ks: the k wanted, each smaller than every subset.
        keep: (subsets, n) which images each subset holds.
        block: rows at a time.

    Returns:
        For each k, (subsets, n) squared radii; -inf where the image is not of the subset, so that it holds nobody.
    """
    n = len(features)
    radii = [np.full(keep.shape, -np.inf) for _ in ks]
    scene = _scene(features, features)
    first = max(ks) + 3 if len(keep) == 1 else _LISTED * max(ks) + 3
    triangle = None if first * _RARE >= n else _Triangle(scene, first + 1)
    for start in range(0, n, block):
        rows = np.arange(start, min(start + block, n))
        listed, exact, strip = first, triangle is None, None
        while len(rows):
            if triangle is not None and listed == first:
                near, distance, sure = _worked_out(scene, rows, *triangle.nearest(rows))
            else:
                strip = _strip(scene, rows, exact=exact) if strip is None else strip
                near, distance, sure = (_nearest if exact else _nearest_of_likely)(scene, rows, strip, min(listed, n - 1))
            unsettled = np.zeros(len(rows), dtype=bool)
            for subset, held in enumerate(keep):
                rank = held[near].cumsum(axis=1)
                for radius, k in zip(radii, ks, strict=True):
                    values = distance[np.arange(len(rows)), np.argmax(rank >= k, axis=1)]
                    unsettled |= held[rows] & ((rank[:, -1] < k) | (values > sure))
                    radius[subset, rows] = np.where(held[rows], np.maximum(values, 0), -np.inf)
            rows, listed = rows[unsettled], listed * _WIDER
            strip = None if strip is None else strip[unsettled]
            if not exact and listed * _RARE >= n:
                exact, strip = True, None
    return radii


class _Triangle:
    """Each pair of one set looked at once: a block of rows meets itself and the rows after it, which remember the nearest so far.

    Memory is O(n listed) beside the block's.

    Args:
        scene: of one set.
        listed: neighbours each image remembers.
    """

    def __init__(self, scene: _Scene, listed: int) -> None:
        n = len(scene.left)
        self._scene, self._listed = scene, listed
        self._least = np.full((n, listed), np.inf, dtype=np.float32)
        self._who = np.zeros((n, listed), dtype=np.int64)

    def nearest(self, rows: Rows) -> tuple[Rows, NDArray[np.float32]]:
        """Return the likely nearest of the next block, (b, listed), in no order, and what their distances surely reach, scaled.

        Blocks are asked for in the order of their rows, each once.
        """
        first, last = int(rows[0]), int(rows[-1]) + 1
        strip = np.empty((len(rows), len(self._scene.left) - first), dtype=np.float32)
        for columns, least in _at_least(self._scene, rows, first):
            strip[:, columns[0] - first : columns[-1] + 1 - first] = least
        strip[np.arange(len(rows)), np.arange(len(rows))] = np.inf
        for start in range(last, len(self._scene.left), _COLUMNS):
            later = slice(start, start + _COLUMNS)
            self._remember(later, strip[:, start - first : start - first + _COLUMNS].T, first)
        for start in range(0, len(rows), 64):
            self._remember(slice(first + start, min(first + start + 64, last)), strip[start : start + 64], first)
        return self._who[first:last], self._least[first:last]

    def _remember(self, images: slice, least: NDArray[np.float32], first: int) -> None:
        """Keep the nearest of what ``images`` knew and of ``least`` (images, c), their distances to image ``first`` and those after it."""
        both = np.concatenate([self._least[images], least], axis=1)
        at = np.argpartition(both, self._listed - 1, axis=1)[:, : self._listed]
        known = np.take_along_axis(self._who[images], np.minimum(at, self._listed - 1), axis=1)
        self._who[images] = np.where(at < self._listed, known, at - self._listed + first)
        self._least[images] = np.take_along_axis(both, at, axis=1)


def pairs_within(
    reference: NDArray, generated: NDArray, radii_of_reference: list[Floats], radii_of_generated: list[Floats], *, block: int
) -> Iterator[Pairs]:
    """Yield, block by block, the pairs of which either image lies in a ball around the other.

    Args:
        reference: (m, d).
        generated: (n, d).
        radii_of_reference: (subsets, m) squared radii, as often as there are kinds of balls.
        radii_of_generated: (subsets, n) squared radii, the same.
        block: generated images at a time.

    Yields:
        Pairs whose ``inner`` and ``outer`` are on the same side of each of these radii as those of the distance in float64.
    """
    scene = _scene(generated, reference)
    reach = [np.max([radii.max(axis=0) for radii in balls], axis=0) for balls in (radii_of_reference, radii_of_generated)]
    scaled = [np.nextafter((r * scene.scale**2).astype(np.float32), np.float32(np.inf)) for r in reach]
    for start in range(0, len(generated), block):
        rows = np.arange(start, min(start + block, len(generated)))
        for columns, least in _at_least(scene, rows):
            possible = least <= scaled[0][columns]
            possible |= least <= scaled[1][rows][:, None]
            g, r = np.nonzero(possible)
            near = least[g, r] / scene.scale**2
            g, r = rows[g], columns[r]
            norms = scene.left_norms[g] + scene.right_norms[r]
            far = near + norms * (2 * scene.slack) + 1e-29 / scene.scale**2
            open_pairs = np.zeros(len(g), dtype=bool)
            for balls, centres in ((radii_of_reference, r), (radii_of_generated, g)):
                for radii in (row for kind in balls for row in kind):
                    radius = radii[centres]
                    open_pairs |= (near - norms * _TIE <= radius) & (radius <= far + norms * _TIE)
            distance = (near + far) / 2
            if np.count_nonzero(open_pairs) * _RARE > possible.size:
                distance = _product(scene, rows, columns)[g - start, r - columns[0]]
            else:
                distance[open_pairs] = _apart(scene, g[open_pairs], r[open_pairs])
            tie = norms * _TIE
            inner = distance - tie
            kept = inner <= np.maximum(reach[0][r], reach[1][g])
            yield Pairs(r[kept], g[kept], inner[kept], (distance + tie)[kept])


def _scene(left: NDArray, right: NDArray) -> _Scene:
    centre = (left.mean(axis=0, dtype=np.float64) + right.mean(axis=0, dtype=np.float64)) / 2
    if left.dtype == right.dtype == np.float32:
        centre = centre.astype(np.float32).astype(np.float64)  # any point near the middle serves; from this one float32 subtracts exactly rounded
    norms = [np.concatenate([((x[s : s + _COLUMNS] - centre) ** 2).sum(axis=1) for s in range(0, len(x), _COLUMNS)]) for x in (left, right)]
    longest = float(np.sqrt(max(part.max() for part in norms)))
    return _Scene(left, right, centre, *norms, 1 / longest if longest > 0 else 1.0, (left.shape[1] + 16) * float(np.finfo(np.float32).eps))


def _strip(scene: _Scene, rows: Rows, *, exact: bool) -> NDArray:
    """Return (rows, m) what distances within one set surely reach, or the distances; inf from an image to itself."""
    if exact:
        strip = np.concatenate([_product(scene, rows, columns) for columns in _spans(len(scene.right))], axis=1)
    else:
        strip = np.empty((len(rows), len(scene.right)), dtype=np.float32)
        for columns, least in _at_least(scene, rows):
            strip[:, columns[0] : columns[-1] + 1] = least
    strip[np.arange(len(rows)), rows] = np.inf
    return strip


def _at_least(scene: _Scene, rows: Rows, first: int = 0) -> Iterator[tuple[Rows, NDArray[np.float32]]]:
    """Yield columns from ``first`` on, and what the squared distances of ``rows`` to them surely reach, times the square of the scale.

    The bound on rounding is that of a sum of d products in any order: d eps |x| |y|, and twice that is at most d eps (|x|^2 + |y|^2);
    eps here is twice the unit of rounding, which covers that of coordinates and norms. Less than 1e-30 is added by underflow.
    """
    kept = scene.scale**2 * (1 - scene.slack)
    own = _seen(scene, scene.left, rows)
    own *= np.float32(-2)
    norms = (scene.left_norms[rows] * kept - 1e-30).astype(np.float32)[:, None]
    for columns in _spans(len(scene.right), first):
        found = _multiplied(own, _seen(scene, scene.right, columns))
        found += norms
        found += (scene.right_norms[columns] * kept).astype(np.float32)
        yield columns, found


def _multiplied(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return left @ right.T, by torch where it is loaded: its products of large blocks are up to a quarter faster than OpenBLAS's."""
    torch = sys.modules.get("torch")
    return left @ right.T if torch is None else torch.mm(torch.from_numpy(left), torch.from_numpy(right).t()).numpy()


def _seen(scene: _Scene, features: NDArray, rows: Rows) -> NDArray[np.float32]:
    part = features[rows[0] : rows[-1] + 1] if rows[-1] - rows[0] + 1 == len(rows) else features[rows]
    if part.dtype != np.float32 or not 1e-15 < scene.scale < 1e15:
        return ((part - scene.centre) * scene.scale).astype(np.float32)
    seen = part - scene.centre.astype(np.float32)
    seen *= np.float32(scene.scale)
    return seen


def _nearest(scene: _Scene, rows: Rows, strip: Floats, listed: int) -> tuple[Rows, Floats, Floats]:
    """Return the ``listed`` nearest images of each row in order, their distances, and how far the list is surely complete."""
    near = np.argpartition(strip, listed - 1, axis=1)[:, :listed]
    return _in_order(near, np.take_along_axis(strip, near, axis=1), np.full(len(rows), np.inf))


def _nearest_of_likely(scene: _Scene, rows: Rows, strip: NDArray[np.float32], listed: int) -> tuple[Rows, Floats, Floats]:
    """Return the same of the images that may be nearest; beyond what those left out surely reach, others may come between."""
    near = np.argpartition(strip, listed, axis=1)[:, : listed + 1]
    return _worked_out(scene, rows, near, np.take_along_axis(strip, near, axis=1))


def _worked_out(scene: _Scene, rows: Rows, near: Rows, least: NDArray[np.float32]) -> tuple[Rows, Floats, Floats]:
    sure = least.max(axis=1) / scene.scale**2
    distance = _apart(scene, np.repeat(rows, near.shape[1]), near.ravel()).reshape(near.shape)
    return _in_order(near, distance, sure)


def _in_order(near: Rows, distance: Floats, sure: Floats) -> tuple[Rows, Floats, Floats]:
    order = np.argsort(distance, axis=1)
    return np.take_along_axis(near, order, axis=1), np.take_along_axis(distance, order, axis=1), sure


def _spans(n: int, first: int = 0) -> Iterator[Rows]:
    for start in range(first, n, _COLUMNS):
        yield np.arange(start, min(start + _COLUMNS, n))


def _product(scene: _Scene, rows: Rows, columns: Rows) -> Floats:
    """Return the squared distances of all rows to all columns, by one product."""
    found = (scene.left[rows] - scene.centre) @ (scene.right[columns] - scene.centre).T
    found *= -2
    found += scene.left_norms[rows][:, None] + scene.right_norms[columns]
    return found


def _apart(scene: _Scene, rows: Rows, columns: Rows) -> Floats:
    """Return the squared distances of pairs."""
    found = np.empty(len(rows))
    step = max(1, _PAIR_NUMBERS // scene.left.shape[1])
    for s in range(0, len(rows), step):
        away = scene.left[rows[s : s + step]].astype(np.float64)
        away -= scene.right[columns[s : s + step]]
        np.einsum("ij,ij->i", away, away, out=found[s : s + step])
    return found
