"""Sample images for the page: thumbnails as data URIs, within a budget, with what the classifier said of each."""

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from reports import numerals as num
from reports import wording
from reports.alternatives import sample_alt
from reports.reading import Generator, Reading, Row

BUDGET = 650_000
"""Bytes of image files one page may hold; what does not fit is counted and stays in gallery/."""

LARGEST = 6_000
"""Bytes of one thumbnail put in as it is; a larger one becomes a JPEG of at most :data:`SIDE` pixels a side."""

SIDE = 128

_KINDS = ((b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff", "jpeg"), (b"GIF8", "gif"), (b"RIFF", "webp"))


@dataclass
class Picture:
    """One image file on the page: stored once, however many tiles show it."""

    key: str
    source: str | None
    why: str
    tiles: int = 0


@dataclass(frozen=True)
class Tile:
    """One sample: its picture, and what was read off it."""

    picture: Picture
    alt: str
    id: str
    said: list[tuple[str, str]]


@dataclass
class Shelf:
    """The samples of one generator: the first ids, then the first ids of each class."""

    generator: Generator
    first: list[Tile] = field(default_factory=list)
    groups: dict[str, list[Tile]] = field(default_factory=dict)
    pictures: dict[str, Picture] = field(default_factory=dict)
    left_out: int = 0


def shelves(reading: Reading, run_dir: Path | None) -> list[Shelf]:
    """Return the samples of each generator that has any.

    The budget is spent evenly: one image of each generator, then the next, so that the first ids of all are shown.

    Args:
        reading: the result.
        run_dir: the run directory; None, or a file missing in it, leaves a placeholder that says so.
    """
    made = {g.name: Shelf(g) for g in reading.shown if reading.gallery.get(g.name)}
    spent = 0
    for shelf, sample in _in_turn(reading, made):
        file, group = str(sample.get("file")), sample.get("group")
        if file not in shelf.pictures:
            data, why = _picture(file, run_dir)
            spent += len(data or b"")
            if spent > BUDGET:
                shelf.left_out += 1
                continue
            key = f"p{shelf.generator.number}-{len(shelf.pictures)}"
            shelf.pictures[file] = Picture(key, _uri(data), why)
        picture = shelf.pictures[file]
        picture.tiles += 1
        said = wording.said(sample) if group is None else wording.said_of(sample, str(group))
        tile = Tile(picture, sample_alt(shelf.generator.title, sample), num.plain(sample.get("id")), said)
        if group is None:
            shelf.first.append(tile)
        else:
            shelf.groups.setdefault(wording.gallery_group(reading, str(group)), []).append(tile)
    return list(made.values())


def _in_turn(reading: Reading, made: dict[str, Shelf]) -> Iterator[tuple[Shelf, Row]]:
    """Yield samples generator by generator in turn, ungrouped ones first."""
    for grouped in (False, True):
        columns = [
            [(made[name], s) for s in reading.gallery[name] if (s.get("group") is not None) is grouped] for name in made
        ]
        for row in zip_longest(*columns):
            yield from filter(None, row)


def _picture(name: str, run_dir: Path | None) -> tuple[bytes | None, str]:
    """Return the bytes of a thumbnail, or None and why there are none."""
    if run_dir is None:
        return None, "not embedded"
    gallery = (run_dir / "gallery").resolve()
    try:
        file = (run_dir / name).resolve()
        if not file.is_relative_to(gallery):
            return None, "file lies outside the gallery"
        data = file.read_bytes()
    except (OSError, ValueError):
        return None, "file is missing"
    if len(data) > LARGEST:
        return _smaller(data)
    return (data, "") if _kind(data) else (None, "file is not an image")


def _smaller(data: bytes) -> tuple[bytes | None, str]:
    from PIL import Image

    out = io.BytesIO()
    try:
        with Image.open(io.BytesIO(data)) as image:
            small = image.convert("RGB")
            small.thumbnail((SIDE, SIDE))
            small.save(out, "JPEG", quality=92, subsampling=0)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return None, "file cannot be read"
    return out.getvalue(), ""


def _kind(data: bytes) -> str | None:
    return next((kind for start, kind in _KINDS if data.startswith(start)), None)


def _uri(data: bytes | None) -> str | None:
    return None if data is None else f"data:image/{_kind(data)};base64,{base64.b64encode(data).decode('ascii')}"
