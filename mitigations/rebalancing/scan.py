"""Draws of a generator's own prior, labelled once and shared: where the searches of every group look for their roots."""

import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from audit.digests import digest
from audit.seeds import image_seeds
from audit.sources.base import Batch
from audit.sources.latent import LatentSource
from mitigations.labelling import Labeller

STREAM = "mitigation:prior"
"""Keeps these draws apart from every audit's images and from other mitigations' pools."""

SAVE_EVERY = 60.0
"""Seconds between two writes of a growing scan."""


def images_of(source: LatentSource, latents: np.ndarray) -> Batch:
    """Return the images of given latents (n, z_dim), drawn as ``source`` draws its own."""
    chosen = source.choosing(lambda rows: latents[rows.astype(np.int64)], digest=source.digest)
    rows = np.arange(len(latents))
    return chosen.draw(rows, rows.astype(np.uint64))


class PriorScan:
    """Labels of the draws 0, 1, 2, ... of a source's prior, made as far as somebody asks.

    Draw i depends on ``(source, seed, i)`` alone, so latents are not kept: they are made again from their seeds.

    Args:
        source: where to draw.
        labeller: what reads the images.
        seed: seed of the draws.
        batch: images at once; the result does not depend on it.
        file: where labels are kept between processes; one made for something else is ignored.
    """

    def __init__(self, source: LatentSource, labeller: Labeller, *, seed: int, batch: int = 64, file: Path | None = None) -> None:
        self.source, self.labeller, self.seed, self.batch, self.file = source, labeller, seed, batch, file
        self.key = digest([source.digest, labeller.digest, labeller.attribute, seed])
        self.labels = _kept_labels(file, self.key)
        self._saved = time.monotonic()

    def __len__(self) -> int:
        return len(self.labels)

    def counts(self) -> np.ndarray:
        """Return (K,) how many of the draws so far were labelled each cell."""
        return np.bincount(self.labels[self.labels >= 0], minlength=len(self.labeller.cells))

    def latents(self, index: np.ndarray) -> np.ndarray:
        """Return the (n, z_dim) float32 latents of draws ``index``."""
        return self.source.latents(image_seeds(self.seed, index, stream=STREAM)).astype(np.float32)

    def reach(self, n: int) -> None:
        """Label draws until there are at least ``n``."""
        if n <= len(self):
            return
        said, first = [self.labels], len(self)
        with tqdm(
            total=n, initial=first, unit="img", desc=f"{self.source.name}: prior draws", mininterval=0.5, disable=n - first < 1000
        ) as bar:
            for at in range(first, n, self.batch):
                rows = np.arange(at, min(at + self.batch, n))
                drawn = self.source.draw(rows, image_seeds(self.seed, rows, stream=STREAM))
                said.append(self.labeller.labels(drawn).astype(np.int64))
                bar.update(len(rows))
                if self.file is not None and time.monotonic() - self._saved > SAVE_EVERY:
                    self.labels = np.concatenate(said)
                    said = [self.labels]
                    self.save()
        self.labels = np.concatenate(said)

    def save(self) -> None:
        """Write the labels to ``file``, whole or not at all."""
        if self.file is None:
            return
        self.file.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.file.with_suffix(".tmp.npz")
        np.savez(temporary, key=self.key, labels=self.labels)
        temporary.replace(self.file)
        self._saved = time.monotonic()


def _kept_labels(file: Path | None, key: str) -> np.ndarray:
    if file is not None and file.is_file():
        with np.load(file, allow_pickle=False) as kept:
            if str(kept["key"]) == key:
                return kept["labels"]
    return np.empty(0, dtype=np.int64)
