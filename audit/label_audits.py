"""An audit of labels made elsewhere: a table in, the same result out as from an audit of images. No model, no image, no torch."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from audit import metrics
from audit.attribute_rows import About, attribute_rows
from audit.attributes import ATTRIBUTES, INTERSECTION, parts
from audit.digests import digest
from audit.errors import RecordError, SpecError
from audit.labelled.calibration_file import CalibrationFile, read_calibration_file
from audit.labelled.columns import Labels, attributes_of, cross, read_labels, target_of
from audit.labelled.pairs import compare
from audit.labelled.readings import reading
from audit.labelled.tables import read_table
from audit.labels import MISSING
from audit.limits import as_limits
from audit.metrics.shares import check_level
from audit.provenance import peak_memory_bytes, provenance
from audit.quantities import Measure, measure_row
from audit.records import Run
from audit.result import Result
from audit.spec import LimitSpec

FEWEST = 2
"""Images below which a table is refused."""


def audit_labels(frame: pd.DataFrame | str | Path, *, calibration: CalibrationFile | str | Path | None = None,
                 target: str | Mapping[str, Mapping[str, float]] = "uniform", level: float = 0.95,
                 attributes: Sequence[str] | None = None, classes: Mapping[str, Sequence[str]] | None = None,
                 compare_to: Mapping[str, str] | None = None, limits: Sequence[LimitSpec | dict] = (), out: str | Path | None = None,
                 name: str = "labels", seed: int = 0, command: str | None = None) -> Result:  # fmt: skip
    """Audit a table of labels or probabilities, a row an image.

    Columns of the table: ``ATTRIBUTE`` holds class labels, or ``ATTRIBUTE:CLASS`` probabilities that add up to 1; an empty cell (or
    a whole row of NaN) is an image that was not read. Optional: ``generator`` (several in one table), ``id`` (pairs a candidate's
    image with its baseline's), ``unit`` (images that are not independent share one), ``group`` (known subgroup of an image, for a
    calibration with errors by group). ``ATTRIBUTE:true`` is left alone: it is for ``genbias calibrate``.

    Args:
        frame: the table, or the path of a CSV or Parquet file.
        calibration: the labeller's errors, made by ``genbias calibrate``; None = no corrected rows.
        target: wished-for shares: "uniform", or {attribute: {class: share}}.
        level: confidence level, simultaneous over the classes of an attribute, in (0.5, 1).
        attributes: what to audit, "gender*smile" for intersections; None = every attribute of the table.
        classes: {attribute: class names in order} of attributes that are not built in; None = the calibration's, else those found.
        compare_to: {candidate: baseline} among the generators.
        limits: as in a spec.
        out: directory for result.json; None = in memory only.
        name: what the report calls the audit.
        seed: recorded; nothing here is random.
        command: what the report prints under "how to reproduce".

    Returns:
        The result; ``.frame()`` is a row a number.

    Raises:
        GenbiasError: no or one row, labels outside the classes, probabilities that are none, a calibration for other classes, a
            limit on what was not measured; one sentence each.

    Example:
        >>> table = pd.DataFrame({"smile": ["neutral", "smiling"] * 50 + ["neutral"] * 50})
        >>> rows = audit_labels(table).frame()
        >>> round(float(rows.query("metric == 'fairness_discrepancy'").value.iloc[0]), 4)
        0.2357
    """
    began = time.perf_counter()
    source = str(frame) if isinstance(frame, str | Path) else "a table in memory"
    table = read_table(frame) if isinstance(frame, str | Path) else frame
    if len(table) < FEWEST:
        raise RecordError(f"{source} holds {len(table)} image{'s' if len(table) != 1 else ''}; expected {FEWEST} or more, a row an image")
    check_level(level)
    known = read_calibration_file(calibration) if isinstance(calibration, str | Path) else calibration
    held = as_limits(limits)
    asked = [a.strip() for a in attributes] if attributes is not None else attributes_of(table)
    if not asked:
        raise RecordError(f"{source} has no column of labels; it has {', '.join(map(str, table.columns[:12]))}")
    singles = {p: _read(table, p, classes or {}, known) for p in dict.fromkeys(p for a in asked for p in parts(a))}
    named = {p: found.classes for p, found in singles.items()}
    _check_target(target, named)
    found = {a: cross(singles, a) for a in asked}
    targets = {a: target_of(target, a, named) for a in asked}
    rows = _Columns.of(table)
    pairs = dict(compare_to or {})
    _check_pairs(pairs, rows.names)
    spec = {"name": name, "labels": source, "attributes": asked, "target": target if isinstance(target, str) else {a: dict(s) for a, s in target.items()},
            "level": level, "seed": seed, "compare_to": pairs, "calibration": known.name if known else None,
            "limits": [limit.model_dump(mode="json", exclude_none=True) for limit in held]}  # fmt: skip
    read = time.perf_counter()
    measures: list[Measure] = []
    for generator in rows.names:
        inside = rows.generators == generator
        measures.append(_unread(generator, singles, inside, level))
        for attribute, labels in found.items():
            said = reading(labels, inside, calibration=known, subgroups=rows.groups, units=rows.units, level=level)
            measures += attribute_rows(About(generator, attribute, labels.classes, targets[attribute], level), said)
    comparisons = compare(found, targets, rows.ids, rows.generators, pairs, calibration=known, level=level) if pairs else []
    facts = provenance(seed=seed, spec_digest=digest(spec), device="none", command=command or "audit.audit_labels(table)")
    facts |= {"weights": [], "caveats": _caveats(singles, found, known, rows)}
    result = Result(
        name=name, measures=measures, comparisons=comparisons, provenance=facts, spec=spec,
        attributes={a: _described(labels) for a, labels in singles.items()},
        generators=[_generator(g, singles, rows.generators == g, pairs) for g in rows.names],
        calibration={a: known.attributes[a].table.tolist() for a in found if known is not None and a in known.attributes},
    )  # fmt: skip
    result = replace(result, verdicts=result.check(held))
    total = time.perf_counter() - began
    result = replace(result, timings={"seconds": {"read": round(read - began, 3), "measure": round(total - (read - began), 3), "total": round(total, 3)},
                                      "images_per_second": round(len(table) / max(total, 1e-9), 1), "peak_memory_bytes": peak_memory_bytes()})  # fmt: skip
    if out is None:
        return result
    store = Run(Path(out), {"schema": 1, "labels": {a: [labels.classes, sha256(labels.codes).hexdigest()] for a, labels in found.items()}})
    with store.locked():
        result = replace(result, path=store.path)
        result.save()
    return result


@dataclass(frozen=True, eq=False)
class _Columns:
    """The optional columns of a table, and the generators in order of appearance."""

    names: list[str]
    generators: np.ndarray
    ids: np.ndarray | None
    units: np.ndarray | None
    groups: np.ndarray | None

    @classmethod
    def of(cls, table: pd.DataFrame) -> "_Columns":
        codes, names = np.zeros(len(table), dtype=np.int64), ["labels"]
        if "generator" in table:
            codes, found = pd.factorize(table["generator"])
            if (codes < 0).any():
                raise RecordError(f"column 'generator' is empty in row {int(np.argmax(codes < 0)) + 1:,}; name the generator of every image, or drop the column")
            names = [str(n) for n in found]
        units = None
        if "unit" in table:
            units = pd.factorize(table["unit"])[0]
            if (units < 0).any():
                raise RecordError(f"column 'unit' is empty in row {int(np.argmax(units < 0)) + 1:,}; every image belongs to a unit, if only its own")
        ids = table["id"].to_numpy() if "id" in table else None
        if ids is not None and pd.isna(ids).any():
            raise RecordError(f"column 'id' is empty in row {int(np.argmax(pd.isna(ids))) + 1:,}; give every image an id, or drop the column")
        groups = table["group"].astype("string").fillna("").to_numpy(dtype=str) if "group" in table else None
        return cls(names, np.array(names, dtype=object)[codes], ids if ids is None or ids.dtype != object else ids.astype(str), units, groups)


def _read(table: pd.DataFrame, name: str, classes: Mapping[str, Sequence[str]], calibration: CalibrationFile | None) -> Labels:
    calibrated = calibration.classes(name) if calibration is not None else None
    given = tuple(map(str, classes[name])) if name in classes else None
    built_in = ATTRIBUTES[name].classes if name in ATTRIBUTES else None
    wanted = given or built_in
    if calibrated is not None and wanted is not None and calibrated != wanted:
        raise SpecError(f"the calibration is for other classes of {name!r} ({', '.join(calibrated)}); this audit has {', '.join(wanted)}: "
                        "calibrate again with these, in this order")  # fmt: skip
    try:
        return read_labels(table, name, wanted or calibrated)
    except RecordError as error:
        if calibrated is None or wanted is not None:
            raise
        raise RecordError(f"the calibration is for other classes of {name!r} than the table: {error}") from None


def _unread(generator: str, singles: Mapping[str, Labels], inside: np.ndarray, level: float) -> Measure:
    blank = np.logical_and.reduce([labels.codes[inside] == MISSING for labels in singles.values()])
    return measure_row(generator, "unreadable", metrics.proportion(int(blank.sum()), int(inside.sum()), level))


def _generator(name: str, singles: Mapping[str, Labels], inside: np.ndarray, pairs: Mapping[str, str]) -> dict[str, Any]:
    blank = int(np.logical_and.reduce([labels.codes[inside] == MISSING for labels in singles.values()]).sum())
    unread = {a: int((labels.codes[inside] == MISSING).sum()) for a, labels in singles.items()}
    n = int(inside.sum())
    caveats = [f"{count:,} of {n:,} images have no label of {a}" for a, count in unread.items() if count]
    return {"name": name, "title": name, "baseline": name in pairs.values(), "compare_to": pairs.get(name), "images": n, "readable": n - blank,
            "unreadable": blank, "no_face": 0, "several_faces": 0, "files_unreadable": [], "caveats": caveats, "method": None}  # fmt: skip


def _described(labels: Labels) -> dict[str, Any]:
    built_in = ATTRIBUTES.get(labels.name)
    if built_in is not None:
        return {"title": built_in.title, "classes": list(built_in.classes), "caveat": built_in.caveat}
    return {"title": labels.name, "classes": list(labels.classes), "caveat": "Labels made elsewhere: how they were made decides what they mean."}


def _caveats(singles: Mapping[str, Labels], found: Mapping[str, Labels], calibration: CalibrationFile | None, rows: _Columns) -> list[str]:
    said = [f"The classes of {a} are those found in the table ({', '.join(labels.classes)}): a class that never occurs could not be counted."
            for a, labels in singles.items() if labels.guessed]  # fmt: skip
    if calibration is None:
        return [*said, "No calibration was given: shares are what the labels say, their errors included."]
    said.append(f"Corrected shares use the errors of {calibration.name} on {calibration.images:,} {calibration.domain}; on these images the "
                "errors may be larger.")  # fmt: skip
    without = [a for a in found if calibration.classes(a) is None]
    said += [f"The calibration does not cover {', '.join(without)}: these shares are not corrected."] if without else []
    grouped = [a for a in found if calibration.groups(a)]
    if rows.groups is None and grouped:
        said.append("The calibration has errors by group, but the table has no column 'group': one table of errors was used for all images.")
    if any(INTERSECTION in a for a in found if a not in without):
        said.append("Intersections are corrected with the errors measured on their cells together.")
    return said


def _check_target(target: str | Mapping, named: Mapping[str, tuple[str, ...]]) -> None:
    if not isinstance(target, str) and not isinstance(target, Mapping):
        raise SpecError(f"target is {target!r}; expected 'uniform' or {{attribute: {{class: share}}}}")
    for attribute in target if isinstance(target, Mapping) else ():
        if attribute not in named:
            raise SpecError(f"target: {attribute!r} is not audited here; there are {', '.join(named)}")


def _check_pairs(pairs: Mapping[str, str], names: list[str]) -> None:
    for candidate, baseline in pairs.items():
        for one in (candidate, baseline):
            if one not in names:
                raise SpecError(f"compare_to: there is no generator {one!r} in the table; its generators are {', '.join(names[:12])}")
        if candidate == baseline:
            raise SpecError(f"compare_to: {candidate!r} is compared with itself; name its baseline")
