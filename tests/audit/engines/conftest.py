"""A job of no images, in a module that worker processes can import."""

import importlib
import sys

import pytest

JOBS = '''
import os, pathlib, signal, time

from audit.errors import SourceError


class Job:
    """Squares numbers; a task may ask for a death, an error or a delay, as often as its file allows."""

    def __init__(self, folder):
        self.folder = str(folder)

    def begin(self, place):
        self.place = place
        self.opened = time.monotonic()

    def work(self, task, tell):
        number, what, times = task
        tell(1)
        mark = pathlib.Path(self.folder) / f"{number}-{what}"
        done = len(mark.read_text()) if mark.exists() else 0
        if done < times:
            mark.write_text("x" * (done + 1))
            if what == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            if what == "fail":
                raise SourceError("a sentence from afar")
            if what == "crash":
                raise ZeroDivisionError("a bug")
            if what == "late":
                time.sleep(0.3)
            if what == "wait":
                time.sleep(2)
        tell(1)
        return number * number, os.getpid(), self.place.threads, self.place.device, os.environ.get("OMP_NUM_THREADS")

    def describe(self, task):
        return f"number {task[0]}"


class NeverBegins(Job):
    def begin(self, place):
        os._exit(7)


class CannotBegin(Job):
    def begin(self, place):
        raise SourceError("no file of that name here")


def square(number, device):
    return number * number, device
'''


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    (tmp_path / "engine_jobs.py").write_text(JOBS)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("engine_jobs")
    sys.modules.pop("engine_jobs")
