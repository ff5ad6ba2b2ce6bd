"""From recorded probabilities to labels: which role reads an attribute, and what it said of each image."""

import numpy as np
import pandas as pd

from audit.attributes import ATTRIBUTES, parts
from audit.errors import InstrumentError

ROLES = ("classifier", "skin_tone")
"""Roles that may label the images under audit, first one first; the second rater only questions them."""

MISSING = -1
"""Label of an image that was not read."""


def role_of(columns: pd.Index | list[str], attribute: str) -> str | None:
    """Return the role whose columns hold this attribute, None where nothing reads it."""
    first = ATTRIBUTES[attribute].classes[0]
    return next((role for role in ROLES if f"{role}:{attribute}:{first}" in columns), None)


def labels(frame: pd.DataFrame, attribute: str, *, role: str | None = None) -> np.ndarray | None:
    """Return (n,) int64 class indices, :data:`MISSING` where an image was not read.

    Args:
        frame: rows of the record.
        attribute: one attribute's name, or an intersection, whose index runs over the cells in C order.
        role: whose reading; None = the first of :data:`ROLES` that has one.

    Returns:
        Labels, or None where no instrument of that role reads the attribute.
    """
    total = np.zeros(len(frame), dtype=np.int64)
    missing = np.zeros(len(frame), dtype=bool)
    for part in parts(attribute):
        classes = ATTRIBUTES[part].classes
        reader = role or role_of(frame.columns, part)
        names = [f"{reader}:{part}:{c}" for c in classes]
        if reader is None or not set(names) <= set(frame.columns):
            return None
        said = frame[names].to_numpy(dtype=np.float64)
        blank = np.isnan(said).any(axis=1)
        missing |= blank
        total = total * len(classes) + np.where(blank[:, None], 0.0, said).argmax(axis=1)
    return np.where(missing, MISSING, total)


def probabilities(frame: pd.DataFrame, attribute: str) -> np.ndarray:
    """Return (n, K) probabilities of one attribute as its first role gave them, a row of NaN where an image was not read."""
    role = role_of(frame.columns, attribute)
    said = frame[[f"{role}:{attribute}:{c}" for c in ATTRIBUTES[attribute].classes]].to_numpy(dtype=np.float64, copy=True)
    said[np.isnan(said).any(axis=1)] = np.nan
    return said


def labels_from(columns: dict[str, np.ndarray], role: str, attribute: str) -> np.ndarray:
    """Return (n,) class indices from an instrument's own columns, :data:`MISSING` where it did not read."""
    said = labels(pd.DataFrame(columns), attribute, role=role)
    if said is None:
        raise InstrumentError(f"{role} does not read {attribute}")
    return said


def confidence(frame: pd.DataFrame, attribute: str) -> np.ndarray:
    """Return (n,) probability of the label given, NaN where there is none."""
    role = role_of(frame.columns, attribute)
    said = frame[[f"{role}:{attribute}:{c}" for c in ATTRIBUTES[attribute].classes]].to_numpy(dtype=np.float64)
    return said.max(axis=1)


def cells(attribute: str) -> list[str]:
    """Return the names of an attribute's classes, or of an intersection's cells: "feminine", or "feminine*dark"."""
    names = [""]
    for part in parts(attribute):
        names = [f"{n}*{c}" if n else c for n in names for c in ATTRIBUTES[part].classes]
    return names
