"""kill -9 at every point of every write, and at random: the same command then finishes, and nobody can tell from the result."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
POINTS_A_WRITE = 5  # half written, not flushed, not renamed, just renamed, its folder not flushed
SMALL_WRITES = 1 + 2 * 2 + 1  # run.json; rows and index of two shards; result.json
STRIDE = 4  # meets all five points of a write, at one write or another


def _trials(folder, *words, timeout_s=280):
    done = subprocess.run([sys.executable, str(HERE / "crash_runner.py"), str(folder), *words], cwd=HERE.parents[1], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(HERE.parents[1])}, timeout=timeout_s, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """The quick trials, in one process: most of its time is spent on imports."""
    return _trials(tmp_path_factory.mktemp("quick"), f"points:small:{STRIDE}", "random:8:small", "altered")


def _differing(rows):
    return [row for row in rows if not (row["same"] and row["whole_ids"])]


def test_a_kill_at_a_point_of_a_write_changes_nothing(quick):
    *killed, last = [row for row in quick if row["trial"] == "points"]
    assert not last["died"]  # one point more than there are
    assert [row["point"] for row in killed] == list(range(1, POINTS_A_WRITE * SMALL_WRITES + 1, STRIDE))
    assert all(row["died"] for row in killed)
    assert _differing([*killed, last]) == []


def test_kills_at_random_lose_no_image_and_count_none_twice(quick):
    rows = [row for row in quick if row["trial"] == "random"]
    assert sum(row["kills"] for row in rows) >= 8
    assert _differing(rows) == []


def test_the_comparison_would_see_a_changed_number(quick):
    assert [row["same"] for row in quick if row["trial"] == "altered"] == [False]


@pytest.mark.slow
@pytest.mark.parametrize("size", ["small", "full"])
def test_a_kill_at_any_point_of_any_write_changes_nothing(tmp_path, size):
    *killed, last = _trials(tmp_path, f"points:{size}:1", timeout_s=1700)
    assert not last["died"] and all(row["died"] for row in killed)
    writes, rest = divmod(len(killed), POINTS_A_WRITE)
    assert rest == 0
    assert writes == SMALL_WRITES if size == "small" else writes > 1 + 2 * 2 * 3 + 1  # full: thumbnails and a second generator as well
    assert _differing([*killed, last]) == []


@pytest.mark.slow
def test_200_kills_at_random_lose_no_image_and_count_none_twice(tmp_path):
    rows = _trials(tmp_path, "random:200:full", timeout_s=1700)
    assert sum(row["kills"] for row in rows) >= 200
    assert _differing(rows) == []
