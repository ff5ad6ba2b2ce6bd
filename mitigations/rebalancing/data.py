"""The images a rebalanced generator is trained on: synthetic, real, or both, an equal number of every group.

Both kinds are drawn once and kept as bytes in files that are mapped into memory (12,000 images of 64x64 are 147 MB), so that
a training step waits for no generator. The synthetic images are the baseline's own drawings of the kept latents.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from audit.digests import digest
from audit.errors import SourceError
from audit.sources.base import OK, Batch
from audit.sources.latent import LatentSource
from mitigations.labelling import Labeller
from mitigations.rebalancing.balanced import BalancedSet
from mitigations.rebalancing.scan import images_of
from mitigations.training.data import to_signed
from mitigations.training.images import Stream


@dataclass(frozen=True)
class Shelf:
    """Images with their labels.

    Attributes:
        images: (n, 3, h, w) uint8, possibly mapped from a file.
        labels: (n,) cell indices; every cell occurs.
    """

    images: np.ndarray
    labels: np.ndarray

    def of(self, cell: int) -> np.ndarray:
        """Return the positions of a cell's images."""
        return np.flatnonzero(self.labels == cell)


class BalancedBatches:
    """(first image, n, resolution) -> images in -1..1, groups in turn; image i is the same on every machine.

    Position i belongs to cell i mod K. Within a cell the images are gone through in a new random order every time round, and
    with both shelves a share ``mix`` of them is real, spread evenly.

    Args:
        synthetic: the balanced set; None = real images only.
        real: real images with labels, a stream of them as they come, or None.
        mix: share of real images where there are both.
        cells: K.
        seed: seed of the orders.
    """

    def __init__(self, synthetic: Shelf | None, real: Shelf | Stream | None, *, mix: float, cells: int, seed: int) -> None:
        self.synthetic, self.real, self.cells, self.seed = synthetic, real, cells, seed
        self.mix = 0.0 if real is None else 1.0 if synthetic is None else mix
        self._orders: dict[tuple[str, int], tuple[int, np.ndarray]] = {}

    def __call__(self, first: int, n: int, resolution: int) -> tuple[Tensor, None]:
        if self.synthetic is None and isinstance(self.real, Stream):
            return to_signed(self.real.batch(first, n)[0], resolution), None
        made, rows, taken = [], [], []
        for i in range(first, first + n):
            cell, turn = i % self.cells, i // self.cells
            before = int(turn * self.mix + cell / self.cells)
            is_real = int((turn + 1) * self.mix + cell / self.cells) > before
            (taken if is_real else rows).append((cell, before if is_real else turn - before))
        if rows:
            made.append(self._from(self.synthetic, "synthetic", rows, resolution))
        if taken and isinstance(self.real, Stream):
            made.append(to_signed(self.real.batch(first, len(taken))[0], resolution))
        elif taken:
            made.append(self._from(self.real, "real", taken, resolution))
        return torch.cat(made), None

    def _from(self, shelf: Shelf, name: str, wanted: list[tuple[int, int]], resolution: int) -> Tensor:
        rows = [self._row(shelf, name, cell, turn) for cell, turn in wanted]
        return to_signed(torch.from_numpy(np.stack([shelf.images[r] for r in rows])), resolution)

    def _row(self, shelf: Shelf, name: str, cell: int, turn: int) -> int:
        known, order = self._orders.get((name, cell), (-1, shelf.of(cell)))
        epoch, at = divmod(turn, len(order))
        if epoch != known:
            order = np.random.default_rng([self.seed, cell, epoch, int(name == "real")]).permutation(shelf.of(cell))
            self._orders[name, cell] = (epoch, order)
        return int(order[at])


def draw_shelf(source: LatentSource, chosen: BalancedSet, folder: Path, batch: int = 64) -> Shelf:
    """Draw the latents of a set with the baseline, once; the file is reused as long as both are the same."""
    key = digest([source.digest, hashlib.sha256(chosen.latents.tobytes()).hexdigest()])
    path = folder / f"synthetic-{key[:12]}.npy"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        temporary, made = path.with_suffix(".tmp.npy"), None
        for at in tqdm(range(0, len(chosen.latents), batch), unit="batch", desc=f"{source.name}: synthetic images"):
            images = torch.stack(images_of(source, chosen.latents[at : at + batch]).images).numpy()
            if made is None:
                made = np.lib.format.open_memmap(temporary, "w+", np.uint8, (len(chosen.latents), *images.shape[1:]))
            made[at : at + len(images)] = images
        made.flush()
        temporary.replace(path)
    return Shelf(np.load(path, mmap_mode="r"), chosen.labels)


def real_shelf(stream: Stream, labeller: Labeller, draws: int, quota: int, folder: Path, batch: int = 64) -> Shelf:
    """Label ``draws`` images of the training population and keep at most ``quota`` of each group.

    Nothing but the classifier's reading is used; the truth that the renderer or a data set knows is not looked at. Images of a set that
    has an end are taken once each.

    Raises:
        SourceError: a group does not occur among them.
    """
    draws = min(draws, stream.distinct or draws)
    key = digest([stream.population.name, stream.seed, stream.size, labeller.digest, labeller.attribute, draws, quota])
    path, names = folder / f"real-{key[:12]}.npy", folder / f"real-{key[:12]}.labels.npy"
    if not names.is_file():
        images, labels, held = [], [], np.zeros(len(labeller.cells), dtype=int)
        for at in tqdm(range(0, draws, batch), unit="batch", desc=f"{stream.population.name}: real images"):
            drawn, _ = stream.batch(at, min(batch, draws - at))
            rows = np.arange(len(drawn))
            said = labeller.labels(Batch(rows, rows.astype(np.uint64), list(drawn), [OK] * len(drawn)))
            for image, cell in zip(drawn.numpy(), said, strict=True):
                if cell >= 0 and held[cell] < quota:
                    held[cell] += 1
                    images.append(image)
                    labels.append(cell)
        if not held.all():
            raise SourceError(f"no real image labelled {labeller.cells[int(held.argmin())]!r} among {draws:,} of {stream.population.name}; "
                              "raise real_draws, or leave balance_real out")  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        for target, values in ((path, np.stack(images)), (names, np.array(labels))):
            temporary = target.with_suffix(".tmp.npy")
            np.save(temporary, values)
            temporary.replace(target)
    return Shelf(np.load(path, mmap_mode="r"), np.load(names))
