"""Opens files written by ``torch.save``, old layout and new, and plain pickles, as data.

Stricter than ``torch.load(weights_only=True)``: every tensor's bytes are known to be there before memory is taken, a zip that
expands is refused, and only the tensors that are asked for are read.
"""

import mmap
import struct
import zipfile
from pathlib import Path
from typing import Any

from audit.errors import ManifestError
from audit.generators.pickles import ByteView, read_pickle, shown
from audit.generators.pickles_tensors import ALLOWED, Storage, read_legacy, storage_type

LARGEST_PICKLE = 1 << 30
"""Bytes of a plain pickle, which is held in memory while it is read; the public 1024-pixel files have a third of it."""

LARGEST_ARCHIVE = 8 << 30
"""Bytes of a file written by torch.save, of which only the wanted tensors are read."""

ENTRIES = 100_000
"""Files in a zip."""

PACKED = 64 << 20
"""Bytes that the packed entries of a zip may announce together: TorchScript packs its code."""


def map_file(path: Path, largest: int) -> memoryview:
    """Return the bytes of a file without reading them.

    Raises:
        ManifestError: it is empty, larger than ``largest``, or cannot be read.
    """
    try:
        size = path.stat().st_size
        if not 0 < size <= largest:
            raise ManifestError(f"{path} has {size:,} bytes; expected weights, at most {largest:,} bytes")
        with path.open("rb") as file:
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as problem:
        raise ManifestError(f"{path} cannot be read ({getattr(problem, 'strerror', None) or problem})") from None


def read_plain(path: Path) -> Any:
    """Return what a pickle holds that was not written by torch.save: StyleGAN2's files.

    Raises:
        ManifestError: see :func:`audit.generators.pickles.read_pickle`.
    """
    return read_pickle(ByteView(map_file(path, LARGEST_PICKLE)), ALLOWED, where=str(path))


def read_torch(path: Path) -> Any:
    """Return what ``torch.save`` wrote, with :class:`audit.generators.pickles_tensors.StoredTensor` in the place of tensors.

    Raises:
        ManifestError: it is damaged, cut short, or holds more than tensors and plain values; the sentence names what.
    """
    try:
        if bytes(map_file(path, LARGEST_ARCHIVE)[:4]) == b"PK\x03\x04":
            return _read_zip(path)
        return read_legacy(map_file(path, LARGEST_ARCHIVE), str(path))
    except (ValueError, TypeError, IndexError, KeyError, struct.error) as problem:
        said = " ".join(str(problem).split())[:120]
        raise ManifestError(f"{path} is damaged or cut short ({said}); get it again") from None


def zip_entries(path: Path) -> dict[str, zipfile.ZipInfo]:
    """Return the entries of a zip by name, without unpacking any.

    Raises:
        ManifestError: it is damaged, or its entries are too many, encrypted, named twice, overlap, or would unpack to too much.
    """
    content = map_file(path, LARGEST_ARCHIVE)
    try:
        with zipfile.ZipFile(_Seekable(content)) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError, struct.error) as problem:
        raise ManifestError(f"{path} is a damaged zip or cut short ({' '.join(str(problem).split())[:100]}); get it again") from None
    if len(entries) > ENTRIES or len({e.filename for e in entries}) != len(entries):
        raise ManifestError(f"{path} has {len(entries):,} entries, or two of one name; a file of torch.save has neither, so it is refused")
    for entry in entries:
        if entry.flag_bits & 1 or (_stored(entry) and entry.file_size != entry.compress_size):
            raise ManifestError(f"{path} holds {shown(entry.filename, 80)!r} encrypted or of two sizes; torch.save does neither, so it is refused")
    unpacked = sum(e.file_size for e in entries if not _stored(e))
    if unpacked > PACKED:
        raise ManifestError(f"{path} would unpack to {unpacked:,} bytes; torch.save packs no weights, so it is refused")
    if sum(e.compress_size for e in entries) > len(content):
        raise ManifestError(f"{path} announces more bytes than it has; its entries overlap, so it is refused")
    return {e.filename: e for e in entries}


def _read_zip(path: Path) -> Any:
    entries, content = zip_entries(path), map_file(path, LARGEST_ARCHIVE)
    roots = [name.removesuffix("data.pkl") for name in entries if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(roots) != 1:
        raise ManifestError(f"{path} is a zip without one data.pkl; expected a file written by torch.save")
    root, storages = roots[0], {}
    if f"{root}byteorder" in entries and bytes(_bytes(content, entries[f"{root}byteorder"])) != b"little":
        raise ManifestError(f"{path} was written on a machine of the other byte order; save it again on a usual one")

    def stored(key: tuple) -> Storage:
        if len(key) != 5 or key[0] != "storage" or not isinstance(key[2], str) or type(key[4]) is not int or key[4] < 0:
            raise ValueError("a reference to something else than a storage")
        name = f"{root}data/{key[2]}"
        if name not in storages:
            if name not in entries:
                raise ValueError(f"the storage {shown(key[2])!r} is missing")
            storages[name] = Storage(storage_type(key[1]), key[4])
            storages[name].fill(_bytes(content, entries[name]))
        return storages[name]

    data = _bytes(content, entries[f"{root}data.pkl"])
    return read_pickle(ByteView(data), ALLOWED, where=str(path), stored=stored)


def _bytes(content: memoryview, entry: zipfile.ZipInfo) -> memoryview:
    """Return where an entry lies: torch does not always write the checksums that zipfile insists on."""
    if not _stored(entry):
        raise ValueError(f"the entry {shown(entry.filename, 80)!r} is packed, which torch.save does not do")
    at = entry.header_offset
    head = bytes(content[at : at + 30])
    if len(head) < 30 or head[:4] != b"PK\x03\x04":
        raise ValueError(f"the entry {shown(entry.filename, 80)!r} is not where the zip says")
    start = at + 30 + int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
    found = content[start : start + entry.file_size]
    if len(found) != entry.file_size:
        raise ValueError(f"the entry {shown(entry.filename, 80)!r} is cut short")
    return found


def _stored(entry: zipfile.ZipInfo) -> bool:
    return entry.compress_type == zipfile.ZIP_STORED


class _Seekable(ByteView):
    """What zipfile needs: a stream that can be set back."""

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(0, min(self._end, offset + (0, self._at, self._end)[whence]))
        return self._at
