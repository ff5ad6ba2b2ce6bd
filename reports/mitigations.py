"""The mitigations of a result as tables: each against its baseline with its price, and what each method says of itself."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from reports import numerals as num
from reports import phrases, wording
from reports.alternatives import pair_label
from reports.reading import MOST_SHOWN, Attribute, Generator, Reading, Row, measured
from reports.tables import Cell, Table

ARROW = "\u2192"
FEWEST = 2
"""Attributes whose smallest class has rows of its own."""

COSTS = (
    ("calls_per_image", "Generator calls per image"),
    ("fitting_calls", "Generator calls to fit"),
    ("fitting_seconds", "Time to fit"),
    ("training_images", "Training images"),
)


def overview(reading: Reading) -> Table:
    """Return what became of each number, a row a number and a column a candidate, costs last."""
    candidates = reading.candidates[:MOST_SHOWN]
    rows = [[Cell(title, under, "head"), *cells] for title, under, cells in _lines(reading, candidates) if any(c.text for c in cells)]
    rows = [[row[0], *[c if c.text else Cell("\u2013", phrases.NOT_ASKED, "missing") for c in row[1:]]] for row in rows]
    return Table("Mitigations against their baselines", ["Number", *[heading(reading, g) for g in candidates]], rows)


def heading(reading: Reading, candidate: Generator) -> str:
    """Return a candidate and its baseline by title and number."""
    return pair_label(reading, {"generator": candidate.name, "baseline": candidate.compare_to}) if candidate.compare_to else num.plain(
        f"{candidate.number} {candidate.title}", limit=24)  # fmt: skip


def facts(method: Row) -> Table | None:
    """Return the diagnostics of a method with what each means; None where it has none."""
    given = [f for f in method.get("facts") or [] if isinstance(f, Mapping)]
    if not given:
        return None
    rows = [[Cell(num.plain(f.get("name")), "", "head"), _fact(f), Cell(num.plain(f.get("note") or "\u2013"), "", "prose")] for f in given]
    return Table("What the method says of itself", ["Diagnostic", "Value", "What it means"], rows)


def price(method: Row) -> list[tuple[str, str]]:
    """Return the costs of a method in words, those that it states."""
    cost = method.get("cost") or {}
    return [(title, cost_text(key, cost.get(key))) for key, title in COSTS if key in cost]


def cost_text(key: str, value: Any) -> str:
    """Return one cost: seconds as a duration, counts with thousands, None as not recorded."""
    if not _number(value):
        return "not recorded"
    if key == "fitting_seconds":
        return num.seconds(value) if value else "none"
    if key == "calls_per_image":
        return num.signed(float(value), 2).removesuffix(".00")
    return num.count(int(value)) if value else "none"


def caveats(reading: Reading, candidate: Generator) -> list[str]:
    """Return what to keep in mind of a method, and that the second rater guided it where it did."""
    said = [num.plain(c) for c in candidate.method.get("caveats") or []]
    rater = ((reading.result.get("spec") or {}).get("instruments") or {}).get("second_rater")
    if isinstance(rater, str) and rater in str(candidate.method.get("uses") or ""):
        said.append(phrases.SECOND_GUIDED)
    return said


def fewest(reading: Reading, candidate: Generator, attribute: Attribute) -> str | None:
    """Return the class of an attribute that the baseline draws least, as the comparison has it."""
    rows = [row for c in attribute.classes if (row := reading.change(candidate.name, "share", attribute.name, c)) is not None]
    known = [row for row in rows if row.get("before") is not None]
    return str(min(known, key=lambda row: row["before"])["group"]) if known else None


def pair_text(row: Row) -> str:
    """Return "baseline -> candidate", or just the difference where the two numbers are not recorded."""
    if row.get("before") is None or row.get("after") is None:
        return num.difference(row)[0]
    return f"{num.amount(row['before'], row)} {ARROW} {num.amount(row['after'], row)}"


def ratio(row: Row) -> float | None:
    """Return candidate over baseline; None where either is missing or the baseline is at 0."""
    before, after = row.get("before"), row.get("after")
    return after / before if before and after is not None and before > 1e-3 else None


def _lines(reading: Reading, candidates: list[Generator]) -> Iterator[tuple[str, str, list[Cell]]]:
    for by_second in (False, True):
        for a in reading.attributes:
            found = [reading.change(g.name, "fairness_discrepancy", a.name, by_second=by_second) for g in candidates]
            under = "fairness discrepancy" + (", second rater" if by_second else "")
            yield wording.attribute(reading, a.name), under, [_changed(row, times=True) for row in found]
    for metric, title in (("share", "Share of the class drawn least"), ("group_coverage", "Coverage of the class drawn least")):
        for a in reading.attributes[:FEWEST]:
            groups = [fewest(reading, g, a) for g in candidates]
            found = [reading.change(g.name, metric, a.name, c) if c else None for g, c in zip(candidates, groups, strict=True)]
            cells = [_changed(row, label=wording.group(c) if c else "") for row, c in zip(found, groups, strict=True)]
            yield title, _name(reading, a), cells
    for metric in ("fid", "precision", "recall", "coverage"):
        for reference in reading.references()[: None if metric == "fid" else 1]:
            found = [reading.change(g.name, metric, None, reference) for g in candidates]
            yield wording.metric(metric), wording.reference(reference), [_changed(row) for row in found]
    found = [reading.change(g.name, "identity_similarity") for g in candidates]
    yield wording.metric("identity_similarity"), "lower: more diverse people", [_changed(row) for row in found]
    for key, title in COSTS if any(g.method for g in candidates) else ():
        yield title, "", [_cost(g, key) for g in candidates]


def _name(reading: Reading, attribute: Attribute) -> str:
    return wording.lower_first(wording.attribute(reading, attribute.name))


def _changed(row: Row | None, *, label: str = "", times: bool = False) -> Cell:
    if row is None:
        return Cell("")
    if not measured(row):
        return Cell("not compared", wording.reason(row), "missing")
    shown, between = num.difference(row)
    part = ratio(row) if times else None
    under = f"{shown} ({between})" if between else shown
    if part is not None:
        under += f", \u00d7{num.signed(part, 2)}"
    raw = row.get("reader") is not None and not row.get("corrected")
    return Cell(pair_text(row), (f"{label}: " if label else "") + under + (", raw" if raw else ""), "number")


def _cost(candidate: Generator, key: str) -> Cell:
    if not candidate.method:
        return Cell("not recorded" if candidate.compare_to else "", "", "missing")
    return Cell(cost_text(key, (candidate.method.get("cost") or {}).get(key)), "", "number")


def _fact(fact: Row) -> Cell:
    value, unit = fact.get("value"), num.plain(fact.get("unit") or "")
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return Cell("not measured", "", "missing")
    if not _number(value):
        return Cell(num.plain(value))
    if unit == "share":
        return Cell(num.percent(value), "", "number")
    if unit in ("s", "seconds"):
        return Cell(num.seconds(value), "", "number")
    return Cell(f"{num.rounded(value)} {unit}".strip(), "", "number")


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
