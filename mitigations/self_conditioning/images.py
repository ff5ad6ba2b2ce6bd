"""The training images as a numbered collection: portraits of a population, or a folder of photographs, read by index."""

from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from audit.digests import digest
from audit.errors import SourceError
from audit.pixels import resize
from audit.portraits import draw, population
from audit.seeds import image_seeds
from audit.sources.base import OK, Batch
from audit.sources.folder import FolderSource
from audit.sources.portraits import RENDERER_VERSION

FEWEST = 100
"""Training images below which labels and resampling mean nothing."""


class TrainingImages(Protocol):
    """Images 0 .. count - 1; ``digest`` changes whenever they could."""

    count: int
    digest: str

    def take(self, indices: np.ndarray) -> Tensor:
        """Return (n, 3, size, size) uint8."""
        ...


class PortraitImages:
    """The first ``count`` training portraits of a population, painted anew each time: no disk, no memory.

    Args:
        population_name: "balanced", "celeb_like" or "professors".
        seed: of the training stream, which no audit and no reference shares.
        count: images.
        size: side in pixels.

    Raises:
        SourceError: there is no such population, or fewer than :data:`FEWEST` images are asked for.
    """

    def __init__(self, population_name: str, seed: int, count: int, size: int) -> None:
        _enough(count)
        self.population, self.seed, self.count, self.size = population(population_name), seed, count, size
        self.digest = digest(["portraits", RENDERER_VERSION, population_name, seed, count, size])

    def take(self, indices: np.ndarray) -> Tensor:
        seeds = image_seeds(self.seed, indices, stream="train")
        return draw(self.population.for_seeds(seeds), seeds, size=self.size)


class FolderImages:
    """Images of a folder, zip, tar or Parquet, decoded once into ``cache`` at the generator's size; unreadable ones left out.

    Args:
        path: see :class:`audit.sources.folder.FolderSource`.
        count: use the first so many; None = all.
        size: side in pixels; images are resized whole, so faces should be aligned as the generator draws them.
        cache: ``.npy`` file, kept for the next start.

    Raises:
        SourceError: fewer images than asked for, or fewer than :data:`FEWEST` that can be read.
    """

    def __init__(self, path: str | Path, count: int | None, size: int, cache: Path) -> None:
        source = FolderSource(path, name="training images")
        if count is not None and source.count < count:
            raise SourceError(
                f"{path} holds {source.count} images, fewer than the {count} asked for; give more images, or a smaller number"
            )
        wanted = source.count if count is None else count
        _enough(wanted)
        self.digest = digest(["folder", source.digest, wanted, size])
        if not cache.is_file():
            _decode(source, wanted, size, cache)
        self.pixels = np.load(cache, mmap_mode="r")
        self.count, self.size = len(self.pixels), size
        _enough(self.count)

    def take(self, indices: np.ndarray) -> Tensor:
        return torch.from_numpy(self.pixels[np.asarray(indices)])


def _decode(source: FolderSource, count: int, size: int, cache: Path) -> None:
    cache.parent.mkdir(parents=True, exist_ok=True)
    temporary, good = cache.with_suffix(".tmp"), 0
    with temporary.open("wb") as file:  # raw rows first: how many can be read is known only at the end
        for at in tqdm(range(0, count, 64), unit="batch", desc="training images"):
            ids = np.arange(at, min(at + 64, count))
            drawn = source.draw(ids, ids.astype(np.uint64))
            readable = [image for image, status in zip(drawn.images, drawn.status, strict=True) if status == OK]
            if readable:
                file.write(resize(readable, size).round().to(torch.uint8).numpy().tobytes())
            good += len(readable)
    _enough(good)
    rows = np.memmap(temporary, dtype=np.uint8, mode="r", shape=(good, 3, size, size))
    whole = cache.with_suffix(".whole.npy")
    np.save(whole, rows)
    del rows
    whole.replace(cache)
    temporary.unlink()


def _enough(count: int) -> None:
    if count < FEWEST:
        raise SourceError(f"{count} training images can be used; self-conditioning needs at least {FEWEST}")


def as_batch(images: Tensor) -> Batch:
    """Wrap (n, 3, h, w) uint8 images for an instrument."""
    ids = np.arange(len(images))
    return Batch(ids, ids.astype(np.uint64), list(images), [OK] * len(images))
