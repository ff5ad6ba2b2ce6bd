"""What image files lie in: a directory, a zip, a tar or Parquet files, listed in a fixed order and read one at a time.

Names inside an archive are only names: nothing is written to disk, so a name like ``../../x.png`` can do no harm.
"""

import hashlib
import os
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import numpy as np

from audit.errors import SourceError
from audit.sources.decode import EXTENSIONS

LARGEST_FILE = 1 << 29
"""Bytes beyond which a single image file is not read."""

EDGE = 16 * 1024
"""Files up to four times this size enter the fingerprint whole, larger ones with their first, middle and last part."""


class TooLargeError(Exception):
    """A file claims more bytes than :data:`LARGEST_FILE`."""


class Container(Protocol):
    """Image files under one roof.

    Attributes:
        names: of the images, in the order of their ids.
        left_out: files that are no images by their extension.
    """

    names: list[str]
    left_out: int

    def read(self, position: int) -> bytes:
        """Return the bytes of one image file; raises whatever the file system or the archive raises."""
        ...

    def fingerprints(self) -> Iterator[tuple[str, int, bytes]]:
        """Yield (name, size, checksum) of everything that could change the images."""
        ...


def open_container(path: Path) -> Container:
    """Open what lies at ``path``.

    Raises:
        SourceError: nothing is there, it cannot be opened, or it holds no image.
    """
    if not path.exists():
        raise SourceError(f"there is nothing at {path}; give a directory, a zip, a tar or a Parquet file of images")
    if path.is_dir():
        box: Container = _Directory(path)
        if not box.names and (tables := sorted(path.rglob("*.parquet"))):
            box = _Parquet(tables, path)
    elif path.suffix.lower() == ".parquet":
        box = _Parquet([path], path.parent)
    elif zipfile.is_zipfile(path):
        box = _Zip(path)
    elif tarfile.is_tarfile(path):
        box = _Tar(path)
    else:
        raise SourceError(
            f"{path} is neither a directory nor a zip, tar or Parquet file that can be opened; it may be "
            "cut short, or be a single image: give the directory it lies in"
        )
    if not box.names:
        others = f"only {box.left_out} other files" if box.left_out else "nothing"
        raise SourceError(
            f"{path} holds no images: {others} found, expected at least one file ending in "
            f"{', '.join(EXTENSIONS[:7])} ...; check the path"
        )
    return box


def _images(names: list[str]) -> list[int]:
    """Return the positions of the names that are images, sorted by name; hidden files are none."""
    found = []
    for i, name in enumerate(names):
        parts = PurePosixPath(name).parts
        hidden = any((p.startswith(".") and p not in ("..", ".")) or p == "__MACOSX" for p in parts)
        if name.lower().endswith(EXTENSIONS) and not hidden:
            found.append(i)
    return sorted(found, key=lambda i: names[i])


def _bounded(size: int) -> int:
    if size > LARGEST_FILE:
        raise TooLargeError(f"{size:,} bytes, more than the limit of {LARGEST_FILE:,}")
    return size


class _Directory:
    def __init__(self, root: Path) -> None:
        self._root = root
        found = [p for p in root.rglob("*") if p.is_file() or (p.is_symlink() and not p.is_dir())]
        names = [p.relative_to(root).as_posix() for p in found]
        self.names = [names[i] for i in _images(names)]
        self.left_out = len(names) - len(self.names)

    def read(self, position: int) -> bytes:
        path = self._root / self.names[position]
        _bounded(path.stat().st_size)
        return path.read_bytes()

    def fingerprints(self) -> Iterator[tuple[str, int, bytes]]:
        for name in self.names:
            try:
                with (self._root / name).open("rb") as stream:
                    yield name, *_sampled(stream, os.fstat(stream.fileno()).st_size)
            except OSError as problem:
                yield name, -1, type(problem).__name__.encode()


def _sampled(stream: Any, size: int) -> tuple[int, bytes]:
    if size <= 4 * EDGE:
        return size, hashlib.sha256(stream.read()).digest()
    digest = hashlib.sha256()
    for start in (0, size // 2, size - EDGE):
        stream.seek(start)
        digest.update(stream.read(EDGE))
    return size, digest.digest()


class _Handle:
    """An open archive, one a process: a handle inherited through fork would share its position with its parent."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._opened: tuple[int, Any] | None = None

    def _archive(self) -> Any:
        if self._opened is None or self._opened[0] != os.getpid():
            self.close()
            self._opened = (os.getpid(), self._make())
        return self._opened[1]

    def close(self) -> None:
        """Close the archive; reading opens it again."""
        if self._opened is not None:
            self._opened[1].close()
            self._opened = None

    def __del__(self) -> None:
        if getattr(self, "_opened", None) is not None:
            self.close()

    def _make(self) -> Any:
        raise AssertionError("each kind of archive opens itself")

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("_lock", "_opened")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock(), _opened=None)


class _Zip(_Handle):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            members = [m for m in self._archive().infolist() if not m.is_dir()]
        except (zipfile.BadZipFile, OSError) as problem:
            raise SourceError(
                f"{path} cannot be opened as a zip ({problem}); it may be cut short: copy it again"
            ) from None
        order = _images([m.filename for m in members])
        self._members = [members[i] for i in order]
        self.names = [m.filename for m in self._members]
        self.left_out = len(members) - len(order)

    def _make(self) -> zipfile.ZipFile:
        return zipfile.ZipFile(self._path)

    def read(self, position: int) -> bytes:
        member = self._members[position]
        _bounded(member.file_size)
        with self._lock:
            return self._archive().read(member)

    def fingerprints(self) -> Iterator[tuple[str, int, bytes]]:
        for name, member in zip(self.names, self._members, strict=False):
            yield name, member.file_size, member.CRC.to_bytes(4, "big")


class _Tar(_Handle):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            members = [m for m in self._archive().getmembers() if m.isfile()]
        except (tarfile.TarError, OSError, EOFError) as problem:
            raise SourceError(
                f"{path} cannot be read as a tar ({problem}); it may be cut short: copy it again"
            ) from None
        order = _images([m.name for m in members])
        self._members = [members[i] for i in order]
        self.names = [m.name for m in self._members]
        self.left_out = len(members) - len(order)

    def _make(self) -> tarfile.TarFile:
        return tarfile.open(self._path, "r:*")

    def read(self, position: int) -> bytes:
        member = self._members[position]
        _bounded(member.size)
        with self._lock:
            data = self._archive().extractfile(member).read()
        if len(data) != member.size:
            raise EOFError("the archive ends before the file does")
        return data

    def fingerprints(self) -> Iterator[tuple[str, int, bytes]]:
        for i, name in enumerate(self.names):
            try:
                yield name, self._members[i].size, hashlib.sha256(self.read(i)).digest()
            except Exception as problem:  # an unreadable member is a row of its own kind, here as in draw
                yield name, -1, type(problem).__name__.encode()


class _Parquet:
    """Rows of Parquet files; the row group that was read last is kept, since neighbours are asked for together."""

    def __init__(self, paths: list[Path], root: Path) -> None:
        import pyarrow

        self._paths = paths
        self.left_out = 0
        self.names: list[str] = []
        self._groups: list[tuple[int, int, int]] = []  # first image, file, row group
        self._kept: tuple[int, int, list[bytes | None]] | None = None
        self._lock = threading.Lock()
        self._columns: list[str] = []
        for number, path in enumerate(paths):
            try:
                table = self._table(number)
                self._columns.append(_bytes_column(table, path))
                label = path.relative_to(root).as_posix()
                for group in range(table.num_row_groups):
                    self._groups.append((len(self.names), number, group))
                    self.names += _row_names(table, group, label, len(self.names))
            except (pyarrow.ArrowException, OSError) as problem:
                raise SourceError(
                    f"{path} cannot be read as Parquet ({' '.join(str(problem).split())[:120]}); "
                    "it may be cut short: copy it again"
                ) from None
        self._starts = [g[0] for g in self._groups]

    def _table(self, number: int) -> Any:
        from pyarrow.parquet import ParquetFile

        return ParquetFile(self._paths[number])

    def read(self, position: int) -> bytes:
        place = int(np.searchsorted(self._starts, position, side="right")) - 1
        first, number, group = self._groups[place]
        with self._lock:
            if self._kept is None or self._kept[:2] != (number, group):
                column = self._columns[number]
                table = self._table(number).read_row_group(group, columns=[column])
                values = table.flatten() if column == "image.bytes" and "image" in table.column_names else table
                values = values.column("image.bytes" if column == "image.bytes" else column)
                self._kept = (number, group, values.to_pylist())
            data = self._kept[2][position - first]
        if data is None:
            raise EOFError("the row holds no bytes")
        return bytes(data)

    def fingerprints(self) -> Iterator[tuple[str, int, bytes]]:
        for path in self._paths:  # one file holds many images, so edges would not do
            digest = hashlib.sha256()
            with path.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
            yield path.name, path.stat().st_size, digest.digest()
        yield "images", len(self.names), b""

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("_lock", "_kept")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock(), _kept=None)


def _bytes_column(table: Any, path: Path) -> str:
    import pyarrow.types as types

    schema = table.schema_arrow
    for name in ("image", "image.bytes", "bytes"):
        if name in schema.names:
            kind = schema.field(name).type
            if types.is_struct(kind) and any(f.name == "bytes" for f in kind):
                return f"{name}.bytes"
            if types.is_binary(kind) or types.is_large_binary(kind):
                return name
    raise SourceError(
        f"{path} has no column of image bytes among {', '.join(schema.names)}; expected 'image' (bytes, or "
        "a struct with 'bytes'), 'image.bytes' or 'bytes'"
    )


def _row_names(table: Any, group: int, label: str, first: int) -> list[str]:
    rows = table.metadata.row_group(group).num_rows
    schema = table.schema_arrow
    for column in ("image.path", "file", "file_name", "filename", "path"):
        top = column.split(".")[0]
        if top in schema.names and (top == column or _has_path(schema.field(top).type)):
            values = table.read_row_group(group, columns=[column])
            values = values.flatten().column("image.path") if column == "image.path" else values.column(column)
            named = [str(v) if v else None for v in values.to_pylist()]
            return [n or f"{label}#{first + i}" for i, n in enumerate(named)]
    return [f"{label}#{first + i}" for i in range(rows)]


def _has_path(kind: Any) -> bool:
    import pyarrow.types as types

    return bool(types.is_struct(kind)) and any(f.name == "path" for f in kind)
