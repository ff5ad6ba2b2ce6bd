"""Labelled latents at a tap: drawn until every cell has examples, kept in pieces so that an interrupted fit goes on."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn
from tqdm import tqdm

from audit.digests import digest
from audit.errors import SourceError
from audit.seeds import image_seeds
from audit.sources.base import OK
from audit.sources.latent import LatentSource
from mitigations.gmm_diffusion.settings import Settings
from mitigations.labelling import Labeller

STREAM = "mitigation:gmm"
"""Keeps the pool's images apart from every audit's and from other pools."""

PIECE = 256
"""Draws in one file of the pool."""


class Observed(nn.Module):
    """A generator whose latents at a tap are kept for whoever drew; the images are its own.

    Args:
        tap: see :mod:`mitigations.gmm_diffusion.taps`.
    """

    def __init__(self, tap: nn.Module) -> None:
        super().__init__()
        self.tap = tap
        self.seen: Tensor | None = None

    def forward(self, z: Tensor, **call: Any) -> Tensor:
        self.seen, images = self.tap(z, lambda latents: latents, **call)
        return images


@dataclass(frozen=True)
class TapPool:
    """Labelled latents at a tap.

    Attributes:
        latents: (n, width) float32, those that were kept.
        labels: (n,) their cells.
        counts: (K,) labels among all draws.
        drawn: how many images were drawn.
        plain: the first so many rows are draws of the generator as they came, without preference for rare cells.
        seconds: time taken, over all sittings.
    """

    latents: np.ndarray
    labels: np.ndarray
    counts: np.ndarray
    drawn: int
    plain: int
    seconds: float


def label_pool(source: LatentSource, tap: nn.Module, labeller: Labeller, settings: Settings, wanted: np.ndarray, folder: Path) -> TapPool:
    """Draw at least ``settings.pool`` images, then until cells have ``min_per_cell`` examples or ``budget`` is spent.

    Of the draws beyond the first ``pool``, only latents of cells still short of examples are kept.

    Args:
        source: the generator.
        tap: where its latents are taken.
        labeller: what names the cell of an image.
        settings: how many.
        wanted: (K,) whether a cell is asked for at all.
        folder: where finished pieces are kept.

    Raises:
        SourceError: a wanted cell does not occur at all.
    """
    observed = Observed(tap)
    watching = LatentSource(source.name, observed, z_dim=source.z_dim, prior=source.prior, digest=source.digest, device=source.device,
                            call=source.call, latents=source.latents)  # fmt: skip
    key = digest([source.digest, labeller.digest, labeller.attribute, settings.tap, settings.start, settings.pool, settings.min_per_cell,
                  settings.seed])  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    latents, labels, counts, seconds, drawn, plain = [], [], np.zeros(len(labeller.cells), dtype=np.int64), 0.0, 0, 0
    with tqdm(total=settings.pool, unit="img", desc=f"{source.name}: labelled pool", mininterval=0.5) as bar:
        while drawn < settings.pool or (drawn < settings.budget and (counts[wanted] < settings.min_per_cell).any()):
            short = np.ones(len(counts), dtype=bool) if drawn < settings.pool else counts < settings.min_per_cell
            end = settings.pool if drawn < settings.pool else settings.budget
            ids = np.arange(drawn, min(drawn + PIECE, end))
            piece = _piece(folder / f"pool-{drawn:07d}.npz", f"{key}:{len(ids)}", ids, short, watching, observed, labeller, settings.seed)
            latents.append(piece["latents"])
            labels.append(piece["kept"])
            counts += piece["counts"]
            plain += len(piece["kept"]) if drawn < settings.pool else 0
            seconds += float(piece["seconds"])
            drawn += len(ids)
            bar.total = max(bar.total, drawn)
            bar.update(len(ids))
    missing = [c for c, n, w in zip(labeller.cells, counts, wanted, strict=True) if w and n == 0]
    if missing:
        raise SourceError(f"no image labelled {missing[0]!r} among {drawn:,} draws of {source.name!r}; a mixture needs examples of every cell: "
                          "raise budget, or ask for a target without it")  # fmt: skip
    return TapPool(np.concatenate(latents), np.concatenate(labels), counts, drawn, plain, seconds)


def _piece(path: Path, key: str, ids: np.ndarray, short: np.ndarray, source: LatentSource, observed: Observed, labeller: Labeller,
           seed: int) -> dict[str, np.ndarray]:  # fmt: skip
    if path.is_file():
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            if str(kept["key"]) == key:
                return dict(kept)
    began, seen, said = time.monotonic(), [], []
    for part in np.array_split(ids, max(1, len(ids) // 64)):
        batch = source.draw(part, image_seeds(seed, part, stream=STREAM))
        seen.append(observed.seen.float().cpu().numpy())
        cell = labeller.labels(batch)
        cell[[s != OK for s in batch.status]] = -1
        said.append(cell)
    cell, latents = np.concatenate(said), np.concatenate(seen)
    rows = np.flatnonzero((cell >= 0) & short[cell])
    made = {"key": np.array(key), "latents": latents[rows], "kept": cell[rows], "seconds": np.array(time.monotonic() - began),
            "counts": np.bincount(cell[cell >= 0], minlength=len(short))}  # fmt: skip
    temporary = path.with_suffix(".tmp.npz")
    np.savez(temporary, **made)
    temporary.replace(path)
    return made
