"""Tables of the paired audit: the maps side by side, and behind folds every stratum, every flip and what was clipped."""

from collections.abc import Sequence
from typing import Any

from reports import numerals as num
from reports.tables import Cell, Table

Row = dict[str, Any]

BY = {
    "all": "all pairs", "true_tone": "true tone", "input_tone": "tone read before", "input_L": "L* read before", "mean_L": "mean of L* before and after",
    "true_gender": "true gender presentation", "input_gender": "gender presentation read before", "unclipped": "without clipping",
    "beyond_jitter": "minus the jitter", "beyond_blur": "minus the blur",
}  # fmt: skip
"""What pairs are divided by, in words."""

QUANTITIES = {"L": "L*", "hue": "hue, degrees", "ita": "ITA, degrees", "monk": "Monk tone", "background_L": "L* of the background"}

READERS = {"classifier": "classifier", "second_rater": "second rater", "skin_tone": "colour of the skin"}


def summary(maps: Sequence[Row]) -> Table:
    """Return a row a map: its size, what it did to skin and background, to the first attribute of two classes, and to the person."""
    flip = next((f for m in maps for f in m.get("flips") or [] if len(f["classes"]) == 2), None)
    columns = ["map", "size, \u0394E", *(f"\u0394 {name}" for name in QUANTITIES.values())]
    if flip is not None:
        columns += [f"labelled {num.plain(flip['classes'][1])}, points", "p, adjusted"]
    person = any(m.get("identity") for m in maps)
    columns += ["identity similarity", "below strangers"] if person else []
    rows = []
    for m in maps:
        about = _how(m)
        cells = [Cell(num.plain(m.get("title"), limit=40), about, "head"), _plain(m.get("size"), 1)]
        cells += [_change(next((r for r in m.get("changes") or [] if r["quantity"] == q and r["by"] == "all"), None)) for q in QUANTITIES]
        if flip is not None:
            own = next((f for f in m.get("flips") or [] if f["attribute"] == flip["attribute"]), None)
            cells += [_share(own["differences"][1]) if own else _none(), Cell(num.p_value(own.get("p_adjusted")) if own else "", kind="number")]
        if person:
            kept = m.get("identity") or {}
            cells += [_change(kept.get("similarity"), 3, signed=False), _share(kept.get("lost"), signed=False)]
        rows.append(cells)
    return Table("The maps and their controls side by side", columns, rows,
                 note="Size is the root mean square, over pixels and images, of the distance in CIELAB between before and after. Below strangers: share of "
                      "pairs less alike than the most alike twentieth of pairs of different people.")  # fmt: skip


def all_changes(maps: Sequence[Row]) -> Table:
    """Return every mean change, a row a map and stratum, a column a quantity."""
    shown = [q for q in QUANTITIES if q != "background_L"]
    rows = []
    for m in maps:
        seen: dict[tuple, dict[str, Row]] = {}
        for r in m.get("changes") or []:
            seen.setdefault((r["by"], r["stratum"]), {})[r["quantity"]] = r
        for (by, stratum), found in seen.items():
            if found.keys() & set(shown):
                n = max((r.get("n") or 0) for r in found.values())
                words = BY.get(by, by) if stratum == "all pairs" or by == "unclipped" else f"{BY.get(by, by)}: {stratum}"
                rows.append([Cell(num.plain(m.get("title"), limit=40), kind="head"), Cell(words), Cell(num.count(n), kind="number"),
                             *(_change(found.get(q)) for q in shown)])  # fmt: skip
    return Table("Mean signed change of the skin's colour, after minus before", ["map", "pairs", "n", *(f"\u0394 {QUANTITIES[q]}" for q in shown)], rows,
                 note="Paired t intervals, simultaneous over the strata of one division.")  # fmt: skip


def all_flips(maps: Sequence[Row]) -> Table:
    """Return the labels of every attribute and reader: flips from class to class, change of each share, and the test."""
    rows = []
    for m in maps:
        for f in m.get("flips") or []:
            for at, name in enumerate(f["classes"]):
                beyond = {c: found[at] for c, found in (f.get("beyond") or {}).items()}
                truth = f.get("by_truth")
                right = [Cell("", kind="number")] * 2 if not truth else [Cell(_right(truth[side], at), kind="number") for side in ("before", "after")]
                rows.append([Cell(num.plain(m.get("title"), limit=40), kind="head"), Cell(f"{f['attribute']}: {num.plain(name)}"),
                             Cell(READERS.get(f["reader"], f["reader"])), Cell(_to(f, at)), Cell(num.count(f["lost"][at]), kind="number"),
                             Cell(num.count(f["gained"][at]), kind="number"), _share(f["differences"][at]), _share(beyond.get("blur")), *right,
                             Cell(num.p_value(f.get("p_adjusted")), f.get("test") or "", "number") if at == 0 else Cell("", kind="number")])  # fmt: skip
    columns = ["map", "attribute", "reader", "flips to", "left", "entered", "share, after minus before, points", "share, minus the blur, points", "right before",
               "right after", "p, adjusted"]  # fmt: skip
    return Table("Labels before and after", columns, rows,
                 note="P-values are adjusted by Holm's method over the attributes of one map and reader. Right: share of the portraits of this true class "
                      "that are so labelled.")  # fmt: skip


def clipped(maps: Sequence[Row]) -> Table:
    """Return how much was clipped to what 8 bits can show, by tone."""
    rows = []
    for m in maps:
        for s in m.get("saturation") or []:
            shares = [Cell(num.percent(s[k]) if s.get(k) is not None else "\u2013", kind="number") for k in ("pixels", "images")]
            rows.append([Cell(num.plain(m.get("title"), limit=40), kind="head"), Cell(f"{BY.get(s['by'], s['by'])}: {s['stratum']}"),
                         Cell(num.count(s["n"]), kind="number"), *shares])  # fmt: skip
    return Table("Pixels that reached 0 or 255 and were not there before", ["map", "pairs", "n", "share of pixels", "share of images with any"], rows)


def _how(m: Row) -> str:
    facts = m.get("map") or {}
    if facts.get("kind") != "filter" or not facts.get("amount"):
        return ""
    return f"{facts['filter']} {num.signed(facts['amount'], 1)}" + (f", {facts['said']}" if facts.get("said") else "")


def _to(f: Row, at: int) -> str:
    """Return where the images that left a class went: "4 medium, 1 dark"."""
    row = f["table"][at]
    gone = [f"{num.count(n)} {num.plain(f['classes'][j])}" for j, n in enumerate(row) if j != at and n]
    return ", ".join(gone) or "\u2013"


def _right(crossed: Sequence[Sequence[int]], at: int) -> str:
    total = sum(crossed[at])
    return num.percent(crossed[at][at] / total) if total else "\u2013"


def _change(row: Row | None, digits: int = 2, *, signed: bool = True) -> Cell:
    if row is None or row.get("value") is None:
        return _none(row)
    text, low, high = (num.signed(row[k], digits) for k in ("value", "low", "high"))
    plus = "+" if signed and row["value"] > 0 and text.strip("0.") else ""
    return Cell(f"{plus}{text}", f"{low} to {high}", "number", numbers=(row["value"], row["low"], row["high"]))


def _share(row: Row | None, *, signed: bool = True) -> Cell:
    if row is None or row.get("value") is None:
        return _none(row)
    value, low, high = (num.signed(row[k] * 100, 1) for k in ("value", "low", "high"))
    plus = "+" if signed and row["value"] > 0 and value.strip("0.") else ""
    unit = "" if signed else "%"
    return Cell(f"{plus}{value}{unit}", f"{low} to {high}", "number", numbers=(row["value"], row["low"], row["high"]))


def _plain(number: float | None, digits: int) -> Cell:
    return _none() if number is None else Cell(num.signed(number, digits), kind="number", numbers=(number, None, None))


def _none(row: Row | None = None) -> Cell:
    return Cell("\u2013" if row is None else "not measured", "" if row is None else num.plain(row.get("reason") or ""), "missing")
