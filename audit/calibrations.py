"""What is known of a classifier's errors: a table of true against given labels on images that it never saw."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audit.attributes import ATTRIBUTES, parts
from audit.errors import RecordError
from audit.labelled.calibration_file import CalibrationFile, read_calibration_file
from audit.metrics.error_model import ErrorModel


@dataclass(frozen=True)
class Calibration:
    """Joint counts of true and given labels over all four attributes.

    Attributes:
        name: the classifier.
        images: labelled images behind it.
        domain: what kind of images they were.
        order: attribute names, the axes of a cell.
        pairs: (m, 3) int64 rows of true cell, given cell, count; cells in C order over ``order``.
    """

    name: str
    images: int
    domain: str
    order: tuple[str, ...]
    pairs: np.ndarray

    def confusion(self, attribute: str) -> np.ndarray | None:
        """Return (K true, K given) counts of an attribute or intersection; None where it was not calibrated."""
        wanted = parts(attribute)
        if not set(wanted) <= set(self.order):
            return None
        sizes = [ATTRIBUTES[a].k for a in self.order]
        k = int(np.prod([ATTRIBUTES[a].k for a in wanted]))
        table = np.zeros((k, k), dtype=np.int64)
        true, given = (_project(self.pairs[:, i], sizes, self.order, wanted) for i in (0, 1))
        np.add.at(table, (true, given), self.pairs[:, 2])
        return table

    def error_model(self, attribute: str) -> ErrorModel | None:
        """Return the errors as the correction takes them; None where it was not calibrated."""
        table = self.confusion(attribute)
        return None if table is None else ErrorModel.from_confusion(table)

    def soft(self, attribute: str) -> ErrorModel | None:
        """Return the errors of probabilities: None, because only labels were counted."""
        return None


def _project(cells: np.ndarray, sizes: list[int], order: tuple[str, ...], wanted: tuple[str, ...]) -> np.ndarray:
    index = np.unravel_index(cells, sizes)
    total = np.zeros(len(cells), dtype=np.int64)
    for name in wanted:
        total = total * ATTRIBUTES[name].k + index[order.index(name)]
    return total


def read_calibration(path: Path, *, classes: Mapping[str, Sequence[str]] | None = None) -> Calibration | CalibrationFile:
    """Read a calibration written by :func:`calibration_json` or by ``genbias calibrate``.

    Args:
        path: the file.
        classes: what its attributes must have for classes; None = not checked.

    Raises:
        RecordError: there is none, it is no calibration, or it is one for other classes.
    """
    path = Path(path)
    if path.is_file() and "order" in (raw := _json(path)):
        return Calibration(raw["classifier"], raw["images"], raw["domain"], tuple(raw["order"]), np.array(raw["pairs"], dtype=np.int64))
    found = read_calibration_file(path)
    for attribute, wanted in (classes or {}).items():
        given = found.classes(attribute)
        if given is not None and list(given) != list(wanted):
            raise RecordError(f"{path} was made for the classes {', '.join(given)} of {attribute}; expected {', '.join(wanted)} in this order: "
                              "calibrate this classifier")  # fmt: skip
    return found


def _json(path: Path) -> dict:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise RecordError(f"{path} is not whole JSON; make it again with `genbias calibrate`") from None
    return raw if isinstance(raw, dict) else {}


def calibration_json(name: str, domain: str, true: dict[str, np.ndarray], given: dict[str, np.ndarray]) -> str:
    """Return the JSON text of a calibration from aligned label arrays, {attribute: (n,) class indices} each."""
    order = tuple(ATTRIBUTES)
    sizes = [ATTRIBUTES[a].k for a in order]
    both = np.stack([np.ravel_multi_index([labels[a] for a in order], sizes) for labels in (true, given)], axis=1)
    pairs, counts = np.unique(both, axis=0, return_counts=True)
    accuracy = {a: _by_group(np.asarray(true[a]), np.asarray(given[a]), a) for a in order}
    return json.dumps({"classifier": name, "domain": domain, "images": len(both), "order": order, "accuracy": accuracy,
                       "pairs": np.column_stack([pairs, counts]).tolist()})  # fmt: skip


def _by_group(true: np.ndarray, given: np.ndarray, attribute: str) -> dict[str, float]:
    right = true == given
    by_class = {c: round(float(right[true == k].mean()), 5) for k, c in enumerate(ATTRIBUTES[attribute].classes) if (true == k).any()}
    return {"all": round(float(right.mean()), 5), **by_class}
