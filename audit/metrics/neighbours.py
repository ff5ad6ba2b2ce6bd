"""Precision, recall, density and coverage: do generated images fall among real ones, and are all real ones reached.

Source: Kynkaanniemi et al. 2019 (arXiv 1904.06991) for precision and recall; Naeem et al. 2020 (arXiv 2002.09797) for
    density and coverage.
Formula: the ball of an image reaches to its k-th nearest neighbour within its own set, itself not counted.
    precision = share of generated images inside some reference ball; recall = share of reference images inside some
    generated ball (both k = 3, edge included). density = mean number of reference balls around a generated image / k;
    coverage = share of reference balls holding a generated image (both k = 5, edge excluded).
Parity: no fixed value. For equal distributions density is about 1 and coverage about 1 - 2^-k; measure a second
    reference set for the others.
Direction: higher is nearer the reference.
Blind to: anything the encoder does not see. Recall is raised by outlying generated images, precision and density by
    outlying reference images. All four depend on n: compare at equal n only.
Departures: edges as published (the released prdc excludes them for all four, torch-fidelity includes them). An edge is
    a tie within 1e-11 of the squared norms, so rounding cannot move it; without ties prdc and torch-fidelity agree.
    Intervals are not published for these; see `neighbour_estimates`.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, ndtri, stdtrit

from audit.errors import MetricError
from audit.estimates import Estimate, Measurement, NotMeasured
from audit.metrics.features import feature_pair
from audit.metrics.nearest import pairs_within, squared_radii
from audit.metrics.shares import check_level

_BLOCK = 1024


class NeighbourMetrics(NamedTuple):
    """The four numbers, each >= 0; all but density <= 1."""

    precision: float
    recall: float
    density: float
    coverage: float


class PrecisionRecall(NamedTuple):
    """Shares in 0..1."""

    precision: float
    recall: float


class DensityCoverage(NamedTuple):
    """Density >= 0, coverage in 0..1."""

    density: float
    coverage: float


class NeighbourEstimates(NamedTuple):
    """The four numbers with their intervals."""

    precision: Measurement
    recall: Measurement
    density: Measurement
    coverage: Measurement


def neighbour_metrics(
    generated: Any, reference: Any, *, k_pr: int = 3, k_dc: int = 5, block: int = _BLOCK
) -> NeighbourMetrics:
    """Return precision, recall, density and coverage in one pass over the distances.

    Args:
        generated: (n, d) features.
        reference: (m, d) features from the same encoder.
        k_pr: neighbour that sets the balls of precision and recall.
        k_dc: neighbour that sets the balls of density and coverage.
        block: images compared at a time; memory is O((n + m) block), the result does not depend on it.

    Returns:
        The four numbers.

    Raises:
        MetricError: shapes do not fit, a value is not finite, or a set has no more images than k.

    Example:
        >>> neighbour_metrics([[0.0], [1.0], [2.0]], [[0.0], [1.0], [9.0]], k_pr=1, k_dc=1)
        NeighbourMetrics(precision=1.0, recall=0.6666666666666666, density=1.0, coverage=1.0)
    """
    gen, ref = _checked(generated, reference, (k_pr, k_dc), block)
    everyone = [np.ones((1, len(side)), dtype=bool) for side in (gen, ref)]
    return NeighbourMetrics(*_of_subsets(gen, ref, k_pr, k_dc, *everyone, block)[0].tolist())


def precision_recall(generated: Any, reference: Any, k: int = 3) -> PrecisionRecall:
    """Return precision and recall; swapping the sets swaps the numbers. Arguments as :func:`neighbour_metrics`.

    Example:
        >>> precision_recall(generated=[[0.0], [0.1], [0.2]], reference=[[0.0], [1.0], [2.0]], k=1)
        PrecisionRecall(precision=1.0, recall=0.3333333333333333)
    """
    metrics = neighbour_metrics(generated, reference, k_pr=k, k_dc=k)
    return PrecisionRecall(metrics.precision, metrics.recall)


def density_coverage(generated: Any, reference: Any, k: int = 5) -> DensityCoverage:
    """Return density and coverage. Arguments as :func:`neighbour_metrics`.

    Example:
        >>> density_coverage(generated=[[0.0], [0.1], [0.2]], reference=[[0.0], [1.0], [2.0]], k=1)
        DensityCoverage(density=1.6666666666666667, coverage=0.6666666666666666)
    """
    metrics = neighbour_metrics(generated, reference, k_pr=k, k_dc=k)
    return DensityCoverage(metrics.density, metrics.coverage)


def neighbour_estimates(
    generated: Any,
    reference: Any,
    *,
    rng: np.random.Generator,
    k_pr: int = 3,
    k_dc: int = 5,
    resamples: int = 40,
    level: float = 0.95,
    block: int = _BLOCK,
) -> NeighbourEstimates:
    """Return precision, recall, density and coverage with their intervals; the estimand is their mean at this n.

    The standard error is the spread over random halves of both sets, drawn without replacement: for n/2 of n images it
    estimates that of all n as it stands. Resampling with replacement is of no use here, because a repeated image is its
    own nearest neighbour. Shares get a Clopper-Pearson interval at the sample size that has this standard error, so that 0
    and 1 keep a width; density a Student interval. Simulated coverage of nominal .95 is .93 or more, except
    for the density of a generator collapsed onto one point, .83 to .89: it rests on few reference images.

    Args:
        generated: (n, d) features.
        reference: (m, d) features; compare generators at equal n and m only.
        rng: draws the halves.
        k_pr: as in :func:`neighbour_metrics`.
        k_dc: as in :func:`neighbour_metrics`.
        resamples: how many halves, two or more.
        level: confidence level of each interval.
        block: as in :func:`neighbour_metrics`.

    Returns:
        Four estimates, unit "share", density "ratio"; NotMeasured where half a set has no k-th neighbour.

    Raises:
        MetricError: as :func:`neighbour_metrics`, or fewer than two resamples.
    """
    gen, ref = feature_pair(generated, reference)
    check_level(level)
    if resamples < 2:
        raise MetricError(f"a standard error needs two resamples or more, got {resamples}")
    n, m = len(gen), len(ref)
    if min(n, m) // 2 <= max(k_pr, k_dc):
        reason = f"{min(n, m)} images are too few for neighbour number {max(k_pr, k_dc)} in half of them"
        shares = NotMeasured(reason, min(n, m), "share")
        return NeighbourEstimates(shares, shares, NotMeasured(reason, min(n, m), "ratio"), shares)
    gen, ref = _checked(gen, ref, (k_pr, k_dc), block)
    values = _of_subsets(gen, ref, k_pr, k_dc, _halves(n, resamples, rng), _halves(m, resamples, rng), block)
    errors = values[1:].std(axis=0, ddof=1)
    t = float(stdtrit(resamples - 1, 0.5 + level / 2))
    precision, recall, density, coverage = values[0].tolist()
    return NeighbourEstimates(
        share_interval(precision, float(errors[0]), n, t, level),
        share_interval(recall, float(errors[1]), m, t, level),
        density_interval(density, float(errors[2]), n, t, level),
        share_interval(coverage, float(errors[3]), m, t, level),
    )


def _halves(n: int, resamples: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    keep = np.zeros((resamples + 1, n), dtype=bool)
    keep[0] = True
    for row in keep[1:]:
        row[rng.permutation(n)[: n // 2]] = True
    return keep


def share_interval(share: float, error: float, n: int, t: float, level: float) -> Estimate:
    """Clopper-Pearson at the sample size that has this standard error (Korn and Graubard 1998, Survey Methodology 24)."""
    softened = (share * n + 0.5) / (n + 1)
    size = min(n, softened * (1 - softened) / error**2) if error > 0 else n
    size *= (float(ndtri(0.5 + level / 2)) / t) ** 2
    inside, outside = share * size, (1 - share) * size
    low = float(betaincinv(inside, outside + 1, (1 - level) / 2)) if inside > 0 else 0.0
    high = float(betaincinv(inside + 1, outside, (1 + level) / 2)) if outside > 0 else 1.0
    method = "Clopper-Pearson at the effective size of random halves"
    return Estimate(share, min(low, share), max(high, share), n, level, "share", method)


def density_interval(density: float, error: float, n: int, t: float, level: float) -> Estimate:
    """Return a density with its t interval, cut at 0."""
    high = density + t * error
    if high == 0:  # no image lies in any ball: the share of images that could, each counted once
        high = 1 - ((1 - level) / 2) ** (1 / n)
    return Estimate(
        density, max(density - t * error, 0.0), high, n, level, "ratio", "Student interval of random halves"
    )


def _checked(generated: Any, reference: Any, ks: tuple[int, ...], block: int) -> tuple[NDArray, NDArray]:
    gen, ref = feature_pair(generated, reference)
    if min(ks) < 1 or block < 1:
        raise MetricError(f"got k = {min(ks)} and block = {block}; both start at 1")
    if min(len(gen), len(ref)) <= max(ks):
        raise MetricError(
            f"{min(len(gen), len(ref))} images have no neighbour number {max(ks)}; give more images or a smaller k"
        )
    return gen, ref


def _of_subsets(
    gen: NDArray, ref: NDArray, k_pr: int, k_dc: int, keep_gen: NDArray, keep_ref: NDArray, block: int
) -> NDArray[np.float64]:
    """Return (subsets, 4): precision, recall, density and coverage of each pair of subsets."""
    ref_pr, ref_dc = squared_radii(ref, (k_pr, k_dc), keep_ref, block=block)
    (gen_pr,) = squared_radii(gen, (k_pr,), keep_gen, block=block)
    subsets, n, m = len(keep_gen), len(gen), len(ref)
    in_reference, in_generated = np.zeros((subsets, n), dtype=bool), np.zeros((subsets, m), dtype=bool)
    reached, balls_around = np.zeros((subsets, m), dtype=bool), np.zeros(subsets)
    for pairs in pairs_within(ref, gen, [ref_pr, ref_dc], [gen_pr], block=block):
        for s in range(subsets):
            r, g = pairs.reference, pairs.generated
            in_reference[s, g[pairs.inner <= ref_pr[s, r]]] = True
            in_generated[s, r[pairs.inner <= gen_pr[s, g]]] = True
            inside = (pairs.outer < ref_dc[s, r]) & keep_gen[s, g]
            reached[s, r[inside]] = True
            balls_around[s] += inside.sum()
    count_gen, count_ref = keep_gen.sum(axis=1), keep_ref.sum(axis=1)
    return np.stack(
        [
            (in_reference & keep_gen).sum(axis=1) / count_gen,
            (in_generated & keep_ref).sum(axis=1) / count_ref,
            balls_around / (k_dc * count_gen),
            reached.sum(axis=1) / count_ref,
        ],
        axis=1,
    )
