"""The tables at the end of the page: missing data, second rater, methods, weights, and every measure there is."""

import re

from reports import numerals as num
from reports import phrases, wording
from reports.reading import COUNTS, QUALITY, Reading, Row, measured
from reports.sheets import FAIRNESS, cut, name
from reports.tables import Cell, Table, number

_NUMBER = re.compile(r"\d+(?:\.\d+)?")

MOST_ROWS = 250
"""Rows of the full list printed on the page; measures.csv has all."""

MOST_FILES = 20
"""File names listed per generator and reason."""


def others(reading: Reading) -> Table | None:
    """Return the measures no other table shows (identity, skin tone shift, quality of single groups), if any."""
    found = [row for row in reading.measures if not _shown(row)]
    if not found:
        return None
    return Table("Other measures", ["Generator", "Measure", "Value", "Images"],
                 [_line(reading, row) for row in found[:MOST_ROWS]], note=cut(len(found), most=MOST_ROWS))  # fmt: skip


def missing(reading: Reading) -> Table:
    """Return how many images could not be used, by generator and reason, with the names of files."""
    rows = []
    kept = ("unreadable",) if reading.from_labels else COUNTS
    for g in reading.generators:
        cells = []
        for key in kept:
            row = reading.best(g.name, key)
            share = f"{num.value(row)} ({num.span(row)})" if row is not None and measured(row) else ""
            cells.append(Cell(num.count(g.missing[key]), share, "number"))
        files = [f for key in kept for f in g.files[key]]
        listed = "; ".join(num.plain(f, limit=120) for f in files[:MOST_FILES]) or "\u2013"
        listed += f"; and {num.count(len(files) - MOST_FILES)} more" if len(files) > MOST_FILES else ""
        files_ = [] if reading.from_labels else [Cell(listed, "", "prose")]
        rows.append([name(reading, g), Cell(num.count(g.images), "", "number"), *cells, *files_])
    heads = ["No label"] if reading.from_labels else [*map(wording.metric, kept), "Files"]
    return Table("Images that could not be used", ["Generator", "Images", *heads], rows)


def agreement(reading: Reading) -> Table | None:
    """Return how often the second rater agrees with the first, by generator and attribute, if there was one."""
    asked = [a for a in reading.attributes if reading.has(["agreement"], attribute=a.name)]
    if not asked:
        return None
    rows = [[name(reading, g, role=False), *[number(reading.best(g.name, "agreement", a.name)) for a in asked]]
            for g in reading.generators]  # fmt: skip
    caption = "Share of images on which the second rater gives the same label"
    return Table(caption, ["Generator", *[wording.attribute(reading, a.name) for a in asked]], rows)


def two_readers(reading: Reading) -> Table | None:
    """Return each difference in fairness discrepancy as either rater sees it, and whether they agree; None without a second rater."""
    rows = []
    for g in reading.candidates:
        for a in reading.attributes:
            first, other = (reading.change(g.name, "fairness_discrepancy", a.name, by_second=by) for by in (False, True))
            if other is not None:
                cells = [_changed(first), _changed(other)]
                rows.append([name(reading, g, role=False), Cell(wording.attribute(reading, a.name)), *cells, Cell(_agreed(first, other))])
    if not rows:
        return None
    columns = ["Generator", "Attribute", "Classifier", "Second rater", "Together"]
    return Table("Differences from the baseline, as either rater sees them", columns, rows[:MOST_ROWS], note=cut(len(rows), most=MOST_ROWS))


def _changed(row: Row | None) -> Cell:
    if row is None or not measured(row):
        return Cell("not compared", wording.reason(row), "missing")
    shown, between = num.difference(row)
    return Cell(shown, between, "number", numbers=(row["difference"], row.get("low"), row.get("high")))


def _agreed(first: Row | None, other: Row | None) -> str:
    """Return how two readings of one difference stand to each other."""
    way = [wording.direction(row) for row in (first, other)]
    if None in way:
        return "\u2013"
    if way[0] == way[1]:
        return "neither settles it" if way[0] == 0 else "nearer the target" if way[0] < 0 else "farther from the target"
    if 0 in way:
        return "only the classifier settles it" if way[0] else "only the second rater settles it"
    return "they say the opposite"


def methods(reading: Reading) -> Table:
    """Return how the interval of each metric was made, at what level and on how many images.

    Methods that differ in their numbers only (over how many classes, how many images count as one) share a row.
    """
    found: dict[tuple[str, str], list[Row]] = {}
    for row in reading.measures:
        if measured(row):
            found.setdefault((str(row.get("metric")), _NUMBER.sub("#", str(row.get("method") or ""))), []).append(row)
    order = {metric: i for i, metric in enumerate(phrases.METRICS)}
    rows = []
    for (metric, _), made in sorted(found.items(), key=lambda item: order.get(item[0][0], len(order))):
        levels = sorted({r["level"] for r in made if r.get("level") is not None})
        counts = sorted({int(r.get("n") or 0) for r in made})
        span = [num.count(n) for n in sorted({counts[0], counts[-1]})]
        rows.append([
            Cell(wording.metric(metric), "", "head"), Cell(num.plain(_together([str(r.get("method") or "") for r in made])) or "\u2013", "", "prose"),
            Cell(num.listing([num.percent(x).replace(".0%", "%") for x in levels]) or "\u2013", "", "number"),
            Cell(" to ".join(span), "", "number"),
        ])  # fmt: skip
    return Table("How each interval was made", ["Measure", "Method", "Level", "Images"], rows)


def _together(methods: list[str]) -> str:
    """Return methods that differ in their numbers only as one, with the span of each number.

    Example:
        >>> _together(["over 2 classes", "over 6 classes", "over 3 classes"])
        'over 2 to 6 classes'
    """
    numbers = zip(*({m: _NUMBER.findall(m) for m in methods}.values()), strict=True)
    spans = [(min(found, key=float), max(found, key=float)) for found in numbers]
    each = iter([low if low == high else f"{low} to {high}" for low, high in spans])
    return _NUMBER.sub(lambda _: next(each), methods[0])


def weights(reading: Reading) -> Table:
    """Return the weight files behind the result: what for, which bytes, under what licence."""
    rows = [
        [
            Cell(num.plain(w.get("name")), num.plain(w.get("role") or ""), "head"),
            Cell(num.plain(w.get("licence") or "licence not recorded")),
            Cell(num.plain(w.get("sha256") or "\u2013"), "", "digest"),
        ]
        for w in reading.provenance.get("weights") or []
    ]
    return Table("Weights", ["Name", "Licence", "sha256"], rows)


def everything(reading: Reading) -> Table:
    """Return the full list of measures, cut at :data:`MOST_ROWS`."""
    rows = []
    for row in reading.measures[:MOST_ROWS]:
        cells = _line(reading, row)
        cells.append(Cell(num.plain(row.get("method") or ""), num.plain(row.get("protocol") or ""), "prose"))
        rows.append(cells)
    total = len(reading.measures)
    columns = ["Generator", "Measure", "Value", "Images", "Method"]
    return Table(f"All {num.plural(total, 'measure')}", columns, rows, note=cut(total, most=MOST_ROWS))


def _line(reading: Reading, row: Row) -> list[Cell]:
    about = [num.plain(row["attribute"])] if row.get("attribute") else []
    about += [wording.group(row["group"])] if row.get("group") else []
    about += ["corrected"] if row.get("corrected") else []
    return [
        Cell(num.plain(reading.title(row.get("generator"))), "", "head"),
        Cell(wording.metric(row.get("metric")), ", ".join(about)),
        number(row),
        Cell(num.count(int(row.get("n") or 0)), "", "number"),
    ]


def _shown(row: Row) -> bool:
    """Return whether another table of the page shows this row."""
    metric, about, part = row.get("metric"), row.get("attribute"), row.get("group")
    if metric in QUALITY:
        return about is None and (part is None or str(part).startswith("reference:"))
    if metric in ("share", "share_worst_case", "bias_amplification"):
        return about is not None and part is not None
    return part is None and (metric in COUNTS if about is None else metric in (*FAIRNESS, "agreement"))
