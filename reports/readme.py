"""Writes the benchmark's tables into the README: ``python -m reports.readme RUN README.md``."""

import sys
from pathlib import Path
from typing import Any

from audit.records import write_whole
from reports import numerals as num
from reports.loading import load
from reports.mitigations import ARROW, cost_text
from reports.reading import Generator, Reading, Row, measured

BEGIN, END = "<!-- table:begin (make table) -->", "<!-- table:end -->"
BEGIN_MITIGATIONS, END_MITIGATIONS = "<!-- mitigations:begin (make table) -->", "<!-- mitigations:end -->"

JUDGED = ("gender", "skin_tone")
"""Attributes whose discrepancy the table of mitigations gives, where the run has them."""


def table(result: dict[str, Any]) -> str:
    """Return the headline as a Markdown table: discrepancies, then quality against the balanced reference."""
    singles = [a for a in result["attributes"] if any(m["attribute"] == a for m in result["measures"])]
    head = ["generator", *(f"FD {_short(result, a)}" for a in singles), "FID", "precision", "recall", "density", "coverage"]
    lines = _head(head)
    for generator in result["generators"]:
        cells = [_cell(result, generator["name"], "fairness_discrepancy", attribute=a) for a in singles]
        cells += [
            _cell(result, generator["name"], m, group="reference:balanced")
            for m in ("fid", "precision", "recall", "density", "coverage")
        ]
        lines.append("| " + " | ".join([generator["title"], *cells]) + " |")
    return "\n".join([*lines, "", _made(result)])


def mitigations(result: dict[str, Any]) -> str:
    """Return the mitigations as a Markdown table: baseline and mitigated number, and their difference with its interval."""
    reading = Reading(result)
    singles = [a.name for a in reading.attributes if a.name in JUDGED]
    head = ["method", *(f"FD {_short(result, a)}" for a in singles), *(f"FD {_short(result, a)}, second rater" for a in singles),
            "FID", "coverage", "recall", "generator calls per image", "time to fit", "training images"]  # fmt: skip
    lines = _head(head)
    for g in reading.candidates:
        if not g.compare_to:
            continue
        rows = [(reading.change(g.name, "fairness_discrepancy", a, by_second=second), 2) for second in (False, True) for a in singles]
        rows += [(reading.change(g.name, m, None, "reference:balanced"), 1 if m == "fid" else 2) for m in ("fid", "coverage", "recall")]
        title = f"{num.plain(g.title)} (against {num.plain(reading.title(g.compare_to))})".replace("|", "\\|")
        lines.append("| " + " | ".join([title, *(_change(row, digits) for row, digits in rows), *_price(g)]) + " |")
    if len(lines) == 2:
        return "This run holds no generator against a baseline."
    level = (result.get("spec") or {}).get("level") or 0.95
    note = f"Each cell: baseline {ARROW} mitigated, then the difference with its {level:.0%} interval, on the same ids."
    return "\n".join([*lines, "", f"{note} {_made(result)}"])


def replace_block(text: str, begin: str, end: str, content: str) -> str:
    """Return ``text`` with what stands between the two markers replaced; unchanged where either is missing."""
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    return f"{before}{begin}\n{content}\n{end}{after}" if found and closed else text


def main(run: str, readme: str) -> None:
    """Replace what stands between the markers of ``readme``; a block whose markers are missing is left out."""
    path, result = Path(readme), load(Path(run))
    text = old = path.read_text(encoding="utf-8")
    for begin, end, make in ((BEGIN, END, table), (BEGIN_MITIGATIONS, END_MITIGATIONS, mitigations)):
        if begin in text:
            text = replace_block(text, begin, end, make(result))
    if text != old:
        write_whole(path, text.encode())


def _head(head: list[str]) -> list[str]:
    return ["| " + " | ".join(head) + " |", "| --- " + "| ---: " * (len(head) - 1) + "|"]


def _short(result: dict[str, Any], attribute: str) -> str:
    return result["attributes"][attribute]["title"].lower().removeprefix("perceived ")


def _made(result: dict[str, Any]) -> str:
    stages, facts, workers = result["timings"]["seconds"], result["provenance"], result["timings"].get("workers") or 1
    added_up = sum(v for k, v in stages.items() if k != "total")  # of all workers; a continued run drew most of it before
    seconds = stages["total"] if workers > 1 else max(stages["total"], added_up)
    where = facts["device"] + (f" with {workers} workers" if workers > 1 else "")
    return f"{result['generators'][0]['images']:,} images a generator, seed {facts['seed']}, {seconds:.0f} s on {where}."


def _cell(result: dict[str, Any], generator: str, metric: str, *, attribute: str | None = None, group: str | None = None) -> str:
    rows = [
        m
        for m in result["measures"]
        if (m["generator"], m["metric"], m["attribute"], m["group"]) == (generator, metric, attribute, group)
    ]
    if not rows:
        return "not measured"
    row = max(rows, key=lambda m: m["corrected"])
    if row["value"] is None:
        return row["reason"]
    digits = 1 if metric == "fid" else 2
    return f"{row['value']:.{digits}f} ({row['low']:.{digits}f} to {row['high']:.{digits}f})"


def _change(row: Row | None, digits: int) -> str:
    if row is None or not measured(row):
        return "not measured" if row is None else num.plain(row.get("reason") or "not measured").replace("|", "\\|")
    low, high, shift = (num.signed(row[k], digits) for k in ("low", "high", "difference"))
    sides = [row.get(k) for k in ("before", "after")]
    levels = "" if None in sides else f"{num.signed(sides[0], digits)} {ARROW} {num.signed(sides[1], digits)}, "
    return f"{levels}{'+' if row['difference'] > 0 and shift.strip('0.') else ''}{shift} ({low} to {high})"


def _price(g: Generator) -> list[str]:
    cost = g.method.get("cost") or {}
    return [cost_text(key, cost.get(key)) for key in ("calls_per_image", "fitting_seconds", "training_images")]


if __name__ == "__main__":
    main(*sys.argv[1:])
