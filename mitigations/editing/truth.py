"""A perfect edit, where the truth is known: the renderer draws the same person again with one attribute set.

No embedding is blind to age or presentation, so the similarity of an edited image to the unedited one has a ceiling below 1, and nobody
can see it in a generator. The built-in world can: whoever is portrayed, light, pose and background stay exactly, and the attribute becomes
what an edit leads to. Where the generators were trained on a built-in population this point stands beside the curves.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from audit.attributes import ATTRIBUTES
from audit.instruments import open_instruments
from audit.portraits import draw, known_population, population
from audit.seeds import image_seeds
from audit.sources.base import OK, Batch
from audit.spec import InstrumentsSpec
from mitigations.self_conditioning.directions import expected_index

if TYPE_CHECKING:
    from audit.study import StudyContext

NUMBERS = {"age": "years", "skin_tone": "monk"}
"""Columns that the renderer draws an attribute from, where that is not the class itself."""


def redrawn(context: "StudyContext", attribute: str, towards: str, unedited: str, *, images: int) -> dict[str, Any] | None:
    """Return how far a perfect edit moves the judge's mean score, and how like the same person it stays.

    Args:
        context: the run; its judge and identity encoder read the portraits.
        attribute: what is edited.
        towards: the class everybody is given.
        unedited: the generator whose training population is drawn.
        images: people drawn.

    Returns:
        ``change`` and ``identity`` (means) and ``images``; None where the generator's population is not a built-in one, or the
        instruments are not those of the built-in world.
    """
    trained_on, roles = context.spec.generators[unedited].trained_on, context.spec.instruments
    if not known_population(trained_on) or roles.identity != "portraits" or not isinstance(roles.classifier, str) or images < 2:
        return None
    instruments = open_instruments(InstrumentsSpec(classifier=roles.classifier, identity=roles.identity), device=context.device)
    seeds = image_seeds(context.spec.seed, np.arange(images), stream="editing truth")
    people = population(trained_on).for_seeds(seeds)
    if not (people[attribute] == towards).any():
        return None
    (score, before), (moved, after) = (_read(instruments, draw(faces, seeds), attribute) for faces in (people, given(people, attribute, towards)))
    side = 1 if ATTRIBUTES[attribute].classes.index(towards) else -1
    return {"change": float(side * (moved - score).mean()), "identity": float((before * after).sum(axis=1).mean()), "images": images}


def given(people: pd.DataFrame, attribute: str, towards: str) -> pd.DataFrame:
    """Return the same people with one attribute set; years and tones are those of people who have it, in turn.

    Args:
        people: what :meth:`audit.portraits.Population.for_seeds` returns.
        attribute: what is set.
        towards: its class; somebody must have it.
    """
    changed = people.copy()
    others = (people[attribute] != towards).to_numpy()
    changed[attribute] = towards
    column = NUMBERS.get(attribute)
    if column is not None:
        pool = people.loc[~others, column].to_numpy()
        changed.loc[others, column] = pool[np.arange(int(others.sum())) % len(pool)]
    return changed


def _read(instruments: list, images: Any, attribute: str) -> tuple[np.ndarray, np.ndarray]:
    """Return (n,) scores of the judge and (n, d) unit identity rows."""
    ids = np.arange(len(images))
    columns: dict[str, np.ndarray] = {}
    for instrument in instruments:
        columns |= instrument.read(Batch(ids, ids.astype(np.uint64), list(images), [OK] * len(images)))
    said = np.stack([columns[f"classifier:{attribute}:{c}"] for c in ATTRIBUTES[attribute].classes], axis=1)
    rows = columns["identity"].astype(np.float64)
    return expected_index(said.astype(np.float64)), rows / np.linalg.norm(rows, axis=1, keepdims=True)
