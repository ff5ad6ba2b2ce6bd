"""Images whose class is known: folders named by class, or images with a table of labels; and what instruments read of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from audit.attributes import ATTRIBUTES
from audit.errors import RecordError, SpecError
from audit.instruments.base import Instrument
from audit.labelled.calibrating import calibrate
from audit.labelled.calibration_file import CalibrationFile
from audit.labelled.columns import TRUTH
from audit.labelled.tables import read_table
from audit.sources.folder import FolderSource

FILE = ("file", "face_name_align", "filename", "file_name", "image", "path", "name")
"""Columns a table may name its images in; the first that is there counts."""

_FAIRFACE_AGES = {"young": ("0-2", "3-9", "10-19", "20-29", "30-39", "03-Sep", "Oct-19"), "middle": ("40-49", "50-59"),
                  "old": ("60-69", "70+", "more than 70")}  # fmt: skip

KNOWN_AS = {
    "gender": {"feminine": ("female", "woman", "women", "f"), "masculine": ("male", "man", "men", "m")},
    # FairFace's groups have an edge at 40. Tables that went through a spreadsheet hold dates: 03-Sep is 3-9, Oct-19 is 10-19.
    "age": {c: tuple(name.lower() for name in names) for c, names in _FAIRFACE_AGES.items()},
    "smile": {"smiling": ("smile", "happy", "1", "true", "yes"), "neutral": ("no smile", "0", "-1", "false", "no")},
}
"""Other words for the built-in classes, as public tables have them, in small letters."""


def open_labelled(images: str | Path, labels: str | Path | None = None, *, attributes: Sequence[str] | None = None, group: str | None = None,
                  words: Mapping[str, str] | None = None) -> tuple[FolderSource, pd.DataFrame]:  # fmt: skip
    """Return the images and a row an image with what is known of it.

    Args:
        images: folder, zip, tar or Parquet. Without ``labels`` the name of the folder an image lies in is its class.
        labels: table, a row an image, with its name in one of :data:`FILE` and a column an attribute.
        attributes: which columns; without ``labels`` the one attribute the folders stand for.
        group: column of known subgroups, e.g. FairFace's ``race4``.
        words: {word of the table: class}, for words that :data:`KNOWN_AS` does not know.

    Returns:
        The source, and columns ``file``, ``ATTRIBUTE:true`` (missing where the table says nothing) and ``group``.

    Raises:
        RecordError: no column names the images, names fit no image, a name fits two rows, or a class is not known.
        SpecError: folders were given without one attribute.
    """
    source = FolderSource(images, name="labelled images")
    files = source.files
    frame = pd.DataFrame({"file": files})
    if labels is None:
        if not attributes or len(attributes) != 1:
            raise SpecError("images in folders named by class stand for one attribute; give it, e.g. --attribute gender")
        known = pd.DataFrame({attributes[0]: [Path(name).parent.name or None for name in files]})
    else:
        known = _matched(read_table(Path(labels)), files, str(labels))
    for name in attributes or [a for a in ATTRIBUTES if a in known.columns]:
        if name not in known.columns:
            raise RecordError(f"{labels} has no column {name!r}; it has {', '.join(map(str, known.columns[:12]))}")
        frame[f"{name}:{TRUTH}"] = _classes(known[name], name, words or {})
    if not any(c.endswith(f":{TRUTH}") for c in frame.columns):
        raise RecordError(f"{labels} has no column of an attribute; expected one of {', '.join(ATTRIBUTES)}, or name yours")
    if group is not None:
        if group not in known.columns:
            raise RecordError(f"{labels} has no column {group!r} to take groups from; it has {', '.join(map(str, known.columns[:12]))}")
        frame["group"] = known[group].to_numpy()
    return source, frame


def read_labelled(source: FolderSource, frame: pd.DataFrame, instruments: Sequence[Instrument], *, batch: int = 64) -> tuple[pd.DataFrame, dict]:
    """Return the frame with the columns the instruments read, and {role: (n, d)} of what they return as features."""
    rows, features = [], {}
    for start in range(0, source.count, batch):
        ids = np.arange(start, min(start + batch, source.count))
        drawn = source.draw(ids, ids.astype(np.uint64))
        columns = {"status": np.array(drawn.status, dtype=object)}
        for instrument in instruments:
            for name, values in instrument.read(drawn).items():
                if values.ndim == 2:
                    features.setdefault(name, []).append(values)
                else:
                    columns[name] = values
        rows.append(pd.DataFrame(columns))
    read = pd.concat(rows, ignore_index=True)
    return pd.concat([frame, read], axis=1), {name: np.concatenate(parts) for name, parts in features.items()}


def calibrate_images(images: str | Path, labels: str | Path | None = None, *, classifier: str, faces: str = "find", attributes: Sequence[str] | None = None,
                     group: str | None = None, words: Mapping[str, str] | None = None, domain: str = "labelled images", name: str | None = None,
                     assets: Sequence[str] = (), device: str = "cpu") -> tuple[CalibrationFile, pd.DataFrame]:  # fmt: skip
    """Read labelled images with a classifier and count its errors.

    Args:
        images: see :func:`open_labelled`.
        labels: see :func:`open_labelled`.
        classifier: a data manifest, or a built-in name.
        faces: "find" looks for faces first, "aligned" takes each image for one face. As in the audit that is to be corrected.
        attributes: as for :func:`open_labelled`; None = all that the table and the classifier have.
        group: column of known subgroups, calibrated apart as well.
        words: see :func:`open_labelled`.
        domain: what kind of images these are.
        name: of the classifier in the file; None = ``classifier``.
        assets: folders where files named by manifests are looked for.
        device: where the networks run.

    Returns:
        The calibration, and the table it was counted from: ``ATTRIBUTE:true`` beside ``ATTRIBUTE:CLASS``, an image without a
        chosen face missing.

    Raises:
        GenbiasError: the images, the labels or the classifier cannot be used.
    """
    from audit.instruments import open_instruments
    from audit.spec import InstrumentsSpec

    if faces not in ("find", "aligned"):
        raise SpecError(f"faces is {faces!r}; expected 'find' (look for them) or 'aligned' (each image is one face)")
    source, frame = open_labelled(images, labels, attributes=attributes, group=group, words=words)
    chosen = InstrumentsSpec(classifier=classifier, face_finder="mtcnn" if faces == "find" else None)
    opened = open_instruments(chosen, device=device, assets=tuple(assets))
    table, _ = read_labelled(source, frame, opened)
    classes: dict[str, list[str]] = {}
    kept = ["file", *(["group"] if group is not None else [])]
    for attribute in _known(frame):
        read = {c: c.removeprefix("classifier:") for c in table.columns if c.startswith(f"classifier:{attribute}:")}
        read = {c: short for c, short in read.items() if attribute not in ATTRIBUTES or short.partition(":")[2] in ATTRIBUTES[attribute].classes}
        if not read and attributes is not None:
            raise RecordError(f"classifier {classifier!r} does not read {attribute!r}; name another one, or other attributes")
        if read:
            table = table.rename(columns=read)
            kept += [f"{attribute}:{TRUTH}", *read.values()]
            if attribute not in ATTRIBUTES:
                classes[attribute] = [c.partition(":")[2] for c in read.values()]
                table[f"{attribute}:{TRUTH}"] = _spelt(table[f"{attribute}:{TRUTH}"], classes[attribute])
    made = calibrate(table[kept], name=name or str(classifier), domain=domain, attributes=attributes, group="group" if group is not None else None,
                     classes=classes or None)  # fmt: skip
    return made, table[kept]


def _known(frame: pd.DataFrame) -> list[str]:
    return [c.removesuffix(f":{TRUTH}") for c in frame.columns if c.endswith(f":{TRUTH}")]


def _spelt(column: pd.Series, classes: Sequence[str]) -> pd.Series:
    """Return the classes as the classifier spells them: "East Asian" of a table is its "east_asian"."""
    names = {c.lower().replace(" ", "_"): c for c in classes}
    return column.map(lambda v: None if pd.isna(v) else names.get(str(v).lower().replace(" ", "_"), v))


def _matched(table: pd.DataFrame, files: list[str], where: str) -> pd.DataFrame:
    column = next((c for c in FILE if c in table.columns), None)
    if column is None:
        raise RecordError(f"{where} has no column that names the images; expected one of {', '.join(FILE)}, found {', '.join(map(str, table.columns[:12]))}")
    names = table[column].astype(str)
    for short in (False, True):  # whole names first, then without folders
        keys = names.map(lambda n: Path(n).name) if short else names
        wanted = [Path(f).name if short else f for f in files]
        if set(keys) & set(wanted):
            break
    else:
        raise RecordError(f"no image is called as {where} says in {column!r}, e.g. {names.iloc[0]!r}; the images are called like {files[0]!r}")
    twice = keys[keys.duplicated() & keys.isin(wanted)]
    if len(twice):
        raise RecordError(f"{where} has {twice.iloc[0]!r} in more than one row; keep one row an image")
    return table.set_index(keys.to_numpy()).reindex(wanted).reset_index(drop=True)


def _classes(column: pd.Series, attribute: str, words: Mapping[str, str]) -> np.ndarray:
    if attribute not in ATTRIBUTES:
        return column.map(lambda v: None if pd.isna(v) else words.get(str(v), str(v))).to_numpy(dtype=object)
    classes = ATTRIBUTES[attribute].classes
    known = {c: c for c in classes}
    for one, others in KNOWN_AS.get(attribute, {}).items():
        known |= dict.fromkeys(others, one)
    known |= {str(k).strip().lower(): v for k, v in words.items() if v in classes}
    said = column.map(lambda v: None if pd.isna(v) else known.get(str(v).strip().lower(), "?")).to_numpy(dtype=object)
    if (said == "?").any():
        first = column[said == "?"].iloc[0]
        raise RecordError(f"{attribute} holds {str(first)!r}, which is not known; expected {', '.join(classes)}, or say which of them it is with "
                          f"--word {str(first)!r}=CLASS")  # fmt: skip
    return said
