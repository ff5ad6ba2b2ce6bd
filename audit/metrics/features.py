"""Where feature matrices and label columns enter the metrics: converted once, checked once.

Accepts numpy arrays, memory-mapped files, nested lists and torch tensors on any device; torch is never imported here, a
tensor is recognised by its methods.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.errors import MetricError

MISSING = -1
"""The label of an image that could not be read. It is left out of counts, never guessed."""


def as_array(values: Any) -> NDArray:
    """Return ``values`` as a numpy array, from a torch tensor on any device too."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        if str(values.dtype) == "torch.bfloat16":  # numpy has no such type
            values = values.float()
        return values.numpy()
    return np.asarray(values)


def as_features(features: Any, *, name: str = "features", least: int = 2) -> NDArray[np.floating]:
    """Return ``features`` as a (n, d) floating array, in the precision it came in (at least float32).

    Args:
        features: (n, d) finite numbers, a row an image.
        name: what an error calls it.
        least: fewest rows accepted.

    Raises:
        MetricError: not two-dimensional, fewer than ``least`` rows, no column, not numeric, or not finite.
    """
    array = as_array(features)
    if array.ndim != 2:
        raise MetricError(f"{name} must be (images, dimensions), got shape {array.shape}; give one row an image")
    if array.shape[0] < least or array.shape[1] < 1:
        raise MetricError(f"{name} has shape {array.shape}; expected at least {least} images and 1 dimension")
    if array.dtype.kind not in "fiub":
        raise MetricError(f"{name} holds {array.dtype}; expected real numbers")
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float64)
    if not all(np.isfinite(array[i : i + 4096]).all() for i in range(0, len(array), 4096)):
        raise MetricError(f"{name} holds NaN or infinity; drop the images that could not be read before measuring")
    return array


def feature_pair(
    generated: Any, reference: Any, *, least: int = 2
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return both feature matrices checked, and refuse a pair from two encoders.

    Raises:
        MetricError: as :func:`as_features`, or the numbers of dimensions differ.
    """
    gen = as_features(generated, name="generated features", least=least)
    ref = as_features(reference, name="reference features", least=least)
    if gen.shape[1] != ref.shape[1]:
        raise MetricError(
            f"generated features have {gen.shape[1]} dimensions and reference features {ref.shape[1]}; "
            "read both with the same encoder"
        )
    return gen, ref


def identical_inputs(generated: Any, reference: Any) -> bool:
    """Return whether both sets hold the same rows, in any order: a distance of 0 that says nothing about a generator.

    Example:
        >>> identical_inputs([[1.0, 2.0], [3.0, 4.0]], [[3.0, 4.0], [1.0, 2.0]])
        True
    """
    gen, ref = feature_pair(generated, reference, least=1)
    if gen.shape != ref.shape:
        return False
    if np.array_equal(gen, ref):
        return True
    # rows are compared only if their sorted first columns agree: cheap for sets that differ, which is nearly always
    if not np.array_equal(np.sort(gen[:, 0]), np.sort(ref[:, 0])):
        return False
    return bool(np.array_equal(gen[np.lexsort(gen.T)], ref[np.lexsort(ref.T)]))


def as_labels(labels: Any, k: int, *, name: str = "labels") -> NDArray[np.int64]:
    """Return ``labels`` as (n,) int64 in 0..k-1, or :data:`MISSING`.

    Raises:
        MetricError: not one-dimensional, not whole numbers, or a label outside -1..k-1.
    """
    array = as_array(labels)
    if array.ndim != 1:
        raise MetricError(f"{name} must be one-dimensional, got shape {array.shape}")
    if array.size == 0:
        return np.zeros(0, dtype=np.int64)
    if array.dtype.kind not in "iub":
        raise MetricError(f"{name} holds {array.dtype}; expected whole numbers 0..{k - 1}, or {MISSING} for missing")
    array = array.astype(np.int64)
    if array.min() < MISSING or array.max() >= k:
        bad = array[(array < MISSING) | (array >= k)][0]
        raise MetricError(f"{name} holds {bad}; expected 0..{k - 1}, or {MISSING} for missing")
    return array
