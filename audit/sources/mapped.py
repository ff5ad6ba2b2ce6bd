"""Images of another source after a map from image to image: before and after differ in one thing, and share id, seed and truth."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from audit.digests import digest
from audit.errors import SourceError
from audit.instruments.colour import srgb_to_lab
from audit.instruments.skin_tone import skin_region
from audit.seeds import image_seeds
from audit.sources.base import OK, Batch, ImageSource

if TYPE_CHECKING:
    from audit.spec import SourceSpec

PILOT = 128
"""Images of the base from which the size of a map is measured, for controls that are to be as large or as soft."""

LARGEST = 256
"""Pixels a side that the size of a change is measured on."""

CORNER = 0.125
"""Sides of the two upper corners that stand for the background, as a share of the image's sides."""


class ImageMap(Protocol):
    """Something that makes an image of an image.

    Attributes:
        digest: changes whenever its images could.
        facts: plain values for ``result.json``: what it is, and where known what it does ("planted").
        caveats: sentences for the report.
    """

    digest: str
    facts: dict[str, Any]
    caveats: tuple[str, ...]

    def apply(self, images: Tensor, batch: Batch, rows: np.ndarray) -> tuple[list[Tensor], list[str]]:
        """Return the images after the map, and a status each.

        Args:
            images: (n, 3, h, w) uint8, readable images of one size.
            batch: what the base drew.
            rows: (n,) their positions in it.
        """
        ...


class MappedSource:
    """A base and a map; see :class:`audit.sources.base.ImageSource`.

    Further columns, each a number an image, NaN where there is no image or the map changed its size: ``map:delta_e`` (root mean square
    over pixels of the CIELAB distance between before and after), ``map:background_L`` (mean change of L* in the two upper corners),
    ``map:saturated`` and ``map:saturated_skin`` (share of pixels, of all and of the skin region of an aligned portrait, of which a channel
    reaches 0 or 255 after the map and did not before).

    Args:
        name: what the run calls it.
        base: who draws the image before.
        mapping: what is done to it.
    """

    def __init__(self, name: str, base: ImageSource, mapping: ImageMap) -> None:
        self.name, self.base, self.map, self.count = name, base, mapping, base.count
        self.digest = digest(["mapped", 1, base.digest, mapping.digest])

    @property
    def caveats(self) -> tuple[str, ...]:
        """What is said of the base and of the map."""
        return (*self.base.caveats, *self.map.caveats)

    def draw(self, ids: np.ndarray, seeds: np.ndarray) -> Batch:
        batch = self.base.draw(ids, seeds)
        images, status = list(batch.images), list(batch.status)
        numbers = {key: np.full(len(batch.ids), np.nan, dtype=np.float32) for key in COLUMNS}
        for rows in _alike(batch):
            before = torch.stack([batch.images[int(i)] for i in rows])
            after, said = self.map.apply(before, batch, rows)
            for at, i in enumerate(rows.tolist()):
                images[i], status[i] = after[at], said[at]
            same = [at for at, image in enumerate(after) if image.shape == before[at].shape and said[at] == OK]
            if same:
                for key, values in changes(before[same], torch.stack([after[at] for at in same])).items():
                    numbers[key][rows[same]] = values
        return Batch(batch.ids, batch.seeds, images, status, {**batch.columns, **numbers})


COLUMNS = ("map:delta_e", "map:background_L", "map:saturated", "map:saturated_skin")


def changes(before: Tensor, after: Tensor) -> dict[str, np.ndarray]:
    """Return the columns of :class:`MappedSource` for pairs of images.

    Args:
        before: (n, 3, h, w) uint8.
        after: the same shape.

    Returns:
        (n,) float32 by column.
    """
    every = -(-max(before.shape[2:]) // LARGEST)  # of large images every so many pixels are enough
    first, second = (x[:, :, ::every, ::every].permute(0, 2, 3, 1).contiguous().numpy() for x in (before, after))
    apart = srgb_to_lab(second) - srgb_to_lab(first)  # (n, h, w, 3)
    height, width = first.shape[1:3]
    down, across = max(round(CORNER * height), 1), max(round(CORNER * width), 1)
    corners = np.zeros((height, width), dtype=bool)
    corners[:down, :across] = corners[:down, -across:] = True
    full = (_at_the_end(second) & ~_at_the_end(first)).astype(np.float32)
    skin = skin_region(height, width)
    values = (np.sqrt(np.square(apart).sum(axis=3).mean(axis=(1, 2))), apart[:, corners, 0].mean(axis=1), full.mean(axis=(1, 2)),
              full[:, skin].mean(axis=1) if skin.any() else np.full(len(full), np.nan))  # fmt: skip
    return {key: v.astype(np.float32) for key, v in zip(COLUMNS, values, strict=True)}


def _at_the_end(pixels: np.ndarray) -> np.ndarray:
    return ((pixels == 0) | (pixels == 255)).any(axis=3)


def _alike(batch: Batch) -> list[np.ndarray]:
    """Return the positions of readable images, those of one size together."""
    sizes: dict[tuple, list[int]] = {}
    for i, (image, status) in enumerate(zip(batch.images, batch.status, strict=True)):
        if status == OK:
            sizes.setdefault(tuple(image.shape), []).append(i)
    return [np.array(rows) for rows in sizes.values()]


def pilot(base: ImageSource, images: int = PILOT) -> Batch:
    """Return the images of a base that sizes are measured on: always the same ones, of a stream no run draws from."""
    ids = np.arange(images if base.count is None else min(images, base.count))
    return base.draw(ids, image_seeds(0, ids, stream="pilot"))


def size_of(base: ImageSource, mapping: ImageMap) -> float:
    """Return the size of a map on a base: the root mean square over pixels and images of the CIELAB distance it moves them.

    Raises:
        SourceError: it changed the size of every image, or none could be read.
    """
    drawn = pilot(base)
    found = MappedSource("pilot", _Drawn(base, drawn), mapping).draw(drawn.ids, drawn.seeds).columns["map:delta_e"]
    if np.isnan(found).all():
        raise SourceError("a control cannot be as large as this map: no image of the base was read and kept its size")
    return float(np.sqrt(np.nanmean(np.square(found))))


def softness_of(base: ImageSource, mapping: ImageMap, *, blur: Callable[[float], Callable[[Tensor, np.ndarray], Tensor]]) -> float | None:
    """Return the sigma at which a blur leaves as much fine detail in the base as the map does; None where the map removes less than a hundredth.

    Detail is the mean squared difference between neighbouring pixels.

    Raises:
        SourceError: no image could be read.
    """
    drawn = pilot(base)
    after = MappedSource("pilot", _Drawn(base, drawn), mapping).draw(drawn.ids, drawn.seeds)
    kept = [i for i, s in enumerate(after.status) if s == OK]
    if not kept:
        raise SourceError("a control cannot be as soft as this map: no image of the base was read")
    wanted = np.mean([_detail(after.images[i][None]) for i in kept])
    alike = [rows for rows in ([i for i in group.tolist() if i in kept] for group in _alike(drawn)) if rows]
    groups = [(torch.stack([drawn.images[i] for i in rows]), drawn.seeds[rows]) for rows in alike]

    def left(sigma: float) -> float:
        return sum(_detail(blur(sigma)(images, seeds)) * len(images) for images, seeds in groups) / len(kept)

    if left(0.0) <= 1.01 * wanted:
        return None
    low, high = 0.0, 8.0
    for _ in range(12):  # to 1/500 of a pixel
        middle = (low + high) / 2
        low, high = (middle, high) if left(middle) > wanted else (low, middle)
    return round(high, 2)


def _detail(images: Tensor) -> float:
    x = images.float()
    return float(x.diff(dim=2).square().mean() + x.diff(dim=3).square().mean())


class _Drawn:
    """A base whose pilot is drawn already."""

    def __init__(self, base: ImageSource, drawn: Batch) -> None:
        self.name, self.digest, self.count, self.caveats = base.name, base.digest, base.count, ()
        self._drawn = drawn

    def draw(self, ids: np.ndarray, seeds: np.ndarray) -> Batch:
        return self._drawn


def open_mapped(name: str, spec: "SourceSpec", *, device: str = "cpu", assets: tuple[str, ...] = ()) -> MappedSource:
    """Return the source for ``source: mapped``.

    Raises:
        SpecError: ``base`` or ``map`` is missing or not understood.
        SourceError, ManifestError: what they name cannot be opened.
    """
    from audit.errors import SpecError
    from audit.sources import open_source
    from audit.sources.maps import open_map

    if spec.base is None or spec.map is None:
        missing = "base" if spec.base is None else "map"
        raise SpecError(f"generators.{name}: source 'mapped' needs the key {missing!r}, e.g. base: {{source: portraits, population: balanced}}, "
                        f"map: {{filter: lighten, amount: 3}}")  # fmt: skip
    base = open_source(f"{name}.base", spec.base, device=device, assets=assets)
    return MappedSource(name, base, open_map(name, spec.map, base, device=device, assets=assets))
