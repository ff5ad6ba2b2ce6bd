"""From records to curves: what the judge and the identity encoder said of edited images and of the same people unedited."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from audit.attributes import ATTRIBUTES, INTERSECTION
from audit.errors import SpecError
from audit.labels import MISSING, labels, probabilities, role_of
from mitigations.editing.curves import Curve
from mitigations.self_conditioning.directions import expected_index

if TYPE_CHECKING:
    from audit.study import StudyContext


@dataclass(frozen=True)
class Edit:
    """One edited generator of a run."""

    name: str
    by: str
    attribute: str
    strength: float
    unedited: str


def edits_of(spec) -> list[Edit]:  # noqa: ANN001 (a Spec; importing it here would load all of the spec's machinery)
    """Return the edited generators of a spec, strength 0 left out.

    Raises:
        SpecError: there are none, one has no unedited generator to be compared to, or its attribute is not read.
    """
    found = []
    for name, g in spec.generators.items():
        sampler = g.sampler or {}
        if sampler.get("method") != "edit" or not sampler.get("strength", 1.0):
            continue
        if g.compare_to is None:
            raise SpecError(
                f"generators.{name}: an edit is held against the same people unedited; add `compare_to: NAME` of that generator"
            )
        found.append(Edit(name, sampler["by"], sampler["attribute"], float(sampler.get("strength", 1.0)), g.compare_to))
        if found[-1].attribute not in spec.attributes:
            raise SpecError(f"generators.{name} edits {found[-1].attribute!r}, which this audit does not read; add it to attributes")
    if not found:
        raise SpecError("study editing: no generator has `sampler: {method: edit, ...}`; see `genbias run editing` for a spec that does")
    return found


class Records:
    """The frames and identity features of a run, asked by generator, kept as they are read."""

    def __init__(self, context: "StudyContext") -> None:
        self.run = context.run
        self.singles = [a for a in context.spec.attributes if INTERSECTION not in a]
        self.frame = lru_cache(maxsize=None)(self.run.frame)

    def identity(self, generator: str) -> np.ndarray:
        """Return (n, d) unit rows, NaN where an image was not read."""
        rows = np.asarray(self.run.features(generator, "identity"), dtype=np.float64)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(min=1e-12)

    def score(self, generator: str, attribute: str) -> np.ndarray:
        """Return (n,) the judge's expected class index, 0..1."""
        frame = self.frame(generator)
        if role_of(frame.columns, attribute) is None:
            raise SpecError(f"study editing: no classifier of this audit reads {attribute!r}; name one under instruments.classifier")
        return expected_index(probabilities(frame, attribute))

    def labels(self, generator: str, attribute: str) -> np.ndarray | None:
        """Return (n,) the judge's labels, -1 where an image was not read; None where nobody reads the attribute."""
        return labels(self.frame(generator), attribute)


def sides_of(edits: list[Edit]) -> Iterator[tuple[str, int, dict[str, list[Edit]]]]:
    """Yield (attribute, side, {by: edits of rising strength}) in the order of the spec."""
    for attribute in dict.fromkeys(e.attribute for e in edits):
        for side in (-1, 1):
            own = [e for e in edits if e.attribute == attribute and np.sign(e.strength) == side]
            if own:
                kinds = dict.fromkeys(e.by for e in own)
                yield attribute, side, {by: sorted((e for e in own if e.by == by), key=lambda e: abs(e.strength)) for by in kinds}


def towards(attribute: str, side: int) -> str:
    """Return the class that an edit to this side leads to."""
    return ATTRIBUTES[attribute].classes[-1 if side > 0 else 0]


def curves_of(records: Records, attribute: str, side: int, kinds: dict[str, list[Edit]]) -> tuple[list[Curve], np.ndarray]:
    """Return the curves of all kinds on the ids that every one of them could be read at, and those ids.

    Raises:
        SpecError: the edits of one kind are compared to different generators, or no id is left.
    """
    ids = None
    for by, edits in kinds.items():
        if len({e.unedited for e in edits}) > 1:
            raise SpecError(
                f"study editing: {by} edits of {attribute} are compared to {len({e.unedited for e in edits})} generators; they need one"
            )
        for name in {e.name for e in edits} | {edits[0].unedited}:
            good = np.isfinite(records.score(name, attribute)) & np.isfinite(records.identity(name)).all(axis=1)
            mine = records.frame(name)["id"].to_numpy()[good]
            ids = mine if ids is None else np.intersect1d(ids, mine)
    if ids is None or len(ids) < 2:
        raise SpecError(
            f"study editing: {0 if ids is None else len(ids)} ids were read in every edit of {attribute}; at least 2 are needed"
        )
    found = []
    for by, edits in kinds.items():
        base = records_at(records, edits[0].unedited, attribute, ids)
        change, kept = [np.zeros(len(ids))], [np.ones(len(ids))]
        for edit in edits:
            score, rows = records_at(records, edit.name, attribute, ids)
            change.append(side * (score - base[0]))
            kept.append((rows * base[1]).sum(axis=1))
        strengths = np.array([0.0, *(abs(e.strength) for e in edits)])
        found.append(Curve(by, strengths, np.stack(change, axis=1), np.stack(kept, axis=1)))
    return found, ids


def records_at(records: Records, generator: str, attribute: str, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (n,) scores and (n, d) identity rows of ``ids``."""
    at = positions(records.frame(generator), ids)
    return records.score(generator, attribute)[at], records.identity(generator)[at]


def positions(frame: pd.DataFrame, ids: np.ndarray) -> np.ndarray:
    """Return the rows of ``ids`` in a frame that is in the order of its ids."""
    return np.searchsorted(frame["id"].to_numpy(), ids)


def flips(records: Records, edit: Edit, attribute: str, ids: np.ndarray) -> tuple[int, int] | None:
    """Return (labels that differ from the unedited image, labels read on both sides); None where nobody reads the attribute."""
    sides = [records.labels(name, attribute) for name in (edit.name, edit.unedited)]
    if sides[0] is None or sides[1] is None:
        return None
    after, before = (said[positions(records.frame(name), ids)] for said, name in zip(sides, (edit.name, edit.unedited), strict=True))
    both = (after != MISSING) & (before != MISSING)
    return int((after[both] != before[both]).sum()), int(both.sum())
