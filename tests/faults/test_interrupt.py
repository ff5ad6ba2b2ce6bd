"""Ctrl-C and a full disk, as a user meets them: a sentence, exit code 4, nothing half-written, and the next run continues."""

import json
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SPEC = (
    "version: 1\nname: t\nsamples: 640\nshard: 64\nattributes: [gender]\ngallery: 2\ninstruments: {classifier: portraits_b}\n"
    "generators:\n  g: {source: portraits, population: professors}\n"
)


@pytest.fixture
def command(tmp_path):
    (tmp_path / "spec.yaml").write_text(SPEC)
    return [sys.executable, "-m", "audit", "run", str(tmp_path / "spec.yaml"), "--out", str(tmp_path / "r")]


def _measures(folder):
    return json.loads((folder / "result.json").read_text())["measures"]


def test_ctrl_c_keeps_what_was_collected_and_the_same_command_finishes(command, tmp_path):
    command[-2:-2] = ["--samples", "2560"]  # several seconds: a busy machine must not finish before it is interrupted
    heeding = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}  # background jobs inherit deaf ears
    first = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **heeding)
    deadline = time.monotonic() + 120
    while not (tmp_path / "r/samples/g/index.json").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    first.send_signal(signal.SIGINT)
    _, said = first.communicate(timeout=60)
    assert first.returncode == 4, said
    assert "the same command continues" in said
    assert "Traceback" not in said
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path / "r/samples/g").glob("*.parquet")}
    assert kept
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert all(p.stat().st_mtime_ns == before for p, before in kept.items())
    whole = [*command[:-1], str(tmp_path / "whole")]
    assert subprocess.run(whole, cwd=ROOT, capture_output=True, check=False).returncode == 0
    assert _measures(tmp_path / "r") == _measures(tmp_path / "whole")


def test_a_full_disk_is_a_sentence_and_leaves_nothing_half_written(command, tmp_path):
    def small_files():  # a file that cannot grow behaves like a disk that is full
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, preexec_fn=small_files)
    assert done.returncode == 4, done.stderr
    assert "cannot write" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "r").rglob("*.tmp"))
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr


def test_a_killed_run_is_continued(command, tmp_path):
    first = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (tmp_path / "r/samples/g/index.json").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    first.kill()
    first.wait()
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    rows = json.loads((tmp_path / "r/result.json").read_text())["generators"][0]
    assert (rows["images"], rows["readable"]) == (640, 640)
