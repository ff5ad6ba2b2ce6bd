"""How many threads a process computes with.

Threads of OpenMP wait for each other by spinning, so where another program has one of the cores, all of them wait for the thread that
shares it: measured on two cores with one busy, two threads were thirty times slower than one.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOOK_S = 0.1
_BUSY = 0.6
"""A core that is used for more than this share of the time is somebody else's."""

_SET_BY_USER = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


def idle_cores() -> int:
    """Return how many of the cores this process may use are idle now, at least 1; all of them where the system does not say."""
    mine = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    before = _busy_ticks()
    if not before:
        return len(mine)
    time.sleep(_LOOK_S)
    after = _busy_ticks()
    taken = sum(_share(before.get(core), after.get(core)) > _BUSY for core in mine)
    return max(1, len(mine) - taken)


@contextmanager
def on_idle_cores() -> Iterator[None]:
    """Let torch compute on the idle cores only, where others are taken and the user did not say how many; afterwards it has what it had."""
    import torch

    before = torch.get_num_threads()
    if before > 1 and not any(os.environ.get(name) for name in _SET_BY_USER):
        torch.set_num_threads(min(idle_cores(), before))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _busy_ticks(stat: Path = Path("/proc/stat")) -> dict[int, tuple[int, int]]:
    """Return (busy, all) ticks of each core since the system began; empty where that is not told."""
    try:
        lines = stat.read_text().splitlines()
    except OSError:
        return {}
    found = {}
    for line in lines:
        name, *numbers = line.split()
        if name.startswith("cpu") and name != "cpu":
            ticks = [int(n) for n in numbers]
            found[int(name[3:])] = (sum(ticks) - ticks[3] - ticks[4], sum(ticks))  # user, nice, system, idle, iowait, ...
    return found


def _share(before: tuple[int, int] | None, after: tuple[int, int] | None) -> float:
    if before is None or after is None or after[1] <= before[1]:
        return 0.0
    return (after[0] - before[0]) / (after[1] - before[1])
