"""Look things up in a result: which generator, which row, corrected or raw, against which reference."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from audit.attributes import INTERSECTION, parts
from reports.loading import check

Row = Mapping[str, Any]

QUALITY = ("fid", "kid", "precision", "recall", "density", "coverage")
"""Measures of image quality, each against a reference."""

COUNTS = ("no_face", "several_faces", "unreadable")
"""Reasons why an image counts as missing, as named in a generator's row and among the metric keys."""

GROUPS = ("group_coverage", "group_fid", "group_kid", "identity_similarity")
"""Measures of quality within groups of people."""

MOST_SHOWN = 12
"""Generators shown one by one; of more, the figures show the baselines, and the tables are folded."""

_NUMBERS = ("value", "low", "high", "parity", "difference", "p_value", "p_adjusted", "level", "bound", "bound_high", "before", "after")
_NOT_FINITE = "the result holds no finite number here"


@dataclass(frozen=True)
class Generator:
    """One generator of a result, with the number it carries in every figure."""

    number: int
    name: str
    title: str
    baseline: bool
    compare_to: str | None
    images: int
    missing: dict[str, int]
    files: dict[str, list[str]]
    caveats: list[str]
    method: Row = field(default_factory=dict)


@dataclass(frozen=True)
class Attribute:
    """One attribute, or intersection of attributes, as the result describes it."""

    name: str
    title: str
    classes: list[str]
    caveat: str = ""
    crossed: list[str] = field(default_factory=list)


class Reading:
    """A result made easy to ask. Missing keys read as absent; a number that is not finite reads as not measured.

    Args:
        result: what :func:`reports.load` returns.

    Raises:
        ReportError: the result has another schema.
    """

    def __init__(self, result: Mapping[str, Any]) -> None:
        self.result = check(result)
        self.name = str(result.get("name") or "audit")
        self.provenance: dict[str, Any] = dict(result.get("provenance") or {})
        self.generators = [_generator(i, row) for i, row in enumerate(result["generators"], start=1)]
        self.by_name = {g.name: g for g in self.generators}
        self.measures = [finite(row) for row in result["measures"]]
        self.comparisons = [finite(row) for row in result.get("comparisons") or []]
        self.looks = [finite(row) for row in result.get("looks") or []]
        self.from_labels = bool(dict(result.get("spec") or {}).get("labels"))  # a table of labels: nothing was drawn, nothing was looked at
        self.gallery: dict[str, list[Row]] = dict(result.get("gallery") or {})
        self._found: dict[tuple[Any, ...], dict[bool, Row]] = {}
        for row in self.measures:
            self._found.setdefault(_key(row), {}).setdefault(bool(row.get("corrected")), row)
        self.verdicts = [{"unit": self._unit(row)} | finite(row) for row in result.get("verdicts") or []]
        self._changed: dict[tuple[Any, ...], list[Row]] = {}
        for row in self.comparisons:
            self._changed.setdefault((*_key(row), second(row)), []).append(row)
        self.attributes, self.intersections = self._attributes()

    def pair(
        self, generator: str, metric: str, attribute: str | None = None, group: str | None = None
    ) -> tuple[Row | None, Row | None]:
        """Return the raw and the corrected row of one number; None where the result has no such row."""
        rows = self._found.get((generator, metric, attribute, group), {})
        return rows.get(False), rows.get(True)

    def best(self, generator: str, metric: str, attribute: str | None = None, group: str | None = None) -> Row | None:
        """Return the row to quote: corrected where that was measured, else raw, else whichever says why not."""
        raw, corrected = self.pair(generator, metric, attribute, group)
        return next((row for row in (corrected, raw) if measured(row)), corrected or raw)

    def change(
        self, generator: str, metric: str, attribute: str | None = None, group: str | None = None, *, by_second: bool = False
    ) -> Row | None:
        """Return the comparison to quote of a candidate with its baseline: corrected before raw, measured before neither.

        Args:
            generator: the candidate.
            metric: which number.
            attribute: of which attribute.
            group: of which class or reference.
            by_second: as the second rater labelled, not the classifier.
        """
        rows = self._changed.get((generator, metric, attribute, group, by_second), [])
        return min(rows, key=lambda row: (not measured(row), not row.get("corrected")), default=None)

    @property
    def candidates(self) -> list[Generator]:
        """Generators that were compared with a baseline, or say by what method they were made."""
        compared = {row.get("generator") for row in self.comparisons}
        return [g for g in self.generators if g.name in compared or g.method]

    @property
    def many(self) -> bool:
        """Return whether there are more generators than the page shows one by one."""
        return len(self.generators) > MOST_SHOWN

    @property
    def shown(self) -> list[Generator]:
        """Generators the figures and samples show: all, or of more than :data:`MOST_SHOWN` the baselines, or the first."""
        if not self.many:
            return self.generators
        return ([g for g in self.generators if g.baseline] or self.generators)[:MOST_SHOWN]

    def _unit(self, row: Row) -> str | None:
        """Return the unit of the number a verdict is about."""
        return next((found.get("unit") for found in self._found.get(_key(row), {}).values()), None)

    def fell_back(self, row: Row) -> bool:
        """Return whether ``row`` is a raw number standing in for a corrected one that could not be measured."""
        return not row.get("corrected") and True in self._found.get(_key(row), {})

    def images(self, generator: str, attribute: str, group: str) -> int | None:
        """Return how many images fell into one class or cell; None where the result does not say.

        The n of a share is the number of images it is a share of, and 0 for an empty cell. Results that give the count
        of the cell instead are understood too: their n add up to no more than the images of the generator.
        """
        row, _ = self.pair(generator, "share", attribute, group)
        if row is None or row.get("n") is None:
            return None
        if not row["n"] or not measured(row):
            return int(row["n"])
        found = self.attribute(attribute)
        rows = [self.pair(generator, "share", attribute, c)[0] for c in (found.classes if found else [])]
        total = sum(r.get("n") or 0 for r in rows if r is not None and measured(r))
        known = self.by_name.get(generator)
        if known is not None and known.images and total <= known.images and len(rows) > 1:
            return int(row["n"])
        return round(float(row["value"]) * int(row["n"]))

    def has(self, metrics: Iterable[str], *, attribute: str | None = None) -> bool:
        """Return whether any row, measured or not, belongs to one of ``metrics`` (of one attribute if given)."""
        wanted = set(metrics)
        return any(
            row.get("metric") in wanted and (attribute is None or row.get("attribute") == attribute)
            for row in self.measures
        )

    def references(self) -> list[str | None]:
        """Return the references quality was measured against, the balanced one first; None = the only one, unnamed."""
        groups = {row.get("group") for row in self.measures if row.get("metric") in QUALITY}
        groups = {g for g in groups if g is None or str(g).startswith("reference:")}
        return sorted(groups, key=lambda g: (g != "reference:balanced", str(g)))

    def title(self, generator: str | None) -> str:
        """Return the title of a generator, or its name where the result does not list it."""
        known = self.by_name.get(generator or "")
        return known.title if known else str(generator)

    def attribute(self, name: str | None) -> Attribute | None:
        """Return the attribute or intersection called ``name``."""
        return next((a for a in (*self.attributes, *self.intersections) if a.name == name), None)

    def _attributes(self) -> tuple[list[Attribute], list[Attribute]]:
        described = dict(self.result.get("attributes") or {})
        groups: dict[str, list[str]] = {name: [] for name in described}
        for row in self.measures:
            if row.get("attribute"):
                seen = groups.setdefault(str(row["attribute"]), [])
                if row.get("metric") == "share" and row.get("group") is not None and str(row["group"]) not in seen:
                    seen.append(str(row["group"]))
        single, crossed = [], []
        for name, found in groups.items():
            told = described.get(name) or {}
            classes = [str(c) for c in told.get("classes") or []]
            classes += [c for c in found if c not in classes]
            if INTERSECTION in name:
                crossed.append(Attribute(name, name, classes, crossed=list(parts(name))))
            else:
                single.append(Attribute(name, str(told.get("title") or name), classes, str(told.get("caveat") or "")))
        return single, crossed


def worst_first(verdicts: Iterable[Row]) -> list[Row]:
    """Return verdicts in the order a reader needs them: broken, undecided, held."""
    order = {"broken": 0, "undecided": 1, "held": 2}
    return sorted(verdicts, key=lambda v: order.get(str(v.get("outcome")), 3))


def second(row: Row) -> bool:
    """Return whether a comparison goes by the labels of the second rater."""
    return row.get("reader") == "second_rater"


def measured(row: Row | None) -> bool:
    """Return whether a row of measures or comparisons holds a number."""
    return row is not None and row.get("value", row.get("difference")) is not None


def finite(row: Row) -> Row:
    """Return ``row`` with every number that is not finite replaced by None and a reason."""
    bad = [key for key in _NUMBERS if isinstance(row.get(key), float) and not math.isfinite(row[key])]
    if not bad:
        return row
    return {**row, **dict.fromkeys(bad), "reason": row.get("reason") or _NOT_FINITE}


def _key(row: Row) -> tuple[Any, ...]:
    return row.get("generator"), row.get("metric"), row.get("attribute"), row.get("group")


def _generator(number: int, row: Row) -> Generator:
    name = str(row.get("name", f"generator {number}"))
    return Generator(
        number=number,
        name=name,
        title=str(row.get("title") or name),
        baseline=bool(row.get("baseline")),
        compare_to=row.get("compare_to"),
        images=int(row.get("images") or 0),
        missing={key: int(row.get(key) or 0) for key in COUNTS},
        files={key: [str(f) for f in row.get(f"files_{key}") or []] for key in COUNTS},
        caveats=[str(c) for c in row.get("caveats") or []],
        method=dict(row["method"]) if isinstance(row.get("method"), Mapping) else {},
    )
