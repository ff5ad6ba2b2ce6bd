"""Balls around images and who lies in them, block by block: memory O(n block), never an n x n matrix.

Works on several subsets of both sets at once, so that leave-outs for an interval cost one pass over the distances and
not one each: rows of ``keep`` say which images a subset holds.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_TIE = 1e-11
"""Squared distances nearer than this times the squared norms are equal: 1000 times the rounding of the products."""

_LISTED = 4
"""Neighbours listed per wanted k, plus 3: a half of the images finds its k-th among them, else the row is searched."""


class Pairs(NamedTuple):
    """Reference image, generated image, and squared distance less and plus its tie, each (p,)."""

    reference: NDArray[np.int64]
    generated: NDArray[np.int64]
    inner: Floats
    outer: Floats


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
    listed = min(max(ks) if len(keep) == 1 else _LISTED * max(ks) + 3, n - 1)
    radii = [np.full(keep.shape, -np.inf) for _ in ks]
    for rows, distance, _ in _distance_blocks(features, features, block):
        distance[np.arange(len(rows)), rows] = np.inf
        near = np.argpartition(distance, listed - 1, axis=1)[:, :listed]
        order = np.argsort(np.take_along_axis(distance, near, axis=1), axis=1)
        near = np.take_along_axis(near, order, axis=1)
        sorted_distance = np.take_along_axis(distance, near, axis=1)
        for subset, held in enumerate(keep):
            rank = held[near].cumsum(axis=1)
            for radius, k in zip(radii, ks, strict=True):
                found = rank[:, -1] >= k
                column = np.argmax(rank >= k, axis=1)
                values = sorted_distance[np.arange(len(rows)), column]
                for short in np.nonzero(~found & held[rows])[0]:
                    values[short] = np.partition(distance[short, held], k - 1)[k - 1]
                radius[subset, rows] = np.where(held[rows], np.maximum(values, 0), -np.inf)
    return radii


def pairs_within(
    reference: NDArray, generated: NDArray, reach_of_reference: Floats, reach_of_generated: Floats, *, block: int
) -> Iterator[Pairs]:
    """Yield, block by block, the pairs of which either image lies within the squared reach of the other."""
    for rows, distance, tie in _distance_blocks(generated, reference, block):
        inner = distance - tie
        g, r = np.nonzero(inner <= np.maximum(reach_of_reference[None, :], reach_of_generated[rows][:, None]))
        yield Pairs(r, rows[g], inner[g, r], distance[g, r] + tie[g, r])


def _distance_blocks(left: NDArray, right: NDArray, block: int) -> Iterator[tuple[NDArray[np.int64], Floats, Floats]]:
    """Yield row numbers of ``left``, their squared distances to all of ``right``, and the ties of those."""
    centre = (left.mean(axis=0, dtype=np.float64) + right.mean(axis=0, dtype=np.float64)) / 2
    starts = range(0, len(right), block)
    norms = np.concatenate([((right[s : s + block] - centre) ** 2).sum(axis=1) for s in starts])
    for start in range(0, len(left), block):
        rows = left[start : start + block] - centre
        total = (rows**2).sum(axis=1)[:, None] + norms[None, :]
        distance = np.empty_like(total)
        for s in starts:  # a float64 copy of a part of a float32 set, not of the whole
            np.matmul(rows, (right[s : s + block] - centre).T, out=distance[:, s : s + block])
        distance *= -2
        distance += total
        total *= _TIE
        yield np.arange(start, start + len(rows)), distance, total
