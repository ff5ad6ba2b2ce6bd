"""Counts of every combination of several attributes, the combinations nobody has included.

Source: Buolamwini and Gebru 2018 (PMLR 81) for why combinations are to be looked at, not only their margins.
Formula: cell (a, b, ...) counts the images with label a of the first attribute, b of the second, and so on; cells are
    numbered in C order, the last attribute running fastest.
Parity: every cell has its target share, 1 over the number of cells unless another is asked for.
Direction: towards the target.
Blind to: images with any of the attributes missing, which are in no cell; cells with few images, whose intervals say so.
Departures: none.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.errors import MetricError
from audit.metrics.features import MISSING, as_labels
from audit.metrics.shares import class_counts


def joint_labels(labels_by_attribute: Mapping[str, Any], ks: Mapping[str, int]) -> NDArray[np.int64]:
    """Return the cell number of each image.

    Args:
        labels_by_attribute: for each attribute (n,) integers 0..k-1, -1 = missing; order matters.
        ks: number of classes of each attribute.

    Returns:
        (n,) int64 in 0..cells-1, or -1 where any attribute is missing.

    Raises:
        MetricError: no attribute, one without a number of classes, unequal lengths, or a label out of range.

    Example:
        >>> joint_labels({"gender": [0, 1, 1], "skin_tone": [2, 0, -1]}, {"gender": 2, "skin_tone": 3}).tolist()
        [2, 3, -1]
    """
    if not labels_by_attribute:
        raise MetricError("an intersection needs at least one attribute")
    unknown = [name for name in labels_by_attribute if name not in ks]
    if unknown:
        raise MetricError(f"no number of classes for {unknown}; known: {sorted(ks)}")
    columns = {name: as_labels(labels, ks[name], name=name) for name, labels in labels_by_attribute.items()}
    lengths = {name: column.size for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise MetricError(f"attributes of unequal length: {lengths}")
    read = np.logical_and.reduce([column != MISSING for column in columns.values()])
    shape = tuple(ks[name] for name in columns)
    cells = np.ravel_multi_index([np.where(read, column, 0) for column in columns.values()], shape)
    return np.where(read, cells, MISSING).astype(np.int64)


def joint_counts(labels_by_attribute: Mapping[str, Any], ks: Mapping[str, int]) -> NDArray[np.int64]:
    """Count the images of every cell, empty cells included.

    Args:
        labels_by_attribute: as :func:`joint_labels`.
        ks: as :func:`joint_labels`.

    Returns:
        (k of the first attribute, k of the second, ...) int64; flatten it for the functions that take counts.

    Raises:
        MetricError: as :func:`joint_labels`.

    Example:
        >>> joint_counts({"gender": [0, 1, 1], "skin_tone": [2, 0, -1]}, {"gender": 2, "skin_tone": 3}).tolist()
        [[0, 0, 1], [1, 0, 0]]
    """
    cells = joint_labels(labels_by_attribute, ks)
    shape = tuple(ks[name] for name in labels_by_attribute)
    return class_counts(cells, math.prod(shape)).reshape(shape)
