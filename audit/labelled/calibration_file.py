"""The one file that says how often a classifier errs: ``genbias.calibration/1``, JSON, made from images whose class is known."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from audit.errors import RecordError
from audit.metrics.error_model import ErrorModel
from audit.records import write_whole

SCHEMA = "genbias.calibration/1"


@dataclass(frozen=True, eq=False)
class Errors:
    """The measured errors on one attribute or intersection.

    Attributes:
        classes: names, in the order of rows and columns.
        table: (K, K) counts, row = true class, column = label; effective counts, with fractions, where images were weighted.
        by_group: {group: (K, K) counts}, empty where none were given.
        soft: mean (K, K) of score i over images of class j at [i, j], covariance (K, K, K) by true class, images (K,); None = labels only.
        left_out: images of the source without a true class or without a label.
        agreement: what raters agreed on, as :func:`audit.labelled.agreement.summary` says it; None where nobody was asked.
    """

    classes: tuple[str, ...]
    table: np.ndarray
    by_group: dict[str, np.ndarray] = field(default_factory=dict)
    soft: dict[str, np.ndarray] | None = None
    left_out: int = 0
    agreement: dict[str, Any] | None = None

    def row(self) -> dict[str, Any]:
        """Return what the file holds."""
        whole = bool((self.table == np.floor(self.table)).all())
        return {"classes": list(self.classes), "confusion": _plain(self.table), "effective": not whole, "left_out": self.left_out,
                "by_group": {g: _plain(t) for g, t in self.by_group.items()} or None,
                "soft": None if self.soft is None else {k: np.round(v, 9).tolist() for k, v in self.soft.items()},
                "agreement": self.agreement}  # fmt: skip


@dataclass(frozen=True, eq=False)
class CalibrationFile:
    """A calibration read from disk or just made.

    Attributes:
        name: the classifier.
        domain: what kind of images were labelled.
        images: how many.
        source: sha256 of the table it was made from.
        attributes: errors by attribute or intersection.
    """

    name: str
    domain: str
    images: int
    source: str | None
    attributes: Mapping[str, Errors]

    def classes(self, attribute: str) -> tuple[str, ...] | None:
        """Return the classes in the order of :meth:`confusion`; None where the attribute was not calibrated."""
        found = self.attributes.get(attribute)
        return found.classes if found else None

    def confusion(self, attribute: str) -> np.ndarray | None:
        """Return (K true, K given) int64 counts; effective counts are rounded, :meth:`error_model` has them whole."""
        found = self.attributes.get(attribute)
        return None if found is None else np.rint(found.table).astype(np.int64)

    def error_model(self, attribute: str) -> ErrorModel | None:
        """Return the errors as the correction takes them, with effective sizes where images were weighted."""
        found = self.attributes.get(attribute)
        return None if found is None else ErrorModel.from_confusion(found.table, whole=False)

    def groups(self, attribute: str) -> dict[str, np.ndarray]:
        """Return {group: (K, K) counts}, empty where the calibration knows no groups."""
        found = self.attributes.get(attribute)
        return dict(found.by_group) if found else {}

    def soft(self, attribute: str) -> ErrorModel | None:
        """Return the errors of probabilities; None where only labels were calibrated."""
        found = self.attributes.get(attribute)
        if found is None or found.soft is None:
            return None
        return ErrorModel.from_moments(found.soft["mean"], found.soft["covariance"], found.soft["images"])

    def write(self, path: str | Path) -> Path:
        """Write the file whole and return its path."""
        content = {"schema": SCHEMA, "classifier": self.name, "domain": self.domain, "images": self.images, "source_sha256": self.source,
                   "attributes": {a: e.row() for a, e in self.attributes.items()}}  # fmt: skip
        write_whole(Path(path), json.dumps(content, indent=1, allow_nan=False).encode())
        return Path(path)

    def summary(self) -> str:
        """Return how often the classifier is right, a line an attribute and a line a class."""
        lines = [f"{self.name}: {self.images:,} labelled images ({self.domain})"]
        for name, errors in self.attributes.items():
            sizes = errors.table.sum(axis=1)
            right = np.diag(errors.table) / sizes
            kind = "effective images" if (errors.table != np.floor(errors.table)).any() else "images"
            lines.append(f"{name}: classes read rightly {right.mean():.1%} on average" + (f", {errors.left_out} left out" if errors.left_out else ""))
            for at, c in enumerate(errors.classes):
                others = [(errors.table[at, i] / sizes[at], d) for i, d in enumerate(errors.classes) if i != at]
                worst, taken = max(others)
                lines.append(f"  {c:24} {right[at]:6.1%} of {sizes[at]:,.0f} {kind}" + (f"; {worst:.1%} read as {taken}" if worst else ""))
            if errors.agreement:
                lines.append(f"  {errors.agreement['sentence']}")
        return "\n".join(lines)


def read_calibration_file(path: str | Path) -> CalibrationFile:
    """Read a calibration written by ``genbias calibrate`` or ``genbias labels import``.

    Raises:
        RecordError: there is none, it is no JSON, has another schema, or holds counts that cannot be.
    """
    path = Path(path)
    if not path.is_file():
        raise RecordError(f"no calibration at {path}; make one with `genbias calibrate LABELLED.csv --out {path}`")
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise RecordError(f"{path} is not whole JSON; make it again with `genbias calibrate`") from None
    if not isinstance(raw, dict) or raw.get("schema") != SCHEMA:
        found = raw.get("schema") if isinstance(raw, dict) else type(raw).__name__
        raise RecordError(f"{path} has schema {found!r}; expected {SCHEMA!r}, as `genbias calibrate` writes it")
    try:
        attributes = {str(a): _errors(row, str(a), path) for a, row in raw["attributes"].items()}
        return CalibrationFile(str(raw["classifier"]), str(raw["domain"]), int(raw["images"]), raw.get("source_sha256"), attributes)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RecordError(f"{path} lacks or garbles {error}; make it again with `genbias calibrate`") from None


def _errors(row: Mapping[str, Any], name: str, path: Path) -> Errors:
    classes = tuple(map(str, row["classes"]))
    table = _table(row["confusion"], classes, f"{path}: confusion of {name!r}")
    for at, size in enumerate(table.sum(axis=1)):
        if size == 0:
            raise RecordError(f"{path}: class {classes[at]!r} of {name!r} was never seen among the true ones, so its errors are not known; "
                              "add images of it and calibrate again")  # fmt: skip
    groups = {str(g): _table(t, classes, f"{path}: confusion of {name!r} in group {g!r}") for g, t in (row.get("by_group") or {}).items()}
    soft = row.get("soft")
    moments = None
    if soft is not None:
        moments = {key: np.array(soft[key], dtype=np.float64) for key in ("mean", "covariance", "images")}
        k = len(classes)
        if [moments[key].shape for key in ("mean", "covariance", "images")] != [(k, k), (k, k, k), (k,)]:
            raise RecordError(f"{path}: soft errors of {name!r} have other shapes than {k} classes need; make it again with `genbias calibrate`")
    return Errors(classes, table, groups, moments, int(row.get("left_out", 0)), row.get("agreement"))


def _table(rows: Any, classes: tuple[str, ...], where: str) -> np.ndarray:
    table = np.array(rows, dtype=np.float64)
    k = len(classes)
    if table.shape != (k, k) or not (np.isfinite(table) & (table >= 0)).all():
        raise RecordError(f"{where} must hold {k} x {k} counts >= 0 for {', '.join(classes)}; found shape {table.shape}")
    return table


def _plain(table: np.ndarray) -> list:
    return [[int(v) if v == int(v) else round(float(v), 6) for v in row] for row in table]
