"""Which engine a user asked for, and how it is opened."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass
from typing import Any

from audit.engines.jobs import Alone, Engine, Job, Place, Tell
from audit.errors import SpecError

KINDS = ("local", "ray")


@dataclass(frozen=True)
class Choice:
    """What ``--engine``, ``--workers`` and ``--address`` come to.

    Attributes:
        kind: "local", processes of this machine; or "ray".
        workers: how many; None = one locally, and as many as the cluster has room for on Ray.
        address: of a running Ray cluster, "HOST:PORT" or "auto"; None = Ray on this machine, started and ended with the run.

    Raises:
        SpecError: they do not go together.
    """

    kind: str = "local"
    workers: int | None = None
    address: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise SpecError(f"engine is {self.kind!r}; expected one of {', '.join(KINDS)}")
        if self.workers is not None and self.workers < 1:
            raise SpecError(f"workers is {self.workers}; expected 1 or more")
        if self.address is not None and self.kind != "ray":
            raise SpecError(f"address {self.address!r} is of a Ray cluster; say --engine ray with it, or leave it out")

    def check(self) -> None:
        """Knock at the cluster, before a run directory is made for nothing.

        Raises:
            SpecError: Ray is not installed, or nothing answers at the address.
        """
        if self.kind == "ray":
            from audit.engines.ray import check_reachable

            check_reachable(self.address)

    @property
    def alone(self) -> bool:
        """Whether the process that asks does the work itself."""
        return self.kind == "local" and self.workers in (None, 1)


@contextmanager
def opened(choice: Choice, job: Job, *, device: str = "cpu") -> Iterator[Engine]:
    """Open the chosen engine for a job, and let its workers go at the end, however it ends.

    Raises:
        GenbiasError: Ray is not installed or cannot be reached, a worker runs another version, or cannot open what it needs.
    """
    # Ray prints what its workers died of on stdout, where --json promises one document.
    with redirect_stdout(sys.stderr) if choice.kind == "ray" else nullcontext():
        engine = _engine(choice, job, device)
        try:
            yield engine
        finally:
            engine.close()


def _engine(choice: Choice, job: Job, device: str) -> Engine:
    if choice.alone:
        return Alone(job, device)
    if choice.kind == "ray":
        from audit.engines.ray import RayEngine

        return RayEngine(job, workers=choice.workers, address=choice.address, device=device)
    from audit.engines.pool import Pool

    return Pool(job, workers=choice.workers or 1, device=device)


@dataclass
class _Calls:
    """A job whose tasks are calls of one function."""

    function: Callable[..., Any]
    names: tuple[str, ...]

    def begin(self, place: Place) -> None:
        self._device = place.device
        if not place.alone:
            import torch

            from audit.engines.allocator import keep_freed_blocks

            keep_freed_blocks()
            torch.set_flush_denormal(True)
            if place.threads is not None:
                torch.set_num_threads(place.threads)

    def work(self, task: tuple[int, Any], tell: Tell) -> Any:
        return self.function(task[1], device=self._device)

    def describe(self, task: tuple[int, Any]) -> str:
        return self.names[task[0]]


def map_tasks(function: Callable[..., Any], items: Sequence[Any], *, choice: Choice, names: Sequence[str], device: str = "cpu") -> Iterator[tuple[int, Any]]:
    """Call ``function(item, device=...)`` for independent items on the chosen engine; yield (position, result) as each is done.

    Args:
        function: of a module, so that workers can import it; the same item gives the same result wherever it is called.
        items: plain values.
        choice: where.
        names: of the items, for sentences.
        device: "cuda" is spread over the GPUs there are.

    Raises:
        GenbiasError: as :func:`opened`, or what a call raised.
    """
    tasks = list(enumerate(items))
    with opened(choice, _Calls(function, tuple(names)), device=device) as engine:
        yield from engine.run(tasks, lambda _: None)


def in_order(done: Iterator[tuple[int, Any]]) -> Iterator[Any]:
    """Yield results by position, each as soon as all before it are there.

    Example:
        >>> list(in_order(iter([(1, "b"), (0, "a"), (2, "c")])))
        ['a', 'b', 'c']
    """
    waiting: dict[int, Any] = {}
    wanted = 0
    for at, result in done:
        waiting[at] = result
        while wanted in waiting:
            yield waiting.pop(wanted)
            wanted += 1
