"""A pool of processes on this machine. A worker that dies is replaced and its task given out again.

Processes are spawned, never forked: CUDA and OpenMP do not survive a fork. The standard executors are not used because the death of
one worker ends all their tasks, and none says which task it was.
"""

import ctypes
import os
import pickle
import signal
import sys
import traceback
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from audit.engines.jobs import TRIES, Job, Place, Tell, given_up, settled
from audit.errors import GenbiasError, RunError

_STOP_S = 5.0
_PARENT_DEATH = 1  # PR_SET_PDEATHSIG from <sys/prctl.h>


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    place: Place
    task: int | None = None
    told: int = 0
    ready: bool = False


class Pool:
    """Worker processes, started when there is work for them; see :class:`audit.engines.jobs.Engine`.

    Args:
        job: what they do.
        workers: how many.
        device: "cuda" spreads them over the GPUs there are.
        threads: of each worker; None = OMP_NUM_THREADS where it is set, else 1.
    """

    def __init__(self, job: Job, *, workers: int, device: str = "cpu", threads: int | None = None) -> None:
        self.workers = workers
        self._job, self._pickled = job, portable_job(job)
        threads = threads or int(os.environ.get("OMP_NUM_THREADS") or 1)
        self._places = [Place(d, threads) for d in spread(device, workers)]
        self._staff: list[_Worker] = []
        self._false_starts = 0

    def run(self, tasks: Sequence[Any], tell: Tell) -> Iterator[tuple[int, Any]]:
        waiting, deaths = deque(range(len(tasks))), Counter[int]()
        while waiting or any(w.task is not None for w in self._staff):
            self._hire(min(self.workers, len(waiting) + sum(w.task is not None for w in self._staff)))
            for worker in self._staff:
                if worker.ready and worker.task is None and waiting:
                    self._give(worker, waiting.popleft(), tasks)
            for worker in self._stirring():
                said = _heard(worker)
                if said is None:
                    how = self._bury(worker)
                    if worker.task is None:
                        continue
                    tell(-worker.told)
                    deaths[worker.task] += 1
                    if deaths[worker.task] == TRIES:
                        raise given_up(self._job, tasks[worker.task], how)
                    waiting.appendleft(worker.task)
                    sys.stderr.write(f"genbias: a worker died ({how}); {self._job.describe(tasks[worker.task])} is done again\n")
                elif said[0] == "ready":
                    worker.ready, self._false_starts = True, 0
                elif said[0] == "told":
                    worker.told += said[1]
                    tell(said[1])
                elif said[0] == "failed":
                    raise said[1]
                else:
                    at, worker.task = worker.task, None
                    yield at, said[1]  # type: ignore[misc]

    def close(self) -> None:
        for worker in self._staff:
            worker.pipe.close()
            worker.process.terminate()
        for worker in self._staff:
            worker.process.join(_STOP_S)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        self._staff = []

    def _hire(self, wanted: int) -> None:
        context = get_context("spawn")
        while len(self._staff) < wanted:
            taken = [w.place for w in self._staff]
            place = next(p for p in self._places if taken.count(p) < self._places.count(p))
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, place), daemon=True)
            process.start()
            theirs.close()
            worker = _Worker(process, ours, place)
            self._staff.append(worker)
            _send(worker, self._pickled)

    def _give(self, worker: _Worker, at: int, tasks: Sequence[Any]) -> None:
        worker.task, worker.told = at, 0
        _send(worker, pickle.dumps(tasks[at]))

    def _stirring(self) -> list[_Worker]:
        """Return the workers that said something, or died."""
        stirred = set(wait([s for w in self._staff for s in (w.pipe, w.process.sentinel)]))
        return [w for w in self._staff if stirred & {w.pipe, w.process.sentinel}]

    def _bury(self, worker: _Worker) -> str:
        worker.process.join()
        worker.pipe.close()
        self._staff.remove(worker)
        how = _cause_of_death(worker.process.exitcode)
        if not worker.ready:
            self._false_starts += 1
            if self._false_starts == TRIES:
                raise RunError(f"{TRIES} workers died while they started ({how}); take fewer --workers, and where a script calls audit.run, call it "
                               "under `if __name__ == '__main__':`")  # fmt: skip
        return how


def spread(device: str, workers: int) -> list[str]:
    """Return the device of each worker: "cuda" is spread over the GPUs there are."""
    if device != "cuda":
        return [device] * workers
    import torch

    found = max(torch.cuda.device_count(), 1)
    return [f"cuda:{i % found}" for i in range(workers)]


def portable_job(job: Job) -> bytes:
    """Pickle a job.

    Raises:
        GenbiasError: it holds something that cannot travel.
    """
    try:
        return pickle.dumps(job)
    except (pickle.PicklingError, TypeError, AttributeError) as problem:
        raise GenbiasError(f"this cannot be handed to worker processes ({' '.join(str(problem).split())[:160]}); use --workers 1, or name functions "
                           "as module:function") from None  # fmt: skip


def _send(worker: _Worker, content: bytes) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):  # it died; the next look at it finds out
        worker.pipe.send_bytes(content)


def _heard(worker: _Worker) -> tuple | None:
    """Return the next thing a worker said, None when it is dead and has nothing left to say."""
    try:
        return worker.pipe.recv() if worker.pipe.poll() or worker.process.is_alive() else None
    except (EOFError, ConnectionResetError, pickle.UnpicklingError):
        return None


def _cause_of_death(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name if -code in {s.value for s in signal.Signals} else f"signal {-code}"
    return f"{name}, as the system does when memory is short" if -code == signal.SIGKILL else name


def _serve(pipe: Connection, place: Place) -> None:
    """Run in the worker: open the job, then do what comes down the pipe until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; who asked decides
    _die_with_parent()
    place.settle()
    try:
        try:
            job: Job = pickle.loads(pipe.recv_bytes())
            job.begin(place)
        except Exception as problem:
            pipe.send(("failed", portable(problem)))
            return
        pipe.send(("ready",))
        while True:
            task = pickle.loads(pipe.recv_bytes())
            try:
                result = settled(job.work(task, lambda n: pipe.send(("told", n))))
            except (BrokenPipeError, EOFError):
                raise
            except Exception as problem:
                pipe.send(("failed", portable(problem)))
            else:
                pipe.send(("done", result))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def portable(problem: Exception, host: str | None = None) -> Exception:
    """Return an exception that can travel between processes; of one that nobody foresaw, its traceback as text."""
    if isinstance(problem, GenbiasError):
        return type(problem)(str(problem) if host is None else f"{problem} (on {host})")
    if isinstance(problem, MemoryError):
        return MemoryError(str(problem))
    told = "".join(traceback.format_exception(problem))
    return RuntimeError(f"a worker{'' if host is None else f' on {host}'} failed:\n{told}")


def _die_with_parent() -> None:
    """Have the system end this worker when the process that asked is gone, so that nothing writes behind its back."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PARENT_DEATH, signal.SIGKILL)
        if os.getppid() == 1:
            sys.exit(1)
