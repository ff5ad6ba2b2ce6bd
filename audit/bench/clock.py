"""Time of several ways to do one thing, taken in turn in one process, so that a busy machine is busy for all of them.

Processor time is what ratios are made of: it counts the work of all threads and not the waiting for other programs. Wall time stands
beside it.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple


class Took(NamedTuple):
    """Seconds of wall time and of processor time, all threads together."""

    wall: float
    cpu: float

    def __add__(self, other: "Took") -> "Took":  # type: ignore[override]
        return Took(self.wall + other.wall, self.cpu + other.cpu)


NOTHING = Took(0.0, 0.0)


def timed(work: Callable[[], Any]) -> tuple[Took, Any]:
    """Return what one call took, and what it returned.

    Example:
        >>> timed(lambda: 7)[1]
        7
    """
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    return Took(time.perf_counter() - wall, time.process_time() - cpu), found


def in_turn(works: dict[str, Callable[[], Any]], *, repeats: int) -> tuple[dict[str, Took], dict[str, Any]]:
    """Call each of ``works`` ``repeats`` times, one after the other; return medians and what each returned last.

    Args:
        works: by name.
        repeats: rounds, one or more.

    Example:
        >>> in_turn({"one": lambda: 1, "two": lambda: 2}, repeats=3)[1]
        {'one': 1, 'two': 2}
    """
    rounds: dict[str, list[Took]] = {name: [] for name in works}
    found: dict[str, Any] = {}
    for _ in range(repeats):
        for name, work in works.items():
            took, found[name] = timed(work)
            rounds[name].append(took)
    medians = {name: Took(*(statistics.median(part) for part in zip(*took, strict=True))) for name, took in rounds.items()}
    return medians, found


@contextmanager
def one_thread() -> Iterator[None]:
    """Let NumPy, SciPy and torch compute on one thread, so that processor time is time on one core."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)
