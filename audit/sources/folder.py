"""Images that already exist, as a source: a directory, a zip, a tar or Parquet files, read in place, never unpacked."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

import numpy as np

from audit.errors import SourceError
from audit.sources.base import Batch
from audit.sources.containers import TooLargeError, open_container
from audit.sources.decode import NOTES, Decoded, decode, unreadable


class FolderSource:
    """Images from a directory, a zip, a tar or Parquet; implements :class:`audit.sources.base.ImageSource`.

    Image ids are positions in the sorted list of names (in Parquet: row numbers, files sorted by name), and ``draw``
    reads only the ids it is asked for. Every file with an image extension is a row; one that cannot be read has a
    status that says why. Columns: ``file`` (name relative to the source) and ``note`` (what was done to it, see
    :data:`audit.sources.decode.NOTES`).

    Args:
        path: directory (searched to any depth), ``.zip``, ``.tar`` (also compressed), ``.parquet``, or a directory of
            Parquet files. Parquet needs a column ``image`` (struct with ``bytes``, or bytes), ``image.bytes`` or
            ``bytes``.
        name: what the run calls it.
        limit: use the first so many images only; None = all.
        threads: images decoded at once; None = one a core, at most 8.

    Raises:
        SourceError: nothing is there, it cannot be opened, or it holds no image.
    """

    def __init__(self, path: str | Path, *, name: str, limit: int | None = None, threads: int | None = None) -> None:
        self.name = name
        self.path = Path(path).expanduser()
        self._box = open_container(self.path)
        if limit is not None:
            if limit < 1:
                raise SourceError(f"source {name!r} was limited to {limit} images; expected at least 1")
            self._box.names = self._box.names[:limit]
        self.count = len(self._box.names)
        self._threads = threads or min(8, os.cpu_count() or 1)
        self._seen: dict[str, set[int]] = {}

    @property
    def files(self) -> list[str]:
        """Names of the images relative to the source, in the order of their ids."""
        return [str(name) for name in self._box.names]

    @cached_property
    def digest(self) -> str:
        """Hex sha256 over names, sizes and contents (long files: their edges and middle); no times, no paths."""
        total = hashlib.sha256(b"folder/1")
        for label, size, content in self._box.fingerprints():
            total.update(f"{label}\0{size}\0".encode(errors="surrogateescape") + content)
        return total.hexdigest()

    @property
    def caveats(self) -> tuple[str, ...]:
        """What the report says of the images: what was left out, and what was done to those read so far."""
        left = (f"{self._box.left_out} files without an image extension were left out",) if self._box.left_out else ()
        return left + tuple(f"{len(self._seen[k])} of {self.count} images {NOTES[k]}" for k in NOTES if k in self._seen)

    def draw(self, ids: np.ndarray, seeds: np.ndarray) -> Batch:
        """Return the images of ``ids``; the seeds change nothing, since the images exist.

        Raises:
            SourceError: an id is not below ``count``.
        """
        ids = np.asarray(ids, dtype=np.int64)
        if ids.size and (ids.min() < 0 or ids.max() >= self.count):
            raise SourceError(
                f"source {self.name!r} has images 0..{self.count - 1}; asked for {ids.min()}..{ids.max()}"
            )
        if self._threads > 1 and len(ids) > 1:
            with ThreadPoolExecutor(min(self._threads, len(ids))) as pool:
                read = list(pool.map(self._one, ids.tolist()))
        else:
            read = [self._one(i) for i in ids.tolist()]
        for i, one in zip(ids.tolist(), read, strict=True):
            for note in one.notes:
                self._seen.setdefault(note, set()).add(i)
        columns = {
            "file": np.array([self._box.names[i] for i in ids], dtype=object),
            "note": np.array([", ".join(r.notes) for r in read], dtype=object),
        }
        return Batch(
            ids, np.asarray(seeds, dtype=np.uint64), [r.image for r in read], [r.status for r in read], columns
        )

    def _one(self, position: int) -> Decoded:
        try:
            return decode(self._box.read(position))
        except FileNotFoundError:
            return unreadable("the file is gone")
        except PermissionError:
            return unreadable("permission denied")
        except TooLargeError as problem:
            return unreadable(str(problem))
        except RuntimeError as problem:  # zipfile says so of a password
            return unreadable("encrypted" if "password" in str(problem) else " ".join(str(problem).split())[:80])
        except Exception as problem:  # archives break in as many ways as images do
            return unreadable(
                f"corrupt in the archive ({' '.join(str(problem).split())[:80] or type(problem).__name__})"
            )
