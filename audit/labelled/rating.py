"""Filled sheets come back: one truth from several raters, how far they agree, and the classifier's errors against it."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from audit.attributes import ATTRIBUTES, INTERSECTION
from audit.digests import digest, file_digest
from audit.errors import RecordError
from audit.labelled.agreement import accuracy_of_raters, krippendorff_alpha, majority, summary
from audit.labelled.calibration_file import CalibrationFile, Errors
from audit.labelled.sheets import Design, heap, run_of
from audit.labelled.weighting import weighted_table
from audit.labels import MISSING, cells, labels
from audit.records import Run


@dataclass(frozen=True, eq=False)
class Answers:
    """What raters wrote, on the images of one sheet.

    Attributes:
        keys: (generator, id) of each image.
        raters: their names.
        said: {attribute: (raters, images) class indices, -1 = empty}.
    """

    keys: list[tuple[str, int]]
    raters: tuple[str, ...]
    said: dict[str, np.ndarray]


def import_sheets(run: str | Path, sheets: Sequence[str | Path], *, rng: np.random.Generator, attributes: Sequence[str] | None = None,
                  level: float = 0.95) -> CalibrationFile:  # fmt: skip
    """Return the classifier's errors on a run's own images, as raters saw them.

    The true class is what most raters said; ties and images nobody answered are left out, and counted. Images were chosen by the
    classifier's label, which :func:`audit.labelled.weighting.weighted_table` undoes.

    Args:
        run: the run the sheet was exported from.
        sheets: filled copies of one sheet.csv.
        rng: for the interval of Krippendorff's alpha.
        attributes: take these answers only; None = all that were given.
        level: of that interval.

    Raises:
        RecordError: a sheet is not of this run, holds a word that is no class, answers twice, or leaves a class without an image.
    """
    result, spec = run_of(run)
    store = Run(Path(run))
    tables = [_read_sheet(Path(p)) for p in sheets]
    design = _design(store, [name for _, name in tables])
    stray = [a for a in attributes or () if a not in design.attributes]
    if stray:
        raise RecordError(f"the sheet did not ask for {stray[0]!r}; it asked for {', '.join(design.attributes)}")
    answers = _answers(design, {str(p): table for p, (table, _) in zip(sheets, tables, strict=True)})
    frame = heap(store, design.generators)
    place = {key: at for at, key in enumerate(zip(frame["generator"], frame["id"].astype(int), strict=True))}
    unknown = [key for key in answers.keys if key not in place]
    if unknown:
        raise RecordError(f"the sheet has image {unknown[0][1]} of {unknown[0][0]!r}, which the run at {run} does not hold; give the run it came from")
    rows = frame.iloc[[place[key] for key in answers.keys]]
    stratum = labels(rows, design.stratified)
    assert stratum is not None  # the sheet was made from it
    found = {}
    for attribute, said in answers.said.items():
        given = labels(rows, attribute)
        if given is None or not (said != MISSING).any() or attribute not in (attributes or design.attributes):
            continue
        found[attribute] = _errors(attribute, said, given, stratum, design, answers.raters, rng, level)
    if not found:
        raise RecordError(f"the sheets hold no answer in {', '.join(design.attributes)}; fill in the words that README.txt lists")
    if INTERSECTION in design.stratified and set(design.stratified.split(INTERSECTION)) <= set(found):
        joint = _joint(design, answers, rows, stratum)
        found |= {design.stratified: joint} if joint is not None else {}
    who = f"{len(answers.raters)} rater{'s' if len(answers.raters) != 1 else ''}"
    domain = f"images of {', '.join(design.generators)} in the run {result.name!r}, labelled by {who} and weighted to the run"
    source = digest([file_digest(Path(p)) for p in sheets])
    readers = spec.instruments.readers("classifier")
    return CalibrationFile(readers[0].manifest if len(readers) == 1 else "classifier", domain, len(answers.keys), source, found)


def _read_sheet(path: Path) -> tuple[pd.DataFrame, str]:
    """Return the rows of one sheet and the sheet's name."""
    if not path.is_file():
        raise RecordError(f"no sheet at {path}; give a filled copy of the sheet.csv that `genbias labels export` wrote")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        text = path.read_text(encoding="cp1252", errors="replace")
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)  # spreadsheets of some countries save with semicolons
    rows = list(csv.DictReader(io.StringIO(text), delimiter=separator))
    table = pd.DataFrame(rows, dtype=str)
    lacking = [c for c in ("id", "generator", "sheet") if c not in table]
    if lacking:
        raise RecordError(f"{path} has no column {lacking[0]!r}; give a filled copy of sheet.csv with its columns as they were")
    table = table.fillna("").map(lambda cell: cell.strip() if isinstance(cell, str) else "")
    names = sorted(set(table["sheet"]) - {""})
    if len(names) != 1:
        raise RecordError(f"{path} holds rows of {len(names)} sheets; expected those of one, in the column 'sheet'")
    return table, names[0]


def _design(store: Run, names: list[str]) -> Design:
    if len(set(names)) > 1:
        raise RecordError(f"the files are of different sheets ({', '.join(sorted(set(names)))}); import copies of one sheet at a time")
    file = store.path / "labels" / f"{names[0]}.json"
    if not file.is_file() or not names[0].isalnum():
        raise RecordError(f"the run at {store.path} knows no sheet {names[0]!r}; give the run that it was exported from")
    raw = json.loads(file.read_text())
    return Design(**{k: tuple(v) if isinstance(v, list) else v for k, v in raw.items()})


def _answers(design: Design, tables: dict[str, pd.DataFrame]) -> Answers:
    keys: dict[tuple[str, int], int] = {}
    given: dict[tuple[str, str, int], int] = {}  # rater, attribute, image
    raters: dict[str, None] = {}
    for path, table in tables.items():
        missing = [a for a in design.attributes if a not in table]
        if missing:
            raise RecordError(f"{path} has no column {missing[0]!r}; give a filled copy of sheet.csv with its columns as they were")
        own = next((r for r in table.get("rater", pd.Series(dtype=str)) if r), Path(path).stem)
        names = [r or own for r in table["rater"]] if "rater" in table else [own] * len(table)
        words = {a: _index(a) for a in design.attributes}
        for line, (row, rater) in enumerate(zip(table.to_dict("records"), names, strict=True), start=2):
            if not row["id"].isdigit():
                raise RecordError(f"{path}, line {line}: the id is {row['id']!r}; expected the number that the sheet had there")
            at = keys.setdefault((row["generator"], int(row["id"])), len(keys))
            raters.setdefault(rater)
            for a in design.attributes:
                word = row[a].lower()
                if not word:
                    continue
                if word not in words[a]:
                    raise RecordError(f"{path}, line {line}: {row[a]!r} is no class of {a!r}; expected {', '.join(ATTRIBUTES[a].classes)}, "
                                      "or an empty cell")  # fmt: skip
                if given.setdefault((rater, a, at), words[a][word]) != words[a][word]:
                    raise RecordError(f"{path}, line {line}: rater {rater!r} already gave another answer for image {row['id']} of "
                                      f"{row['generator']!r}; give each rater a name of their own in the column 'rater'")  # fmt: skip
    order = list(raters)
    said = {a: np.full((len(order), len(keys)), MISSING) for a in design.attributes}
    for (rater, a, at), answer in given.items():
        said[a][order.index(rater), at] = answer
    return Answers(list(keys), tuple(order), said)


def _index(attribute: str) -> dict[str, int]:
    return {c: i for i, c in enumerate(ATTRIBUTES[attribute].classes)}


def _errors(attribute: str, said: np.ndarray, given: np.ndarray, stratum: np.ndarray, design: Design, raters: Sequence[str],
            rng: np.random.Generator, level: float) -> Errors:  # fmt: skip
    classes = ATTRIBUTES[attribute].classes
    true, tied = majority(said, len(classes))
    table = _weighted(true, given, stratum, design, len(classes))
    for at, size in enumerate(table.sum(axis=1)):
        if size == 0:
            raise RecordError(f"class {classes[at]!r} of {attribute!r} was never seen by the raters, so the classifier's errors on it are not known; "
                              "export more images, or import the other attributes with --attribute")  # fmt: skip
    agreed = summary(krippendorff_alpha(said, len(classes), rng=rng, level=level), raters=int((said != MISSING).any(axis=1).sum()))
    known = int((true != MISSING).sum())
    agreed |= {"tied": tied, "unanswered": int(len(true) - known - tied), "rated": known,
               "with_majority": accuracy_of_raters(dict(zip(raters, said, strict=True)), true)}  # fmt: skip
    agreed["sentence"] += f"; {known} images with a majority, {tied} tied, {agreed['unanswered']} unanswered"
    return Errors(classes, table, left_out=len(true) - known, agreement=agreed)


def _joint(design: Design, answers: Answers, rows: pd.DataFrame, stratum: np.ndarray) -> Errors | None:
    """Return the errors on the intersection the strata were made of; None where raters never saw one of its cells."""
    true, missing = np.zeros(len(rows), dtype=np.int64), np.zeros(len(rows), dtype=bool)
    for part in design.stratified.split(INTERSECTION):
        own, _ = majority(answers.said[part.strip()], ATTRIBUTES[part.strip()].k)
        true, missing = true * ATTRIBUTES[part.strip()].k + own, missing | (own == MISSING)
    names = tuple(cells(design.stratified))
    given = labels(rows, design.stratified)
    assert given is not None  # its parts were read
    true = np.where(missing, MISSING, true)
    table = _weighted(true, given, stratum, design, len(names))
    return None if (table.sum(axis=1) == 0).any() else Errors(names, table, left_out=int(missing.sum()))


def _weighted(true: np.ndarray, given: np.ndarray, stratum: np.ndarray, design: Design, k: int) -> np.ndarray:
    return weighted_table(true, given, stratum, np.array(design.sizes), k, names=tuple(cells(design.stratified)))
