"""Sheets for people who look for themselves: which images of a run to show, in what order, and the files they get."""

import base64
import csv
import html
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from audit.attributes import ATTRIBUTES, parts
from audit.digests import digest
from audit.errors import RecordError, SpecError
from audit.labels import MISSING, cells, labels
from audit.records import Run, write_whole
from audit.result import Result, load_result
from audit.spec import Spec

PER_PAGE = 200
"""Images a page of the contact sheet holds at most."""

SIDE = 256
"""Longest side of a picture on the sheet, in pixels; smaller ones are kept as they are."""


@dataclass(frozen=True)
class Design:
    """How the images of a sheet were chosen; kept in the run, so that the answers can be weighed.

    Attributes:
        sheet: short name, a column of the sheet.
        stratified: attribute or intersection whose labels made the strata.
        attributes: what raters are asked.
        generators: whose images.
        sizes: images of the run in each stratum, in the order of its cells.
        per_class: asked for of each stratum.
        seed: of the choice and the order.
    """

    sheet: str
    stratified: str
    attributes: tuple[str, ...]
    generators: tuple[str, ...]
    sizes: tuple[int, ...]
    per_class: int
    seed: int


def export_sheet(run: str | Path, out: str | Path, *, per_class: int = 300, attributes: Sequence[str] | None = None,
                 generators: Sequence[str] | None = None, seed: int = 0, device: str = "cpu") -> Path:  # fmt: skip
    """Write a sheet of images for raters and return its folder: page-1.html and on, sheet.csv, README.txt.

    Images are not kept in a run: they are drawn again, and refused if the source has changed since. Up to ``per_class`` images of each
    label the classifier gave, at random, are shown in random order without that label.

    Args:
        run: a finished run of images.
        out: a new or empty folder.
        per_class: images of each stratum at most.
        attributes: what raters are asked; the first makes the strata, and may be an intersection ("gender*skin_tone"). None = every
            attribute the run read, strata from the first.
        generators: whose images; None = all, as one heap.
        seed: of choice and order.
        device: where to draw.

    Raises:
        RecordError: no finished run of images, or ``out`` holds something.
        SpecError: an attribute or generator the run does not have, or ``per_class`` below 1.
        SourceError: the images cannot be drawn again.
    """
    if per_class < 1:
        raise SpecError(f"--per-class is {per_class}; expected 1 or more, 300 to know an error rate within some 3 %")
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RecordError(f"{out} is not empty; give a new folder, so that no answers are written over")
    result, spec = run_of(run)
    asked, stratified = _asked(result, spec, attributes)
    names = _names(spec, generators)
    store = Run(Path(run))
    frame = heap(store, names)
    stratum = labels(frame, stratified)
    if stratum is None:
        raise SpecError(f"no instrument of this run reads {stratified!r}, so there are no labels to check; choose another --attribute")
    sizes = np.bincount(stratum[stratum != MISSING], minlength=len(cells(stratified)))
    rng = np.random.default_rng(seed)
    chosen = np.concatenate([rng.permutation(np.flatnonzero(stratum == h))[:per_class] for h in range(len(sizes))])
    rng.shuffle(chosen)
    if not len(chosen):
        raise RecordError(f"the run read {stratified!r} on no image, so there is nothing to rate")
    shown = frame.iloc[chosen][["generator", "id", "seed"]].reset_index(drop=True)
    key = digest([stratified, asked, names, per_class, seed, shown.to_numpy().tolist()])[:10]
    design = Design(key, stratified, asked, names, tuple(int(s) for s in sizes), per_class, seed)
    pictures = _drawn(spec, store, shown, device)
    for page, first in enumerate(range(0, len(shown), PER_PAGE), start=1):
        text = _page(design, page, -(-len(shown) // PER_PAGE), first, pictures[first : first + PER_PAGE])
        write_whole(out / f"page-{page}.html", text.encode())
    write_whole(out / "sheet.csv", _csv(shown, design).encode("utf-8-sig"))
    write_whole(out / "README.txt", _instructions(design, len(shown)).encode())
    write_whole(store.path / "labels" / f"{key}.json", json.dumps(asdict(design), indent=1).encode())
    return out


def run_of(run: str | Path) -> tuple[Result, Spec]:
    """Return result and spec of a finished run of images.

    Raises:
        RecordError: there is none, or it was made from a table of labels.
    """
    result = load_result(run)
    if "generators" not in result.spec:
        raise RecordError(f"{run} was made from a table of labels and has no images to show; label images from where the table came, "
                          "and use `genbias calibrate`")  # fmt: skip
    return result, Spec.model_validate(result.spec)


def heap(store: Run, names: Sequence[str]) -> pd.DataFrame:
    """Return the rows of several generators as one table, with a column of their names."""
    return pd.concat([store.frame(name).assign(generator=name) for name in names], ignore_index=True)


def _asked(result: Result, spec: Spec, attributes: Sequence[str] | None) -> tuple[tuple[str, ...], str]:
    known = tuple(dict.fromkeys(p for a in spec.attributes for p in parts(a)))
    wanted = tuple(a.strip() for a in attributes) if attributes else known
    for part in (p for a in wanted for p in parts(a)):
        if part not in known:
            raise SpecError(f"the run {result.name!r} has no attribute {part!r}; it has {', '.join(known)}")
    return tuple(dict.fromkeys(p for a in wanted for p in parts(a))), wanted[0]


def _names(spec: Spec, generators: Sequence[str] | None) -> tuple[str, ...]:
    for name in generators or ():
        if name not in spec.generators:
            raise SpecError(f"the run has no generator {name!r}; it has {', '.join(spec.generators)}")
    return tuple(generators) if generators else tuple(spec.generators)


def _drawn(spec: Spec, store: Run, shown: pd.DataFrame, device: str) -> list[str]:
    """Return each image as a data URI, drawn again from its seed."""
    from audit.sources import open_source

    pictures = [""] * len(shown)
    assets = (spec.assets,) if spec.assets else ()
    for name, rows in shown.groupby("generator", sort=False):
        source = open_source(str(name), spec.generators[str(name)], device=device, assets=assets)
        then = store.facts.get("identity", {}).get("generators", {}).get(name)
        if then is not None and then != source.digest:
            raise RecordError(f"the source of {name!r} has changed since the run (digest {source.digest[:12]}, then {then[:12]}), so its images "
                              "cannot be shown again; run the audit again")  # fmt: skip
        for first in range(0, len(rows), spec.batch):
            part = rows.iloc[first : first + spec.batch]
            batch = source.draw(part["id"].to_numpy(dtype=np.int64), part["seed"].to_numpy(dtype=np.uint64))
            for at, image in zip(part.index, batch.images, strict=True):
                pictures[at] = _data_uri(image)
    return pictures


def _data_uri(image: Any) -> str:
    from PIL import Image

    picture = Image.fromarray(image.permute(1, 2, 0).cpu().numpy())
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small = max(picture.size) <= 96  # a small drawing is sharp-edged and light; a photograph is neither
    picture.save(buffer, **({"format": "PNG", "optimize": True} if small else {"format": "JPEG", "quality": 90}))
    return f"data:image/{'png' if small else 'jpeg'};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _csv(shown: pd.DataFrame, design: Design) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(["number", *design.attributes, "rater", "id", "generator", "sheet"])
    for number, (i, name) in enumerate(zip(shown["id"], shown["generator"], strict=True), start=1):
        writer.writerow([number, *[""] * len(design.attributes), "", int(i), name, design.sheet])
    return text.getvalue()


def _page(design: Design, page: int, pages: int, first: int, pictures: Sequence[str]) -> str:
    figures = "\n".join(f'<figure><img src="{p}" alt="image {n}"><figcaption>{n}</figcaption></figure>'
                        for n, p in enumerate(pictures, start=first + 1))  # fmt: skip
    asked = "; ".join(f"{html.escape(ATTRIBUTES[a].title)}: {html.escape(', '.join(ATTRIBUTES[a].classes))}" for a in design.attributes)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Sheet {design.sheet}, page {page} of {pages}</title>
<style>
body {{ font: 16px/1.4 sans-serif; margin: 1rem; color: #222; background: #fff; }}
main {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(136px, 1fr)); gap: 12px; }}
figure {{ margin: 0; text-align: center; break-inside: avoid; }}
img {{ width: 128px; image-rendering: auto; }}
</style></head><body>
<h1>Sheet {design.sheet}, page {page} of {pages}</h1>
<p>Write what you see beside the number of each image in sheet.csv. {asked}. Leave a cell empty where you cannot tell.</p>
<main>
{figures}
</main></body></html>
"""


def _instructions(design: Design, images: int) -> str:
    asked = "\n".join(f"  {a}: {' / '.join(ATTRIBUTES[a].classes)}\n      {ATTRIBUTES[a].title}. {ATTRIBUTES[a].caveat}" for a in design.attributes)
    return f"""What this is
  {images} images, numbered, on the pages page-1.html and on. Open them in any browser; they need no network.
  A program labelled these images. We want to know how often it errs, so please do not look for its labels: they are not here.

What to do
  1. Make a copy of sheet.csv, and open it as a table.
  2. Write your name or any word in the first cell of the column 'rater'. It only keeps raters apart.
  3. For each number, write one of these words in each column:
{asked}
  4. Leave a cell empty where you cannot tell, or where no word fits. An empty cell is an answer too, and better than a guess.
  5. Leave the columns number, id, generator and sheet as they are. Save as CSV.

What you are asked
  How the face is perceived in the picture: the presentation, not who somebody is. None of these need be a real person.
  Work alone. Two or more raters, each with a copy of their own, let us see how far people agree.

Afterwards
  genbias labels import RUN copy1.csv copy2.csv --out calibration.json
"""
