"""Tasks on the actors of a Ray cluster, or of Ray on this machine. An actor that dies is replaced and its task given out again.

Actors carry out what worker processes carry out, so results are the same. Before an actor opens anything it says which genbias it runs:
another version, or another source under the same version, would draw other images.
"""

import os
import pickle
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from audit.engines.jobs import TRIES, Job, Place, Tell, given_up
from audit.engines.pool import portable_job
from audit.engines.versions import who
from audit.errors import GenbiasError, RunError, SpecError

REACH_S = 5.0
"""Seconds to wait for a cluster's address to answer."""

PATIENCE_S = 120.0
"""Seconds to wait for a cluster to give room to a first worker."""

_OBJECTS_BYTES = 128 << 20  # files go to the run directory, so what Ray passes around is small


class RayEngine:
    """Actors of a Ray cluster; see :class:`audit.engines.jobs.Engine`.

    Args:
        job: what they do.
        workers: how many; None = as many as the cluster has CPUs, with ``device`` "cuda" as many as it has GPUs.
        address: "HOST:PORT" or "auto"; None = Ray on this machine, started here and ended with the engine.
        device: "cpu", or "cuda": a GPU an actor.

    Raises:
        SpecError: Ray is not installed, cannot be reached, or has no room.
    """

    def __init__(self, job: Job, *, workers: int | None = None, address: str | None = None, device: str = "cpu") -> None:
        self._ray = _installed()
        self._job, self._pickled = job, portable_job(job)
        self._gpu = device.startswith("cuda")
        self._place = Place("cuda" if self._gpu else device, threads=1)  # Ray shows an actor its own GPU alone
        self._ours = not self._ray.is_initialized()
        if self._ours:
            _connect(self._ray, address, workers)
        self._idle: list[Any] = []
        self._starting: dict[Any, Any] = {}
        self._busy: dict[Any, tuple[Any, int]] = {}
        self._false_starts = 0
        try:
            self.workers = self._room(workers)
        except GenbiasError:
            self.close()
            raise

    def run(self, tasks: Sequence[Any], tell: Tell) -> Iterator[tuple[int, Any]]:
        waiting, deaths, moved = deque(range(len(tasks))), Counter[int](), time.monotonic()
        while waiting or self._busy:
            self._hire(min(self.workers, len(waiting) + len(self._busy)))
            while waiting and self._idle:
                actor, at = self._idle.pop(), waiting.popleft()
                self._busy[actor.work.remote(pickle.dumps(tasks[at]))] = (actor, at)
            ready, _ = self._ray.wait([*self._starting, *self._busy], timeout=1.0)
            if not ready and not self._busy and time.monotonic() - moved > PATIENCE_S:
                raise RunError(f"the Ray cluster gave no room to a worker in {PATIENCE_S:.0f} s; see `ray status`, then run the same command again")
            moved = time.monotonic() if ready or self._busy else moved
            for answer in ready:
                actor, at = self._busy.pop(answer, (self._starting.pop(answer, None), None))
                how = None
                try:
                    what, found = self._ray.get(answer)
                except self._ray.exceptions.RayTaskError as problem:
                    raise RunError(f"a Ray worker failed before it could say why: {' '.join(str(problem).split())[-300:]}") from None
                except self._ray.exceptions.RayError as problem:
                    how = " ".join(str(problem).split(".")[0].split())[:120]
                if how is None:
                    if what == "absent":
                        raise SpecError(f"the Ray worker on {found} has no genbias; install version {who()['version']} on every machine")
                    if what == "failed":
                        raise found
                    self._idle.append(actor)
                    if at is not None:
                        tell(found[1])
                        yield at, found[0]
                elif at is None:
                    self._false_starts += 1
                    if self._false_starts == TRIES:
                        raise RunError(f"{TRIES} Ray workers died while they started ({how}); see the cluster's logs, then run the same command again")
                else:
                    deaths[at] += 1
                    if deaths[at] == TRIES:
                        raise given_up(self._job, tasks[at], how)
                    waiting.appendleft(at)
                    sys.stderr.write(f"genbias: a Ray worker died ({how}); {self._job.describe(tasks[at])} is done again\n")

    def close(self) -> None:
        actors = [*self._idle, *self._starting.values(), *(actor for actor, _ in self._busy.values())]
        for actor in actors:
            self._ray.kill(actor)
        self._idle, self._starting, self._busy = [], {}, {}
        if self._ours:
            self._ray.shutdown()

    def _room(self, workers: int | None) -> int:
        kind = "GPU" if self._gpu else "CPU"
        found = int(self._ray.cluster_resources().get(kind, 0))
        if found < (workers or 1):
            raise SpecError(f"the Ray cluster has {found} {kind}s and {workers or 1} workers were asked for; ask for fewer --workers, or add machines")
        return workers or found

    def _hire(self, wanted: int) -> None:
        remote = self._ray.remote(Actor).options(num_cpus=1, num_gpus=1 if self._gpu else 0, max_restarts=0, max_task_retries=0)
        while len(self._idle) + len(self._starting) + len(self._busy) < wanted:
            actor = remote.remote()
            self._starting[actor.begin.remote(who(), self._pickled, str(Path.cwd()), [p for p in sys.path if p], self._place.device)] = actor


class Actor:
    """Runs in a Ray worker. It travels by value, because the worker may lack this package; so it imports what it needs, when it needs it."""

    def begin(self, expected: dict[str, str], job: bytes, folder: str, paths: list[str], device: str) -> tuple[str, Any]:
        """Compare versions, then open the job; returns ("ready", None), ("failed", why) or ("absent", host)."""
        import os
        import pickle
        import socket
        import sys

        host = socket.gethostname()
        sys.path.extend(p for p in paths if p not in sys.path)  # as a spawned process has them; what is installed here comes first
        if os.path.isdir(folder):  # noqa: PTH112 (nothing is imported that need not be there)
            os.chdir(folder)
        try:
            from audit.engines.versions import other_version
        except ImportError:
            return "absent", host
        from audit.engines.jobs import Place
        from audit.engines.pool import portable

        try:
            problem = other_version(expected, host)
            if problem is not None:
                return "failed", problem
            place = Place(device, threads=1)
            place.settle()
            self.job = pickle.loads(job)
            self.job.begin(place)
        except Exception as problem:
            return "failed", portable(problem, host)
        return "ready", None

    def work(self, task: bytes) -> tuple[str, Any]:
        """Do a task; returns ("done", (result, told)) or ("failed", why)."""
        import pickle
        import socket

        from audit.engines.jobs import settled
        from audit.engines.pool import portable

        told: list[int] = []
        try:
            return "done", (settled(self.job.work(pickle.loads(task), told.append)), sum(told))
        except Exception as problem:
            return "failed", portable(problem, socket.gethostname())


def _installed() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError:
        raise SpecError("engine ray needs the package ray; pip install 'genbias[ray]', or leave --engine out") from None
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    return ray


def check_reachable(address: str | None) -> None:
    """Find Ray, and whoever answers at the address of a cluster.

    Raises:
        SpecError: Ray is not installed, the address is none, or nobody answers.
    """
    _installed()
    if address is not None:
        _reach(address)


def _connect(ray: Any, address: str | None, workers: int | None) -> None:
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is not None:
        _reach(address)
        wanted = {"address": address, **quiet}
    else:
        wanted = {"address": "local", "num_cpus": workers or os.cpu_count(), "include_dashboard": False, "object_store_memory": _OBJECTS_BYTES,
                  "_node_ip_address": "127.0.0.1", **quiet}  # fmt: skip
    try:
        ray.init(**wanted)
    except Exception as problem:  # Ray raises bare exceptions too
        ray.shutdown()
        said = " ".join(str(problem).split())[:200]
        if address is None:
            hint = "it gives itself half a minute; run the command again when the machine is less busy, or take --workers N without Ray"
            raise SpecError(f"Ray did not start on this machine ({said}); {hint}") from None
        raise SpecError(f"the Ray cluster at {address} cannot be used ({said}); expected one of the same versions of Ray and Python, and --address "
                        "HOST:PORT as `ray start --head` prints it") from None  # fmt: skip


def _reach(address: str) -> None:
    """Knock before Ray does, which would wait for minutes."""
    if address == "auto":
        return
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        raise SpecError(f"address is {address!r}; expected HOST:PORT as `ray start --head` prints it, or auto")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=REACH_S).close()
    except (OSError, OverflowError) as problem:
        raise SpecError(f"nothing answers at the Ray address {address} ({getattr(problem, 'strerror', None) or problem}); start a cluster with "
                        "`ray start --head --port 6379`, or leave --address out for Ray on this machine") from None  # fmt: skip
