"""From images whose class is known to a calibration: count how each true class was labelled."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from audit.attributes import INTERSECTION, parts
from audit.digests import file_digest
from audit.errors import RecordError
from audit.labelled.calibration_file import CalibrationFile, Errors
from audit.labelled.columns import TRUTH, Labels, attributes_of, cross, read_labels
from audit.labelled.tables import read_table
from audit.labels import MISSING

FEWEST = 2
"""Labelled images below which nothing is calibrated."""


def calibrate_table(path: str | Path, **choices: str | Sequence[str] | Mapping | None) -> CalibrationFile:
    """Return the calibration made from a table on disk; ``choices`` as :func:`calibrate`."""
    path = Path(path)
    frame = read_table(path)
    choices.setdefault("name", path.name.split(".")[0])
    return calibrate(frame, source=file_digest(path), **choices)  # type: ignore[arg-type]


def calibrate(frame: pd.DataFrame, *, name: str = "classifier", domain: str = "labelled images", attributes: Sequence[str] | None = None,
              group: str | None = None, classes: Mapping[str, Sequence[str]] | None = None, source: str | None = None) -> CalibrationFile:  # fmt: skip
    """Return what a labelled table says of the classifier that labelled it.

    Rows without a true class or without a label are left out, and counted. Intersections are calibrated jointly: errors on two
    attributes need not be independent.

    Args:
        frame: a row an image: ``ATTRIBUTE:true`` the true class, and ``ATTRIBUTE`` the label given, or ``ATTRIBUTE:CLASS`` the
            probabilities given.
        name: what to call the classifier.
        domain: what kind of images these are, for the reader.
        attributes: which, "gender*smile" for intersections; None = all that have a true class, and those of their pairs of
            which every cell was seen.
        group: column of subgroups to calibrate apart as well; None = none.
        classes: {attribute: class names in order}; None = the built-in ones, else those found.
        source: sha256 of the table.

    Raises:
        RecordError: no or one row, no column of true classes, labels outside the classes, or a class never seen among the
            true ones.

    Example:
        >>> table = pd.DataFrame({"smile": ["neutral", "smiling"] * 10, "smile:true": ["neutral"] * 11 + ["smiling"] * 9})
        >>> calibrate(table).confusion("smile").tolist()
        [[6, 5], [4, 5]]
    """
    if len(frame) < FEWEST:
        raise RecordError(f"the labelled table holds {len(frame)} row{'s' if len(frame) != 1 else ''}; "
                          "a calibration needs some hundred images of each class")  # fmt: skip
    known = [a for a in attributes_of(frame) if f"{a}:{TRUTH}" in frame.columns]
    known += [c.removesuffix(f":{TRUTH}") for c in map(str, frame.columns) if c.endswith(f":{TRUTH}") and c.removesuffix(f":{TRUTH}") not in known]
    if not known:
        raise RecordError(f"the table has no column 'ATTRIBUTE:{TRUTH}' with true classes; it has {', '.join(map(str, frame.columns[:12]))}")
    if group is not None and group not in frame.columns:
        raise RecordError(f"the table has no column {group!r} to take groups from; it has {', '.join(map(str, frame.columns[:12]))}")
    asked = [a.strip() for a in attributes] if attributes is not None else known
    given, true = {}, {}
    for part in dict.fromkeys(p for a in asked for p in parts(a)):
        if part not in known:
            raise RecordError(f"the table has no column '{part}:{TRUTH}'; there are true classes of {', '.join(known)}")
        given[part], true[part] = _sides(frame, part, (classes or {}).get(part))
    optional = [INTERSECTION.join(pair) for pair in combinations(known, 2)] if attributes is None else []
    subgroups = None if group is None else frame[group].astype("string")
    found = {a: _errors(cross(true, a), cross(given, a), subgroups, must=True) for a in asked}
    found |= {a: _errors(cross(true, a), cross(given, a), subgroups, must=False) for a in optional}
    kept = {a: errors for a, errors in found.items() if errors is not None}
    return CalibrationFile(name, domain, len(frame), source, kept)


def _sides(frame: pd.DataFrame, name: str, classes: Sequence[str] | None) -> tuple[Labels, Labels]:
    """Return given and true labels over the same classes."""
    given = read_labels(frame, name, classes)
    truth = frame[[f"{name}:{TRUTH}"]].rename(columns={f"{name}:{TRUTH}": name})
    if not given.guessed:
        return given, read_labels(truth, name, given.classes)
    if given.scores is not None:
        return given, read_labels(truth, name, given.classes)
    true = read_labels(truth, name)
    together = tuple(dict.fromkeys([*true.classes, *given.classes]))
    if set(true.classes) < set(together):
        together = tuple(sorted(together))
    return read_labels(frame, name, together), read_labels(truth, name, together)


def _errors(true: Labels, given: Labels, subgroups: pd.Series | None, *, must: bool) -> Errors | None:
    both = (true.codes != MISSING) & (given.codes != MISSING)
    k = len(true.classes)
    table = _counts(true.codes[both], given.codes[both], k)
    for at, size in enumerate(table.sum(axis=1)):
        if size == 0 and not must:
            return None
        if size == 0:
            raise RecordError(f"class {true.classes[at]!r} of {true.name!r} was never seen among the true ones ({int(both.sum()):,} images have "
                              "both classes), so its errors cannot be known; add images of it")  # fmt: skip
    by_group = {}
    if subgroups is not None:
        for one in sorted(subgroups[both].dropna().unique()):
            inside = both & (subgroups == one).fillna(False).to_numpy(dtype=bool)
            by_group[str(one)] = _counts(true.codes[inside], given.codes[inside], k)
    soft = None if given.scores is None else _moments(given.scores[both], true.codes[both], k)
    return Errors(true.classes, table, by_group, soft, int((~both).sum()))


def _counts(true: np.ndarray, given: np.ndarray, k: int) -> np.ndarray:
    return np.bincount(true * k + given, minlength=k * k).reshape(k, k)


def _moments(scores: np.ndarray, true: np.ndarray, k: int) -> dict[str, np.ndarray]:
    scores = scores / scores.sum(axis=1, keepdims=True)
    mean, covariance = np.zeros((k, k)), np.zeros((k, k, k))
    for at in range(k):
        own = scores[true == at]
        mean[:, at] = own.mean(axis=0)
        covariance[at] = (own - own.mean(axis=0)).T @ (own - own.mean(axis=0)) / len(own)
    return {"mean": mean, "covariance": covariance, "images": np.bincount(true, minlength=k).astype(np.float64)}
