"""Several runs beside each other: the same measure of each, its difference from the first run, and what sets the runs apart.

Runs are drawn and read independently of each other, so the interval of a difference is made from the two intervals alone, by
squares: it is v2 - v1 - sqrt((v2 - low2)^2 + (high1 - v1)^2) to v2 - v1 + sqrt((high2 - v2)^2 + (v1 - low1)^2), the method of
variance estimates recovery (Zou and Donner 2008, Statistics in Medicine 27, equation 4). Two runs of one seed and one generator
draw the same images; their difference is then narrower than this says, never wider.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit.errors import ReportError
from reports import numerals as num
from reports import wording
from reports.loading import load
from reports.reading import QUALITY, Attribute, Reading, Row, measured

READERS = ("classifier", "skin_tone", "face_finder")
"""Roles of the instruments behind shares; runs that were read by different ones are not compared."""


@dataclass(frozen=True)
class Run:
    """One of the runs compared: the letter it carries, what it is called, and its result."""

    letter: str
    name: str
    reading: Reading


@dataclass(frozen=True)
class Line:
    """One measure of one generator in all runs: a row a run, None where the run has no such row."""

    generator: str
    metric: str
    attribute: str | None
    group: str | None
    rows: list[Row | None]

    def differences(self) -> list[Row | None]:
        """Return the difference of each run after the first from the first; None where either was not measured."""
        first = self.rows[0]
        return [_difference(first, row) for row in self.rows[1:]]


def open_runs(folders: Sequence[str | Path], *, fairness_only: bool = False) -> list[Run]:
    """Return the runs of some directories, checked to be comparable.

    Args:
        folders: run directories or result files, two or more.
        fairness_only: whether quality is left out, so that its protocols may differ.

    Raises:
        ReportError: there are fewer than two, one is named twice or has no readable result, or two measured the same thing in ways
            that cannot be compared: another classifier, another target, another level, another protocol.
    """
    if len(folders) < 2:
        raise ReportError(f"{len(folders)} run to compare; expected two or more: genbias compare RUN RUN")
    places = [Path(f).resolve() for f in folders]
    for place in places:
        if places.count(place) > 1:
            raise ReportError(f"{place} is named twice; a run differs from itself in nothing, name another")
    runs = [Run(chr(65 + i % 26), name, Reading(load(folder))) for i, (name, folder) in enumerate(zip(_names(places), folders, strict=True))]
    for other in runs[1:]:
        _check(runs[0], other, fairness_only=fairness_only)
    return runs


def lines(runs: Sequence[Run], *, metric: str, attribute: str | None = None, group: str | None = None) -> list[Line]:
    """Return one measure, a line a generator, in the order in which generators are first met."""
    names = dict.fromkeys(g.name for run in runs for g in run.reading.generators)
    found = [Line(name, metric, attribute, group, [run.reading.best(name, metric, attribute, group) for run in runs]) for name in names]
    return [line for line in found if any(line.rows)]


def title(runs: Sequence[Run], generator: str) -> str:
    """Return the title of a generator in the first run that knows it."""
    return next((run.reading.by_name[generator].title for run in runs if generator in run.reading.by_name), generator)


def attributes(runs: Sequence[Run]) -> list[Attribute]:
    """Return the attributes that any run read, and after them the intersections."""
    single = {a.name: a for run in reversed(runs) for a in run.reading.attributes}
    crossed = {a.name: a for run in reversed(runs) for a in run.reading.intersections}
    order = dict.fromkeys(a.name for run in runs for a in (*run.reading.attributes, *run.reading.intersections))
    return [single[n] for n in order if n in single] + [crossed[n] for n in order if n in crossed]


def references(runs: Sequence[Run]) -> list[str | None]:
    """Return the references that any run measured quality against."""
    return list(dict.fromkeys(ref for run in runs for ref in run.reading.references()))


def headline(runs: Sequence[Run]) -> Iterator[Line]:
    """Yield the lines that the first sentences speak of: the discrepancy of each attribute, FID and recall."""
    for a in attributes(runs):
        if not a.crossed:
            yield from lines(runs, metric="fairness_discrepancy", attribute=a.name)
    for ref in references(runs)[:1]:
        for metric in ("fid", "recall"):
            yield from lines(runs, metric=metric, group=ref)


def apart(runs: Sequence[Run]) -> list[tuple[str, list[str]]]:
    """Return what sets the runs apart, each fact with its value in every run; facts that agree are left out."""
    facts: dict[str, list[str]] = {}
    for run in runs:
        p, spec = run.reading.provenance, dict(run.reading.result.get("spec") or {})
        told = {"Made": p.get("created"), "genbias": p.get("genbias"), "Commit": p.get("commit"), "Seed": p.get("seed"),
                "Spec digest": p.get("spec_digest"), "Device": p.get("device"), "Python": p.get("python"),
                "Images a generator": spec.get("samples"), "Images in all": sum(g.images for g in run.reading.generators),
                "Command": p.get("command")}  # fmt: skip
        told |= {f"Package {name}": version for name, version in dict(p.get("packages") or {}).items()}
        told |= {f"Weights of {w.get('role')} {w.get('name')}": w.get("sha256") for w in p.get("weights") or [] if isinstance(w, Mapping)}
        for fact, value in told.items():
            facts.setdefault(fact, ["\u2013"] * len(runs))[runs.index(run)] = "\u2013" if value is None else num.plain(value, limit=120)
    return [(fact, values) for fact, values in facts.items() if len(set(values)) > 1]


def _difference(first: Row | None, other: Row | None) -> Row | None:
    if first is None or other is None or not measured(first) or not measured(other):
        return None
    d, ends = other["value"] - first["value"], [row.get(k) for row in (first, other) for k in ("low", "high")]
    low = high = None
    if None not in ends:
        below = math.hypot(other["value"] - other["low"], first["high"] - first["value"])
        above = math.hypot(other["high"] - other["value"], first["value"] - first["low"])
        low, high = d - below, d + above
    return {"metric": first.get("metric"), "unit": first.get("unit"), "difference": d, "low": low, "high": high}


def _check(first: Run, other: Run, *, fairness_only: bool) -> None:
    a, b = (dict(_readers(run)) for run in (first, other))
    for role in READERS:
        if role in a and role in b and a[role] != b[role]:
            raise ReportError(f"the {role} of {first.name} is {_told(a[role])} and that of {other.name} is {_told(b[role])}; "
                              "shares read by different instruments are not compared: read both runs with the same one")  # fmt: skip
    for row in first.reading.measures:
        quality = row.get("metric") in QUALITY
        if row.get("metric") not in ("share", "fairness_discrepancy", *QUALITY) or (quality and fairness_only):
            continue
        same = other.reading.pair(*(row.get(k) for k in ("generator", "metric", "attribute", "group")))[bool(row.get("corrected"))]  # type: ignore[arg-type]
        if same is None or not measured(row) or not measured(same):
            continue
        for key, what in (("protocol", "protocol"), ("parity", "target"), ("level", "level of its interval")):
            if row.get(key) != same.get(key):
                _refuse(first, other, row, what, row.get(key), same.get(key), quality)


def _refuse(first: Run, other: Run, row: Row, what: str, here: Any, there: Any, quality: bool) -> None:
    about = wording.metric(row.get("metric")) + (f" of {num.plain(row['attribute'])}" if row.get("attribute") else "")
    do = "measure both by one, or leave quality out with --fairness-only" if quality else "run both audits by one"
    raise ReportError(f"{about} of {num.plain(row.get('generator'), limit=60)} has the {what} {_told(here)} in {first.name} and {_told(there)} "
                      f"in {other.name}; numbers of unequal {what} are not compared: {do}")  # fmt: skip


def _readers(run: Run) -> Iterator[tuple[str, str]]:
    for w in run.reading.provenance.get("weights") or []:
        if isinstance(w, Mapping) and w.get("role") in READERS:
            yield str(w["role"]), f"{w.get('name')} ({str(w.get('sha256'))[:12]})"


def _told(value: Any) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else f"'{num.plain(value, limit=160)}'"


def _names(places: Sequence[Path]) -> list[str]:
    """Return the last parts of paths, as many as it takes to tell them apart."""
    parts = [p.parent.parts if p.name == "result.json" else p.parts for p in places]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(p[-depth:]) for p in parts]
        if len(set(names)) == len(names):
            return [num.plain(name) for name in names]
    return [num.plain(p) for p in places]
