"""Reads the official files of CIFAR-10, the binary version and the Python one, as data.

Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images". The binary version is ``data_batch_1.bin`` to ``data_batch_5.bin``
and ``test_batch.bin``, rows of 3,073 bytes: a label, then 1,024 bytes each of red, green and blue; ``batches.meta.txt`` names the
classes, a line each. The Python version is the same names without ".bin", pickles of a dictionary with ``data`` (n, 3072) uint8 and
``labels``; ``batches.meta`` holds ``label_names``. Pickles go through :mod:`audit.generators.pickles`: nothing in them is executed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audit.errors import ManifestError, SourceError
from audit.generators.pickles import ByteView, Name, Record, read_pickle, shown
from audit.generators.pickles_archives import map_file

SIDE = 32
PIXELS = 3 * SIDE * SIDE
SPLITS = {"train": tuple(f"data_batch_{i}" for i in range(1, 6)), "test": ("test_batch",)}
LARGEST = 256 << 20
"""Bytes of one batch; the official ones have 31 MB."""

FOLDERS = ("", "cifar-10-batches-py", "cifar-10-batches-bin")
"""Where the official archives put their files, below the folder that they were unpacked in."""

_UINT8 = ("u1", "uint8", "|u1")


@dataclass(frozen=True, eq=False)
class Batches:
    """One split.

    Attributes:
        images: (n, 3, 32, 32) uint8, RGB.
        labels: (n,) int64, 0..9.
        places: n texts, file and row.
    """

    images: np.ndarray
    labels: np.ndarray
    places: list[str]


def read_batches(folder: str | Path, split: str, classes: tuple[str, ...]) -> Batches:
    """Return the images and labels of a split, from whichever version lies in ``folder``.

    Args:
        folder: of the batches, or that in which the official archive was unpacked.
        split: "train" or "test".
        classes: the names that the labels must have, in their order.

    Raises:
        SourceError: files are missing, cut short or of another data set, or labels do not fit; the sentence names the file.
    """
    home, suffix = _home(Path(folder).expanduser())
    stated = _check_names(home / ("batches.meta.txt" if suffix else "batches.meta"), classes)
    read = _binary if suffix else _python
    parts, places = [], []
    for name in SPLITS[split]:
        path = home / f"{name}{suffix}"
        if not path.is_file():
            raise SourceError(f"{home} has no {path.name}; expected {', '.join(n + suffix for n in SPLITS[split])}, so unpack the archive again")
        images, labels = _told(read, path)
        if labels.size and not 0 <= labels.min() <= labels.max() < len(classes):
            row = int(np.flatnonzero((labels < 0) | (labels >= len(classes)))[0])
            raise SourceError(f"{path}, image {row}: label {labels[row]}; expected 0 to {len(classes) - 1}, so the labels are of another data set")
        if stated is None and parts:
            stated = len(parts[0][1])
        if stated is not None and len(labels) != stated:
            raise SourceError(f"{path} holds {len(labels):,} images; expected {stated:,} like every batch, so it is cut short or of another set")
        parts.append((images, labels))
        places += [f"{path.name}#{i}" for i in range(len(labels))]
    return Batches(np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]), places)


def _home(folder: Path) -> tuple[Path, str]:
    """Return the folder of the files, and ".bin" for the binary version."""
    if folder.is_file():
        raise SourceError(f"{folder} is a file; unpack the archive and give its folder")
    for inner in FOLDERS:
        for suffix in ("", ".bin"):
            if any((folder / inner / f"{name}{suffix}").is_file() for names in SPLITS.values() for name in names):
                return folder / inner, suffix
    raise SourceError(f"{folder} holds no CIFAR-10: expected data_batch_1 to data_batch_5, test_batch and batches.meta (the Python version), or "
                      f"the same as .bin with batches.meta.txt")  # fmt: skip


def _check_names(path: Path, classes: tuple[str, ...]) -> int | None:
    """Hold the names of the classes against ``classes``; return how many images a batch has, where the file says it."""
    if not path.is_file():
        raise SourceError(f"{path.parent} has no {path.name}, which says what the labels mean; take it from the official archive")
    if path.suffix == ".txt":
        if path.stat().st_size > 10_000:
            raise SourceError(f"{path} has {path.stat().st_size:,} bytes; expected a name a line")
        names, stated = [n for n in path.read_text(encoding="utf-8", errors="replace").split("\n") if n.strip()], None
    else:
        content = _pickle(path)
        names = content.get("label_names")
        stated = content.get("num_cases_per_batch")
        if not isinstance(names, list):
            found = ", ".join(shown(k) for k in list(content)[:4])
            raise SourceError(f"{path} holds {found or 'nothing'} and no label_names; expected the batches.meta of CIFAR-10")
    said = [_text(n).strip() for n in names]
    if said != list(classes):
        raise SourceError(f"{path} names the classes {', '.join(shown(n, 20) for n in said[:12])}; expected {', '.join(classes)} in this order, so these "
                          f"are the labels of another data set")  # fmt: skip
    return stated if type(stated) is int else None


def _binary(path: Path) -> tuple[np.ndarray, np.ndarray]:
    size = path.stat().st_size
    if not size or size % (PIXELS + 1):
        raise SourceError(f"{path} has {size:,} bytes; expected a multiple of {PIXELS + 1:,} (a label and {PIXELS:,} pixels), so it is cut short or "
                          f"another file")  # fmt: skip
    rows = np.frombuffer(map_file(path, LARGEST), np.uint8).reshape(-1, PIXELS + 1)
    return rows[:, 1:].reshape(-1, 3, SIDE, SIDE).copy(), rows[:, 0].astype(np.int64)


def _python(path: Path) -> tuple[np.ndarray, np.ndarray]:
    content = _pickle(path)
    data, labels = content.get("data"), content.get("labels")
    if data is None or not isinstance(labels, list):
        found = ", ".join(shown(k) for k in list(content)[:5])
        raise SourceError(f"{path} holds {found or 'nothing'}; expected data and labels, as a batch of CIFAR-10 has")
    pixels = _array(data, path)
    if not all(type(v) is int for v in labels) or len(labels) != len(pixels):
        raise SourceError(f"{path} holds {len(pixels):,} images and {len(labels):,} labels; expected a whole number for each image")
    return pixels.reshape(-1, 3, SIDE, SIDE), np.array(labels, dtype=np.int64)


def _array(data: Any, path: Path) -> np.ndarray:
    """Return (n, 3072) uint8 from what a pickle says of an array of numpy."""
    state = data.state if isinstance(data, Record) and data.name == "ndarray" else None
    if not isinstance(state, tuple) or len(state) != 5:
        raise SourceError(f"{path}: its data is no array of numpy; expected (n, {PIXELS:,}) bytes")
    _, shape, kind, by_columns, content = state
    if not isinstance(kind, Record) or kind.name != "dtype" or not kind.args or kind.args[0] not in _UINT8 or by_columns:
        raise SourceError(f"{path}: its data is not of bytes, row by row; expected an array of uint8")
    content = content.encode("latin1") if isinstance(content, str) else content
    if not isinstance(shape, tuple) or len(shape) != 2 or shape[1] != PIXELS or not isinstance(content, bytes) or shape[0] * PIXELS != len(content) or not content:
        size = f"{len(content):,} bytes" if isinstance(content, bytes) else "no bytes"
        raise SourceError(f"{path}: its data has {size} in the shape {tuple(map(shown, shape)) if isinstance(shape, tuple) else 'of nothing'}; expected "
                          f"(n, {PIXELS:,}) bytes")  # fmt: skip
    return np.frombuffer(content, np.uint8).reshape(-1, PIXELS).copy()


def _pickle(path: Path) -> dict[str, Any]:
    """Return the dictionary in a pickle of the Python version, its keys as text."""
    found = _told(lambda p: read_pickle(ByteView(map_file(p, LARGEST)), _ALLOWED, where=str(p), longest=LARGEST), path)
    if not isinstance(found, dict):
        raise SourceError(f"{path} holds a {type(found).__name__}; expected the dictionary of a CIFAR-10 file")
    return {_text(k): v for k, v in found.items()}


def _told(read: Callable[[Path], Any], path: Path) -> Any:
    try:
        return read(path)
    except ManifestError as problem:
        raise SourceError(str(problem)) from None


def _text(value: Any) -> str:
    return value.decode("latin1") if isinstance(value, bytes) else value if isinstance(value, str) else shown(value)


def _encode(text: Any, coding: Any = "latin1") -> bytes:
    """Stand for Python 3's way of writing bytes in old pickles."""
    if not isinstance(text, str) or coding not in ("latin1", "latin-1"):
        raise ValueError("bytes written in an unknown way")
    return text.encode("latin1")


def _remade(kind: Any, *_: Any) -> Record:
    if not isinstance(kind, Name) or kind.name != "numpy ndarray":
        raise ValueError("an array of an unknown class")
    return Record("ndarray")


_ALLOWED: dict[str, Callable[..., Any]] = {
    "numpy.core.multiarray _reconstruct": _remade,
    "numpy._core.multiarray _reconstruct": _remade,
    "numpy ndarray": lambda *_: Record("nothing"),
    "numpy dtype": lambda *args: Record("dtype", args),
    "_codecs encode": _encode,
}
"""Names in the official files, and in those that today's numpy writes, and what stands for them."""
