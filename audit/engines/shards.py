"""Shards as tasks: a worker opens sources and instruments once, and reads whichever shard it is given."""

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit.collect import Collected, Pass, Portions, Sides, collect_shard
from audit.engines.jobs import Place, Tell
from audit.errors import RecordError, SourceError
from audit.records import Run

if TYPE_CHECKING:
    from audit.faster import Shortcuts
    from audit.instruments.base import Instrument
    from audit.sources.base import ImageSource
    from audit.spec import Spec

READERS = ("face_finder", "encoder", "classifier")
"""Roles that read references."""


@dataclass(frozen=True)
class ShardTask:
    """One shard of one source.

    Attributes:
        plan: its pass.
        shard: its number.
        reference: position of the reference it is of; None = of the generator that the plan is named after.
    """

    plan: Pass
    shard: int
    reference: int | None = None


class ShardJob:
    """Reads shards of a spec's generators and references; see :class:`audit.engines.jobs.Job`.

    Args:
        spec: the spec.
        location: of the run; every worker must see the same files there.
        identity: the run's digest, by which a worker knows that it does.
        digests: of the sources by generator, and by position for references: a worker that opens another file under the same name stops.
        opened: sources, references, instruments and the run, for a process that has them open already; they do not travel.
    """

    def __init__(self, spec: "Spec", location: str, identity: str, digests: dict[str | int, str],
                 opened: "tuple[dict[str, ImageSource], Sequence[ImageSource], Sequence[Instrument], Run] | None" = None) -> None:  # fmt: skip
        self.spec, self.location, self.identity, self.digests = spec, location, identity, digests
        self._opened = opened
        self._portions: dict[str, Portions] = {}
        self._side: Sides | None = None

    def __getstate__(self) -> dict:
        return {**vars(self), "_opened": None, "_portions": {}, "_side": None}

    def begin(self, place: Place) -> None:
        self._device = place.device
        self._side = Sides() if place.device.startswith("cuda") else None
        self._sources: dict[str | int, ImageSource] = {}
        if place.alone and self._opened is not None:
            sources, references, instruments, self._run = self._opened
            self._sources = {**sources, **dict(enumerate(references))}
        else:
            import torch

            from audit.engines.allocator import keep_freed_blocks
            from audit.faster import hurried_instruments
            from audit.instruments import open_instruments

            keep_freed_blocks()
            torch.set_flush_denormal(True)
            if place.threads is not None:
                torch.set_num_threads(place.threads)
            self._run = self._find_run()
            instruments = open_instruments(self.spec.instruments, device=place.device, assets=self._assets)
            instruments = hurried_instruments(instruments, self._shortcuts, place.device)
        self._instruments = list(instruments)
        self._readers = [i for i in self._instruments if i.role in READERS]

    def work(self, task: ShardTask, tell: Tell) -> Collected | Future[Collected]:
        key = task.plan.name if task.reference is None else task.reference
        source = self._source(key)
        portions = self._portions.setdefault(task.plan.name, Portions(task.plan.batch))
        instruments = self._instruments if task.reference is None else self._readers
        return collect_shard(source, instruments, self._run, task.plan, task.shard, tell=tell, portions=portions, side=self._side)

    def describe(self, task: ShardTask) -> str:
        ids = task.plan.ids(task.shard)
        what = "generator" if task.reference is None else "reference"
        return f"shard {task.shard} of {what} {task.plan.name!r} (images {ids[0]} to {ids[-1]})"

    @property
    def _shortcuts(self) -> "Shortcuts":
        from audit.faster import Shortcuts

        return Shortcuts(self.spec.precision, self.spec.compile)

    @property
    def _assets(self) -> tuple[str, ...]:
        return (self.spec.assets,) if self.spec.assets else ()

    def _find_run(self) -> Run:
        try:
            run = Run(self.location)
        except RecordError:
            raise RecordError(f"a worker finds no run at {self.location}; put --out where every worker sees it: a shared folder, or an fsspec "
                              "location such as s3://bucket/run") from None  # fmt: skip
        if run.facts.get("digest") != self.identity:
            raise RecordError(f"a worker finds another run at {self.location}; put --out where every worker sees the same files")
        return run

    def _source(self, key: str | int) -> "ImageSource":
        """Return an open source, opened at its first shard."""
        if key not in self._sources:
            from audit.sources import open_source

            spec = self.spec.generators[key] if isinstance(key, str) else self.spec.references[key]
            name = key if isinstance(key, str) else f"reference {key}"
            source = open_source(name, spec, device=self._device, assets=self._assets)
            if source.digest != self.digests[key]:
                raise SourceError(f"a worker opened {name!r} and found other weights or settings (digest {source.digest[:12]}, expected "
                                  f"{self.digests[key][:12]}); make the same files visible to every worker")  # fmt: skip
            from audit.faster import hurried_source

            self._sources[key] = hurried_source(source, self._shortcuts, self._device) if isinstance(key, str) else source
        return self._sources[key]
