"""The README's picture and table of maps, from one run: ``python -m reports.paired_map_picture RUN README.md``."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audit.errors import ReportError
from audit.records import write_whole
from reports import numerals as num
from reports.loading import load
from reports.readme import replace_block
from reports.studies.paired_map import change, division
from reports.studies.paired_map_figures import colour_figure, flips_figure

PICTURE = Path(__file__).parent / "pictures" / "maps.svg"
BEGIN, END = "<!-- maps:begin (make maps) -->", "<!-- maps:end -->"
COLOURS = {"ink": "#1b1d1f", "muted": "#5c6066", "rule": "#dedad2", "page": "#fdfcfa", "baseline": "#1b1d1f", "candidate": "#0072b2", "target": "#c04e00"}
"""What the page's colours are where there is no page around."""

GAP = 24

Row = dict[str, Any]


def picture(maps: Sequence[Row]) -> str:
    """Return both figures of the section side by side as a standalone SVG.

    Raises:
        ReportError: the study has neither skin nor an attribute of two classes.
    """
    drawn = [svg for svg in (colour_figure(maps, division(maps), "maps-colour"), flips_figure(maps, "maps-flips")) if svg is not None]
    if not drawn:
        raise ReportError("there is nothing to draw: nobody read the skin or an attribute of two classes in this run")
    sizes = [tuple(map(float, re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups())) for svg in drawn]  # type: ignore[union-attr]
    width, height = sum(w for w, _ in sizes) + GAP * (len(sizes) + 1), max(h for _, h in sizes) + 2 * GAP
    placed, left = [], GAP
    for svg, (w, h) in zip(drawn, sizes, strict=True):
        placed.append(str(svg).replace("<svg ", f'<svg x="{left:g}" y="{GAP}" width="{w:g}" height="{h:g}" ', 1))
        left += w + GAP
    whole = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}" role="img" '
             f'font-family="system-ui, sans-serif" font-size="11.5" fill="{COLOURS["ink"]}" aria-label="What each map and control does to the skin\'s '
             f'lightness, and which labels flip"><rect width="100%" height="100%" fill="{COLOURS["page"]}"/>{"".join(placed)}</svg>\n')  # fmt: skip
    return re.sub(r"var\(--(\w+)\)", lambda m: COLOURS[m[1]], whole)


def table(maps: Sequence[Row]) -> str:
    """Return a Markdown table, a row a map: colour of the skin, gender presentation, the person."""
    head = ["map", "size, ΔE", "L* of the skin", "hue of the skin", "L* of the background", "flips to masculine / to feminine", "share labelled masculine",
            "identity similarity", "below strangers"]  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    for m in maps:
        flip = next((f for f in m.get("flips") or [] if f["attribute"] == "gender" and f["reader"] == "classifier"), None)
        kept = m.get("identity") or {}
        cells = [num.plain(m["title"]).replace("|", "\\|"), num.signed(m["size"], 1) if m.get("size") is not None else "unknown"]
        cells += [_number(change(m, q, "all"), 1, 2) for q in ("L", "hue", "background_L")]
        cells += [f"{flip['gained'][1]} / {flip['gained'][0]}" if flip else "not read", _number(flip["differences"][1] if flip else None, 100, 1)]
        cells += [_number(kept.get("similarity"), 1, 2, plus=False), _number(kept.get("lost"), 100, 1, plus=False)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _number(row: Row | None, times: float, digits: int, *, plus: bool = True) -> str:
    if row is None or row.get("value") is None:
        return "not measured"
    value, low, high = (num.signed(row[k] * times, digits) for k in ("value", "low", "high"))
    sign = "+" if plus and row["value"] > 0 and value.strip("0.") else ""
    return f"{sign}{value} ({low} to {high})"


def main(run: str, readme: str) -> None:
    """Write the picture, and the table between the markers of ``readme``."""
    result, path = load(Path(run)), Path(readme)
    study = result.get("study") or {}
    if study.get("kind") != "paired_map":
        raise ReportError(f"{run} holds no paired audit; make one with `genbias run maps --out {run}`")
    write_whole(PICTURE, picture(study["maps"]).encode())
    old = path.read_text(encoding="utf-8")
    said = f"{study['maps'][0]['pairs']:,} pairs, seed {result['provenance']['seed']}; shares in percent, intervals of {study['level']:.0%}."
    text = replace_block(old, BEGIN, END, f"{table(study['maps'])}\n\n{said}")
    if text != old:
        write_whole(path, text.encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
