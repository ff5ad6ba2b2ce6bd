"""The one pass: draw a batch, show it to every instrument, keep rows, features and a few thumbnails, shard by shard."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from audit import gallery
from audit.instruments.base import Instrument
from audit.records import Run
from audit.seeds import image_seeds
from audit.sources.base import OK, ImageSource


@dataclass(frozen=True)
class Pass:
    """What one pass over one source needs to know.

    Attributes:
        name: folder under ``samples/``.
        images: how many images; capped by the source's count.
        seed: the run's seed.
        stream: "image" for generators (common to all, so that a candidate and its baseline share latents), "reference" for
            references.
        batch: images drawn at once.
        shard: images a file.
        thumbnails: shown in the report, 0 for none.
        attributes: whose groups get thumbnails of their own.
    """

    name: str
    images: int
    seed: int
    stream: str = "image"
    batch: int = 64
    shard: int = 512
    thumbnails: int = 0
    attributes: tuple[str, ...] = ()


def collect(source: ImageSource, instruments: Sequence[Instrument], run: Run, *, plan: Pass) -> None:
    """Read ``plan.images`` images of ``source`` with every instrument and store the rows in ``run``.

    Each image is drawn once whatever the number of instruments. Shards already stored whole are kept, so the same call after
    an interruption finishes the work and changes nothing that was done.

    Raises:
        SourceError, InstrumentError: the source or an instrument broke its contract.
        RunError: the disk is full.
    """
    images = plan.images if source.count is None else min(plan.images, source.count)
    with tqdm(total=images, unit="img", desc=plan.name, mininterval=0.5) as bar:
        for shard, first in enumerate(range(0, images, plan.shard)):
            ids = np.arange(first, min(first + plan.shard, images))
            if not run.has_shard(plan.name, shard, len(ids)):
                _collect_shard(source, instruments, run, plan, shard, ids, bar)
            else:
                bar.update(len(ids))
    run.keep_first(plan.name, -(-images // plan.shard))


def _collect_shard(source: ImageSource, instruments: Sequence[Instrument], run: Run, plan: Pass, shard: int,
                   ids: np.ndarray, bar: tqdm) -> None:  # fmt: skip
    rows: list[pd.DataFrame] = []
    features: dict[str, list[np.ndarray]] = {}
    thumbnails: dict[int, torch.Tensor] = {}
    seconds = {"draw": 0.0, "read": 0.0}
    for at in range(0, len(ids), plan.batch):
        part = ids[at : at + plan.batch]
        seeds = image_seeds(plan.seed, part, stream=plan.stream)
        began = time.perf_counter()
        batch = source.draw(part, seeds)
        drawn = time.perf_counter()
        columns = {"id": batch.ids, "seed": batch.seeds, "status": np.array(batch.status, dtype=object), **batch.columns}
        for instrument in instruments:
            for name, values in instrument.read(batch).items():
                if values.ndim == 2:
                    features.setdefault(name, []).append(values)
                else:
                    columns[name] = values
        seconds["draw"] += drawn - began
        seconds["read"] += time.perf_counter() - drawn
        rows.append(pd.DataFrame(columns))
        if plan.thumbnails:
            for i, image, status in zip(part.tolist(), batch.images, batch.status, strict=True):
                if status == OK:
                    thumbnails[i] = gallery.thumbnail(image)
        bar.update(len(part))
    frame = pd.concat(rows, ignore_index=True)
    if plan.thumbnails:
        gallery.keep(run, plan, frame, thumbnails)
    stored = {name: np.concatenate(parts) for name, parts in features.items()}
    run.write_shard(plan.name, shard, frame, stored, seconds)
