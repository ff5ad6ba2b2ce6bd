"""One drawing of a study as a file of its own, for a README or a paper: ``python -m reports.picture RUN OUT.svg [NUMBER]``.

The page's drawings take their colours from its style sheet; a file has none, so the light palette is written into it.
"""

import re
import sys
from importlib import resources
from pathlib import Path

from audit.errors import GenbiasError, ReportError
from audit.records import write_whole
from reports.loading import load
from reports.studies import section

SVG = re.compile(r"<svg .*?</svg>", re.DOTALL)
COLOURS = re.compile(r"(--[a-z]+): (#[0-9a-f]{6});")


def pictures(run: str | Path) -> list[str]:
    """Return the drawings of a run's study section, each a whole SVG file.

    Args:
        run: a run directory or its result.json.

    Raises:
        ReportError: the run has no study, or its section has no drawing.
    """
    found = section(load(run))
    drawn = SVG.findall(str(found[1])) if found is not None else []
    if not drawn:
        raise ReportError(f"{run} has no study with a drawing; give the directory of a run whose spec has `study:`")
    return [_alone(svg) for svg in drawn]


def _alone(svg: str) -> str:
    sheet = (resources.files("reports") / "templates" / "report.css").read_text(encoding="utf-8")
    palette = dict(COLOURS.findall(sheet.partition("@media")[0]))
    svg = re.sub(r"var\((--[a-z]+)\)", lambda m: palette.get(m[1], "#1b1d1f"), svg)
    width, height = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups()  # type: ignore[union-attr]
    style = f'<style>text{{font:11.5px sans-serif;fill:{palette["--ink"]}}}</style><rect width="100%" height="100%" fill="{palette["--page"]}"/>'
    begin = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
    return re.sub(r"^<svg ([^>]*)>", lambda m: f"{begin}{m[1]}>{style}", svg) + "\n"


def main(run: str, out: str, number: str = "1") -> None:
    """Write drawing ``number`` (from 1) of the study of ``run`` to ``out``."""
    drawn = pictures(run)
    if not number.isdigit() or not 1 <= int(number) <= len(drawn):
        raise ReportError(f"{run} has {len(drawn)} drawings in its study; there is no number {number!r}")
    write_whole(Path(out), drawn[int(number) - 1].encode())


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except GenbiasError as error:
        sys.exit(f"genbias: {error}")
