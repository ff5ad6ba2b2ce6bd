"""The few thumbnails a report shows: the first ids, and the first ids of each group. Nobody selects them."""

import io
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from PIL import Image

from audit.attributes import ATTRIBUTES
from audit.labels import confidence, labels, role_of
from audit.pixels import resize
from audit.records import Run

SIDE = 96
"""Longest side of a thumbnail in pixels; smaller images are kept as they are."""


def thumbnail(image: torch.Tensor) -> torch.Tensor:
    """Return (3, h, w) uint8 reduced so that its longer side is at most :data:`SIDE`."""
    h, w = image.shape[-2:]
    if max(h, w) <= SIDE:
        return image
    size = (max(1, round(h * SIDE / max(h, w))), max(1, round(w * SIDE / max(h, w))))
    return resize([image], size)[0].round().to(torch.uint8)


def picks(frame: pd.DataFrame, thumbnails: int, attributes: tuple[str, ...]) -> dict[int, list[str | None]]:
    """Return {id: groups it is shown for}; the group None is the overall grid.

    The choice is a pure function of the rows in id order, so that a resumed run shows what an uninterrupted one shows.
    """
    chosen: dict[int, list[str | None]] = {int(i): [None] for i in frame["id"].to_numpy()[:thumbnails]}
    for attribute in attributes:
        said = labels(frame, attribute)
        if said is None:
            continue
        for k, name in enumerate(ATTRIBUTES[attribute].classes):
            for i in frame["id"].to_numpy()[said == k][: max(thumbnails // 3, 1)]:
                chosen.setdefault(int(i), []).append(f"{attribute}={name}")
    return chosen


@dataclass(frozen=True)
class Picture:
    """A thumbnail that the report may show.

    Attributes:
        png: the file.
        groups: groups it stands for, as in :func:`picks`; None is the overall grid.
    """

    png: bytes
    groups: tuple[str | None, ...]


class Quota:
    """What :func:`picks` takes of rows that come part by part, in the order of their ids.

    Args:
        thumbnails: of the overall grid; a third as many of each group, at least one.
        attributes: whose groups have thumbnails of their own.
    """

    def __init__(self, thumbnails: int, attributes: tuple[str, ...]) -> None:
        self.thumbnails, self.attributes = thumbnails, attributes
        self._a_group = max(thumbnails // 3, 1)
        self._taken: Counter[str] = Counter()

    def of_rows(self, frame: pd.DataFrame) -> dict[int, tuple[str | None, ...]]:
        """Return {id: groups} of the next rows that are still wanted."""
        ids = frame["id"].to_numpy()
        chosen: dict[int, list[str | None]] = {int(i): [None] for i in ids if i < self.thumbnails}
        for attribute in self.attributes:
            said = labels(frame, attribute)
            if said is None:
                continue
            for k, name in enumerate(ATTRIBUTES[attribute].classes):
                group = f"{attribute}={name}"
                for i in ids[said == k][: self._a_group - self._taken[group]]:
                    chosen.setdefault(int(i), []).append(group)
                    self._taken[group] += 1
        return {i: tuple(groups) for i, groups in chosen.items()}

    def of_pictures(self, pictures: dict[int, Picture]) -> dict[int, Picture]:
        """Return those pictures that are still wanted, of the next rows' candidates: what :meth:`of_rows` chose without knowing the rows before."""
        kept = {}
        for i in sorted(pictures):
            groups = [g for g in pictures[i].groups if g is None or self._taken[g] < self._a_group]
            self._taken.update(g for g in groups if g is not None)
            if groups:
                kept[i] = pictures[i]
        return kept


def picture(image: torch.Tensor, groups: tuple[str | None, ...]) -> Picture:
    """Return the thumbnail of a (3, h, w) uint8 image as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(thumbnail(image).permute(1, 2, 0).numpy()).save(buffer, format="PNG", optimize=True)
    return Picture(buffer.getvalue(), groups)


def keep(run: Run, name: str, pictures: dict[int, Picture]) -> None:
    """Write thumbnails into the run."""
    for i, shown in pictures.items():
        run.write(_name(name, i), shown.png)


def entries(run: Run, name: str, frame: pd.DataFrame, thumbnails: int, attributes: tuple[str, ...]) -> list[dict]:
    """Return what ``result.json`` says of the gallery: one entry an image and group, with the labels it was given."""
    if not thumbnails:
        return []
    said = {a: (labels(frame, a), confidence(frame, a)) for a in attributes if role_of(frame.columns, a) is not None}
    position = {int(i): at for at, i in enumerate(frame["id"])}
    rows = []
    for i, groups in picks(frame, thumbnails, attributes).items():
        at = position[i]
        given = {a: {"label": ATTRIBUTES[a].classes[index[at]], "p": round(float(p[at]), 4)}
                 for a, (index, p) in said.items() if index is not None and index[at] >= 0}  # fmt: skip
        monk = frame["skin_tone:monk"].iloc[at] if "skin_tone:monk" in frame else None
        for group in groups:
            rows.append({"id": i, "file": _name(name, i), "group": group, "labels": given,
                         "monk": int(monk) if monk is not None and np.isfinite(monk) and monk > 0 else None})  # fmt: skip
    return rows


def _name(generator: str, i: int) -> str:
    return f"gallery/{generator}/{i:07d}.png"
