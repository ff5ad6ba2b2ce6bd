"""Writes the benchmark's headline table into the README: ``python -m reports.readme RUN README.md``."""

import sys
from pathlib import Path
from typing import Any

from audit.records import write_whole
from reports.loading import load

BEGIN, END = "<!-- table:begin (make table) -->", "<!-- table:end -->"


def table(result: dict[str, Any]) -> str:
    """Return the headline as a Markdown table: discrepancies, then quality against the balanced reference."""
    singles = [a for a in result["attributes"] if any(m["attribute"] == a for m in result["measures"])]
    head = ["generator", *(f"FD {result['attributes'][a]['title'].lower().removeprefix('perceived ')}" for a in singles),
            "FID", "precision", "recall", "density", "coverage"]  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "| --- " + "| ---: " * (len(head) - 1) + "|"]
    for generator in result["generators"]:
        cells = [_cell(result, generator["name"], "fairness_discrepancy", attribute=a) for a in singles]
        cells += [
            _cell(result, generator["name"], m, group="reference:balanced")
            for m in ("fid", "precision", "recall", "density", "coverage")
        ]
        lines.append("| " + " | ".join([generator["title"], *cells]) + " |")
    seconds = result["timings"]["seconds"]["total"]
    images = result["generators"][0]["images"]
    lines.append(
        f"\n{images:,} images a generator, seed {result['provenance']['seed']}, {seconds:.0f} s on {result['provenance']['device']}."
    )
    return "\n".join(lines)


def _cell(
    result: dict[str, Any], generator: str, metric: str, *, attribute: str | None = None, group: str | None = None
) -> str:
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


def main(run: str, readme: str) -> None:
    """Replace what stands between the two markers of ``readme``."""
    path = Path(readme)
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    text = f"{before}{BEGIN}\n{table(load(Path(run)))}\n{END}{after}"
    write_whole(path, text.encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
