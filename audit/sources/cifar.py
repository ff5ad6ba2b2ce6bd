"""CIFAR-10 as a source, whole or as a long tail: real images with their labels, for references, training and the data's own row.

The long tail is that of Cao et al. 2019, "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss", arXiv 1906.07413:
n_i = n_max * mu^i images of class i, with mu such that n_max / n_min is the imbalance; n_max is what the split has of each class (5,000).
The images of a class are taken at equal steps through the files, so a subset is always the same and its first images show the same tail.
"""

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from audit.attributes import ATTRIBUTES
from audit.digests import digest
from audit.errors import SourceError
from audit.sources.base import OK, Batch
from audit.sources.cifar_batches import SPLITS, read_batches

ATTRIBUTE = "cifar10"


class CifarSource:
    """Gives the images of one split; see :class:`audit.sources.base.ImageSource`. Labels are the record column "truth:cifar10".

    Args:
        name: what the run calls it.
        path: folder of the official files, binary or Python version.
        split: "train" or "test".
        imbalance: images of the most frequent class over those of the rarest; None = all images.

    Raises:
        SourceError: files are missing or wrong, or the imbalance leaves a class without images.
    """

    def __init__(self, name: str, path: str | Path, *, split: Literal["train", "test"] = "train", imbalance: float | None = None) -> None:
        if split not in SPLITS:
            raise SourceError(f"generator {name!r}: CIFAR-10 has no split {split!r}; expected {' or '.join(SPLITS)}")
        self.name, self.split, self.imbalance = name, split, imbalance
        classes = ATTRIBUTES[ATTRIBUTE].classes
        found = read_batches(path, split, classes)
        kept = np.arange(len(found.labels)) if imbalance is None else long_tail(found.labels, len(classes), imbalance)
        self.images, self.labels, self._places = found.images[kept], found.labels[kept], [found.places[i] for i in kept]
        self.count = len(kept)
        self._names = np.array(classes, dtype=object)

    @cached_property
    def digest(self) -> str:
        """Hex sha256 over the images and labels that are given."""
        return digest(["cifar10", self.split, *(hashlib.sha256(np.ascontiguousarray(v)).hexdigest() for v in (self.images, self.labels))])

    @property
    def caveats(self) -> tuple[str, ...]:
        """How many images of each class there are."""
        counts = np.bincount(self.labels, minlength=len(self._names))
        if self.imbalance is None:
            return ()
        said = ", ".join(f"{n} {c:,}" for n, c in zip(self._names, counts, strict=True))
        return (f"a long tail of CIFAR-10's {self.split} images, imbalance {self.imbalance:g}: {said}",)

    def draw(self, ids: np.ndarray, seeds: np.ndarray) -> Batch:
        """Return the images of ``ids``; the seeds change nothing, since the images exist.

        Raises:
            SourceError: an id is not below ``count``.
        """
        ids = np.asarray(ids, dtype=np.int64)
        if ids.size and (ids.min() < 0 or ids.max() >= self.count):
            raise SourceError(f"source {self.name!r} has images 0..{self.count - 1}; asked for {ids.min()}..{ids.max()}")
        columns = {"file": np.array([self._places[i] for i in ids], dtype=object), f"truth:{ATTRIBUTE}": self._names[self.labels[ids]]}
        return Batch(ids, np.asarray(seeds, dtype=np.uint64), list(torch.from_numpy(self.images[ids])), [OK] * len(ids), columns)


def long_tail(labels: np.ndarray, k: int, imbalance: float) -> np.ndarray:
    """Return the positions that are kept, ascending: n_i = n_max * imbalance^(-i / (k - 1)) of class i, at equal steps.

    Args:
        labels: (n,) classes 0..k-1.
        k: number of classes.
        imbalance: n_max / n_min, at least 1; n_max is what every class has at least.

    Raises:
        SourceError: a class would be left without an image.

    Example:
        >>> long_tail(np.array([0, 1, 0, 1, 0, 1, 0, 1]), 2, 4).tolist()
        [0, 2, 4, 5, 6]
    """
    most = int(np.bincount(labels, minlength=k).min())
    wanted = [int(most * imbalance ** (-i / (k - 1)) + 1e-9) for i in range(k)]
    if imbalance < 1 or wanted[-1] < 1:
        raise SourceError(f"an imbalance of {imbalance:g} leaves {wanted[-1]} images of the rarest class, of {most:,}; expected 1 to {most:,}")
    places = [np.flatnonzero(labels == i) for i in range(k)]
    return np.sort(np.concatenate([own[(2 * np.arange(n) + 1) * len(own) // (2 * n)] for own, n in zip(places, wanted, strict=True)]))
