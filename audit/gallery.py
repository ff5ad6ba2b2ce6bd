"""The few thumbnails a report shows: the first ids, and the first ids of each group. Nobody selects them."""

import io
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from PIL import Image

from audit.attributes import ATTRIBUTES
from audit.labels import confidence, labels, role_of
from audit.pixels import resize
from audit.records import Run, write_whole

if TYPE_CHECKING:
    from audit.collect import Pass

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


def keep(run: Run, plan: "Pass", frame: pd.DataFrame, thumbnails: dict[int, torch.Tensor]) -> None:
    """Write the thumbnails of this shard's rows that the report will show."""
    earlier = frame.iloc[:0]
    if int(frame["id"].iloc[0]) > 0:
        stored = run.frame(plan.name)
        earlier = stored[stored["id"] < frame["id"].iloc[0]]
    together = pd.concat([earlier, frame], ignore_index=True) if len(earlier) else frame
    for i in picks(together, plan.thumbnails, plan.attributes):
        if i in thumbnails:
            buffer = io.BytesIO()
            Image.fromarray(thumbnails[i].permute(1, 2, 0).numpy()).save(buffer, format="PNG", optimize=True)
            write_whole(run.path / _name(plan.name, i), buffer.getvalue())


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
