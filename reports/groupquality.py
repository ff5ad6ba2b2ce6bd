"""Quality within groups of people: the coverage of each class as a dot plot, and all such numbers as a table."""

import math
from collections.abc import Sequence

from markupsafe import Markup

from reports import numerals as num
from reports import wording
from reports.figures import HEAD, ROW, Dots, dot_axes, generator_name, heading, words
from reports.reading import Attribute, Generator, Reading, Row, measured
from reports.sheets import MOST_ROWS, cut, name
from reports.svg import colour, drawing
from reports.tables import Cell, Table, number

METRICS = ("group_coverage", "group_fid", "group_kid")
"""Measures of quality that are taken within a class."""


def attributes(reading: Reading) -> list[Attribute]:
    """Return the attributes and intersections with quality within their classes."""
    return [a for a in (*reading.attributes, *reading.intersections) if reading.has(METRICS, attribute=a.name)]


def coverage_figure(reading: Reading, attribute: Attribute, key: str) -> Markup | None:
    """Draw the coverage of each class of an attribute, a row a generator; 1 means that every reference image has a neighbour.

    Args:
        reading: the result.
        attribute: which attribute.
        key: unique name of the figure on its page.

    Returns:
        One SVG element, or None where no coverage within a class was measured.
    """
    blocks: list[tuple[str, list[tuple[Generator, Row]]]] = []
    for c in attribute.classes:
        rows = [(g, row) for g in reading.shown if (row := reading.best(g.name, "group_coverage", attribute.name, c)) is not None]
        blocks += [(c, rows)] if rows else []
    known = [row for _, rows in blocks for _, row in rows if measured(row)]
    if not known:
        return None
    right = max(1.0, *(math.ceil(row["high"] * 10) / 10 for row in known if row.get("high") is not None))
    height = sum(HEAD + ROW * len(rows) for _, rows in blocks)
    with drawing(key, height=height + 34) as d:
        axes, dots, top = dot_axes(d, height, right), Dots(), 0.0
        axes.xaxis.set_major_formatter(d.ticks())
        axes.set_xlabel("coverage; right is better")
        for c, rows in blocks:
            heading(d, axes, top, f"labelled {wording.group(c)}", _counted(rows))
            top += HEAD
            for g, row in rows:
                generator_name(d, axes, top + ROW / 2, g)
                dots.add(row, top + ROW / 2, colour(g), filled=True)
                if not measured(row):
                    words(d, axes, top + ROW / 2, f"not measured: {wording.reason(row)}")
                top += ROW
        dots.draw(axes)
        return d.svg(title=f"{wording.attribute(reading, attribute.name)}: coverage of each class", description=_spoken(blocks))


def table(reading: Reading, attribute: Attribute) -> Table:
    """Return quality within the classes of one attribute, a row a generator and class."""
    keys = [k for k in METRICS if reading.has([k], attribute=attribute.name)]
    rows = []
    for g in reading.generators:
        for c in attribute.classes:
            found = [reading.best(g.name, k, attribute.name, c) for k in keys]
            if any(found):
                counts = [int(r["n"]) for r in found if r is not None and r.get("n") is not None]
                images = Cell(num.count(min(counts)) if counts else "\u2013", "", "number")
                rows.append([name(reading, g, role=False), Cell(wording.group(c)), *[number(r) for r in found], images])
    columns = ["Generator", "Labelled", *[wording.metric(k).removesuffix(" of a group") for k in keys], "Images"]
    caption = f"{wording.attribute(reading, attribute.name)}: quality within groups"
    return Table(caption, columns, rows[:MOST_ROWS], note=cut(len(rows)))


def _counted(rows: Sequence[tuple[Generator, Row]]) -> str:
    """Return how many images the class has at each generator: one number, or the fewest and the most."""
    counts = sorted({int(row["n"]) for _, row in rows if row.get("n")})
    if not counts:
        return ""
    return f"n = {num.count(counts[0])}" + (f" to {num.count(counts[-1])}" if len(counts) > 1 else "")


def _spoken(blocks: list[tuple[str, list[tuple[Generator, Row]]]]) -> str:
    told = []
    for c, rows in blocks:
        said = [f"{num.plain(g.title, limit=40)} {wording.quoted(row) if measured(row) else 'not measured'}" for g, row in rows]
        told.append(f"Labelled {wording.group(c)}: {num.listing(said, most=12)}.")
    return " ".join(told)
