"""From columns to numbers: the only place where a metric meets a record. Pure arithmetic, no model and no image."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from audit import metrics
from audit.attribute_rows import SUMMARIES, About, Reading, attribute_rows, nobody_rows
from audit.attributes import ATTRIBUTES, INTERSECTION, parts
from audit.calibrations import Calibration
from audit.estimates import Measurement, NotMeasured
from audit.group_quality import GroupQuality
from audit.labels import MISSING, cells, labels, probabilities, role_of
from audit.metrics.error_model import ErrorModel
from audit.metrics.replicates import estimate
from audit.metrics.resampling import EffectiveCounts, effective_counts
from audit.metrics.sequences import sequence_box
from audit.quality import Quality, reference_name
from audit.quantities import Measure, laddered, measure_row
from audit.records import Run
from audit.sources.base import OK
from audit.spec import Spec

__all__ = ["SUMMARIES", "measure", "reading", "reference_name", "target_shares"]


def measure(run: Run, spec: Spec, *, rng: np.random.Generator, calibration: Calibration | None = None,
            training: dict[str, dict[str, np.ndarray]] | None = None, quality: Quality | None = None,
            groups: GroupQuality | None = None, looks: Sequence[int] | None = None) -> list[Measure]:  # fmt: skip
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
        looks: images at which a sequential run looked: intervals of shares are then confidence sequences; None = looked at once.
    """
    quality = quality or Quality(run, spec, rng=rng)
    groups = groups or GroupQuality(quality)
    rows: list[Measure] = []
    for name in spec.generators:
        frame = run.frame(name)
        rows += laddered(lambda level, name=name, frame=frame: list(_missing(name, frame, level, looks)), spec.level)
        trained = (training or {}).get(name, {})
        for attribute in spec.attributes:
            rows += _attribute(name, frame, attribute, spec, calibration, trained.get(attribute), looks)
        rows += laddered(lambda level, name=name: list(_quality(name, quality, groups, level)), spec.level)
    return rows


def measure_shares(run: Run, spec: Spec, *, images: int, looks: Sequence[int], calibration: Calibration | None,
                   training: dict[str, dict[str, np.ndarray]] | None = None) -> list[Measure]:  # fmt: skip
    """Return the rows that a sequential run is decided by, of the first ``images`` images of each generator."""
    wanted = {(limit.attribute, limit.generator) for limit in spec.limits}
    rows: list[Measure] = []
    for name in spec.generators:
        frame = run.frame(name).iloc[:images]
        rows += laddered(lambda level, name=name, frame=frame: list(_missing(name, frame, level, looks)), spec.level)
        trained = (training or {}).get(name, {})
        for attribute in spec.attributes:
            if {(attribute, name), (attribute, None)} & wanted:
                rows += _attribute(name, frame, attribute, spec, calibration, trained.get(attribute), looks)
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


def reading(frame: pd.DataFrame, attribute: str, spec: Spec, *, calibration: Calibration | None = None, training: np.ndarray | None = None,
            looks: Sequence[int] | None = None) -> Reading | None:  # fmt: skip
    """Return what was read of an attribute; None where no instrument reads it.

    Args:
        frame: rows of the record of one generator.
        attribute: an attribute or an intersection.
        spec: what was asked for.
        calibration: the classifier's errors.
        training: (K,) shares of the population the generator was trained on.
        looks: images at which a sequential run looked; None = looked at once.
    """
    said = labels(frame, attribute)
    if said is None:
        return None
    k = len(cells(attribute))
    counts = metrics.class_counts(said, k)
    missing = int((said == MISSING).sum())
    path = None if looks is None else np.array([metrics.class_counts(said[:n], k) for n in looks])
    effect = design_effect(said, frame, k)
    known = calibration if calibration is not None and _calibrated(frame, attribute) else None
    found = {"counts": counts, "missing": missing, "design_effect": effect, "path": path, "training": training}
    within = spec.correct_within
    if known is not None and within is not None and path is None and within not in parts(attribute):
        joint = f"{attribute}*{within}"
        table, both = known.confusion(joint), labels(frame, joint)
        if table is not None and both is not None:
            inner = ATTRIBUTES[within].k
            return Reading(**found, errors=ErrorModel.from_confusion(table), into=np.repeat(np.arange(k), inner),
                           cell_counts=metrics.class_counts(both, k * inner))  # fmt: skip
    soft = known.soft(attribute) if known is not None and spec.correct == "probabilities" and path is None else None
    if soft is not None:
        return Reading(**found, errors=soft, scores=probabilities(frame, attribute))
    table = known.confusion(attribute) if known is not None else None
    model = known.error_model(attribute) if known is not None and table is not None else None
    return Reading(**found, errors=model, confusion=table)


def design_effect(said: np.ndarray, frame: pd.DataFrame, k: int) -> float:
    """Return images counted for each independent one, 1 without units; where all are of one unit, they count as one image."""
    if "unit" not in frame:
        return 1.0
    read = int((said != MISSING).sum())
    found = effective_counts(said, frame["unit"].to_numpy(), k)
    return max(read / found.n, 1.0) if isinstance(found, EffectiveCounts) else max(float(read), 1.0)


def _missing(name: str, frame: pd.DataFrame, level: float, looks: Sequence[int] | None) -> Iterator[Measure]:
    flags = {"unreadable": (frame["status"] != OK).to_numpy()}
    if "face_finder:face" in frame:
        flags |= {key: (frame["face_finder:face"] == key).to_numpy() for key in ("no_face", "several_faces")}
    for key, flag in flags.items():
        if looks is None:
            found: Measurement = metrics.proportion(int(flag.sum()), len(frame), level)
        else:
            box = sequence_box([[int(flag[:n].sum()), n - int(flag[:n].sum())] for n in looks], level=level)
            found = box if isinstance(box, NotMeasured) else box.estimates()[0]
        yield measure_row(name, key, found, level=level)


def _attribute(name: str, frame: pd.DataFrame, attribute: str, spec: Spec, calibration: Calibration | None,
               training: np.ndarray | None, looks: Sequence[int] | None) -> list[Measure]:  # fmt: skip
    about = About(name, attribute, cells(attribute), target_shares(spec, attribute), spec.level)
    found = reading(frame, attribute, spec, calibration=calibration, training=training, looks=looks)
    if found is None:
        return nobody_rows(about, "no instrument of this audit reads it")
    rows = attribute_rows(about, found)
    if INTERSECTION not in attribute:
        rows += laddered(lambda level: list(_agreement(name, frame, attribute, level)), spec.level)
    return rows


def _calibrated(frame: pd.DataFrame, attribute: str) -> bool:
    return all(role_of(frame.columns, part) == "classifier" for part in parts(attribute))


def _agreement(name: str, frame: pd.DataFrame, attribute: str, level: float) -> Iterator[Measure]:
    said, second = labels(frame, attribute), labels(frame, attribute, role="second_rater")
    if said is not None and second is not None:
        both = (said != MISSING) & (second != MISSING)
        same = int((said[both] == second[both]).sum())
        yield measure_row(name, "agreement", metrics.proportion(same, int(both.sum()), level), attribute=attribute, level=level)


def _quality(name: str, quality: Quality, groups: GroupQuality, level: float) -> Iterator[Measure]:
    for label in quality.references:
        held = quality.against(name, label)
        for metric, found in held.numbers.items():
            yield measure_row(name, metric, estimate(found, level=level), group=f"reference:{label}", protocol=held.protocol_for(metric),
                              level=level)  # fmt: skip
    for number in groups.numbers(name):
        yield measure_row(name, number.metric, estimate(number.found, level=level), attribute=number.attribute, group=number.group,
                          protocol=number.protocol, level=level)  # fmt: skip
