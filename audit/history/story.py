"""A history as one plain document: what pages, tables, JUnit files and the terminal say of it is made from this and nothing else."""

from typing import TYPE_CHECKING, Any

import numpy as np

from audit.history.causes import changes, renamed
from audit.history.chronicle import Chronicle

if TYPE_CHECKING:
    from audit.history.watch import Watch

SCHEMA = "genbias.history/1"


def find(chronicle: Chronicle, *, recent: Chronicle | None = None, seen: "Watch | None" = None) -> dict[str, Any]:
    """Return what a history says: kept with its last night, so that showing it again does not take finding it again.

    Args:
        chronicle: all nights, with the watched series at least.
        recent: the last nights with all series, for what else is notable; None leaves that out.
        seen: what :func:`audit.history.moves.watched` returned; None = worked out here.

    Returns:
        ``watched``: how many series, and the scores of an alarm and of an odd night; ``moves``: the steps of watched series, the last found first;
        ``notable``: of the others, None where that was not worked out; ``exact``.
    """
    from audit.history.moves import alarms, exact, notable, watched

    seen = watched(chronicle) if seen is None else seen
    return {"watched": {"series": int(chronicle.watched.sum()), "alarm": seen.alarm, "odd": seen.doubt}, "moves": alarms(chronicle, seen),
            "notable": None if recent is None else notable(recent), "exact": exact(chronicle)}  # fmt: skip


def tell(chronicle: Chronicle, *, where: str, findings: dict[str, Any] | None = None, verdicts: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """Return the document of a suite's history.

    Args:
        chronicle: the nights, with the watched series and any others that shall be drawn.
        where: the history's location, without its password.
        findings: of :func:`find`; None = those kept with the last night, or found here.
        verdicts: of the last night.

    Returns:
        ``schema, suite, history``; ``nights``: a row an entry, ``changes`` before it included; ``missing``: dates without one; the findings;
        ``renamed``; ``verdicts``; ``series``: what each is of, ``watched``, and ``points``: (entry, value, low, high), missing ones left out.
    """
    kept = chronicle.entries[-1].findings if chronicle.entries else None
    findings = findings or kept or find(chronicle)
    return {"schema": SCHEMA, "suite": chronicle.suite, "history": where, "nights": _nights(chronicle), "missing": chronicle.missing(), **findings,
            "renamed": renamed(chronicle.entries), "verdicts": verdicts or [], "series": _series(chronicle, findings["moves"])}  # fmt: skip


def moved_to_the_worse(document: dict[str, Any], *, nights: int) -> list[dict[str, Any]]:
    """Return the moves to the worse that were found on the last so many nights."""
    dates = sorted({n["night"] for n in document["nights"]})[-nights:]
    return [m for m in document["moves"] if m["worse"] and m["found"] in dates]


def _nights(chronicle: Chronicle) -> list[dict[str, Any]]:
    rows = []
    for at, e in enumerate(chronicle.entries):
        before = chronicle.entries[at - 1] if at else None
        rows.append({"night": e.night, "repeat": e.repeat, "seed": e.seed, "samples": e.samples, "exit_code": e.exit_code, "commit": e.commit,
                     "genbias": e.genbias, "changes": changes(before, e) if before else []})  # fmt: skip
    return rows


def _series(chronicle: Chronicle, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the series that were measured at least once: those that moved first, then the watched ones, then the others."""
    keys = ("generator", "metric", "attribute", "group", "baseline", "reader", "corrected", "protocol")
    last = {tuple(m[k] for k in keys): m for m in reversed(found)}
    titles = (chronicle.entries[-1].facts.get("titles") or {}) if chronicle.entries else {}
    rows = []
    for at, series in enumerate(chronicle.series):
        there = np.flatnonzero(np.isfinite(chronicle.value[:, at]))
        if not len(there):
            continue
        points = [[int(i), float(chronicle.value[i, at]), _number(chronicle.low[i, at]), _number(chronicle.high[i, at])] for i in there]
        told = series.subject()
        move = last.get(tuple(told[k] for k in keys))
        rows.append({**told, "title": titles.get(series.generator, series.generator), "watched": bool(chronicle.watched[at]), "points": points,
                     "moved": None if move is None else {k: move[k] for k in ("since", "since_at", "found", "before", "after", "worse")}})  # fmt: skip
    order = sorted(range(len(rows)), key=lambda i: (-(rows[i]["moved"] or {"since_at": -1})["since_at"], not rows[i]["watched"]))
    return [rows[i] for i in order]


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
