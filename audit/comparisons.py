"""Candidate against baseline, paired on ids: both drew image i from the same latent, so each pair shares its luck."""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from audit import metrics
from audit.attributes import parts
from audit.calibrations import Calibration
from audit.estimates import NotMeasured
from audit.group_quality import GroupQuality
from audit.labels import cells, labels, role_of
from audit.measure import design_effect, target_shares
from audit.metrics.paired_corrected import corrected_discrepancy_difference, corrected_share_difference
from audit.paired_quality import numbers, quality_rows
from audit.quality import Quality
from audit.quantities import LADDER
from audit.records import Run
from audit.spec import Spec

FAMILIES = ("fairness", "quality")
"""What p-values are adjusted over, each by itself: the shares and discrepancies of a run, and its quality."""


def compare_pairs(run: Run, spec: Spec, *, calibration: Calibration | None = None, second_calibration: Calibration | None = None,
                  quality: Quality | None = None, groups: GroupQuality | None = None) -> list[dict]:  # fmt: skip
    """Return rows ``candidate minus baseline`` for every generator with ``compare_to``; see the README for the columns.

    Shares and discrepancies come as the labels of the classifier, corrected for its errors where a calibration is given, and as the
    labels of the second rater: ``reader`` says whose. Corrected rows take both sides through one error matrix and carry its
    uncertainty once. ``after`` and ``before`` are the two numbers on the common ids.

    p-values are adjusted by Holm's method within a family: over all rows of shares and discrepancies of the run, and over all rows
    of quality.

    Args:
        run: collected records.
        spec: what was asked for.
        calibration: the classifier's errors; None = no corrected rows of the classifier.
        second_calibration: the second rater's errors; None = no corrected rows of the second rater.
        quality: stored features against the references, best the object that :func:`audit.measure.measure` was given; None =
            no rows of quality.
        groups: the same for groups of people; None = made from ``quality``.
    """
    readers = {"classifier": calibration, "second_rater": second_calibration}
    if quality is not None and groups is None:
        groups = GroupQuality(quality)
    rows = []
    for name, g in spec.generators.items():
        if g.compare_to:
            rows += _with_curves(lambda at, name=name, g=g: _pair(run, at, name, g.compare_to, readers, quality, groups), spec)
    for family in FAMILIES:
        own = [row for row in rows if row["family"] == family]
        for row, p in zip(own, metrics.holm([row["p_value"] for row in own]), strict=True):
            row["p_adjusted"] = p
    return rows


def _pair(run: Run, spec: Spec, name: str, baseline: str, readers: dict[str, Calibration | None], quality: Quality | None,
          groups: GroupQuality | None) -> list[dict]:  # fmt: skip
    found = [*_fairness(run, spec, name, baseline, readers)]
    if quality is not None and groups is not None:
        found += quality_rows(quality, groups, spec, name, baseline)
    return [{"generator": name, "baseline": baseline, "level": spec.level, **row} for row in found]


def _with_curves(rows_at: Callable[[Spec], list[dict]], spec: Spec) -> list[dict]:
    """Return the rows of a pair, each with (level, low, high) at other levels too."""
    others = [rows_at(spec.model_copy(update={"level": level})) for level in LADDER]
    found = rows_at(spec)
    for at, row in enumerate(found):
        rungs = [other[at] for other in others]
        row["curve"] = None if row["low"] is None else [[r["level"], r["low"], r["high"]] for r in rungs]
    return found


def _fairness(run: Run, spec: Spec, candidate: str, baseline: str, readers: dict[str, Calibration | None]) -> Iterator[dict]:
    ours, theirs = run.frame(candidate), run.frame(baseline)
    _, left, right = np.intersect1d(ours["id"], theirs["id"], return_indices=True)
    ours, theirs = ours.iloc[left], theirs.iloc[right]
    for attribute in spec.attributes:
        for reader, calibration in readers.items():
            role = None if reader == "classifier" else reader
            after, before = labels(ours, attribute, role=role), labels(theirs, attribute, role=role)
            if after is None or before is None:
                continue
            shown = reader if role else _reader(ours, attribute)
            k = len(cells(attribute))
            effect = max(design_effect(said, frame, k) for said, frame in ((after, ours), (before, theirs)))
            yield from _rows(spec, attribute, after, before, None, reader=shown, effect=effect)
            confusion = calibration.confusion(attribute) if calibration is not None and shown == reader else None
            if confusion is not None:
                yield from _rows(spec, attribute, after, before, confusion, reader=shown, effect=effect)


def _reader(frame: pd.DataFrame, attribute: str) -> str:
    return "+".join(dict.fromkeys(str(role_of(frame.columns, part)) for part in parts(attribute)))


def _rows(spec: Spec, attribute: str, after: np.ndarray, before: np.ndarray, confusion: np.ndarray | None, *,
          reader: str, effect: float) -> Iterator[dict]:  # fmt: skip
    """Yield the discrepancy, then each share, of labels as they came (no confusion) or corrected."""
    names, target = cells(attribute), target_shares(spec, attribute)
    common = {"attribute": attribute, "reader": reader, "corrected": confusion is not None, "protocol": None, "family": "fairness"}
    if confusion is None:
        whole = metrics.paired_discrepancy_difference(after, before, len(names), target, spec.level, design_effect=effect)
        each = metrics.paired_share_difference(after, before, len(names), spec.level, design_effect=effect)
    else:
        whole = corrected_discrepancy_difference(after, before, confusion, target=target, level=spec.level, design_effect=effect)
        each = corrected_share_difference(after, before, confusion, level=spec.level, design_effect=effect)
    read = (after != metrics.MISSING) & (before != metrics.MISSING)
    sides = [_shares(said[read], len(names), confusion) for said in (after, before)]
    wished = np.full(len(names), 1 / len(names)) if target is None else target
    far = [None if s is None else float(np.linalg.norm(s - wished)) for s in sides]
    yield {**common, "metric": "fairness_discrepancy", "group": None, **numbers(whole.difference), "after": far[0], "before": far[1],
           "n": whole.n, "p_value": whole.p_value}  # fmt: skip
    for at, (group, found, p) in enumerate(zip(names, each.differences, each.p_values, strict=True)):
        values = [None if s is None else float(s[at]) for s in sides]
        yield {**common, "metric": "share", "group": group, **numbers(found), "after": values[0], "before": values[1], "n": each.n,
               "p_value": p}  # fmt: skip


def _shares(said: np.ndarray, k: int, confusion: np.ndarray | None) -> np.ndarray | None:
    counts = metrics.class_counts(said, k)
    box = metrics.share_box(counts) if confusion is None else metrics.corrected_share_box(counts, confusion)
    return None if isinstance(box, NotMeasured) else box.value
