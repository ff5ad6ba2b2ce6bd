"""The answers of the first screen: who is nearest the target on each attribute, at what price, and what stays open.

Findings are looked up as data (:class:`Answer`) and said as short sentences under four headings. Two generators count as told apart
only where their intervals do not overlap, which is stricter than a test of their difference; a candidate and its baseline go by the
interval of their paired difference.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from reports import numerals as num
from reports import wording
from reports.reading import Attribute, Generator, Reading, Row, measured

Standing = tuple[Generator, Row]
"""A generator and its fairness discrepancy."""

HEADS = {"nearest": "Nearest the target", "price": "Price in quality", "farthest": "Farthest", "open": "Cannot be concluded"}
"""The headings of an answer, in the order they are read."""

_BETTER_LOW = {"fid": True, "kid": True, "precision": False, "recall": False, "coverage": False, "fairness_discrepancy": True}


@dataclass(frozen=True)
class Answer:
    """What was found of one attribute.

    Attributes:
        attribute: which.
        nearest: the generator with the smallest discrepancy.
        rivals: the generators whose intervals overlap its interval, nearest first.
        farthest: the generator with the largest discrepancy; None where there is one generator only.
        unknown: generators whose discrepancy could not be measured, with the row that says why.
    """

    attribute: Attribute
    nearest: Standing | None
    rivals: list[Standing] = field(default_factory=list)
    farthest: Standing | None = None
    unknown: list[tuple[Generator, Row | None]] = field(default_factory=list)


def answer(reading: Reading, attribute: Attribute) -> Answer:
    """Return what was found of one attribute."""
    rows = [(g, reading.best(g.name, "fairness_discrepancy", attribute.name)) for g in reading.generators]
    known = sorted(((g, row) for g, row in rows if row is not None and measured(row)), key=lambda pair: pair[1]["value"])
    unknown = [(g, row) for g, row in rows if not measured(row)]
    if not known:
        return Answer(attribute, None, unknown=unknown)
    nearest, others = known[0], known[1:]
    rivals = [pair for pair in others if _overlap(nearest[1], pair[1])]
    return Answer(attribute, nearest, rivals, others[-1] if others else None, unknown)


def sentences(reading: Reading, found: Answer) -> list[tuple[str, str, str]]:
    """Return the answer as (heading, name, rest of the sentence), headings as in :data:`HEADS`.

    The name is that of the generator the sentence begins with, empty where it begins with none; a heading with nothing to say
    is left out.
    """
    if found.nearest is None:
        why = sorted({wording.reason(row) for _, row in found.unknown})
        return [(HEADS["open"], "", f"The fairness discrepancy could not be measured: {num.listing(why, most=3)}.")]
    said = [("nearest", _title(found.nearest), _nearest(reading, found)), ("price", "", price(reading, found.nearest[0])),
            ("farthest", _title(found.farthest), _farthest(reading, found)), ("open", "", " ".join(_open(reading, found)))]  # fmt: skip
    return [(HEADS[key], name, text) for key, name, text in said if text]


def price(reading: Reading, generator: Generator) -> str:
    """Return what the nearness of a generator costs in quality: against its baseline where it has one, else beside the best FID."""
    reference = next(iter(reading.references()), None)
    if generator.compare_to:
        changes = [(m, reading.change(generator.name, m, None, reference)) for m in ("fid", "recall")]
        known = [(m, c) for m, c in changes if c is not None and measured(c)]
        if known:
            told = [_change(m, c) for m, c in known]
            return f"Against {_name(reading, generator.compare_to)}: {'; '.join(told)}."
    own = reading.best(generator.name, "fid", None, reference)
    if own is None or not measured(own):
        return "" if not reading.references() else f"FID was not measured: {wording.reason(own)}."
    rows = [(g, reading.best(g.name, "fid", None, reference)) for g in reading.generators]
    best, lowest = min(((g, r) for g, r in rows if r is not None and measured(r)), key=lambda pair: pair[1]["value"])
    text = f"FID {wording.quoted(own)}"
    if best.name == generator.name:
        return f"{text}, the lowest of all." if len(rows) > 1 else f"{text}."
    also = ", not told apart from this" if _overlap(lowest, own) else ""
    return f"{text}; the lowest is {wording.quoted(lowest)} of {num.plain(best.title, limit=40)}{also}."


def _nearest(reading: Reading, found: Answer) -> str:
    if found.nearest is None:
        return ""
    row = found.nearest[1]
    text = f", {wording.quoted(row)}{wording.raw_note(reading, row)}"
    if not found.rivals:
        return f"{text}."
    names = [f"{num.plain(g.title, limit=40)} ({num.value(r)})" for g, r in found.rivals]
    return f"{text}; not told apart from {num.listing(names, most=3)}."


def _farthest(reading: Reading, found: Answer) -> str:
    if found.farthest is None:
        return "" if found.nearest is None else _skew(reading, found.nearest[0], found.attribute)
    generator, row = found.farthest
    skew = _skew(reading, generator, found.attribute)
    text = f", {wording.quoted(row)}{wording.raw_note(reading, row)}"
    return f"{text}{': ' if skew else '.'}{skew}"


def _skew(reading: Reading, generator: Generator, attribute: Attribute) -> str:
    """Return which class a generator draws too often, in few words."""
    rows = [row for c in attribute.classes if (row := reading.best(generator.name, "share", attribute.name, c)) is not None]
    known = [row for row in rows if measured(row) and row.get("parity") is not None]
    if not known:
        return ""
    row = max(known, key=lambda r: r["value"] - r["parity"])
    return f"{num.value(row)} labelled {wording.group(row.get('group'))}, {wording.target(row)}."


def _open(reading: Reading, found: Answer) -> Iterator[str]:
    """Yield what these images cannot settle about one attribute."""
    rivals = len(found.rivals)
    if rivals and rivals == len(reading.generators) - 1 - len(found.unknown):
        yield "Which generator is nearest: all intervals overlap." if rivals > 1 else "Which of the two is nearer: their intervals overlap."
    elif rivals:
        yield f"Which of these {rivals + 1} is nearest: their intervals overlap."
    same, split = [], []
    for g in reading.candidates:
        row, second = (reading.change(g.name, "fairness_discrepancy", found.attribute.name, by_second=by) for by in (False, True))
        if row is None or not measured(row):
            continue
        if not _settled(row):
            same.append(num.plain(g.title, limit=40))
        elif second is not None and measured(second) and _settled(second) and (second["difference"] > 0) != (row["difference"] > 0):
            split.append(num.plain(g.title, limit=40))
    if same:
        yield f"Whether {num.listing(same, most=3)} {'differs from its baseline' if len(same) == 1 else 'differ from their baselines'}."
    if split:
        yield f"Which way {num.listing(split, most=3)} moved: the second rater says the opposite."
    if found.unknown:
        why = sorted({wording.reason(row) for _, row in found.unknown})
        yield f"Not measured for {num.plural(len(found.unknown), 'generator')}: {num.listing(why, most=2)}."


def _change(metric: str, row: Row) -> str:
    """Return "FID 8.4 -> 6.1, -2.3 (-2.5 to -2.2), better"; a difference whose interval holds 0 is said to be open."""
    shown, between = num.difference(row)
    before = f" {num.amount(row['before'], row)} \u2192 {num.amount(row['after'], row)}," if None not in (row.get("before"), row.get("after")) else ""
    better = (row["difference"] < 0) is _BETTER_LOW[metric]
    word = ("better" if better else "worse") if _settled(row) else "not settled"
    return f"{wording.metric(metric)}{before} {shown}{f' ({between})' if between else ''}, {word}"


def _title(standing: Standing | None) -> str:
    return "" if standing is None else num.plain(standing[0].title, limit=40)


def _settled(row: Row) -> bool:
    """Return whether the interval of a difference leaves 0 out."""
    return bool(wording.direction(row))


def _overlap(a: Row, b: Row) -> bool:
    ends = [row.get(k) for row in (a, b) for k in ("low", "high")]
    return None in ends or (a["low"] <= b["high"] and b["low"] <= a["high"])


def _name(reading: Reading, generator: str | None) -> str:
    return num.plain(reading.title(generator), limit=40)
