"""Quality of several generators against one reference, under resamplings they share: FID, KID and the neighbour metrics.

The numbers are those of `audit.metrics.frechet`, `audit.metrics.kernel` and `audit.metrics.neighbours`; what is new is that the
halves taken are given and not drawn, so that a candidate and its baseline see the same ones, and
that sums within one set are made once for all the sets it is held against.

Source: as the three modules named above.
Formula: as there. Halves: the same half for every generator; images of one unit are all in a half or none of them is.
Parity: as there.
Direction: as there.
Blind to: as there.
Departures: the bias of the Frechet distance is told from the first halves of those.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audit.estimates import NotMeasured
from audit.metrics.frechet_pulls import SPLITS, Cloud, cloud, frechet_pulls
from audit.metrics.kernel import BLOCK, polynomial, sums_within
from audit.metrics.nearest import Floats, Mask, pairs_within, squared_radii
from audit.metrics.replicates import Pulls, Resampled
from audit.metrics.resampling import Codes, unit_codes

K_PR, K_DC = 3, 5
"""Neighbours that set the balls of precision and recall, and of density and coverage."""

NEIGHBOURS = ("precision", "recall", "density", "coverage")


class Set(NamedTuple):
    """One set of images with everything about it that does not depend on what it is held against.

    Attributes:
        features: (n, d).
        ids: (n,) their ids.
        cloud: the features as the Frechet distance wants them.
        keep: (R + 1, n) all images, then R halves.
        radii_pr: (R + 1, n) squared radius of each image's ball within each of those, for precision and recall.
        radii_dc: the same for density and coverage.
        within: (n,) sum of the kernel over the other images of the set.
        units: (n,) codes of what each image belongs to; None = each is independent.
    """

    features: NDArray
    ids: NDArray[np.int64]
    cloud: Cloud
    keep: Mask
    radii_pr: Floats
    radii_dc: Floats
    within: Floats
    units: Codes | None = None


class Neighbours(NamedTuple):
    """The four neighbour numbers, and which reference balls hold a generated image in each subset.

    Attributes:
        precision, recall, density, coverage: under the shared halves.
        reached: (R + 1, m) reference images whose ball holds a generated image.
        kept: (R + 1, m) reference images of each subset.
        units: independent units of the set that has fewer, where they are fewer than its images; None = each image is one.
    """

    precision: Resampled
    recall: Resampled
    density: Resampled
    coverage: Resampled
    reached: Mask
    kept: Mask
    units: int | None = None


def prepare(features: NDArray, ids: NDArray[np.int64], keep: Mask, *, units: Codes | None = None, block: int = 512) -> Set:
    """Return a set ready to be held against others.

    Args:
        features: (n, d) finite numbers; every half must hold more than :data:`K_DC` images.
        ids: (n,) increasing.
        keep: (R + 1, n) as in :class:`Set`, the halves dealt by unit.
        units: (n,) codes of what each image belongs to; None = each is independent.
        block: images compared at a time.
    """
    radii_pr, radii_dc = squared_radii(features, (K_PR, K_DC), keep, block=block)
    return Set(features, ids, cloud(features, keep[1 : 1 + SPLITS]), keep, radii_pr, radii_dc, sums_within(features), units)


def frechet_replicates(generated: Cloud, reference: Cloud, ids: NDArray[np.int64], *, units: Codes | None = None,
                       reference_units: Codes | None = None) -> Pulls | NotMeasured:  # fmt: skip
    """Return the Frechet distance, its bias, and the pull of each image of both sets.

    Args:
        generated: (n, d) images with their splits in halves.
        reference: the same for the reference; equal n is the caller's business.
        ids: (n,) ids of the generated images.
        units: (n,) what they belong to; None = each is independent.
        reference_units: (m,) the same for the reference.

    Returns:
        NotMeasured below four images in a set, of which halves have no covariance.
    """
    n = min(len(generated.features), len(reference.features))
    if n < 4:
        return NotMeasured(f"{n} images in a set; four are needed", n, "distance")
    found = frechet_pulls(generated, reference)
    return Pulls(found.value, ids, found.generated, found.reference, "distance", units, reference_units, found.bias, 0.0,
                 method="infinitesimal jackknife")  # fmt: skip


def kernel_pulls(generated: NDArray, reference: NDArray, ids: NDArray[np.int64], *, within: Floats | None = None,
                 within_reference: Floats | None = None, units: Codes | None = None,
                 reference_units: Codes | None = None) -> Pulls | NotMeasured:  # fmt: skip
    """Return the kernel distance over all pairs and the pull of each image of both sets.

    Args:
        generated: (n, d) features.
        reference: (m, d) features.
        ids: (n,) ids of the generated images.
        within: (n,) kernel sums within the generated set; None = make them.
        within_reference: (m,) the same for the reference.
        units: (n,) what the generated images belong to; None = each is independent.
        reference_units: (m,) the same for the reference.

    Returns:
        NotMeasured below three images in a set.
    """
    n, m = len(generated), len(reference)
    if min(n, m) < 3:
        return NotMeasured("fewer than three images in a set", min(n, m), "distance")
    to_ref, to_gen = _sums_across(generated, reference)
    own = sums_within(generated) if within is None else within
    other = sums_within(reference) if within_reference is None else within_reference
    across = to_ref.sum()
    value = own.sum() / (n * (n - 1)) + other.sum() / (m * (m - 1)) - 2 * across / (n * m)
    without_gen = (own.sum() - 2 * own) / ((n - 1) * (n - 2)) - 2 * (across - to_ref) / ((n - 1) * m)
    without_ref = (other.sum() - 2 * other) / ((m - 1) * (m - 2)) - 2 * (across - to_gen) / ((m - 1) * n)
    return Pulls(float(value), ids, jackknife_pulls(without_gen), jackknife_pulls(without_ref), "distance", units, reference_units,
                 method="delete-one jackknife, all pairs")  # fmt: skip


def jackknife_pulls(without: Floats) -> Floats:
    """Return pulls whose squares add up to the jackknife variance, from the (n,) numbers without each image."""
    n = len(without)
    return (without.mean() - without) * np.sqrt((n - 1) / n)


def neighbour_replicates(generated: Set, reference: Set, *, block: int = 512) -> Neighbours:
    """Return precision, recall, density and coverage on all images and on the shared halves, in one pass over the distances."""
    subsets, n, m = len(generated.keep), len(generated.features), len(reference.features)
    in_reference, in_generated = np.zeros((subsets, n), dtype=bool), np.zeros((subsets, m), dtype=bool)
    reached, inside = np.zeros((subsets, m), dtype=bool), np.zeros(subsets)
    around = [reference.radii_pr, reference.radii_dc], [generated.radii_pr]
    for pairs in pairs_within(reference.features, generated.features, *around, block=block):
        r, g = pairs.reference, pairs.generated
        for s in range(subsets):
            in_reference[s, g[pairs.inner <= reference.radii_pr[s, r]]] = True
            in_generated[s, r[pairs.inner <= generated.radii_pr[s, g]]] = True
            held = (pairs.outer < reference.radii_dc[s, r]) & generated.keep[s, g]
            reached[s, r[held]] = True
            inside[s] += held.sum()
    size_gen, size_ref = generated.keep.sum(axis=1), reference.keep.sum(axis=1)
    precision = (in_reference & generated.keep).sum(axis=1) / size_gen
    recall = (in_generated & reference.keep).sum(axis=1) / size_ref
    units = _fewest(generated, reference)
    numbers = (
        Resampled(float(v[0]), v[1:], size, unit, units)
        for v, size, unit in (
            (precision, n, "share"),
            (recall, m, "share"),
            (inside / (K_DC * size_gen), n, "ratio"),
            (reached.sum(axis=1) / size_ref, m, "share"),
        )
    )
    return Neighbours(*numbers, reached, reference.keep, units)


def _sums_across(generated: NDArray, reference: NDArray) -> tuple[Floats, Floats]:
    to_ref, to_gen = np.zeros(len(generated)), np.zeros(len(reference))
    for i in range(0, len(generated), BLOCK):
        for j in range(0, len(reference), BLOCK):
            part = polynomial(generated[i : i + BLOCK], reference[j : j + BLOCK])
            to_ref[i : i + BLOCK] += part.sum(axis=1)
            to_gen[j : j + BLOCK] += part.sum(axis=0)
    return to_ref, to_gen


def _fewest(*sides: Set) -> int | None:
    """Return the smaller number of units of sets that have fewer units than images; None where each image is one."""
    counts = [int(unit_codes(side.units).max()) + 1 for side in sides if side.units is not None]
    return min((c for c in counts if c < min(len(side.ids) for side in sides)), default=None)
