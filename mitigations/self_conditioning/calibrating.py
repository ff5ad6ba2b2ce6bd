"""From distances to labels on which classes have equal room: monotone warps fitted to a classifier's readings.

A departure from Liu et al. 2022, arXiv 2202.04040, whose labels are the normalised distances themselves: uniform in distance is
not parity between classes, since a class gets the share of the scale that it happens to occupy. The warps keep the order of
the images.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from audit.errors import SourceError


@dataclass(frozen=True)
class Warp:
    """Monotone piecewise-linear map of 0..1 that sends class boundaries to chosen places.

    Attributes:
        boundaries: (K - 1) scores between the classes; none = the identity.
        places: (K - 1) labels they are sent to; None = equal shares, k / K.
    """

    boundaries: tuple[float, ...] = ()
    places: tuple[float, ...] | None = None

    @property
    def cuts(self) -> np.ndarray:
        """(K - 1,) labels at which one class gives way to the next."""
        return np.arange(1, len(self.boundaries) + 1) / (len(self.boundaries) + 1) if self.places is None else np.array(self.places)

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        return np.interp(scores, [0.0, *self.boundaries, 1.0], [0.0, *self.cuts, 1.0])


MARGIN = 0.02
"""Least room a warp leaves a class on the normalised score."""

SQUEEZE = 3.0
"""Most by which :func:`even_warps` narrows or widens the room of a class, against an equal share."""


def class_warp(scores: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]) -> Warp:
    """Fit the warp of one attribute from labelled images.

    Each class is given the same total weight; the k-th boundary is then the quantile of the scores at (k + 1) / K, where images on
    the wrong side cancel: those of lower classes above it weigh as much as those of higher classes below it.

    Args:
        scores: (n,) in 0..1, growing with the class index.
        labels: (n,) class indices, -1 where unread.
        classes: names.

    Raises:
        SourceError: a class has no image.
    """
    keep = labels >= 0
    scores, labels = scores[keep], labels[keep]
    counts = np.bincount(labels, minlength=len(classes))
    if not counts.all():
        absent = ", ".join(c for c, n in zip(classes, counts, strict=True) if not n)
        raise SourceError(f"none of {len(labels)} training images is labelled {absent}, so its share of the scale is unknown; "
                          "label more images, or set calibrate: false")  # fmt: skip
    order = np.argsort(scores, kind="stable")
    ranked, mass = scores[order], np.cumsum((1.0 / counts[labels])[order]) / len(classes)
    found = []
    for k in range(1, len(classes)):
        level = k / len(classes)
        at = int(np.searchsorted(mass, level - 1e-9))
        exact = abs(mass[at] - level) < 1e-9 and at + 1 < len(ranked)
        found.append((ranked[at] + ranked[at + 1]) / 2 if exact else ranked[at])
    return Warp(tuple(_apart(np.array(found, dtype=np.float64)).tolist()))


def _apart(boundaries: np.ndarray) -> np.ndarray:
    steps = MARGIN * np.arange(1, len(boundaries) + 1)
    boundaries = np.maximum.accumulate(np.maximum(boundaries - steps, 0.0)) + steps  # each at least MARGIN above the one before
    return np.minimum(boundaries, 1.0 - steps[::-1])


def even_warps(scores: np.ndarray, labels: np.ndarray, warps: list[Warp], rounds: int,
               resample: Callable[[np.ndarray], np.ndarray]) -> list[Warp]:  # fmt: skip
    """Shift the places of the boundaries until the resampled list holds the classes in equal shares.

    Cells of the unit cube without images are filled from common cells beside them, which brings back part of the skew; a class
    that comes out too rare is given more room. The warps stay monotone, so the order of the images does not change.

    Args:
        scores: (N, A) in 0..1.
        labels: (m, A) class indices of the first m images, -1 where unread.
        warps: one an attribute, with boundaries.
        rounds: corrections; each one resamples.
        resample: labels (N, A) in 0..1 -> indices of the resampled list; deterministic.

    Returns:
        The warps whose list was the most even, the given ones if nothing was better.
    """
    best, least = warps, np.inf
    for turn in range(rounds + 1):
        t = np.stack([w(column) for w, column in zip(warps, scores.T, strict=True)], axis=1)
        times = np.bincount(resample(t), minlength=len(scores))[: len(labels)].astype(np.float64)
        shares = [_shares(column, times, len(w.boundaries) + 1) for column, w in zip(labels.T, warps, strict=True)]
        off = max(float(np.abs(s - 1 / len(s)).max()) for s in shares)
        if off < least:
            best, least = warps, off
        if off < 0.005 or turn == rounds:
            break
        warps = [_wider(w, s) for w, s in zip(warps, shares, strict=True)]
    return best


def _shares(labels: np.ndarray, times: np.ndarray, k: int) -> np.ndarray:
    counts = np.bincount(labels[labels >= 0], weights=times[labels >= 0], minlength=k)
    return counts / max(counts.sum(), 1.0)


def _wider(warp: Warp, shares: np.ndarray) -> Warp:
    k = len(shares)
    room = np.diff([0.0, *warp.cuts, 1.0]) / np.maximum(shares * k, 1 / SQUEEZE) ** 0.7
    room = np.clip(room / room.sum(), 1 / (SQUEEZE * k), SQUEEZE / k)
    return Warp(warp.boundaries, tuple(np.cumsum(room / room.sum())[:-1].tolist()))
