import threading

import fsspec
import pytest

from audit.errors import RecordError, RunError
from audit.records import Run
from audit.storage import Folder, Remote, open_storage


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A location in memory, and a cache of its own for the working copy."""
    monkeypatch.setenv("GENBIAS_HOME", str(tmp_path / "cache"))
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]  # other tests in this process leave folders behind
    return "memory://nights/run"


def _stored(place, name):
    return fsspec.filesystem("memory").cat_file(f"{place.removeprefix('memory:/')}/{name}")


def test_a_path_and_a_file_url_are_folders_and_other_urls_are_not(tmp_path, place):
    assert open_storage(f"file://{tmp_path}/r").root == tmp_path / "r"
    assert isinstance(open_storage(tmp_path), Folder)
    assert isinstance(open_storage(place), Remote)


def test_what_is_written_to_a_location_is_stored_there_and_read_from_the_working_copy(place):
    Run(place, {"seed": 1})
    storage = open_storage(place)
    storage.write("samples/g/a.bin", b"abc")
    assert _stored(place, "samples/g/a.bin") == b"abc"
    assert storage.fetch("samples/g/a.bin").read_bytes() == b"abc"
    assert storage.fetch("samples/g/b.bin") is None


def test_a_working_copy_that_differs_is_fetched_again_and_an_altered_object_is_not_there(place):
    import hashlib

    storage, known = open_storage(place), hashlib.sha256(b"abc").hexdigest()
    storage.write("a.bin", b"abc")
    (storage.root / "a.bin").write_bytes(b"abd")
    assert storage.fetch("a.bin", known).read_bytes() == b"abc"
    fsspec.filesystem("memory").pipe_file("/nights/run/a.bin", b"ab")
    assert storage.fetch("a.bin", known) is None


def test_a_location_that_holds_something_else_is_refused(place):
    fsspec.filesystem("memory").pipe_file("/nights/run/thesis.txt", b"years of work")
    with pytest.raises(RecordError, match="is no run of genbias"):
        Run(place, {"seed": 1})
    assert _stored(place, "thesis.txt") == b"years of work"


def test_a_lock_that_beats_is_respected_and_one_that_stands_still_is_taken_over(place):
    first, second = Remote(place, beat_s=0.05), Remote(place, beat_s=0.05)
    with first.locked(), pytest.raises(RecordError, match="another genbias command"), second.locked():
        raise AssertionError("the second lock was given")
    with second.locked():
        assert _stored(place, ".lock")
    fsspec.filesystem("memory").pipe_file("/nights/run/.lock", b"a dead machine 17 3")
    with second.locked():
        assert b"a dead machine" not in _stored(place, ".lock")
    with pytest.raises(FileNotFoundError):
        _stored(place, ".lock")
    assert not [t for t in threading.enumerate() if type(t).__name__ == "_Beats"]


def test_a_store_that_fails_is_a_sentence(place, monkeypatch):
    storage = open_storage(place)

    def broken(*_, **__):
        raise ConnectionResetError("the store hung up")

    monkeypatch.setattr(storage._system, "pipe_file", broken)
    with pytest.raises(RunError, match="the store hung up"):
        storage.write("a.bin", b"abc")


@pytest.mark.parametrize(("location", "said"), [("nowhere://x/y", "Protocol not known: nowhere"), ("dropbox://x/y", "install the package")])
def test_an_unknown_protocol_is_a_sentence(location, said):
    with pytest.raises(RecordError, match=said):
        open_storage(location)


def test_a_place_that_cannot_be_written_to_is_the_commands_mistake(tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "run", "/proc/nothing/run"):
        with pytest.raises(RecordError) as caught:
            Run(place, {"seed": 1})
        assert caught.value.exit_code == 2
