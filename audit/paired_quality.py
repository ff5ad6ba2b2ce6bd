"""Quality of a candidate minus that of its baseline: the same ids, the same reference images, the same halves and folds."""

from collections.abc import Iterator

from audit.estimates import Measurement, NotMeasured
from audit.group_quality import GroupQuality
from audit.metrics.replicates import Pulls, Replicated, Resampled, difference
from audit.quality import Quality
from audit.spec import Spec

UNPAIRED = ("gender*skin_tone", "skin_tone*gender")
"""Intersections whose coverage is measured but not compared: cell by cell the intervals are too wide to be worth a question."""


def quality_rows(quality: Quality, groups: GroupQuality, spec: Spec, candidate: str, baseline: str) -> Iterator[dict]:
    """Yield the rows of one pair: distances and neighbour metrics against each reference, then the numbers of groups."""
    ids, units = None, quality.paired_units(candidate, baseline)
    if quality.references:
        ids = quality.common(candidate, baseline)
        for label in quality.references:
            sides = [quality.against(name, label, ids, units_of=units.get(name)) for name in (candidate, baseline)]
            for metric in sides[0].numbers:
                numbers = [side.numbers[metric] for side in sides]
                yield _row(spec, metric, None, f"reference:{label}", numbers, sides[0].protocol_for(metric))
    sides = [groups.numbers(name, ids, units_of=units.get(name)) for name in (candidate, baseline)]
    after, before = ({(n.metric, n.attribute, n.group): n for n in side} for side in sides)
    for (metric, attribute, group), number in after.items():
        if attribute not in UNPAIRED:
            other = before[metric, attribute, group]
            yield _row(spec, metric, attribute, group, [number.found, other.found], number.protocol)


def _row(spec: Spec, metric: str, attribute: str | None, group: str | None, sides: list[Replicated], protocol: str) -> dict:
    found = difference(*sides, level=spec.level)
    values = [side.value if isinstance(side, Pulls | Resampled) else None for side in sides]
    return {"metric": metric, "attribute": attribute, "group": group, **numbers(found.difference), "after": values[0],
            "before": values[1], "n": found.difference.n, "p_value": found.p_value, "protocol": protocol,
            "reader": None, "corrected": False, "family": "quality"}  # fmt: skip


def numbers(found: Measurement) -> dict:
    """Return the columns of a comparison that a measurement fills."""
    if isinstance(found, NotMeasured):
        return {"difference": None, "low": None, "high": None, "unit": found.unit, "method": None, "reason": found.reason}
    return {"difference": found.value, "low": found.low, "high": found.high, "unit": found.unit, "method": found.method, "reason": None}
