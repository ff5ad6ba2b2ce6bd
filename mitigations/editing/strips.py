"""Strips of images to look at: the run's own thumbnails of the first ids, one row a kind of edit, strengths from left to right."""

import base64
import io
from pathlib import Path

from PIL import Image

PEOPLE = 2
"""First ids shown."""

SIDE = 64
"""Pixels a side of one picture in a strip."""


def strip(folder: Path, generators: list[str], ids: list[int]) -> str | None:
    """Return a data URI of one JPEG: a row an id, a column a generator; None where the run kept no thumbnails.

    Args:
        folder: the run directory, whose gallery/ holds thumbnails.
        generators: from left to right.
        ids: from top to bottom; a picture that is missing stays blank.
    """
    sheet = Image.new("RGB", (SIDE * len(generators), SIDE * len(ids)), (128, 128, 128))
    found = 0
    for column, name in enumerate(generators):
        for row, i in enumerate(ids):
            file = folder / "gallery" / name / f"{i:07d}.png"
            if file.is_file():
                with Image.open(file) as picture:
                    sheet.paste(picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS), (column * SIDE, row * SIDE))
                found += 1
    if not found:
        return None
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality=88, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode("ascii")
