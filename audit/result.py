"""A finished audit: what ``result.json`` holds, and what Python code does with it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audit.errors import RecordError
from audit.quantities import Measure
from audit.records import write_whole
from audit.storage import Folder, open_storage
from audit.verdicts import Verdict, judge

if TYPE_CHECKING:
    import pandas as pd

    from audit.planning import Readings
    from audit.spec import LimitSpec

SCHEMA = "genbias.result/1"


@dataclass(frozen=True)
class Result:
    """Everything a report needs, and nothing that needs torch, a model or an image.

    Attributes:
        path: the run directory, of an fsspec location its working copy; None for a result that lives in memory only.
        location: where the run lies, as it was given; None = at ``path``.
        name: the spec's name.
        provenance, spec, attributes: as in ``result.json``.
        generators: a row a generator: counts of images and of what could not be read.
        measures: a row a number.
        comparisons: candidate minus baseline on the same ids.
        verdicts: decisions on the spec's limits.
        gallery: thumbnails by generator.
        calibration: counts of a labelled set by attribute, row = true class, behind the corrected rows; empty where there is none.
        looks: of a sequential run: a row for every look at every limit.
        timings: seconds by stage, images per second, peak memory.
        study: what the spec's study found, with its ``kind``; None where there is none.
    """

    name: str
    measures: list[Measure]
    path: Path | None = None
    location: str | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    spec: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    generators: list[dict[str, Any]] = field(default_factory=list)
    comparisons: list[dict[str, Any]] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    gallery: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    timings: dict[str, Any] = field(default_factory=dict)
    calibration: dict[str, list[list[float]]] = field(default_factory=dict)
    looks: list[dict[str, Any]] = field(default_factory=list)
    study: dict[str, Any] | None = None

    def frame(self) -> "pd.DataFrame":
        """Return the measures as a table, a row a measure."""
        import pandas as pd

        return pd.DataFrame([m.row() for m in self.measures], columns=[f.name for f in fields(Measure) if f.name != "curve"])

    def check(self, limits: Sequence["LimitSpec | dict"]) -> list[Verdict]:
        """Hold the measures to ``limits`` (dictionaries as in a spec) and return a verdict for each."""
        from audit.limits import as_limits

        level = float(self.spec.get("level", 0.95))
        return judge(self.measures, as_limits(limits), self.comparisons, level=level, readings=self.readings())

    def readings(self) -> "Readings":
        """Return the counts behind the shares, from which it can be worked out how many images would decide a limit."""
        return readings_of(self.measures, self.calibration)

    def to_dict(self) -> dict[str, Any]:
        """Return the content of ``result.json``."""
        rows = {"measures": [m.row() for m in self.measures], "verdicts": [v.__dict__ for v in self.verdicts]}
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("path", "location", "measures", "verdicts")}
        return {"schema": SCHEMA, **plain, **rows}

    def save(self) -> Path:
        """Write ``result.json`` whole and return its path."""
        if self.path is None:
            raise RecordError("this result has no directory; run the audit with out=...")
        target = self.path / "result.json"
        write_whole(target, json.dumps(self.to_dict(), indent=1, allow_nan=False, default=str).encode())
        return target


    def publish(self, files: Sequence[Path] = ()) -> None:
        """Copy ``result.json``, or these files of the run directory, to the fsspec location of the run; a run in a folder has them already.

        Raises:
            RunError: the location cannot be written to.
        """
        storage = None if self.path is None or self.location is None else open_storage(self.location)
        if storage is not None and not isinstance(storage, Folder):
            for file in files or [storage.root / "result.json"]:
                storage.write(str(file.relative_to(storage.root)), file.read_bytes())


def readings_of(measures: Sequence[Measure], calibration: Mapping[str, Sequence[Sequence[float]]]) -> "Readings":
    """Return what was read of each generator and attribute, from the rows of raw shares and the calibration's counts."""
    from audit.attribute_rows import Reading
    from audit.metrics.error_model import ErrorModel

    found: dict = {}
    for m in measures:
        if m.metric == "share" and not m.corrected and m.value is not None and m.attribute is not None:
            found.setdefault((m.generator, m.attribute), []).append(m)
    readings = {}
    for key, rows in found.items():
        counts = np.rint([float(m.value or 0) * m.n for m in rows]).astype(np.int64)
        target = np.array([1 / len(rows) if m.parity is None else m.parity for m in rows])
        table = calibration.get(key[1])
        errors = None if table is None or len(table) != len(rows) else ErrorModel.from_confusion(np.array(table), whole=False)
        readings[key] = (Reading(counts, errors=errors), target, tuple(str(m.group) for m in rows))
    return readings


def load_result(path: str | Path) -> Result:
    """Read ``result.json`` from a run directory.

    Raises:
        RecordError: there is none, it is truncated, or it has another schema.
    """
    folder = Path(path)
    file = folder if folder.suffix == ".json" else folder / "result.json"
    if not file.is_file():
        raise RecordError(f"no result at {file}; make one with `genbias run SPEC --out {folder}`")
    try:
        raw = json.loads(file.read_text())
    except json.JSONDecodeError as error:
        raise RecordError(f"{file} is not whole JSON (line {error.lineno}); run the same genbias command again") from None
    if not isinstance(raw, dict) or raw.get("schema") != SCHEMA:
        found = raw.get("schema") if isinstance(raw, dict) else type(raw).__name__
        raise RecordError(f"{file} has schema {found!r}; this version of genbias reads {SCHEMA!r}")
    raw.pop("schema")
    measures = [Measure(**{**row, "curve": tuple(map(tuple, row["curve"])) if row.get("curve") else None}) for row in raw.pop("measures")]
    verdicts = [Verdict(**row) for row in raw.pop("verdicts")]
    return Result(measures=measures, verdicts=verdicts, path=file.parent, **raw)
