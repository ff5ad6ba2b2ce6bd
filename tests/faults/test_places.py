"""Where a run cannot write: a disk that is full, a folder that is read-only. A sentence each, and then the run ends as it would have."""

import os
import subprocess

import numpy as np
import pandas as pd
import pytest

from audit.collect import Pass, collect
from audit.errors import RecordError, RunError
from audit.records import Run
from audit.sources.portraits import PortraitsSource

PLAN = Pass("g", 60, seed=1, batch=20, shard=20)


class Colours:
    role, digest, caveats = "colours", "0", ()

    def read(self, batch):
        return {"colours": np.stack([image.numpy().reshape(-1)[:2000] for image in batch.images]).astype(np.float32)}


@pytest.fixture
def disk(tmp_path):
    """A file system of 256 KB that a function remounts; needs the right to mount."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options):
        return subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, check=False).returncode == 0

    try:
        mounted = mount("size=256k")
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("no right to mount a small file system here; tests/faults/test_interrupt.py limits file sizes instead")
    yield folder, mount
    subprocess.run(["umount", str(folder)], check=True)


def _collect(folder):
    run = Run(folder, {"seed": 1})
    with run.locked():
        collect(PortraitsSource("g", "balanced"), [Colours()], run, plan=PLAN)
    return run


def test_a_full_disk_keeps_what_is_whole_and_the_run_goes_on_where_there_is_room(disk, tmp_path):
    folder, mount = disk
    with pytest.raises(RunError, match="No space left on device") as caught:
        _collect(folder / "r")
    assert caught.value.exit_code == 4
    kept = sorted(p.name for p in (folder / "r").rglob("*.npy"))
    assert 0 < len(kept) < 3
    assert not list((folder / "r").rglob("*.tmp"))
    assert mount("remount,size=4m")
    again, whole = _collect(folder / "r"), _collect(tmp_path / "whole")
    pd.testing.assert_frame_equal(again.frame("g"), whole.frame("g"))
    np.testing.assert_array_equal(again.features("g", "colours"), whole.features("g", "colours"))


def test_a_read_only_folder_is_the_commands_mistake(disk):
    folder, mount = disk
    Run(folder / "begun", {"seed": 1})
    assert mount("remount,ro")
    try:
        for name in ("new", "begun"):
            with pytest.raises(RecordError, match="Read-only file system") as caught:
                _collect(folder / name)
            assert caught.value.exit_code == 2
    finally:
        assert mount("remount,rw")


def test_a_write_that_never_flushes_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    from audit.storage import write_whole

    write_whole(tmp_path / "a", b"old")
    monkeypatch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    with pytest.raises(RunError, match="Input/output error"):
        write_whole(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
