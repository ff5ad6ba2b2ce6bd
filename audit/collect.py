"""The one pass: draw a batch, show it to every instrument, keep rows, features and a few thumbnails, shard by shard.

A shard depends on its plan and its number alone, so any process may read it, in any order; what is read is listed in the order of the
ids by one process, and a run ends the same however many worked on it and however often it was interrupted.
"""

import gc
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from audit import gallery
from audit.errors import RunError
from audit.instruments.base import Instrument
from audit.memory import ran_out_of_memory
from audit.records import Entry, Run
from audit.seeds import image_seeds
from audit.sources.base import OK, Batch, ImageSource


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

    @property
    def shards(self) -> int:
        """How many files."""
        return -(-self.images // self.shard)

    def ids(self, shard: int) -> np.ndarray:
        """Return the ids of one file's images."""
        return np.arange(shard * self.shard, min((shard + 1) * self.shard, self.images))


@dataclass
class Portions:
    """How many images are drawn at once: the plan's batch, halved whenever memory runs out."""

    size: int
    notes: list[str] = field(default_factory=list)

    def halve(self, images: int, name: str) -> None:
        """Go on with half of ``images``, which were too many.

        Raises:
            RunError: a single image was too many.
        """
        if images == 1:
            raise RunError(f"memory ran out on a single image of {name!r}; what was collected is kept: free memory, or take another --device, then "
                           "run the same command again")  # fmt: skip
        self.size = images // 2
        self.notes.append(f"memory ran out on {images} images of {name!r} at once; went on with {self.size}")


class Sides:
    """Threads beside the one that reads: worth having where a GPU computes and this process would wait for it.

    On a processor they would only take turns with the reading thread: more --workers are what uses its cores.
    """

    def __init__(self) -> None:
        self.drawer = ThreadPoolExecutor(1, "genbias-draw", initializer=torch.set_flush_denormal, initargs=(True,))
        self.writer = ThreadPoolExecutor(1, "genbias-write")


Collected = tuple[Entry, dict[int, gallery.Picture]]
"""What one shard came to: the index's entry, its files stored; and the thumbnails that may be wanted, by id."""


def collect(source: ImageSource, instruments: Sequence[Instrument], run: Run, *, plan: Pass) -> None:
    """Read ``plan.images`` images of ``source`` with every instrument and store the rows in ``run``.

    Each image is drawn once whatever the number of instruments. Shards already stored whole are kept, so the same call after
    an interruption finishes the work and changes nothing that was done.

    Raises:
        SourceError, InstrumentError: the source or an instrument broke its contract.
        RunError: the disk is full, or memory ran out on a single image.
    """
    ledger = Ledger(run, capped(plan, source))
    portions = Portions(plan.batch)
    with tqdm(total=ledger.plan.images, initial=ledger.images_stored, unit="img", desc=plan.name, mininterval=0.5) as bar:
        for shard in ledger.missing:
            collected = collect_shard(source, instruments, run, ledger.plan, shard, tell=bar.update, portions=portions)
            ledger.enter(shard, collected)  # type: ignore[arg-type]
    ledger.close()


def capped(plan: Pass, source: ImageSource) -> Pass:
    """Return the plan with no more images than the source has."""
    images = plan.images if source.count is None else min(plan.images, source.count)
    return Pass(**{**vars(plan), "images": images})


def collect_shard(source: ImageSource, instruments: Sequence[Instrument], run: Run, plan: Pass, shard: int, *,
                  tell: Callable[[int], object], portions: Portions, side: Sides | None = None) -> Collected | Future[Collected]:  # fmt: skip
    """Draw and read the images of one shard and store its files, without listing them.

    Args:
        source: who draws.
        instruments: who read, in order.
        run: where the files go.
        plan: the pass, its images capped.
        shard: its number.
        tell: told the number of images after every batch.
        portions: images at once; halved here when memory runs out, which the entry's notes then say.
        side: threads beside this one, which draw the next batch while this one is read and write while the next shard is drawn; None =
            one thing after the other. The result is the same.

    Returns:
        What the shard came to, or with ``side`` the promise of it, kept once its files are stored.
    """
    rows: list[pd.DataFrame] = []
    features: dict[str, list[np.ndarray]] = {}
    pictures: dict[int, gallery.Picture] = {}
    quota = gallery.Quota(plan.thumbnails, plan.attributes)
    seconds = {"draw": 0.0, "read": 0.0}
    ids, at, already = plan.ids(shard), 0, len(portions.notes)
    drawing: Future[Drawn] | None = None
    while at < len(ids):
        part = ids[at : at + portions.size]
        try:
            batch, spent = _draw(source, plan, part) if drawing is None else drawing.result()
            after = ids[at + len(part) : at + len(part) + portions.size]
            drawing = None if side is None or not len(after) else side.drawer.submit(_draw, source, plan, after)
            seconds["draw"] += spent
            frame, found = _read(instruments, batch, seconds)
        except Exception as problem:
            if drawing is not None:
                wait([drawing])  # its batch is drawn again, smaller
                drawing = None
            if not ran_out_of_memory(problem):
                raise
            portions.halve(len(part), plan.name)
            found = None
        if found is None:  # outside the handler, whose traceback holds on to what filled the memory
            gc.collect()
            if torch.cuda.is_initialized():
                torch.cuda.empty_cache()
            continue
        rows.append(frame)
        for name, values in found.items():
            features.setdefault(name, []).append(values)
        if plan.thumbnails:
            wanted = quota.of_rows(frame)
            at_hand = zip(part.tolist(), batch.images, batch.status, strict=True)
            pictures |= {i: gallery.picture(image, wanted[i]) for i, image, status in at_hand if i in wanted and status == OK}
        at += len(part)
        tell(len(part))
    stored = {name: np.concatenate(parts) for name, parts in features.items()}
    notes = portions.notes[already:]

    def store() -> Collected:
        return run.write_files(plan.name, shard, pd.concat(rows, ignore_index=True), stored, seconds, notes), pictures

    return store() if side is None else side.writer.submit(store)


Drawn = tuple[Batch, float]
"""A batch and the seconds it took."""


def _draw(source: ImageSource, plan: Pass, ids: np.ndarray) -> Drawn:
    began = time.perf_counter()
    batch = source.draw(ids, image_seeds(plan.seed, ids, stream=plan.stream))
    return batch, time.perf_counter() - began


def _read(instruments: Sequence[Instrument], batch: Batch, seconds: dict[str, float]) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Return the rows of a batch and its features; adds up the seconds."""
    began = time.perf_counter()
    columns = {"id": batch.ids, "seed": batch.seeds, "status": np.array(batch.status, dtype=object), **batch.columns}
    features = {}
    for instrument in instruments:
        for name, values in instrument.read(batch).items():
            if values.ndim == 2:
                features[name] = values
            else:
                columns[name] = values
    seconds["read"] += time.perf_counter() - began
    return pd.DataFrame(columns), features


class Ledger:
    """Lists the shards of one pass in the order of their ids, in whatever order they come in.

    What comes in early waits in memory, so that an interruption leaves a run whose first shards are listed, with the thumbnails that
    an uninterrupted run would have kept of them. The files of a shard that waits are on disk, and are written again if it is lost.

    Args:
        run: the run, held by this process.
        plan: the pass, its images capped.

    Attributes:
        missing: shards that are not stored, or not as they were.
        images_stored: images of the others.
    """

    def __init__(self, run: Run, plan: Pass) -> None:
        self.run, self.plan = run, plan
        self.missing = [k for k in range(plan.shards) if not run.has_shard(plan.name, k, len(plan.ids(k)))]
        self.images_stored = plan.images - sum(len(plan.ids(k)) for k in self.missing)
        self._open = list(self.missing)
        self._waiting: dict[int, Collected] = {}
        self._quota = gallery.Quota(plan.thumbnails, plan.attributes)
        self._counted = 0

    def enter(self, shard: int, collected: Collected) -> list[str]:
        """Take in a shard, list what is now complete from the start, and return what was odd about it."""
        self._waiting[shard] = collected
        said: list[str] = []
        while self._open and self._open[0] in self._waiting:
            first = self._open.pop(0)
            entry, pictures = self._waiting.pop(first)
            if self.plan.thumbnails:
                self._count(range(self._counted, first))
                gallery.keep(self.run, self.plan.name, self._quota.of_pictures(pictures))
                self._counted = first + 1
            self.run.list_shard(self.plan.name, first, entry)
            said += entry.get("notes", [])
        return said

    def close(self) -> None:
        """Forget shards beyond the plan."""
        self.run.keep_first(self.plan.name, self.plan.shards)

    def _count(self, shards: Iterable[int]) -> None:
        """Count what shards that were stored already gave to the gallery."""
        numbers = list(shards)
        if numbers:
            self._quota.of_rows(self.run.frame(self.plan.name, numbers))
