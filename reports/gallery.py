"""Sample images for the page: thumbnails as data URIs, within a budget, with what the classifier said of each."""

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from audit.attributes import INTERSECTION
from reports import numerals as num
from reports import wording
from reports.alternatives import sample_alt
from reports.anchors import anchor
from reports.reading import Generator, Reading, Row

BUDGET = 650_000
"""Bytes of image files one page may hold; what does not fit is counted and stays in gallery/."""

LARGEST = 2_000
"""Bytes of one thumbnail put in as it is; a larger one becomes a WebP of at most :data:`SIDE` pixels a side."""

SIDE = 128

LARGE = 6
"""Samples of each generator shown large with their labels below; the rest is small, its labels shown on hover and focus."""

IN_A_CELL = 4
"""Samples shown of each cell of an intersection."""

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
    anchor: str
    there: bool


@dataclass
class Group:
    """The first samples of one class, or of one cell of an intersection."""

    attribute: str
    label: str
    title: str
    anchor: str
    tiles: list[Tile] = field(default_factory=list)


@dataclass
class Shelf:
    """The samples of one generator: the first ids, then the first ids of each class and cell."""

    generator: Generator
    anchor: str
    first: list[Tile] = field(default_factory=list)
    groups: dict[str, Group] = field(default_factory=dict)
    pictures: dict[str, Picture] = field(default_factory=dict)
    left_out: int = 0
    _placed: set[str] = field(default_factory=set)

    @property
    def large(self) -> list[Tile]:
        """The first ids, shown with their labels."""
        return self.first[:LARGE]

    @property
    def small(self) -> list[Tile]:
        """The ids after those."""
        return self.first[LARGE:]

    def tile(self, reading: Reading, picture: Picture, sample: Row, said: list[tuple[str, str]]) -> Tile:
        """Return a tile; the first of an image on the page carries its anchor, later ones lead there."""
        picture.tiles += 1
        place = anchor("image", self.generator.name, sample.get("id"))
        first = place not in self._placed
        self._placed.add(place)
        return Tile(picture, sample_alt(self.generator.title, sample), num.plain(sample.get("id")), said, place, first)

    def group(self, reading: Reading, attribute: str, label: str) -> Group:
        """Return the group of a class or cell, made when first asked for."""
        place = anchor("images", self.generator.name, attribute, label)
        title = wording.gallery_group(reading, f"{attribute}={label}")
        return self.groups.setdefault(place, Group(attribute, label, title, place))


def shelves(reading: Reading, run_dir: Path | None) -> list[Shelf]:
    """Return the samples of each generator that has any.

    The budget is spent evenly: one image of each generator, then the next, so that the first ids of all are shown.

    Args:
        reading: the result.
        run_dir: the run directory; None, or a file missing in it, leaves a placeholder that says so.
    """
    made = {g.name: Shelf(g, anchor("samples", g.name)) for g in reading.shown if reading.gallery.get(g.name)}
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
        tile = shelf.tile(reading, shelf.pictures[file], sample, wording.said(sample))
        if group is None:
            shelf.first.append(tile)
        else:
            attribute, _, label = str(group).partition("=")
            shelf.group(reading, attribute, label).tiles.append(tile)
    order = {(a.name, c): i for i, (a, c) in enumerate((a, c) for a in (*reading.attributes, *reading.intersections) for c in a.classes)}
    for shelf in made.values():
        _cells(reading, shelf)
        shelf.groups = dict(sorted(shelf.groups.items(), key=lambda item: order.get((item[1].attribute, item[1].label), len(order))))
    return list(made.values())


def links(found: list[Shelf]) -> dict[tuple[str, str, str], str]:
    """Return where the images of (generator, attribute, class) are shown, as ids of places on the page."""
    return {(shelf.generator.name, g.attribute, g.label): g.anchor for shelf in found for g in shelf.groups.values()}


def _cells(reading: Reading, shelf: Shelf) -> None:
    """Add a group for each cell of an intersection, of the images on the shelf that carry all its labels, in the order of ids."""
    known = {str(s.get("file")): s for s in reading.gallery[shelf.generator.name] if str(s.get("file")) in shelf.pictures}
    samples = sorted(known.values(), key=lambda s: s.get("id") or 0)
    for crossed in reading.intersections:
        for sample in samples:
            labels = [dict((sample.get("labels") or {}).get(part) or {}).get("label") for part in crossed.crossed]
            if None in labels:
                continue
            group = shelf.group(reading, crossed.name, INTERSECTION.join(map(str, labels)))
            if len(group.tiles) < IN_A_CELL:
                group.tiles.append(shelf.tile(reading, shelf.pictures[str(sample.get("file"))], sample, wording.said(sample)))


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
            small.save(out, "WEBP", quality=90, method=4)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return None, "file cannot be read"
    return out.getvalue(), ""


def _kind(data: bytes) -> str | None:
    return next((kind for start, kind in _KINDS if data.startswith(start)), None)


def _uri(data: bytes | None) -> str | None:
    return None if data is None else f"data:image/{_kind(data)};base64,{base64.b64encode(data).decode('ascii')}"
