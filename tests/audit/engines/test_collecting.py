"""A whole audit on every engine and every kind of place: the same records and the same result."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import fsspec
import pytest

from audit.audits import run
from audit.errors import RecordError, SpecError
from audit.records import Run
from audit.spec import Spec

DRAWN = '''
import os, pathlib, signal

from audit import portraits


def draw(seeds):
    mark = pathlib.Path(__file__).with_name("killed")
    if len(seeds) == 3 and not mark.exists():  # the last batch of the second shard, by whoever reads it first
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return portraits.draw(portraits.population("balanced").for_seeds(seeds), seeds)
'''


@pytest.fixture
def spec(tmp_path, monkeypatch):
    """A spec whose generator kills the first process that reads its second shard, unless it has done so already."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENBIAS_HOME", str(tmp_path / "cache"))
    (tmp_path / "faces_that_kill.py").write_text(DRAWN)
    yield Spec.model_validate({"name": "t", "samples": 17, "shard": 10, "batch": 4, "gallery": 3, "attributes": ["skin_tone"],
                               "instruments": {"skin_tone": "monk"},
                               "generators": {"g": {"source": "callable", "call": "faces_that_kill:draw"},
                                              "h": {"source": "portraits", "population": "professors", "compare_to": "g"}}})  # fmt: skip
    sys.modules.pop("faces_that_kill", None)


def _found(folder):
    result = json.loads((folder / "result.json").read_text())
    result.pop("timings")
    for key in ("created", "commit"):
        result["provenance"].pop(key)
    return result, {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.suffix in (".parquet", ".png", ".npy")}


@pytest.fixture
def whole(spec, tmp_path):
    (tmp_path / "killed").touch()
    run(spec, out=tmp_path / "whole", device="cpu")
    (tmp_path / "killed").unlink()
    return _found(tmp_path / "whole")


def test_two_workers_of_whom_one_is_killed_make_the_run_that_one_process_makes(spec, whole, tmp_path, capfd):
    result = run(spec, out=tmp_path / "two", device="cpu", workers=2)
    assert "SIGKILL" in capfd.readouterr().err
    assert (tmp_path / "killed").exists()
    assert _found(tmp_path / "two") == whole
    assert result.timings["workers"] == 2
    assert Run(tmp_path / "two").frame("g")["id"].tolist() == list(range(17))


def test_a_run_at_a_location_holds_there_what_a_run_in_a_folder_holds(spec, whole, tmp_path):
    (tmp_path / "killed").touch()
    fsspec.filesystem("memory").store.clear()
    first = run(spec, out="memory://nights/run", device="cpu")
    assert _found(first.path) == whole
    stored = fsspec.filesystem("memory").store
    there = {name.removeprefix("/nights/run/"): file.getvalue() for name, file in stored.items() if name.endswith((".parquet", ".png"))}
    assert there == whole[1]
    assert stored["/nights/run/result.json"].getvalue() == (first.path / "result.json").read_bytes()
    assert "/nights/run/.lock" not in stored
    stored["/nights/run/samples/g/shard-00001.parquet"].truncate(90)
    assert _found(run(spec, out="memory://nights/run", device="cpu").path) == whole
    assert stored["/nights/run/samples/g/shard-00001.parquet"].getvalue() == whole[1]["samples/g/shard-00001.parquet"]


def test_workers_that_do_not_see_the_run_say_so(spec, tmp_path):
    with pytest.raises(RecordError, match="a worker finds no run at memory://elsewhere/run; put --out where every worker sees it"):
        run(spec, out="memory://elsewhere/run", device="cpu", workers=2)


def test_workers_below_one_are_refused_before_anything_is_made(spec, tmp_path):
    with pytest.raises(SpecError, match="workers is 0"):
        run(spec, out=tmp_path / "r", workers=0)
    assert not (tmp_path / "r").exists()


def _command(pid):
    """The command line of a process, empty when it is gone."""
    path = Path(f"/proc/{pid}/cmdline")
    return path.read_text() if path.exists() else ""


@pytest.mark.slow
def test_a_command_that_is_killed_takes_its_workers_along_and_is_continued(spec, tmp_path):
    (tmp_path / "killed").touch()
    (tmp_path / "t.yaml").write_text(json.dumps(spec.model_dump(mode="json", exclude_defaults=True) | {"samples": 400}))
    words = [sys.executable, "-m", "audit", "run", "t.yaml", "--workers", "2", "--device", "cpu", "--out"]
    first = subprocess.Popen([*words, "r"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": "."})
    deadline = time.monotonic() + 200
    while not (tmp_path / "r/samples/g/index.json").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    children = subprocess.run(["pgrep", "-P", str(first.pid)], capture_output=True, text=True, check=False).stdout.split()
    workers = [pid for pid in children if "spawn_main" in _command(pid)]
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert len(workers) == 2
    deadline = time.monotonic() + 20
    while any(_command(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [pid for pid in workers if _command(pid)] == []
    for out, more in (("r", []), ("whole", ["--workers", "1"])):
        assert subprocess.run([*words, out, *more], capture_output=True, check=False, env={**os.environ, "PYTHONPATH": "."}).returncode == 0
    theirs, mine = _found(tmp_path / "r"), _found(tmp_path / "whole")
    for result, _ in (theirs, mine):
        result["provenance"].pop("command")
    assert theirs == mine
