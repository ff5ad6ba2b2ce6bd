"""Where a run's files lie: a folder, or any fsspec location (s3://, gs://, memory://) with a working copy beside it.

A folder takes each file under a temporary name, flushes it and renames it into place. An object store takes each object whole; what is
listed last, with a checksum, is what counts. Both hand out local paths to read from.
"""

import fcntl
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from audit.digests import digest, file_digest
from audit.errors import RecordError, RunError

BEAT_S = 5.0
"""Seconds between two beats of a lock in an object store."""

LOCK = ".lock"


class Storage(Protocol):
    """A place for files, by names like ``samples/g/index.json``.

    Attributes:
        location: as the user wrote it.
        root: local folder of the files, or of the working copy.
    """

    location: str
    root: Path

    def write(self, name: str, content: bytes) -> None:
        """Store a file whole or not at all.

        Raises:
            RunError: the place is full, read-only or away.
        """
        ...

    def fetch(self, name: str, sha256: str | None = None) -> Path | None:
        """Return a local path of the file as it is stored, None where there is none, or one of another checksum."""
        ...

    def is_empty(self) -> bool:
        """Return whether nothing of anybody's lies there."""
        ...

    def locked(self) -> AbstractContextManager[None]:
        """Hold the place for this process.

        Raises:
            RecordError: another command holds it, or it cannot be written to.
        """
        ...


def open_storage(location: str | Path) -> Storage:
    """Return the storage of a path, of a file:// URL, or of another fsspec URL.

    Raises:
        RecordError: the protocol is unknown, or its package is not installed.
    """
    if "://" not in str(location):
        return Folder(Path(location))
    protocol, _, rest = str(location).partition("://")
    return Folder(Path(rest)) if protocol in ("file", "local") else Remote(str(location))


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under a temporary name, flush it to disk, and rename it into place."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _flush_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise RunError(f"cannot write {path}: {error.strerror}; free space or choose another --out, then run the same command again") from None


def _flush_folder(folder: Path) -> None:
    """Flush a rename as well; some file systems do not know how, and lose nothing but the name."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


class Folder:
    """A folder of this machine, or one that all machines mount."""

    def __init__(self, root: Path) -> None:
        self.location, self.root = str(root), root

    def write(self, name: str, content: bytes) -> None:
        write_whole(self.root / name, content)

    def fetch(self, name: str, sha256: str | None = None) -> Path | None:
        path = self.root / name
        return path if path.is_file() and (sha256 is None or file_digest(path) == sha256) else None

    def is_empty(self) -> bool:
        return not self.root.exists() or all(p.name == LOCK or _is_remainder(p) for p in self.root.iterdir())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder; the system lets go of it when the process ends, however it ends. What a killed process left is cleared."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            file = (self.root / LOCK).open("w")
        except OSError as error:
            raise RecordError(f"cannot write to {self.root}: {error.strerror}; choose another --out") from None
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RecordError(f"another genbias command is writing to {self.root}; wait for it, or give another --out") from None
            for path in [p for p in self.root.rglob(".*.tmp") if _is_remainder(p)]:
                path.unlink(missing_ok=True)
            yield


def _is_remainder(path: Path) -> bool:
    """Whether a write of this package that never ended left this file."""
    *_, process, end = path.name.split(".")
    return path.name.startswith(".") and end == "tmp" and process.isdigit() and path.is_file()


class Remote:
    """An fsspec location. Files are read from a working copy in the user's cache, each fetched once.

    Args:
        location: URL such as ``s3://bucket/run``; credentials and endpoints as fsspec's configuration says.
        beat_s: seconds between two beats of the lock.

    Raises:
        RecordError: the protocol is unknown, or its package is not installed.
    """

    def __init__(self, location: str, beat_s: float = BEAT_S) -> None:
        from audit.asset_files import home

        protocol = location.partition("://")[0]
        try:
            import fsspec

            self._system, self._base = fsspec.core.url_to_fs(location.rstrip("/"))
        except ImportError as problem:
            raise RecordError(f"{location}: {' '.join(str(problem).split())}; install the package that fsspec names for {protocol}://") from None
        except (ValueError, OSError) as problem:
            raise RecordError(f"{location} cannot be opened ({' '.join(str(problem).split())[:160]}); give a folder or an fsspec URL such as "
                              "s3://bucket/run") from None  # fmt: skip
        self.location, self._beat_s = location, beat_s
        self.root = home() / "runs" / digest(location)[:24]

    def write(self, name: str, content: bytes) -> None:
        path = self._path(name)

        def put() -> None:
            self._system.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._system.pipe_file(path, content)

        self._asked(put, name)
        write_whole(self.root / name, content)

    def fetch(self, name: str, sha256: str | None = None) -> Path | None:
        path = self.root / name
        if sha256 is not None and path.is_file() and file_digest(path) == sha256 and self._size(name) == path.stat().st_size:
            return path
        content = self._read(name)
        if content is None:
            return None
        write_whole(path, content)
        return path if sha256 is None or file_digest(path) == sha256 else None

    def is_empty(self) -> bool:
        def names() -> list[str]:
            self._system.invalidate_cache()
            return [p.rpartition("/")[2] for p in self._system.ls(self._base, detail=False)] if self._system.exists(self._base) else []

        return all(name == LOCK for name in self._asked(names, ""))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the location by an object that beats.

        Object stores have no locks that die with their owner, so the object holds a counter that its owner raises; whoever finds one
        watches it for three beats and takes over one that stands still. No clock is compared. Two commands that start within one
        write of each other may both believe to be first; the object's owner is read back to make that unlikely, not impossible.
        """
        mine, name = f"{socket.gethostname()} {os.getpid()} {uuid.uuid4().hex}", LOCK
        found = self._read(name)
        if found is not None:
            time.sleep(3 * self._beat_s)
            if self._read(name) not in (found, None):
                raise RecordError(f"another genbias command is writing to {self.location}; wait for it, or give another --out")
        beats = _Beats(lambda count: self._asked(lambda: self._system.pipe_file(self._path(name), f"{mine} {count}".encode()), name), self._beat_s)
        try:
            self._asked(lambda: self._system.makedirs(self._base, exist_ok=True), name)
            beats.beat()
            if not (self._read(name) or b"").startswith(mine.encode()):
                raise RecordError(f"another genbias command began to write to {self.location} just now; give another --out")
        except RunError as problem:
            raise RecordError(str(problem)) from None
        beats.start()
        try:
            yield
        finally:
            beats.stop()
            with suppress(RunError):
                self._asked(lambda: self._system.rm_file(self._path(name)), name)

    def _size(self, name: str) -> int | None:
        def ask() -> int | None:
            self._system.invalidate_cache()
            try:
                return self._system.size(self._path(name))
            except FileNotFoundError:
                return None

        return self._asked(ask, name)

    def _read(self, name: str) -> bytes | None:
        def get() -> bytes | None:
            self._system.invalidate_cache()
            try:
                return self._system.cat_file(self._path(name))
            except FileNotFoundError:
                return None

        return self._asked(get, name)

    def _path(self, name: str) -> str:
        return f"{self._base}/{name}"

    def _asked(self, question: Callable[[], Any], name: str) -> Any:
        """Ask the store; whatever its client raises becomes a sentence."""
        try:
            return question()
        except Exception as problem:  # every store's client has errors of its own
            raise RunError(f"cannot reach or write {self.location}/{name} ({type(problem).__name__}: {' '.join(str(problem).split())[:160]}); see to it, "
                           "then run the same command again") from None  # fmt: skip


class _Beats(threading.Thread):
    """Raises a counter again and again until it is stopped."""

    def __init__(self, write: Callable[[int], None], every_s: float) -> None:
        super().__init__(daemon=True)
        self._write, self._every_s, self._count, self._over = write, every_s, 0, threading.Event()

    def beat(self) -> None:
        self._count += 1
        self._write(self._count)

    def run(self) -> None:
        while not self._over.wait(self._every_s):
            with suppress(RunError):
                self.beat()

    def stop(self) -> None:
        self._over.set()
        self.join()
