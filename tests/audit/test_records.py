import json

import numpy as np
import pandas as pd
import pytest

from audit.errors import RecordError, RunError
from audit.records import Run, write_whole


def _frame(first, n):
    return pd.DataFrame({"id": np.arange(first, first + n), "status": "ok"})


@pytest.fixture
def run(tmp_path):
    run = Run(tmp_path / "run", {"seed": 1})
    for shard in range(2):
        run.write_shard("g", shard, _frame(shard * 5, 5), {"encoder": np.full((5, 3), shard, dtype=np.float32)}, {"draw": 1.0})
    return run


def test_what_was_written_is_read_back_in_order(run):
    assert run.frame("g")["id"].tolist() == list(range(10))
    assert run.features("g", "encoder")[:, 0].tolist() == [0] * 5 + [1] * 5
    assert run.seconds("g") == {"draw": 2.0}


def test_a_shard_of_the_wrong_length_is_not_there(run):
    assert run.has_shard("g", 0, 5)
    assert not run.has_shard("g", 0, 4)
    assert not run.has_shard("g", 2, 5)


@pytest.mark.parametrize("name", ["samples/g/shard-00001.parquet", "features/g/encoder/shard-00001.npy"])
def test_an_altered_or_truncated_file_is_noticed(run, name):
    path = run.path / name
    path.write_bytes(path.read_bytes()[:-1])
    assert not run.has_shard("g", 1, 5)
    assert run.has_shard("g", 0, 5)


def test_a_directory_of_another_run_is_refused(run):
    with pytest.raises(RecordError, match="holds another run"):
        Run(run.path, {"seed": 2})
    assert Run(run.path, {"seed": 1}).frame("g") is not None


def test_a_directory_with_something_else_in_it_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(RecordError, match="is no run of genbias"):
        Run(tmp_path, {"seed": 1})
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_missing_run_says_how_to_make_one(tmp_path):
    with pytest.raises(RecordError, match="genbias run SPEC"):
        Run(tmp_path / "nothing")


def test_two_writers_do_not_share_a_directory(run):
    with run.locked(), pytest.raises(RecordError, match="another genbias command"), Run(run.path).locked():
        raise AssertionError("the second lock was given")


def test_what_killed_commands_left_is_not_in_the_way(run):
    (run.path / ".lock").write_text("")
    left = [run.path / ".result.json.4711.tmp", run.path / "samples/g/.shard-00002.parquet.4711.tmp"]
    mine = run.path / ".notes.tmp"
    for path in (*left, mine):
        path.write_bytes(b"half")
    with Run(run.path, {"seed": 1}).locked():
        assert not any(path.exists() for path in left)
    assert mine.exists()


def test_a_directory_in_which_the_first_write_never_ended_is_taken(tmp_path):
    (tmp_path / ".run.json.4711.tmp").write_bytes(b'{"dig')
    assert Run(tmp_path, {"seed": 1}).facts["identity"] == {"seed": 1}


def test_a_description_that_was_cut_off_is_a_sentence(run):
    (run.path / "run.json").write_text('{"digest": "12')
    with pytest.raises(RecordError, match="is not JSON"):
        Run(run.path, {"seed": 1})


def test_a_failed_write_leaves_neither_file_nor_remainder(tmp_path, monkeypatch):
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("audit.storage.os.fsync", full)
    with pytest.raises(RunError, match="No space left on device"):
        write_whole(target, b"new")
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_the_index_lists_a_checksum_for_every_file(run):
    index = json.loads((run.path / "samples/g/index.json").read_text())
    assert {len(d) for entry in index.values() for d in entry["files"].values()} == {64}
