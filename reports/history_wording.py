"""What the pages of a history say: numbers as the report writes them, shares in percent."""

from collections.abc import Mapping, Sequence
from typing import Any

from audit.errors import ReportError
from audit.history import words
from reports import numerals as num

SCHEMA = "genbias.history/1"
"""The one layout of a history's document these pages understand."""

_EXITS = {0: "every limit held", 1: "a limit is broken", 3: "a limit is undecided"}


def check(document: Mapping[str, Any]) -> None:
    """Refuse a document that these pages do not understand.

    Raises:
        ReportError: it has another schema, or no night.
    """
    found = document.get("schema") if isinstance(document, Mapping) else type(document).__name__
    if found != SCHEMA:
        raise ReportError(f"the history has schema {found!r}; this version reads {SCHEMA!r}: use the genbias that wrote it")
    if not document["nights"]:
        raise ReportError("the history holds no night yet; make one with `genbias nightly`")


def span(document: Mapping[str, Any]) -> str:
    """Return how many nights there are, from when to when."""
    nights = list(dict.fromkeys(n["night"] for n in document["nights"]))
    again = len(document["nights"]) - len(nights)
    text = f"{num.plural(len(nights), 'night')}, {nights[0]} to {nights[-1]}" if len(nights) > 1 else f"One night, {nights[0]}"
    return text + (f", drawn again {num.plural(again, 'time')}" if again else "") + "."


def finding(document: Mapping[str, Any]) -> str:
    """Return the answer to "did anything move?" in one sentence."""
    moves = document["moves"]
    if not moves:
        return "Nothing that is watched has moved"
    worse = sum(m["worse"] is True for m in moves)
    better = sum(m["worse"] is False for m in moves)
    told = [f"{n} to the {way}" for n, way in ((worse, "worse"), (better, "better")) if n]
    return f"{num.plural(len(moves), 'move')} of watched measures" + (f": {num.listing(told)}" if told else "")


def move(found: Mapping[str, Any]) -> str:
    """Return one move in a sentence: what, which way, since when, from what to what."""
    way = {True: "to the worse", False: "to the better", None: "neither to the worse nor to the better"}[found["worse"]]
    since = f"since {found['since']}" + (f" (or {num.listing(list(found['or_since']), most=3)})" if found["or_since"] else "")
    difference, interval = num.difference(found)
    subject = words.subject(found)
    return (f"{subject[:1].upper()}{subject[1:]} moved {way} {since}: {num.amount(found['before'], found)} before, "
            f"{num.amount(found['after'], found)} since, a difference of {difference} (95% interval {interval}); found on {found['found']}")  # fmt: skip


def same(series: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Return whether a move is of this series."""
    return all(series[k] == found[k] for k in ("generator", "metric", "attribute", "group", "baseline", "reader", "corrected", "protocol"))


def last(series: Mapping[str, Any], nights: Sequence[Mapping[str, Any]]) -> str:
    """Return a series' last number with its interval, and its night where that is not the last one."""
    at, value, low, high = series["points"][-1]
    row = {**series, "value": value, "low": low, "high": high}
    text = num.value(row) + (f" ({num.interval(row)})" if num.interval(row) else "")
    return text if nights[at]["night"] == nights[-1]["night"] else f"{text}, on {nights[at]['night']}; not measured since"


def moved(series: Mapping[str, Any]) -> str:
    """Return since when a series is at its level, empty where it never moved."""
    told = series["moved"]
    if told is None:
        return ""
    return {True: "worse", False: "better", None: "moved"}[told["worse"]] + f" since {told['since']}"


def nights(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a row a night, the last first: its outcome, seed, and what changed before it; nights that are missing too."""
    rows: dict[str, dict[str, Any]] = {}
    for n in document["nights"]:
        row = rows.setdefault(n["night"], {**n, "again": 0, "changes": list(n["changes"])})
        row["again"] = max(row["again"], n["repeat"])
    for night in document["missing"]:
        rows[night] = {"night": night, "missing": True}
    found = [rows[night] for night in sorted(rows, reverse=True)]
    moved_on = {m["found"] for m in document["moves"] if m["worse"]}
    return [row if row.get("missing") else {**row, "missing": False, "outcome": _outcome(row, document, moved_on), "told": [words.change(c) for c in row["changes"]]}
            for row in found]  # fmt: skip


def _outcome(row: Mapping[str, Any], document: Mapping[str, Any], moved_on: set[str]) -> tuple[str, str]:
    if row["exit_code"] == 1:
        return "broken", _EXITS[1]
    if row["night"] in moved_on:
        return "broken", "something moved to the worse"
    if row["exit_code"] == 3:
        return "undecided", _EXITS[3]
    return "held", _EXITS[0] if document["verdicts"] else "nothing moved to the worse"
