"""kill -9 at every point of every write, and at random: the same command then finishes, and nobody can tell from the result."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
POINTS_A_WRITE = 5  # half written, not flushed, not renamed, just renamed, its folder not flushed


def _trials(tmp_path, *words, timeout_s=280):
    done = subprocess.run([sys.executable, str(HERE / "crash_runner.py"), str(tmp_path / "runs"), *map(str, words)], cwd=HERE.parents[1],
                          env={**os.environ, "PYTHONPATH": str(HERE.parents[1])}, capture_output=True, text=True, timeout=timeout_s, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def _check_points(rows, writes):
    *killed, last = rows
    assert not last["died"]  # one point more than there are
    assert len(killed) == POINTS_A_WRITE * writes
    assert all(row["died"] for row in killed)
    assert [row for row in rows if not (row["same"] and row["whole_ids"])] == []


def test_a_kill_at_any_point_of_any_write_changes_nothing(tmp_path):
    _check_points(_trials(tmp_path, "points", "small"), writes=1 + 2 * 2 + 1)  # run.json; rows and index of two shards; result.json


@pytest.mark.slow
def test_a_kill_at_any_point_of_any_write_of_thumbnails_and_pairs_changes_nothing(tmp_path):
    rows = _trials(tmp_path, "points", "full", timeout_s=1700)
    writes, rest = divmod(len(rows) - 1, POINTS_A_WRITE)
    assert rest == 0
    assert writes >= 1 + 2 * 3 * 2 + 1 + 2 * 3
    _check_points(rows, writes)


@pytest.mark.parametrize(("kills", "size"), [(8, "small"), pytest.param(200, "full", marks=pytest.mark.slow)])
def test_kills_at_random_lose_no_image_and_count_none_twice(tmp_path, kills, size):
    rows = _trials(tmp_path, "random", kills, size, timeout_s=280 if kills < 100 else 1700)
    assert sum(row["kills"] for row in rows) >= kills
    assert [row for row in rows if not (row["same"] and row["whole_ids"])] == []


def test_the_comparison_would_see_a_changed_number(tmp_path):
    assert _trials(tmp_path, "altered") == [{"same": False}]
