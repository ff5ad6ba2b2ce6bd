"""A history in a terminal: what moved, then a line a measure with a small picture of its nights."""

from collections.abc import Mapping, Sequence
from typing import Any

from audit.history import words

BARS = "▁▂▃▄▅▆▇█"

NIGHTS = 40
"""Nights a picture shows, the last ones."""


def table(document: Mapping[str, Any]) -> str:
    """Return a history as text.

    Args:
        document: see :func:`audit.history.story.tell`.
    """
    nights = list(dict.fromkeys(n["night"] for n in document["nights"]))
    again = len(document["nights"]) - len(nights)
    lines = [f"{document['suite']}: {len(nights):,} night{'s' * (len(nights) != 1)} from {nights[0]} to {nights[-1]}"
             + (f", drawn again {again:,} times" if again else "")]  # fmt: skip
    lines += [note for note in (words.missing(document["missing"]), words.watching(document)) if note]
    lines += [words.renaming(r) for r in document["renamed"]] + [words.exact(e) for e in document["exact"][:3]]
    lines.append("")
    moves = document["moves"]
    lines += [f"moved: {words.move(m)}; {words.cause(m)}" for m in moves] or ["nothing watched has moved"]
    notable = document["notable"]
    if notable:
        lines += ["", f"notable among the measures that are not watched ({len(notable)}; about one in twenty of these lines is chance):"]
        lines += [f"  {words.subject(m)}: {words.number(m['before'])} to {words.number(m['after'])} since {m['since']}" for m in notable[:10]]
    rows = [_row(series, document["nights"], nights) for series in document["series"]]
    width = max((len(r[0]) for r in rows), default=0)
    lines += ["", *(f"{what:{width}}  {picture:{min(NIGHTS, len(nights))}}  {last:27}  {moved}".rstrip() for what, picture, last, moved in rows)]
    return "\n".join(lines)


def spark(values: Sequence[float | None]) -> str:
    """Return numbers as a row of bars, the least the lowest; a gap where there is none.

    Example:
        >>> spark([0.0, None, 1.0, 0.5])
        '▁ █▅'
    """
    there = [v for v in values if v is not None]
    if not there:
        return " " * len(values)
    low, span = min(there), max(there) - min(there)
    return "".join(" " if v is None else BARS[3] if span == 0 else BARS[round((v - low) / span * (len(BARS) - 1) + 1e-9)] for v in values)


def _row(series: Mapping[str, Any], entries: Sequence[Mapping[str, Any]], nights: Sequence[str]) -> tuple[str, str, str, str]:
    by_night: dict[str, list[float]] = {}
    for at, value, _, _ in series["points"]:
        by_night.setdefault(entries[at]["night"], []).append(value)
    values = [sum(by_night[n]) / len(by_night[n]) if n in by_night else None for n in nights[-NIGHTS:]]
    at, value, low, high = series["points"][-1]
    last = words.number(value) + (f" ({words.number(low)} to {words.number(high)})" if low is not None and high is not None else "")
    if entries[at]["night"] != nights[-1]:
        last += f", on {entries[at]['night']}"
    moved = series["moved"]
    told = "" if moved is None else f"moved {moved['since']}" + {True: ", worse", False: ", better", None: ""}[moved["worse"]]
    return words.subject(series), spark(values), last, told
