"""From columns to numbers: the only place where a metric meets a record. Pure arithmetic, no model and no image."""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from audit import metrics
from audit.attributes import ATTRIBUTES, INTERSECTION, parts
from audit.calibrations import Calibration
from audit.estimates import Measurement, NotMeasured
from audit.group_quality import GroupQuality
from audit.labels import MISSING, cells, labels, role_of
from audit.metrics.replicates import estimate
from audit.quality import Quality, reference_name
from audit.quantities import Measure, measure_row
from audit.records import Run
from audit.sources.base import OK
from audit.spec import Spec

__all__ = ["SUMMARIES", "measure", "reference_name", "target_shares"]

Shares = metrics.ShareBox | NotMeasured

SUMMARIES: dict[str, Callable[..., Measurement]] = {
    "fairness_discrepancy": metrics.fairness_discrepancy,
    "share_gap": metrics.share_gap,
    "parity_ratio": metrics.parity_ratio,
    "total_variation": metrics.total_variation,
    "kl_divergence": metrics.kl_divergence,
    "entropy": metrics.entropy,
}
"""Numbers that sum up the class shares of an attribute; the target enters those that measure a distance to it."""

_TO_TARGET = {"fairness_discrepancy", "total_variation", "kl_divergence"}


def measure(run: Run, spec: Spec, *, rng: np.random.Generator, calibration: Calibration | None = None,
            training: dict[str, dict[str, np.ndarray]] | None = None, quality: Quality | None = None,
            groups: GroupQuality | None = None) -> list[Measure]:  # fmt: skip
    """Return every measure of a run, a row a number.

    Args:
        run: collected records.
        spec: what was asked for.
        rng: for resampling intervals.
        calibration: the classifier's errors; None = no corrected rows.
        training: {generator: {attribute: shares}} of the population a generator was trained on, where it is known.
        quality: stored features against the references, to be handed on to :func:`audit.comparisons.compare_pairs`, which then
            need not work them out again; None = made here.
        groups: the same for groups of people; None = made from ``quality``.
    """
    quality = quality or Quality(run, spec, rng=rng)
    groups = groups or GroupQuality(quality)
    rows: list[Measure] = []
    for name in spec.generators:
        frame = run.frame(name)
        rows += list(_missing(name, frame, spec))
        for attribute in spec.attributes:
            rows += list(_attribute(name, frame, attribute, spec, calibration, (training or {}).get(name)))
        rows += list(_quality(name, quality, groups, spec))
    return rows


def target_shares(spec: Spec, attribute: str) -> np.ndarray | None:
    """Return the wished-for shares of an attribute; None = uniform. An intersection's target is the product of its parts'."""
    if spec.target == "uniform":
        return None
    product = np.ones(1)
    for part in parts(attribute):
        classes = ATTRIBUTES[part].classes
        given = spec.target.get(part)
        own = np.full(len(classes), 1 / len(classes)) if given is None else np.array([given[c] for c in classes])
        product = np.outer(product, own).reshape(-1)
    return product


def _missing(name: str, frame: pd.DataFrame, spec: Spec) -> Iterator[Measure]:
    n = len(frame)
    bad = int((frame["status"] != OK).sum())
    yield measure_row(name, "unreadable", metrics.proportion(bad, n, spec.level))
    if "face_finder:face" in frame:
        for key in ("no_face", "several_faces"):
            yield measure_row(name, key, metrics.proportion(int((frame["face_finder:face"] == key).sum()), n, spec.level))


def _attribute(name: str, frame: pd.DataFrame, attribute: str, spec: Spec, calibration: Calibration | None,
               training: dict[str, np.ndarray] | None) -> Iterator[Measure]:  # fmt: skip
    said = labels(frame, attribute)
    groups = cells(attribute)
    target = target_shares(spec, attribute)
    if said is None:
        nobody = NotMeasured("no instrument of this audit reads it")
        yield from _shares(name, attribute, groups, nobody, target, spec, corrected=False)
        return
    counts = metrics.class_counts(said, len(groups))
    raw = metrics.share_box(counts, level=spec.level)
    yield from _shares(name, attribute, groups, raw, target, spec, corrected=False)
    confusion = calibration.confusion(attribute) if calibration is not None and _calibrated(frame, attribute) else None
    if confusion is not None:
        better = metrics.corrected_share_box(counts, confusion, level=spec.level)
        yield from _shares(name, attribute, groups, better, target, spec, corrected=True)
        raw = better
    if training is not None and attribute in training:
        yield from _amplification(name, attribute, groups, raw, training[attribute], corrected=confusion is not None, level=spec.level)
    if INTERSECTION not in attribute:
        yield from _agreement(name, frame, attribute, said, spec)


def _calibrated(frame: pd.DataFrame, attribute: str) -> bool:
    return all(role_of(frame.columns, part) == "classifier" for part in parts(attribute))


def _shares(name: str, attribute: str, groups: list[str], box: Shares, target: np.ndarray | None, spec: Spec, *,
            corrected: bool) -> Iterator[Measure]:  # fmt: skip
    wished = np.full(len(groups), 1 / len(groups)) if target is None else target
    each = [box] * len(groups) if isinstance(box, NotMeasured) else box.estimates()
    for group, share, parity in zip(groups, each, wished, strict=True):
        yield measure_row(name, "share", share, attribute=attribute, group=group, parity=float(parity), corrected=corrected, level=spec.level)
    for metric, function in SUMMARIES.items():
        if isinstance(box, NotMeasured):
            found: Measurement = box
        else:
            found = function(box, target) if metric in _TO_TARGET else function(box)
        yield measure_row(name, metric, found, attribute=attribute, corrected=corrected, level=spec.level, protocol=f"K={len(groups)}")


def _amplification(name: str, attribute: str, groups: list[str], box: Shares, trained: np.ndarray, *, corrected: bool,
                   level: float) -> Iterator[Measure]:  # fmt: skip
    if isinstance(box, NotMeasured):
        return
    found = metrics.bias_amplification(box, trained)
    for group, change in zip([None, *groups], [found.amplification, *found.change], strict=True):
        yield measure_row(name, "bias_amplification", change, attribute=attribute, group=group, corrected=corrected, level=level,
                          protocol="share generated minus share in the training population")  # fmt: skip


def _agreement(name: str, frame: pd.DataFrame, attribute: str, said: np.ndarray, spec: Spec) -> Iterator[Measure]:
    second = labels(frame, attribute, role="second_rater")
    if second is not None:
        both = (said != MISSING) & (second != MISSING)
        same = int((said[both] == second[both]).sum())
        yield measure_row(name, "agreement", metrics.proportion(same, int(both.sum()), spec.level), attribute=attribute, level=spec.level)


def _quality(name: str, quality: Quality, groups: GroupQuality, spec: Spec) -> Iterator[Measure]:
    for label in quality.references:
        held = quality.against(name, label)
        for metric, found in held.numbers.items():
            yield measure_row(name, metric, estimate(found, level=spec.level), group=f"reference:{label}", protocol=held.protocol,
                              level=spec.level)  # fmt: skip
    for number in groups.numbers(name):
        yield measure_row(name, number.metric, estimate(number.found, level=spec.level), attribute=number.attribute, group=number.group,
                          protocol=number.protocol, level=spec.level)  # fmt: skip
