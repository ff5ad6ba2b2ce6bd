"""The first images of a run before and after each map, as one small picture a row, for the page."""

import base64
import io
from pathlib import Path
from typing import Any

from PIL import Image

SIDE = 64
MOST = 12
"""Images of a strip: the first ids that the run kept of its baseline, not selected."""


def strips(run: Path, maps: dict[str, list[str]], *, first: int) -> list[dict[str, Any]]:
    """Return a strip for every baseline and each of its maps: ``generator``, ``baseline``, ``ids`` and ``picture`` (a data URI).

    Args:
        run: the run directory, whose gallery holds the thumbnails; where it is off, there are no strips.
        maps: generators by the baseline whose images they map.
        first: how many thumbnails the run keeps from its beginning; the gallery holds further ones, of groups.
    """
    rows = []
    for baseline, mapped in maps.items():
        folders = [run / "gallery" / name for name in (baseline, *mapped)]
        common = set.intersection(*({p.name for p in folder.glob("*.png")} for folder in folders))
        names = sorted(n for n in common if int(n.removesuffix(".png")) < first)[:MOST]
        if names:
            rows += [{"generator": folder.name, "baseline": baseline, "ids": [int(n.removesuffix(".png")) for n in names],
                      "picture": _strip([folder / n for n in names])} for folder in folders]  # fmt: skip
    return rows


def _strip(files: list[Path]) -> str:
    sheet = Image.new("RGB", (SIDE * len(files), SIDE))
    for at, file in enumerate(files):
        with Image.open(file) as image:
            sheet.paste(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS), (at * SIDE, 0))
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=90, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
