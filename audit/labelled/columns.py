"""From the columns of a table to class indices: which attributes it holds, their classes, and what each row says."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from audit.attributes import ATTRIBUTES, parts
from audit.errors import RecordError, SpecError
from audit.labels import MISSING

RESERVED = ("generator", "id", "unit", "group", "rater", "sheet", "number", "file", "seed", "status")
"""Columns that are never taken for an attribute unless asked for by name."""

TRUTH = "true"
"""``attribute:true`` holds the true class, for calibration; it is no probability."""

MOST_CLASSES = 64
"""A column of more different values than this is no column of class labels."""


@dataclass(frozen=True, eq=False)
class Labels:
    """What a table says of one attribute or intersection.

    Attributes:
        name: the attribute.
        classes: names in the order of the indices.
        codes: (n,) int64 class index, -1 where the image was not read.
        scores: (n, K) probabilities, rows of NaN where not read; None where the table holds labels.
        guessed: the classes are those found in the table and no others.
    """

    name: str
    classes: tuple[str, ...]
    codes: np.ndarray
    scores: np.ndarray | None = None
    guessed: bool = False

    @property
    def missing(self) -> int:
        """Images that were not read."""
        return int((self.codes == MISSING).sum())


def attributes_of(frame: pd.DataFrame) -> list[str]:
    """Return the attributes a table holds, in the order of its columns.

    Example:
        >>> attributes_of(pd.DataFrame(columns=["id", "gender", "race:a", "race:b", "gender:true"]))
        ['gender', 'race']
    """
    found = dict.fromkeys(c.partition(":")[0] for c in map(str, frame.columns) if not c.endswith(f":{TRUTH}"))
    return [name for name in found if name and name not in RESERVED]


def read_labels(frame: pd.DataFrame, attribute: str, classes: Sequence[str] | None = None) -> Labels:
    """Return what the table says of an attribute; of an intersection, what it says of the parts together.

    Args:
        frame: a row an image; see :func:`audit.label_audits.audit_labels`.
        attribute: its name, or several joined by "*"; classes must then be None, or use :func:`cross`.
        classes: in order; None = the built-in ones, else the values found, sorted.

    Raises:
        RecordError: no such column, a label outside the classes, or probabilities that are none.
    """
    name = attribute.strip()
    scored = [c for c in frame.columns if str(c).startswith(f"{name}:") and not str(c).endswith(f":{TRUTH}")]
    given = tuple(map(str, classes)) if classes is not None else ATTRIBUTES[name].classes if name in ATTRIBUTES else None
    if name not in frame.columns and not scored:
        near = difflib.get_close_matches(name, attributes_of(frame), n=1, cutoff=0.5)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise RecordError(f"the table has neither a column {name!r} nor columns '{name}:CLASS'{hint}; "
                          f"it has {', '.join(map(str, frame.columns[:12]))}")  # fmt: skip
    if name in frame.columns and scored:
        raise RecordError(f"the table has labels in {name!r} and probabilities in {scored[0]!r}; keep one of the two")
    return _from_scores(frame, name, scored, given) if scored else _from_labels(frame[name], name, given)


def cross(found: Mapping[str, Labels], attribute: str) -> Labels:
    """Return the intersection of attributes already read, its cells in C order; missing where any part is.

    Example:
        >>> one = Labels("a", ("x", "y"), np.array([0, 1, -1]))
        >>> both = cross({"a": one, "b": one}, "a*b")
        >>> both.classes, both.codes.tolist()
        (('x*x', 'x*y', 'y*x', 'y*y'), [0, 3, -1])
    """
    names = parts(attribute)
    if len(names) == 1:
        return found[names[0]]
    classes, codes, missing = [""], 0, False
    for part in names:
        own = found[part]
        classes = [f"{c}*{d}" if c else d for c in classes for d in own.classes]
        codes = codes * len(own.classes) + own.codes
        missing = missing | (own.codes == MISSING)
    return Labels(attribute, tuple(classes), np.where(missing, MISSING, codes), guessed=any(found[p].guessed for p in names))


def target_of(target: str | Mapping, attribute: str, classes: Mapping[str, tuple[str, ...]]) -> np.ndarray | None:
    """Return the wished-for shares of an attribute, None = uniform; an intersection's are the product of its parts'.

    Raises:
        SpecError: the target names other classes, or its shares do not add up to 1.
    """
    if isinstance(target, str):
        if target != "uniform":
            raise SpecError(f"target is {target!r}; expected 'uniform' or shares such as {{gender: {{feminine: 0.5, masculine: 0.5}}}}")
        return None
    if not any(p in target for p in parts(attribute)):
        return None
    product = np.ones(1)
    for part in parts(attribute):
        product = np.outer(product, _wished(target.get(part), part, classes[part])).reshape(-1)
    return product


def _wished(shares: Mapping | None, name: str, classes: tuple[str, ...]) -> np.ndarray:
    if shares is None:
        return np.full(len(classes), 1 / len(classes))
    if not isinstance(shares, Mapping) or {str(c) for c in shares} != set(classes):
        found = ", ".join(map(str, shares)) if isinstance(shares, Mapping) else repr(shares)
        raise SpecError(f"target.{name}: expected a share for each of {', '.join(classes)}; found {found}")
    try:
        wished = np.array([float({str(c): s for c, s in shares.items()}[c]) for c in classes])
    except (TypeError, ValueError):
        raise SpecError(f"target.{name}: a share is a number in 0..1; found {list(shares.values())}") from None
    if not (wished >= 0).all() or abs(wished.sum() - 1) > 1e-6:
        raise SpecError(f"target.{name}: the shares are {wished.tolist()}; expected numbers in 0..1 that add up to 1")
    return wished


def _from_labels(column: pd.Series, name: str, classes: tuple[str, ...] | None) -> Labels:
    codes, values = _factorize(column, name)
    said = [_word(v) for v in values]
    guessed = classes is None
    if guessed:
        classes = tuple(dict.fromkeys(said))
        if not 2 <= len(classes) <= MOST_CLASSES:
            few = f"only {', '.join(classes)}" if len(classes) == 1 else f"{len(classes):,} different values" if classes else "no label at all"
            raise RecordError(f"column {name!r} holds {few}; expected 2 to {MOST_CLASSES} classes: name them with classes=, "
                              "or choose the columns to audit with attributes=")  # fmt: skip
    index = {c: i for i, c in enumerate(classes or ())}
    wrong = [i for i, word in enumerate(said) if word not in index]
    if wrong:
        rows = np.flatnonzero(np.isin(codes, wrong))
        near = difflib.get_close_matches(said[wrong[0]], index, n=1, cutoff=0.5)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise RecordError(f"column {name!r} holds {said[wrong[0]]!r}{hint} (row {rows[0] + 1:,}; {len(rows):,} rows are outside the classes); "
                          f"expected {', '.join(index)}, or an empty cell for an image that was not read")  # fmt: skip
    lookup = np.array([index[word] for word in said] + [MISSING], dtype=np.int64)
    return Labels(name, tuple(classes or ()), lookup[codes], guessed=guessed)


def _factorize(column: pd.Series, name: str) -> tuple[np.ndarray, list]:
    """Return (n,) positions in the sorted values found, -1 where empty, and those values."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        held = column.cat.codes.to_numpy()
        seen = np.flatnonzero(np.bincount(held + 1, minlength=len(column.cat.categories) + 1)[1:])
        values = [column.cat.categories[i] for i in seen]
        moved = np.full(len(column.cat.categories) + 1, MISSING)
        moved[seen] = np.arange(len(seen))
        codes = moved[held]
    else:
        if pd.api.types.is_float_dtype(column.dtype):
            numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
            broken = ~np.isnan(numbers) & ((numbers != np.floor(numbers)) | np.isinf(numbers))
            if broken.any():
                raise RecordError(f"column {name!r} holds {numbers[broken][0]:g} (row {int(np.argmax(broken)) + 1:,}); expected class labels; "
                                  f"probabilities belong in columns '{name}:CLASS'")  # fmt: skip
        codes, found = pd.factorize(column)
        values = list(found)
    blank = [i for i, v in enumerate(values) if isinstance(v, str) and not v.strip()]
    codes = np.where(np.isin(codes, blank), MISSING, codes) if blank else codes
    order = sorted((i for i in range(len(values)) if i not in blank), key=lambda i: (isinstance(values[i], str), values[i]))
    place = np.full(len(values) + 1, MISSING)
    place[order] = np.arange(len(order))
    return place[codes], [values[i] for i in order]


def _word(value: object) -> str:
    if isinstance(value, float | np.floating):
        return str(int(value))
    return str(value).strip()


def _from_scores(frame: pd.DataFrame, name: str, columns: list[str], classes: tuple[str, ...] | None) -> Labels:
    found = [str(c).removeprefix(f"{name}:") for c in columns]
    guessed = classes is None
    classes = tuple(found) if classes is None else classes
    if set(found) != set(classes) or len(classes) < 2:
        raise RecordError(f"the table has probabilities of {name!r} for {', '.join(found)}; expected one column for each of "
                          f"{', '.join(classes) if len(classes) > 1 else 'two classes or more'}")  # fmt: skip
    try:
        scores = frame[[f"{name}:{c}" for c in classes]].to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise RecordError(f"the columns '{name}:CLASS' hold text; expected probabilities in 0..1") from None
    blank = np.isnan(scores)
    half = blank.any(axis=1) & ~blank.all(axis=1)
    read = ~blank.any(axis=1)
    with np.errstate(invalid="ignore"):
        outside = ((scores < 0) | (scores > 1)).any(axis=1)
        off = read & (np.abs(scores.sum(axis=1) - 1) > 1e-3)
    for wrong, what, wanted in (
        (half, "NaN for some classes of {n!r} and a number for others", "leave out all of them where an image was not read"),
        (outside, "a probability of {n!r} outside 0..1", "give probabilities, not logits or percent"),
        (off, "probabilities of {n!r} that add up to {s:.4g}", "expected 1 within 0.001"),
    ):
        if wrong.any():
            at = int(np.argmax(wrong))
            raise RecordError(f"row {at + 1:,} holds {what.format(n=name, s=scores[at].sum())} ({int(wrong.sum()):,} rows do); {wanted}")
    codes = np.where(read, np.where(blank, 0.0, scores).argmax(axis=1), MISSING)
    return Labels(name, classes, codes, scores, guessed)
