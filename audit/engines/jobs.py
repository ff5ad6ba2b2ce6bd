"""What an engine runs: a job opened once a worker, and tasks that it works on in any order.

This module is what a fresh worker process loads first, so it imports nothing heavy: threads are settled before torch is.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

from audit.errors import RunError

Tell = Callable[[int], object]
"""Told the progress of a task, in the job's own units."""

TRIES = 4
"""A task whose worker dies is given out again three times; then the run fails with a sentence."""

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Place:
    """Where a worker works.

    Attributes:
        device: "cpu", "cuda" or "cuda:1".
        threads: of each worker; None = as the process has it.
        alone: whether the job runs in the process that asked, which then has its sources open already.
    """

    device: str = "cpu"
    threads: int | None = None
    alone: bool = False

    def settle(self) -> None:
        """Set the number of threads; call it before torch is imported."""
        if self.threads is not None:
            os.environ.update(dict.fromkeys(_THREADS, str(self.threads)))


class Job(Protocol):
    """What workers do. It travels to them pickled; whatever they need, they open themselves."""

    def begin(self, place: Place) -> None:
        """Open what every task needs; called once a worker, before its first task."""
        ...

    def work(self, task: Any, tell: Tell) -> Any:
        """Do one task. The same task gives the same result wherever and however often it is done.

        What is returned may be a ``Future`` of the result, where something is still being written; see :func:`settled`.
        """
        ...

    def describe(self, task: Any) -> str:
        """Name a task in a sentence: "shard 3 of generator 'g'"."""
        ...


class Engine(Protocol):
    """Where tasks run.

    Attributes:
        workers: how many at once.
    """

    workers: int

    def run(self, tasks: Sequence[Any], tell: Tell) -> Iterator[tuple[int, Any]]:
        """Do the tasks and yield (position, result) of each as it is done, in any order.

        Raises:
            GenbiasError: what a task raised; RunError where a task's worker died again and again.
        """
        ...

    def close(self) -> None:
        """Let the workers go."""
        ...


class Alone:
    """The engine of one process: no pool, no pickling, task after task."""

    workers = 1

    def __init__(self, job: Job, device: str = "cpu") -> None:
        self._job = job
        job.begin(Place(device, alone=True))

    def run(self, tasks: Sequence[Any], tell: Tell) -> Iterator[tuple[int, Any]]:
        held: tuple[int, Any] | None = None  # a promise is awaited while the next task is done
        try:
            for at, task in enumerate(tasks):
                result = self._job.work(task, tell)
                if held is not None:
                    yield held[0], settled(held[1])
                    held = None
                if isinstance(result, Future):
                    held = at, result
                else:
                    yield at, result
        except GeneratorExit:
            raise
        except BaseException:
            if held is not None:
                yield held[0], settled(held[1])  # what was done is handed over before the next task's failure is
            raise
        if held is not None:
            yield held[0], settled(held[1])

    def close(self) -> None:
        """There is nobody to let go."""


def settled(result: Any) -> Any:
    """Return a result that may have been promised, once it is there.

    Example:
        >>> settled(3)
        3
    """
    return result.result() if isinstance(result, Future) else result


def given_up(job: Job, task: Any, how: str) -> RunError:
    """Return the error for a task whose workers all died."""
    return RunError(f"{job.describe(task)} ended its worker {TRIES} times ({how}); what was collected is kept: try fewer --workers or a smaller "
                    "--set batch=N, then run the same command again")  # fmt: skip
