"""Runs a tiny audit again and again in forked processes, kills it, and says whether it then ends like one that nobody killed.

    python crash_runner.py FOLDER [points:SIZE:STRIDE] [random:KILLS:SIZE] [altered]

Forked and not started anew, because an import of torch costs more than the audit. Prints one JSON object a trial.
"""

import importlib
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # a fork keeps one thread; OpenMP must not have others

from audit.audits import run
from audit.records import Run
from audit.spec import Spec

for needed in ("torch", "matplotlib", "audit.comparisons", "audit.engines.local", "audit.group_quality", "audit.instruments.skin_tone",
               "audit.sources.portraits"):  # fmt: skip
    importlib.import_module(needed)

SIZES = {"small": (1, 10, 5, 0), "full": (2, 30, 10, 3)}
"""Generators, images of each, images a shard, thumbnails."""


def spec_of(size):
    generators, samples, shard, gallery = SIZES[size]
    drawn = {f"g{i}": {"source": "portraits", "population": "professors", "compare_to": "g0" if i else None} for i in range(generators)}
    return Spec.model_validate({"name": "t", "samples": samples, "shard": shard, "gallery": gallery, "batch": 4, "attributes": ["skin_tone"],
                                "instruments": {"skin_tone": "monk"}, "generators": drawn})  # fmt: skip


class Killer:
    """Ends this process at the k-th point at which a write could be cut short: five a write."""

    def __init__(self, k):
        self.left = k
        fsync, replace, opened = os.fsync, Path.replace, Path.open

        def flushing(handle):
            self.point()
            fsync(handle)

        def renaming(path, target):
            self.point()
            done = replace(path, target)
            self.point()
            return done

        def opening(path, mode="r", *args, **kwargs):
            file = opened(path, mode, *args, **kwargs)
            return Halves(file, self) if mode == "wb" else file

        os.fsync, Path.replace, Path.open = flushing, renaming, opening

    def point(self):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class Halves:
    """A file that writes its content in two halves, with a point between them."""

    def __init__(self, file, killer):
        self._file, self._killer = file, killer

    def write(self, content):
        self._file.write(content[: len(content) // 2])
        self._file.flush()
        self._killer.point()
        self._file.write(content[len(content) // 2 :])

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()


def begin(spec, out, k=None):
    child = os.fork()
    if child:
        return child
    try:
        nothing = os.open(os.devnull, os.O_WRONLY)
        said = os.open(f"{out}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(nothing, 1)
        os.dup2(said, 2)
        if k is not None:
            Killer(k)
        run(spec, out=out, device="cpu")
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def finish(spec, out):
    """Run to the end and return what there is then; None where it failed."""
    _, status = os.waitpid(begin(spec, out), 0)
    return None if status else found(out, spec)


def found(out, spec):
    """Everything of a run that must not depend on how often it was interrupted."""
    result = json.loads((out / "result.json").read_text())
    result.pop("timings")
    for key in ("created", "commit"):
        result["provenance"].pop(key)
    kept = sorted(p for p in out.rglob("*") if p.is_file() and (p.suffix in (".parquet", ".png", ".npy", ".tmp") or p.name == "run.json"))
    ids = {name: Run(out).frame(name)["id"].tolist() for name in spec.generators}
    return result, {str(p.relative_to(out)): p.read_bytes() for p in kept}, ids


def report(**facts):
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def trial(spec, out, whole, **facts):
    after = finish(spec, out)
    log = Path(f"{out}.log").read_text()[-500:] if after is None else ""
    wanted = {name: list(range(spec.samples)) for name in spec.generators}
    report(**facts, same=after is not None and after == whole, whole_ids=after is not None and after[2] == wanted, log=log)
    shutil.rmtree(out)


def points(folder, size, stride):
    """Kill at point 1, 1 + stride, ... until a run ends before its point comes."""
    spec = spec_of(size)
    whole = finish(spec, folder / "whole")
    k, alive = 1, False
    while not alive:
        _, status = os.waitpid(begin(spec, folder / "r", k), 0)
        alive = status == 0
        trial(spec, folder / "r", whole, trial="points", point=k, died=os.WIFSIGNALED(status))
        k += int(stride)


def at_random(folder, kills, size):
    spec, luck, done, kills = spec_of(size), random.Random(5), 0, int(kills)
    began = time.monotonic()
    whole = finish(spec, folder / "whole")
    usual = time.monotonic() - began
    while done < kills:
        hits = 0
        for _ in range(luck.randint(1, 3)):
            child = begin(spec, folder / "r")
            time.sleep(luck.uniform(0, usual))
            gone, _ = os.waitpid(child, os.WNOHANG)
            if not gone:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                hits += 1
        done += hits
        trial(spec, folder / "r", whole, trial="random", kills=hits)


def altered(folder):
    """The comparison itself: a number changed behind the run's back must not pass for the same."""
    spec = spec_of("small")
    whole = finish(spec, folder / "whole")
    file = folder / "whole" / "result.json"
    file.write_text(file.read_text().replace('"images": 10', '"images": 11'))
    report(trial="altered", same=found(folder / "whole", spec) == whole)


if __name__ == "__main__":
    for at, words in enumerate(sys.argv[2:]):
        what, *rest = words.split(":")
        where = Path(sys.argv[1]) / str(at)
        where.mkdir(parents=True)
        {"points": points, "random": at_random, "altered": altered}[what](where, *rest)
