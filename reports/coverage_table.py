"""Writes the result of the coverage study into the README: ``python -m reports.coverage_table runs/selfcheck README.md``."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from audit.records import write_whole
from reports.coverage import figure, looks
from reports.readme import replace_block

BEGIN, END = "<!-- coverage:begin (make selfcheck) -->", "<!-- coverage:end -->"
PICTURE = Path(__file__).parent / "pictures" / "coverage.svg"


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the study as Markdown: intervals first, then decisions."""
    lines = ["| nominal 95 % interval of | settings | repeats | coverage: least, median, most | below 93 % | labels as they came: least |",
             "| --- | ---: | ---: | ---: | ---: | ---: |"]  # fmt: skip
    for name in dict.fromkeys(r["quantity"] for r in rows if r["study"] == "shares"):
        own = [r for r in rows if r["study"] == "shares" and r["quantity"] == name]
        good, raw = ([r["coverage"] for r in own if r["corrected"] is flag and r["coverage"] is not None] for flag in (True, False))
        lines.append(_line(f"corrected {name}", good, own, 0.93, _share(min(raw))))
    for paired in (False, True):
        for name, estimand in dict.fromkeys((r["metric"], r["estimand"]) for r in rows if r["study"] == "quality" and r["difference"] is paired):
            own = [r for r in rows if r["study"] == "quality" and (r["metric"], r["estimand"], r["difference"]) == (name, estimand, paired)]
            good = [r["coverage"] for r in own if r["coverage"] is not None]
            what = "difference of " if paired else ""
            lines.append(_line(f"{what}{_NAMES.get(name, name)} ({estimand})", good, own, 0.93, ""))
    return "\n".join([*lines, "", *_decisions(rows), "", _said(rows)])


_NAMES = {"fid": "FID", "kid": "KID"}


def _line(name: str, good: list[float], own: Sequence[dict[str, Any]], target: float, raw: str) -> str:
    spread = " / ".join(map(_share, (min(good), median(good), max(good))))
    return f"| {name} | {len(good)} | {own[0]['repeats']:,} | {spread} | {sum(c < target for c in good)} | {raw} |"


def _decisions(rows: Sequence[dict[str, Any]]) -> list[str]:
    lines = ["| decision, the truth at the limit | repeats | wrongly held | wrong either way | without Holm |", "| --- | ---: | ---: | ---: | ---: |"]
    lines += [f"| {r['case'].replace('_', ' ')} | {r['repeats']:,} | {_share(r['false_held'])} | {_share(r['wrong'])} | "
              f"{_share(r['wrong_unadjusted']) if r['limits'] > 1 else ''} |" for r in rows if r["study"] == "verdicts"]  # fmt: skip
    watched = [f"| {name} | {_share(wrong)} |" for name, wrong in looks(rows)]
    if watched:
        lines += ["", "| looking as one goes | any look wrong, at the worst of three truths |", "| --- | ---: |", *watched]
    decided = [r for r in rows if r["study"] == "sequences" and r.get("saving") is not None]
    if decided:
        lines += ["", "| sampling until decided, K = 2 | wrong | median images | against | images | saved |", "| --- | ---: | ---: | --- | ---: | ---: |"]
        lines += [f"| {str(r['limit']).replace('_', ' ')} | {_share(r['ever_wrong'])} | {_whole(r['median_images'])} | "
                  f"{r['name'].partition(' against ')[2]} | {_whole(r['fixed_n'])} | {r['saving']:.0%} |" for r in decided]  # fmt: skip
    return lines


def _said(rows: Sequence[dict[str, Any]]) -> str:
    grid = [r for r in rows if r["study"] == "shares"]
    if not grid:
        return ""
    named = {key: sorted({r[key] for r in grid}) for key in ("k", "n", "accuracy", "calibration")}
    return (f"Shares: K in {named['k']}, n in {named['n']}, accuracy in {named['accuracy']}, {' or '.join(f'{c:,}' for c in named['calibration'])} "
            "calibration images in all, at parity and far from it. Coverage above 99 % occurs at the boundaries: at parity (discrepancy 0), and where "
            "the calibration saw hardly an error. Quality: two Gaussian generators against one reference, 500 images, 16 dimensions.")  # fmt: skip


def _share(value: float) -> str:
    return f"{value:.3f}"


def _whole(value: float | None) -> str:
    return "" if value is None else f"{round(value):,}"


def main(folder: str, readme: str) -> None:
    """Write the table between the markers of ``readme``, and the picture beside this module."""
    lines = (Path(folder) / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row for line in lines for row in json.loads(line)["rows"]]
    path = Path(readme)
    old = path.read_text(encoding="utf-8")
    text = replace_block(old, BEGIN, END, table(rows))
    write_whole(PICTURE, figure(rows).encode())
    if text != old:
        write_whole(path, text.encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
