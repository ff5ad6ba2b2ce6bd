"""The tables of the page, each made from the rows of a result."""

from collections.abc import Mapping

from reports import decisions, wording
from reports import numerals as num
from reports.reading import GROUPS, QUALITY, Attribute, Generator, Reading, Row, measured, worst_first
from reports.strips import strips
from reports.tables import Cell, Column, Table, headline_columns, number, quoted

MOST_ROWS = 150
"""Rows of one table; what is cut is counted below it."""

FAIRNESS = ("fairness_discrepancy", "fairness_discrepancy_worst_case", "share_gap", "parity_ratio", "total_variation", "kl_divergence", "entropy")


def name(reading: Reading, generator: Generator, *, role: bool = True) -> Cell:
    """Return the cell that names a generator: its number in the figures, its title and, if wanted, its part."""
    part = wording.role(reading, generator) if role else ""
    return Cell(num.plain(generator.title, limit=80), part, "head", generator.number)


def verdicts(reading: Reading) -> Table:
    """Return the verdicts, broken first, then undecided, then held."""
    shown = worst_first(reading.verdicts)[:MOST_ROWS]
    known = any(v.get(k) is not None for v in shown for k in ("p_adjusted", "n"))
    rows = []
    for v, strip in zip(shown, strips(shown), strict=True):
        outcome = str(v.get("outcome"))
        rows.append([
            Cell(num.plain(outcome), "", outcome if outcome in ("broken", "undecided", "held") else ""),
            Cell(num.plain(reading.title(v.get("generator"))), _against(reading, v), "head"),
            Cell(wording.limit(reading, v)),
            Cell(strip, "", "strip"),
            Cell(*decisions.numbers(v), "number") if measured(v) else Cell("not measured", "", "missing"),
            *([_evidence(v)] if known else []),
            Cell(decisions.why(v), "", "prose"),
        ])  # fmt: skip
    columns = ["Outcome", "Generator", "Limit", "Interval and limit", "Measured", *(["Adjusted p"] if known else []), "Why"]
    return Table("Limits and what became of them", columns, rows, note=cut(len(reading.verdicts), file="result.json"))


def side_by_side(reading: Reading) -> Table:
    """Return the generators side by side: images, fairness discrepancies, quality, and FID against other references."""
    asked = headline_columns(reading)
    asked += [
        Column(wording.metric("fid"), "fid", group=reference)
        for reference in reading.references()[1:]
        if any(reading.best(g.name, "fid", None, reference) for g in reading.generators)
    ]
    spans = [("", 2)]
    for column in asked:
        over = "Fairness discrepancy" if column.attribute else wording.upper_first(wording.reference(column.group))
        spans = [*spans[:-1], (over, spans[-1][1] + 1)] if spans[-1][0] == over else [*spans, (over, 1)]
    rows = [
        [
            name(reading, g),
            Cell(num.count(g.images), "", "number"),
            *[quoted(reading, reading.best(g.name, c.metric, c.attribute, c.group)) for c in asked],
        ]
        for g in reading.generators
    ]
    return Table("Generators side by side", ["Generator", "Images", *[c.title for c in asked]], rows, spans)


def shares(reading: Reading, attribute: Attribute, links: Mapping[tuple[str, str, str], str] | None = None) -> Table:
    """Return all shares of one attribute, raw and, where there are any, corrected, against their target; counts lead to images."""
    found = []
    for g in reading.generators:
        for c in attribute.classes:
            raw, corrected = reading.pair(g.name, "share", attribute.name, c)
            found += [(g, c, raw, corrected)] if raw or corrected else []
    both = any(corrected for *_, corrected in found)
    unread = reading.has(["share_worst_case"], attribute=attribute.name)
    trained = reading.has(["bias_amplification"], attribute=attribute.name)
    rows = []
    for g, c, raw, corrected in found[:MOST_ROWS]:
        images = reading.images(g.name, attribute.name, c)
        rows.append(
            [
                name(reading, g, role=False),
                Cell(wording.group(c)),
                number(raw),
                *([number(corrected)] if both else []),
                *([_worst_case(reading.best(g.name, "share_worst_case", attribute.name, c))] if unread else []),
                *([number(reading.best(g.name, "bias_amplification", attribute.name, c))] if trained else []),
                Cell(wording.target(raw or corrected).removeprefix("target ") or "\u2013", "", "number"),
                Cell("\u2013" if images is None else num.count(images), "", "number", href=(links or {}).get((g.name, attribute.name, c), "")),
            ]
        )
    caption = f"{wording.attribute(reading, attribute.name)}: share of images by label"
    columns = ["Generator", "Labelled", "Raw", *(["Corrected"] if both else [])]
    columns += [*(["If all unread images were of one class"] if unread else [])]
    columns += [*(["Minus training share"] if trained else []), "Target", "Images"]
    return Table(caption, columns, rows, note=cut(len(found)))


def fairness(reading: Reading, attribute: Attribute) -> Table | None:
    """Return the other measures of the same shares, or None where there are none."""
    keys = [k for k in FAIRNESS if any(reading.best(g.name, k, attribute.name) for g in reading.generators)]
    if not keys:
        return None
    columns, rows = ["Generator", "Shares used"], []
    for g in reading.generators:
        for corrected in (False, True):
            found = [reading.pair(g.name, k, attribute.name)[corrected] for k in keys]
            if any(found):
                rows.append(
                    [
                        name(reading, g, role=False),
                        Cell("corrected" if corrected else "raw"),
                        *[number(r) for r in found],
                    ]
                )
    caption = f"{wording.attribute(reading, attribute.name)}: other measures of these shares"
    columns += [wording.metric(k) for k in keys]
    return Table(caption, columns, rows[:MOST_ROWS], note=cut(len(rows)))


COMPARED = {
    "fairness": "Fairness discrepancy, candidate minus baseline",
    "shares": "Shares, class by class, candidate minus baseline",
    "quality": "Image quality, candidate minus baseline",
    "groups": "Quality within groups, candidate minus baseline",
}
"""The tables of comparisons and their captions."""


def all_comparisons(reading: Reading) -> list[tuple[str, Table]]:
    """Return the tables of comparisons that have rows, each with what it is called."""
    found = [(caption, sum(_kind(c) == which for c in reading.comparisons), comparisons(reading, which)) for which, caption in COMPARED.items()]
    return [(f"{caption}: {num.plural(rows, 'row')}", table) for caption, rows, table in found if table is not None]


def comparisons(reading: Reading, which: str) -> Table | None:
    """Return the comparisons of one kind, a key of :data:`COMPARED`; None where there are none."""
    rows = []
    for c in reading.comparisons:
        if _kind(c) != which:
            continue
        about = [wording.attribute(reading, c["attribute"])] if c.get("attribute") else []
        about += [wording.group(c["group"])] if c.get("group") else []
        about += filter(None, [wording.reader(c)])
        baseline = num.plain(reading.title(c.get("baseline")))
        rows.append(
            [
                Cell(num.plain(reading.title(c.get("generator"))), f"against {baseline}", "head"),
                Cell(wording.metric(c.get("metric")), ", ".join(about)),
                *[_side(c, key) for key in ("before", "after")],
                _difference(c),
                Cell(num.p_value(c.get("p_adjusted")) or "\u2013", "", "number"),
                Cell(num.count(int(c["n"])) if c.get("n") else "\u2013", "", "number"),
            ]
        )
    columns = ["Candidate", "Measure", "Baseline", "Candidate", "Difference", "Adjusted p", "Images"]
    return Table(COMPARED[which], columns, rows[:MOST_ROWS], note=cut(len(rows))) if rows else None


def quality(reading: Reading) -> Table:
    """Return all quality measures, a row per generator and reference, with the protocol they were made by."""
    keys = [k for k in QUALITY if reading.has([k])]
    rows = []
    for g in reading.generators:
        for ref in reading.references():
            found = [reading.best(g.name, k, None, ref) for k in keys]
            if any(found):
                protocols = sorted({num.plain(r["protocol"]) for r in found if r is not None and r.get("protocol")})
                rows.append([
                    name(reading, g), Cell(wording.reference(ref)), *[number(r) for r in found],
                    Cell("; ".join(protocols) or "\u2013", "", "prose"),
                ])  # fmt: skip
    return Table("Image quality against each reference",
                 ["Generator", "Reference", *[wording.metric(k) for k in keys], "Protocol"], rows)  # fmt: skip


def cut(total: int, *, most: int = MOST_ROWS, file: str = "measures.csv") -> str:
    """Return the note below a table that was cut at ``most`` of ``total`` rows; empty where it was not."""
    return f"The first {num.count(most)} of {num.count(total)} rows; {file} has all of them." if total > most else ""


def _against(reading: Reading, verdict: Row) -> str:
    return f"against {num.plain(reading.title(verdict['baseline']), limit=40)}" if verdict.get("baseline") else ""


def _evidence(verdict: Row) -> Cell:
    p = num.p_value(verdict.get("p_adjusted"))
    return Cell(f"p\u00a0{p}" if p else "\u2013", num.plural(int(verdict["n"]), "image") if verdict.get("n") else "", "number")


def _worst_case(row: Row | None) -> Cell:
    """Return the bounds of a share if all unread images were of one class, or that none were unread."""
    if row is None or row.get("low") is None or row.get("high") is None:
        return Cell("\u2013", "", "missing")
    return Cell(f"between {num.amount(row['low'], row)} and {num.amount(row['high'], row)}")


def _kind(row: Row) -> str:
    if row.get("metric") in GROUPS:
        return "groups"
    if row.get("metric") in QUALITY:
        return "quality"
    return "shares" if row.get("group") is not None else "fairness"


def _side(row: Row, key: str) -> Cell:
    return Cell("\u2013" if row.get(key) is None else num.amount(row[key], row), "", "number")


def _difference(row: Row) -> Cell:
    if not measured(row):
        return Cell("not compared", wording.reason(row), "missing")
    value, between = num.difference(row)
    return Cell(value, between, "number")
