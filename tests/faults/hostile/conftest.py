"""Runs hostile files one after the other in a child process that notes everything they manage to do."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SECONDS = 10
MEMORY = 2 << 30

CHILD = r'''
import contextlib, io, json, os, pickle, resource, sys, time, warnings
from pathlib import Path

folder, naive, memory = Path(sys.argv[1]), sys.argv[2] == "naive", int(sys.argv[3])
warnings.simplefilter("ignore")
import torch
from audit.cli import Verbs
from audit.convert import convert, convert_weights
from audit.sources import open_source
from audit.spec import SourceSpec

group = Verbs("genbias")
group.add_command(convert)
seen, watching = [], False
WATCHED = ("os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.remove", "os.rename", "os.mkdir", "os.link", "os.symlink",
           "os.chmod", "os.truncate", "subprocess.", "socket.", "urllib.", "webbrowser.", "pickle.find_class", "ctypes.", "shutil.", "pty.")

def hook(event, args):
    if not watching:
        return
    if event.startswith(WATCHED):
        seen.append(event)
    elif event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
        seen.append(f"open to write {args[0]}")
    elif event == "exec" and not str(getattr(args[0], "co_filename", "")).endswith(".py") and "<frozen" not in args[0].co_filename:
        seen.append("exec")

def images(path):
    import numpy as np
    from audit.errors import GenbiasError
    try:
        source = open_source("x", SourceSpec(source="folder", path=str(path)))
        source.draw(np.arange(source.count), np.arange(source.count, dtype=np.uint64))
    except GenbiasError as error:
        print(f"genbias: {error}", file=sys.stderr)
        sys.exit(error.exit_code)

sys.addaudithook(hook)
for good in sorted(folder.glob("good*")):
    images(good) if good.name.endswith(".zip") else convert_weights(good, folder / "warm.safetensors")
(folder / "warm.pkl").write_bytes(b"nothing")  # whatever is imported on the way to a sentence is imported now
with contextlib.suppress(SystemExit), contextlib.redirect_stderr(io.StringIO()):
    group.main(["convert", str(folder / "warm.pkl"), str(folder / "warm.safetensors")], prog_name="genbias")
with contextlib.suppress(SystemExit), contextlib.redirect_stderr(io.StringIO()):
    images(folder / "warm.pkl")
with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))
resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = {}
for path in sorted(folder.glob("file-*")):
    seen.clear()
    words, start, code = io.StringIO(), time.monotonic(), 0
    watching = True
    try:
        with contextlib.redirect_stderr(words), contextlib.redirect_stdout(io.StringIO()):
            if naive:
                pickle.loads(path.read_bytes())
            elif "-images-" in path.name:
                images(path)
            else:
                group.main(["convert", str(path), str(folder / "out" / "w.safetensors")], prog_name="genbias")
    except SystemExit as leave:
        code = leave.code
    except BaseException as problem:
        code = f"{type(problem).__name__}: {problem}"[:300]
    watching = False
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident
    found[path.name] = {"code": code, "said": words.getvalue(), "seconds": time.monotonic() - start, "seen": list(seen), "grown": grown * 1024}
print(json.dumps(found))
'''


@pytest.fixture(scope="module")
def attempts(tmp_path_factory):
    """A function: {name: writer of a file} -> what each did, by name; ``naive`` opens them as nobody should."""

    def run(writers, *, naive=False, good=()):
        folder = tmp_path_factory.mktemp("hostile")
        for name, write in writers.items():
            write(folder / f"file-{name}", folder / "canary")
        for write in good:
            write(folder)
        before = sorted(p for p in folder.iterdir())
        command = [sys.executable, "-c", CHILD, str(folder), "naive" if naive else "careful", str(MEMORY)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS * 12)
        assert done.returncode == 0, done.stderr[-2000:]
        found = json.loads(done.stdout.splitlines()[-1])
        left = sorted(p for p in folder.iterdir() if p.name.partition(".")[0] != "warm")
        for name, row in found.items():
            row["canary"] = (folder / "canary").exists() or (left != before and not naive)
            row["name"] = name
        return {name.removeprefix("file-"): row for name, row in found.items()}

    return run


@pytest.fixture(scope="session")
def harmless():
    """A function that holds what a hostile file did against what it may: one sentence, exit code 2, nothing else."""

    def check(row, *, may_succeed=False):
        assert not row["canary"], "a file appeared"
        assert row["seen"] == []
        assert row["seconds"] < SECONDS
        assert row["grown"] < MEMORY
        if may_succeed and row["code"] == 0:
            return
        assert row["code"] == 2, row
        lines = row["said"].strip().splitlines()
        assert len(lines) == 1, lines
        assert lines[0].startswith("genbias: ")
        assert "Traceback" not in row["said"]
        assert len(lines[0]) < 700

    return check
