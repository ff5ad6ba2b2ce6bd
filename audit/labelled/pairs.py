"""Candidate against baseline in a table of labels: rows with the same id are pairs, as in a run of generators."""

from collections.abc import Iterator, Mapping

import numpy as np

from audit import metrics
from audit.errors import RecordError
from audit.estimates import Measurement, NotMeasured
from audit.labelled.calibration_file import CalibrationFile
from audit.labelled.columns import Labels
from audit.metrics.paired_corrected import corrected_discrepancy_difference, corrected_share_difference
from audit.quantities import LADDER


def compare(found: Mapping[str, Labels], targets: Mapping[str, np.ndarray | None], ids: np.ndarray | None, generators: np.ndarray,
            pairs: Mapping[str, str], *, calibration: CalibrationFile | None = None, level: float = 0.95) -> list[dict]:  # fmt: skip
    """Return rows ``candidate minus baseline`` with the columns of :func:`audit.comparisons.compare_pairs`.

    Args:
        found: labels of the whole table by attribute.
        targets: wished-for shares by attribute, None = uniform.
        ids: (n,) what pairs an image of the candidate with one of the baseline.
        generators: (n,) who made each image.
        pairs: {candidate: baseline}.
        calibration: errors of the classifier, taken once for both sides; None = no corrected rows.
        level: confidence level.

    Raises:
        RecordError: there are no ids, an id comes twice, or the two share none.
    """
    rows: list[dict] = []
    for candidate, baseline in pairs.items():
        left, right = _paired(ids, generators, candidate, baseline)
        for attribute, labels in found.items():
            errors = calibration.confusion(attribute) if calibration is not None else None
            for confusion in [None] if errors is None else [None, errors]:
                common = {"generator": candidate, "baseline": baseline, "level": level}
                rows += [{**common, **row} for row in _laddered(labels, targets[attribute], left, right, confusion, level)]
    for row, p in zip(rows, metrics.holm([row["p_value"] for row in rows]), strict=True):
        row["p_adjusted"] = p
    return rows


def _paired(ids: np.ndarray | None, generators: np.ndarray, candidate: str, baseline: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of candidate and baseline rows that share an id, in step."""
    if ids is None:
        raise RecordError("a comparison needs a column 'id' that pairs an image of the candidate with one of its baseline")
    sides = []
    for name in (candidate, baseline):
        at = np.flatnonzero(generators == name)
        values, first = np.unique(ids[at], return_index=True)
        if len(values) < len(at):
            raise RecordError(f"{name!r} has an id twice ({len(at):,} rows, {len(values):,} ids); an id names one image of a generator")
        sides.append((values, at[first]))
    common, left, right = np.intersect1d(sides[0][0], sides[1][0], assume_unique=True, return_indices=True)
    if not len(common):
        raise RecordError(f"{candidate!r} and {baseline!r} share no id, so nothing pairs them; leave out the comparison, or give the ids of the draws")
    return sides[0][1][left], sides[1][1][right]


def _laddered(labels: Labels, target: np.ndarray | None, left: np.ndarray, right: np.ndarray, confusion: np.ndarray | None,
              level: float) -> list[dict]:  # fmt: skip
    """Return the rows at ``level``, each with the intervals of the same difference at other levels."""
    rows, *others = ([*_rows(labels, target, left, right, confusion, one)] for one in (level, *LADDER))
    for at, row in enumerate(rows):
        steps = [(rung, other[at]["low"], other[at]["high"]) for rung, other in zip(LADDER, others, strict=True)]
        row["curve"] = None if row["difference"] is None else [step for step in steps if step[1] is not None]
    return rows


def _rows(labels: Labels, target: np.ndarray | None, left: np.ndarray, right: np.ndarray, confusion: np.ndarray | None,
          level: float) -> Iterator[dict]:  # fmt: skip
    after, before, k = labels.codes[left], labels.codes[right], len(labels.classes)
    common = {"attribute": labels.name, "reader": "labels", "corrected": confusion is not None, "protocol": None, "family": "fairness"}
    if confusion is None:
        whole = metrics.paired_discrepancy_difference(after, before, k, target, level)
        each = metrics.paired_share_difference(after, before, k, level)
    else:
        whole = corrected_discrepancy_difference(after, before, confusion, target=target, level=level)
        each = corrected_share_difference(after, before, confusion, level=level)
    read = (after != metrics.MISSING) & (before != metrics.MISSING)
    sides = [_shares(said[read], k, confusion) for said in (after, before)]
    wished = np.full(k, 1 / k) if target is None else target
    far = [None if s is None else float(np.linalg.norm(s - wished)) for s in sides]
    yield {**common, "metric": "fairness_discrepancy", "group": None, **_numbers(whole.difference), "after": far[0], "before": far[1],
           "n": whole.n, "p_value": whole.p_value}  # fmt: skip
    for at, (group, difference, p) in enumerate(zip(labels.classes, each.differences, each.p_values, strict=True)):
        values = [None if s is None else float(s[at]) for s in sides]
        yield {**common, "metric": "share", "group": group, **_numbers(difference), "after": values[0], "before": values[1], "n": each.n,
               "p_value": p}  # fmt: skip


def _shares(said: np.ndarray, k: int, confusion: np.ndarray | None) -> np.ndarray | None:
    counts = metrics.class_counts(said, k)
    box = metrics.share_box(counts) if confusion is None else metrics.corrected_share_box(counts, confusion)
    return None if isinstance(box, NotMeasured) else box.value


def _numbers(found: Measurement) -> dict:
    if isinstance(found, NotMeasured):
        return {"difference": None, "low": None, "high": None, "unit": found.unit, "method": None, "reason": found.reason}
    return {"difference": found.value, "low": found.low, "high": found.high, "unit": found.unit, "method": found.method, "reason": None}
