"""Tables as data: a cell that says when it has no number, the flat CSV of all measures, and the terminal's headline."""

import csv
import io
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from reports import decisions, wording
from reports import numerals as num
from reports.reading import Reading, Row, measured

COLUMNS = (
    "generator", "metric", "attribute", "group", "value", "low", "high", "level", "n", "unit", "parity", "direction",
    "method", "protocol", "corrected", "reason",
)  # fmt: skip
"""The columns of measures.csv, in order; a key the result adds beyond these follows them."""

PAIRED = ("baseline", "before", "after", "p_value", "p_adjusted", "reader", "family")
"""Columns that only differences from a baseline fill; they follow where there are any."""

LEFT_OUT = ("curve",)
"""Keys of a row that are no column: intervals at further levels stay in result.json."""

NAME_WIDTH = 28
"""Longest generator name in the terminal, in columns."""


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: what it says.
        under: a second, quieter line: an interval, a reason, a role.
        kind: "" (words), "number", "missing", "head" (names the row), or the outcome of a verdict, or "strip" (a drawing).
        mark: the number a generator carries in the figures, None = no mark.
        numbers: value, low and high as they are, for sorting and copying; None = not measured, () = the text is all there is.
        href: the id of a place on the page the cell leads to, "" = none.
    """

    text: str
    under: str = ""
    kind: str = ""
    mark: int | None = None
    numbers: tuple[float | None, ...] = ()
    href: str = ""


@dataclass(frozen=True)
class Table:
    """A table the page can print.

    Attributes:
        caption: what it shows, in a sentence.
        columns: headings.
        rows: cells, as many a row as there are columns.
        spans: headings above the headings, each with the number of columns it covers; empty = none.
        note: a sentence below it.
    """

    caption: str
    columns: list[str]
    rows: list[list[Cell]]
    spans: list[tuple[str, int]] = field(default_factory=list)
    note: str = ""


def quoted(reading: Reading, row: Row | None) -> Cell:
    """Return the cell of a headline number; a raw one standing in for a corrected one says so."""
    cell = number(row)
    if row is None or cell.kind != "number" or not reading.fell_back(row):
        return cell
    return replace(cell, under=f"{cell.under}, raw")


def number(row: Row | None) -> Cell:
    """Return the cell of a measure: its value over its interval, or why it has none. Missing is never written as 0."""
    if row is None or not measured(row):
        return Cell("not measured" if row else "\u2013", wording.reason(row), "missing", numbers=(None, None, None))
    return Cell(num.value(row), num.span(row), "number", numbers=(row["value"], row.get("low"), row.get("high")))


def measures_csv(result: Mapping[str, Any]) -> str:
    """Return every number of a result as CSV, a line a row, missing values empty and their reason in its column.

    Measures come first. Then, where there are any, differences of candidates from their baselines, whose metric ends in
    "_difference", and what each mitigation costs.

    Args:
        result: what :func:`reports.load` returns.

    Raises:
        ReportError: the result has another schema.
    """
    reading = Reading(result)
    rows = [*reading.measures, *map(_difference_row, reading.comparisons), *_cost_rows(reading)]
    given = {str(key) for row in rows for key in row if key not in LEFT_OUT}
    columns = [*COLUMNS, *(c for c in PAIRED if c in given), *sorted(given - {*COLUMNS, *PAIRED})]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([[row.get(column) for column in columns] for row in rows])
    return out.getvalue().encode("utf-8", "replace").decode("utf-8")


def _difference_row(row: Row) -> Row:
    return {**{k: v for k, v in row.items() if k != "difference"}, "metric": f"{row.get('metric')}_difference", "value": row.get("difference")}


def _cost_rows(reading: Reading) -> list[Row]:
    costs = [(g.name, key, v) for g in reading.generators for key, v in (g.method.get("cost") or {}).items()]
    return [{"generator": name, "metric": key, "value": v, "unit": "seconds" if key.endswith("seconds") else "count",
             "direction": "lower", "corrected": False, "reason": None if v is not None else "not recorded"} for name, key, v in costs]  # fmt: skip


def headline(result: Mapping[str, Any]) -> str:
    """Return the terminal's table: each generator's discrepancies and quality, below each number its interval; then the verdicts.

    Args:
        result: what :func:`reports.load` returns.

    Raises:
        ReportError: the result has another schema.
    """
    reading = Reading(result)
    asked = headline_columns(reading)
    grid = [["generator", "images", *[f"FD {c.attribute}" if c.attribute else c.title for c in asked]]]
    for g in reading.generators:
        cells = [quoted(reading, reading.best(g.name, c.metric, c.attribute, c.group)) for c in asked]
        grid.append([num.plain(g.title, limit=NAME_WIDTH), num.count(g.images), *[_known(c) for c in cells]])
        grid.append(["", "", *[c.under if c.kind == "number" else "" for c in cells]])
    grid = [[num.plain(text, limit=NAME_WIDTH) for text in row] for row in grid]
    widths = [max(_width(text) for text in column) for column in zip(*grid, strict=True)]
    grid.insert(1, ["-" * width for width in widths])
    lines = [
        "  ".join(_pad(text, width, left=i == 0) for i, (text, width) in enumerate(zip(row, widths, strict=True)))
        for row in grid
    ]
    against = sorted({wording.reference(c.group) for c in asked if not c.attribute})
    lines += [f"FD: fairness discrepancy, 0 is the target; quality against the {against[0]}"] if against else []
    lines += decisions.lines(reading)
    return "\n".join(line.rstrip() for line in lines) + "\n"


@dataclass(frozen=True)
class Column:
    """One number of the headline: how it is headed and which rows of the result it is read from."""

    title: str
    metric: str
    attribute: str | None = None
    group: str | None = None


def headline_columns(reading: Reading) -> list[Column]:
    """Return the headline's numbers: a discrepancy for each attribute, then quality against the first reference."""
    columns = [
        Column(wording.attribute(reading, a.name), "fairness_discrepancy", a.name)
        for a in reading.attributes
        if reading.has(["fairness_discrepancy"], attribute=a.name)
    ]
    for reference in reading.references()[:1]:
        columns += [
            Column(wording.metric(metric), metric, group=reference)
            for metric in ("fid", "precision", "recall")
            if any(reading.best(g.name, metric, None, reference) for g in reading.generators)
        ]
    return columns


def _known(cell: Cell) -> str:
    return cell.text if cell.kind == "number" else "-"


def _width(text: str) -> int:
    """Return the columns ``text`` takes in a terminal: wide characters take two, combining marks none."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _pad(text: str, width: int, *, left: bool) -> str:
    space = " " * (width - _width(text))
    return text + space if left else space + text
