"""Kernel distance between two sets of features: a squared maximum mean discrepancy with a cubic kernel (KID).

Source: Binkowski, Sutherland, Arbel and Gretton 2018 (arXiv 1801.01401).
Formula: k(x, y) = (x.y / d + 1)^3; mean of k over pairs within generated, plus the mean over pairs within reference
    (self-pairs left out of both), minus twice the mean of k over all cross pairs. Over subsets of m images the mean of
    that over the subsets.
Parity: 0; the estimator is free of small-sample bias, so it may be negative.
Direction: lower is nearer the reference.
Blind to: differences beyond third moments; which group of people is drawn worse; the encoder's own blind spots.
Departures: where both sets fit into one subset all pairs are used once, because every subset would be the same set.
    The estimate with its interval uses all pairs always. The spread over overlapping subsets, which other tools print,
    is not a standard error; the interval here is from leaving out one image at a time, in closed form.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from audit.errors import MetricError
from audit.estimates import Estimate, Measurement, NotMeasured
from audit.metrics.features import feature_pair
from audit.metrics.shares import check_level

Floats = NDArray[np.float64]

BLOCK = 2048


def kernel_distance(
    generated: Any, reference: Any, *, rng: np.random.Generator, subsets: int = 100, subset_size: int = 1000
) -> float:
    """Return the kernel distance as published: the mean over random subsets drawn without replacement.

    Args:
        generated: (n, d) features, n >= 2.
        reference: (m, d) features from the same encoder, m >= 2.
        rng: draws the subsets; unused where both sets fit into one.
        subsets: how many.
        subset_size: images of each set in a subset; fewer where a set is smaller.

    Returns:
        The squared discrepancy, unit "distance"; may be negative.

    Raises:
        MetricError: shapes do not fit, a value is not finite, or subsets < 1 or subset_size < 2.

    Example:
        >>> kernel_distance([[0.0], [0.0]], [[1.0], [1.0]], rng=np.random.default_rng(0))
        7.0
    """
    gen, ref = feature_pair(generated, reference)
    if subsets < 1 or subset_size < 2:
        raise MetricError(f"got {subsets} subsets of {subset_size}; expected at least 1 of at least 2 images")
    if max(len(gen), len(ref)) <= subset_size:
        return kernel_distance_full(gen, ref)
    size = min(len(gen), len(ref), subset_size)
    values = []
    for _ in range(subsets):
        part_gen = gen[np.sort(rng.choice(len(gen), size, replace=False))]
        part_ref = ref[np.sort(rng.choice(len(ref), size, replace=False))]
        values.append(kernel_distance_full(part_gen, part_ref))
    return float(np.mean(values))


def kernel_distance_full(generated: Any, reference: Any) -> float:
    """Return the kernel distance over all pairs, in blocks: time O((n + m)^2 d), memory O((n + m) d).

    Arguments, result and errors as :func:`kernel_distance`; no randomness.

    Example:
        >>> kernel_distance_full([[0.0], [0.0]], [[1.0], [1.0]])
        7.0
    """
    sums = _kernel_sums(*feature_pair(generated, reference))
    n, m = sums.generated.size, sums.reference.size
    return float(
        sums.generated.sum() / (n * (n - 1))
        + sums.reference.sum() / (m * (m - 1))
        - 2 * sums.generated_to_reference.sum() / (n * m)
    )


def kernel_estimate(generated: Any, reference: Any, *, level: float = 0.95) -> Measurement:
    """Return the kernel distance over all pairs with its interval.

    Args:
        generated: (n, d) features, n >= 3.
        reference: (m, d) features, m >= 3; the sizes may differ.
        level: confidence level.

    Returns:
        The distance with a normal interval whose standard error comes from leaving out one image at a time, of each
        set; unit "distance". At parity it is conservative. NotMeasured below three images.

    Raises:
        MetricError: as :func:`kernel_distance`.
    """
    gen, ref = feature_pair(generated, reference)
    check_level(level)
    n, m = len(gen), len(ref)
    if min(n, m) < 3:
        return NotMeasured("fewer than three images in a set", min(n, m), "distance")
    sums = _kernel_sums(gen, ref)
    within_gen, within_ref = sums.generated.sum(), sums.reference.sum()
    across = sums.generated_to_reference.sum()
    value = within_gen / (n * (n - 1)) + within_ref / (m * (m - 1)) - 2 * across / (n * m)
    without_gen = (within_gen - 2 * sums.generated) / ((n - 1) * (n - 2)) - 2 * (
        across - sums.generated_to_reference
    ) / ((n - 1) * m)
    without_ref = (within_ref - 2 * sums.reference) / ((m - 1) * (m - 2)) - 2 * (
        across - sums.reference_to_generated
    ) / ((m - 1) * n)
    variance = (n - 1) * without_gen.var() + (m - 1) * without_ref.var()
    half = float(ndtri(0.5 + level / 2) * np.sqrt(variance))
    value = float(value)
    return Estimate(value, value - half, value + half, min(n, m), level, "distance", "delete-one jackknife, all pairs")


class _KernelSums(NamedTuple):
    """For each image the sum of the kernel over the other images of its set, and over the other set."""

    generated: Floats
    reference: Floats
    generated_to_reference: Floats
    reference_to_generated: Floats


def _kernel_sums(gen: NDArray, ref: NDArray) -> _KernelSums:
    to_ref, to_gen = np.zeros(len(gen)), np.zeros(len(ref))
    for i in range(0, len(gen), BLOCK):
        for j in range(0, len(ref), BLOCK):
            part = polynomial(gen[i : i + BLOCK], ref[j : j + BLOCK])
            to_ref[i : i + BLOCK] += part.sum(axis=1)
            to_gen[j : j + BLOCK] += part.sum(axis=0)
    return _KernelSums(sums_within(gen), sums_within(ref), to_ref, to_gen)


def sums_within(features: NDArray) -> Floats:
    """Return (n,) sums of the kernel of each row with every other row of its own set."""
    sums = np.zeros(len(features))
    for i in range(0, len(features), BLOCK):
        for j in range(i, len(features), BLOCK):
            part = polynomial(features[i : i + BLOCK], features[j : j + BLOCK])
            if i == j:
                np.fill_diagonal(part, 0.0)
            else:
                sums[j : j + BLOCK] += part.sum(axis=0)
            sums[i : i + BLOCK] += part.sum(axis=1)
    return sums


def polynomial(rows: NDArray, columns: NDArray) -> Floats:
    """Return the (n, m) cubic kernel (x.y / d + 1)^3 in float64."""
    base = rows.astype(np.float64) @ columns.astype(np.float64).T
    base /= rows.shape[1]
    base += 1
    return base * base * base
