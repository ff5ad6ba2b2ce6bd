"""What a table says of one attribute of one generator, ready to become rows: counts, errors of the labeller, units, what is missing."""

import numpy as np

from audit import metrics
from audit.attribute_rows import Reading
from audit.errors import RecordError
from audit.estimates import NotMeasured
from audit.labelled.calibration_file import CalibrationFile
from audit.labelled.columns import Labels
from audit.labels import MISSING
from audit.metrics.error_model import ErrorModel
from audit.metrics.resampling import effective_counts


def reading(labels: Labels, inside: np.ndarray, *, calibration: CalibrationFile | None = None, subgroups: np.ndarray | None = None,
            units: np.ndarray | None = None, level: float = 0.95) -> Reading:  # fmt: skip
    """Return the reading of one generator.

    Probabilities are corrected as such where the calibration holds their errors, else by the labels they make. Where the table says
    to which known subgroup each image belongs, and the calibration has errors by group, each subgroup is corrected by its own.

    Args:
        labels: of the whole table.
        inside: (n,) bool, rows of the generator.
        calibration: the labeller's errors; None = not known.
        subgroups: (n,) text, None = not known.
        units: (n,) integers, images of one unit being not independent; None = every image by itself.
        level: of the interval of few units.

    Raises:
        RecordError: all images are of one unit, or the calibration lacks a subgroup, or a class within one.
    """
    codes, k = labels.codes[inside], len(labels.classes)
    counts = metrics.class_counts(codes, k)
    common = {"counts": counts, "missing": int((codes == MISSING).sum()),
              "design_effect": 1.0 if units is None else design_effect(codes, units[inside], k, level=level)}  # fmt: skip
    model = calibration.error_model(labels.name) if calibration is not None else None
    if calibration is None or model is None:
        return Reading(**common)
    tables = calibration.groups(labels.name)
    if subgroups is not None and tables:
        cells, model, into = _by_group(codes, subgroups[inside], tables, labels)
        return Reading(**common, errors=model, into=into, cell_counts=cells)
    soft = calibration.soft(labels.name)
    if labels.scores is not None and soft is not None:
        return Reading(**common, errors=soft, scores=labels.scores[inside])
    return Reading(**common, errors=model)


def design_effect(codes: np.ndarray, units: np.ndarray, k: int, *, level: float = 0.95) -> float:
    """Return how many images count as one independent one, by :func:`audit.metrics.resampling.effective_counts`.

    Raises:
        RecordError: all images that were read are of one unit.

    Example:
        >>> round(design_effect(np.array([0, 0, 1, 1] * 50), np.repeat(np.arange(100), 2), 2), 2)
        2.07
    """
    n = int((codes != MISSING).sum())
    if not n:
        return 1.0
    found = effective_counts(codes, units, k, level=level)
    if isinstance(found, NotMeasured):
        raise RecordError("all images of a generator are of one unit; intervals need two independent units or more in the column 'unit'")
    return max(n / found.n, 1.0)


def _by_group(codes: np.ndarray, subgroups: np.ndarray, tables: dict[str, np.ndarray], labels: Labels) -> tuple[np.ndarray, ErrorModel, np.ndarray]:
    """Return counts of the cells "group x class", their errors, and the class of each cell."""
    k = len(labels.classes)
    names, of = np.unique(subgroups, return_inverse=True)
    kept, cells, blocks = [], [], []
    for at, name in enumerate(map(str, names)):
        counts = metrics.class_counts(codes[of == at], k)
        if not counts.sum():
            continue
        if name not in tables:
            found = f"group {name!r}" if name else "images without a group"
            raise RecordError(f"the table has {found}, for which the calibration of {labels.name!r} has no errors; it has {', '.join(tables)}: "
                              "calibrate it too, or drop the column 'group'")  # fmt: skip
        absent = np.flatnonzero(tables[name].sum(axis=1) == 0)
        if absent.size:
            raise RecordError(f"the calibration never saw {labels.classes[absent[0]]!r} of {labels.name!r} in group {name!r}, so its errors are not "
                              "known; calibrate with images of it, or drop the column 'group'")  # fmt: skip
        kept.append(name)
        cells.append(counts)
        blocks.append(tables[name])
    if not kept:
        return np.zeros(k, dtype=np.int64), ErrorModel.from_confusion(np.eye(k)), np.arange(k)
    table = np.zeros((k * len(kept), k * len(kept)))
    for at, block in enumerate(blocks):
        table[at * k : (at + 1) * k, at * k : (at + 1) * k] = block
    return np.concatenate(cells), ErrorModel.from_confusion(table, whole=False), np.tile(np.arange(k), len(kept))
