"""A sweep of truncation, drawn: what psi does to the shares of groups and to precision and recall."""

from markupsafe import Markup

from reports import numerals as num
from reports import wording
from reports.reading import Reading, Row, measured
from reports.svg import BASELINE, CANDIDATE, EDGE, MUTED, TARGET, WIDTH, Drawing, drawing

LEAST = 3
"""Values of psi that make a sweep."""

TALL, GAP, NAMES = 118, 58, 92  # pixels: a panel, what lies between two, and the names of the lines

STYLES = ((BASELINE, "-"), (CANDIDATE, "-"), (MUTED, "-"), (BASELINE, "--"), (CANDIDATE, "--"), (MUTED, "--"))


def sweep(reading: Reading) -> list[tuple[float, str]]:
    """Return (psi, generator) of the largest set of generators that differ in truncation alone, psi rising; else nothing."""
    found: dict[tuple, list[tuple[float, str]]] = {}
    for name, given in ((reading.result.get("spec") or {}).get("generators") or {}).items():
        if name in reading.by_name and given.get("weights") and not given.get("sampler"):
            same = (given.get("source"), given["weights"], given.get("noise"))
            found.setdefault(same, []).append((float(given.get("truncation_psi") or 0.0), name))
    best = max(found.values(), key=lambda g: len({psi for psi, _ in g}), default=[])
    return sorted(best) if len({psi for psi, _ in best}) >= LEAST else []


def truncation_figure(reading: Reading, key: str) -> Markup | None:
    """Draw shares, and precision and recall, against psi with their intervals, a panel each; None where there is no sweep."""
    points = sweep(reading)
    if not points:
        return None
    panels = []
    for attribute in reading.attributes:
        lines = [(num.plain(c), [reading.best(g, "share", attribute.name, c) for _, g in points]) for c in attribute.classes]
        panels.append((f"Shares: {wording.attribute(reading, attribute.name)}", lines, lines[0][1]))
    references = reading.references()
    if references:
        lines = [(m, [reading.best(g, m, None, references[0]) for _, g in points]) for m in ("precision", "recall")]
        panels.append((f"Precision and recall, {wording.reference(references[0])}", lines, []))
    with drawing(key, height=len(panels) * (TALL + GAP)) as d:
        for at, (title, lines, wished) in enumerate(panels):
            _panel(d, at, title, [psi for psi, _ in points], lines, wished)
        said = "; ".join(f"{title}: {_spoken(points, lines)}" for title, lines, _ in panels)
        return d.svg(title="Truncation: psi against shares, precision and recall", description=said)


def _panel(d: Drawing, at: int, title: str, psis: list[float], lines: list[tuple[str, list[Row | None]]], wished: list) -> None:
    axes = d.axes(left=34, top=at * (TALL + GAP) + 20, width=WIDTH - 34 - NAMES - EDGE, height=TALL)
    axes.set_ylim(0, 1)
    axes.set_xlim(min(psis), max(psis))
    axes.set_xticks(psis)
    axes.set_yticks([0, 0.5, 1])
    axes.xaxis.set_major_formatter(d.ticks())
    axes.yaxis.set_major_formatter(d.ticks())
    axes.grid(axis="y")
    axes.tick_params(axis="x", pad=6)
    axes.set_title(d.label(title, limit=52), loc="left", fontsize=11.5, fontweight="bold", color="#010101")
    axes.set_xlabel("truncation psi (1 = none)")
    target = next((row["parity"] for row in wished if row and row.get("parity") is not None), None)
    if target is not None:
        axes.axhline(target, color=TARGET, linewidth=1, linestyle=":")
    ends = []
    for (name, rows), (colour, style) in zip(lines, STYLES, strict=False):
        kept = [(psi, row) for psi, row in zip(psis, rows, strict=True) if measured(row)]
        if kept:
            xs = [psi for psi, _ in kept]
            axes.plot(xs, [row["value"] for _, row in kept], color=colour, linestyle=style, linewidth=1.6, marker="o", markersize=3)
            axes.fill_between(xs, [r["low"] for _, r in kept], [r["high"] for _, r in kept], color=colour, alpha=0.16, linewidth=0)
            ends.append((kept[-1][1]["value"], name, colour))
    below = -1.0
    for value, name, colour in sorted(ends):  # names stand beside the ends of their lines, and apart from one another
        below = max(value, below + 0.14)
        axes.annotate(d.label(name, limit=14), (1.03, below), xycoords="axes fraction", va="center", color=colour, annotation_clip=False)


def _spoken(points: list[tuple[float, str]], lines: list[tuple[str, list[Row | None]]]) -> str:
    first, last = points[0][0], points[-1][0]
    told = []
    for name, rows in lines:
        ends = [f"{row['value']:.2f}" if measured(row) else "not measured" for row in (rows[0], rows[-1])]
        told.append(f"{name} {ends[0]} at {first:g} and {ends[1]} at {last:g}")
    return ", ".join(told)
