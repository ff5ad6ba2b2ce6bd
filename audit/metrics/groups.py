"""Quality within a group of people: is each group's variety reached, and how alike are the people drawn in it.

Source: Naeem et al. 2020 (arXiv 2002.09797) for coverage; the mean pairwise similarity is a U-statistic (Hoeffding 1948, Annals of
    Mathematical Statistics 19) of embeddings of identity.
Formula: group_coverage of g = share of the reference images of group g whose ball, reaching to the 5th neighbour within the whole
    reference, holds a generated image of any group. identity_similarity = mean of x_i.x_j over pairs i != j of unit vectors
    = (||sum x||^2 - n) / (n (n-1)); without image i: (||sum x - x_i||^2 - (n-1)) / ((n-1)(n-2)).
Parity: none fixed; coverage of equal distributions is about 1 - 2^-5; the similarity of a second reference set is its own parity.
Direction: group_coverage higher, identity_similarity lower: lower means more diverse people.
Blind to: what the encoder does not see; whether a generated image would be read as of group g. The coverage of the whole reference is
    the mean of those of its groups, weighted by their size, so a group that is never drawn pulls it down by no more than that.
Departures: balls are those of the whole reference and not of the group alone, so that groups of different size have balls of
    one measure and the parts add up to the whole.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.errors import MetricError
from audit.estimates import NotMeasured
from audit.metrics.features import as_features
from audit.metrics.replicates import Pulls, Resampled
from audit.metrics.resampling import Codes
from audit.metrics.shared import Neighbours, jackknife_pulls

LEAST_REFERENCE = 20
"""Reference images of a group below which its coverage is not measured: half of fewer may hold none."""


def group_coverage(neighbours: Neighbours, members: Any) -> Resampled | NotMeasured:
    """Return the share of a group's reference balls that hold a generated image.

    Args:
        neighbours: one generator against the reference.
        members: (m,) bool, reference images of the group.

    Returns:
        Under the shared halves, unit "share", n the group's reference images; NotMeasured below :data:`LEAST_REFERENCE` of them.

    Raises:
        MetricError: members is not one flag a reference image.
    """
    mask = np.asarray(members)
    if mask.shape != (neighbours.reached.shape[1],) or mask.dtype != bool:
        raise MetricError(f"members must be {neighbours.reached.shape[1]} flags, one a reference image; got {mask.dtype} {mask.shape}")
    size = int(mask.sum())
    if size < LEAST_REFERENCE:
        return NotMeasured(f"{size} reference images of this group; {LEAST_REFERENCE} are needed", size)
    held = neighbours.kept[:, mask].sum(axis=1)
    shares = neighbours.reached[:, mask].sum(axis=1) / np.maximum(held, 1)
    return Resampled(float(shares[0]), shares[1:], size, "share", neighbours.units)


def identity_similarity(features: Any, ids: NDArray[np.int64] | None = None, *, units: Codes | None = None) -> Pulls | NotMeasured:
    """Return the mean pairwise cosine similarity of the people drawn, and the pull of each image.

    Args:
        features: (n, d) embeddings of identity, any length; rows are scaled to length 1.
        ids: (n,) ids, for pairing with another generator; None = 0..n-1.
        units: (n,) codes of what each image belongs to; None = each is independent.

    Returns:
        A number in -1..1, unit "ratio"; NotMeasured below three images.

    Raises:
        MetricError: features are not (n, d) finite numbers, a row is 0, or ids are of another length.

    Example:
        >>> identity_similarity([[2.0, 0.0], [1.0, 0.0], [0.0, 3.0]]).value
        0.3333333333333333
    """
    x = as_features(features, name="identity features", least=0).astype(np.float64)
    n = len(x)
    if n < 3:
        return NotMeasured(f"{n} images of this group; 3 are needed", n, "ratio")
    length = np.linalg.norm(x, axis=1)
    if (length == 0).any():
        raise MetricError("an identity feature has length 0 and no direction; drop images that could not be read")
    own = np.arange(n) if ids is None else np.asarray(ids)
    if own.shape != (n,):
        raise MetricError(f"{n} features and ids of shape {own.shape}; give one id a feature")
    x /= length[:, None]
    total = x.sum(axis=0)
    whole = float(total @ total)
    value = min(max((whole - n) / (n * (n - 1)), -1.0), 1.0)
    without = (whole - 2 * x @ total + 1 - (n - 1)) / ((n - 1) * (n - 2))
    return Pulls(value, own, jackknife_pulls(without), np.zeros(0), "ratio", units, method="delete-one jackknife, all pairs")
