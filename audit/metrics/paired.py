"""Two generators on the same image ids: how much did each class share, and the fairness discrepancy, change.

Source: Tango 1998 (Statistics in Medicine 17) for the interval of a paired difference of shares; Fagerland, Lydersen and
    Laake 2013 (BMC Medical Research Methodology 13) for the mid-p McNemar test; Agresti and Min 2005 (Statistics in
    Medicine 24) for the pseudo-pairs.
Formula: per class b ids only the candidate, c ids only the baseline shows it: difference (b - c) / n, interval all d with
    |b - c - n d| <= z sqrt(n (2 p(d) + d (1 - d))), p(d) the likeliest share of c-ids given d, z at (1-level)/K;
    p = 2 P(X <= min(b, c)) - P(X = min(b, c)), X binomial(b + c, 1/2). Discrepancy: FD(candidate) - FD(baseline), error
    sqrt((var_c + var_b - 2 cov) / n) linearised from the K x K table of pairs plus two pairs spread evenly over it;
    the interval runs z errors beyond both the plain difference and the one of bias-corrected discrepancies.
Parity: 0, no change.
Direction: below 0 for the discrepancy is a step towards the target; for a share it depends on its target.
Blind to: whether the start was near its target; ids that either side could not read, which are dropped and counted; the
    classifier's errors, which pairing cancels only where both generators suffer them alike.
Departures: identical labels give a difference of 0 with an interval, about z^2/n each way: ids not drawn might differ. The
    discrepancy is bent at its target, where neither a plain linearisation nor the bootstrap covers (.75 at K = 6);
    reaching over both differences did, .93 or more in 144 simulated settings with K of 2, 3, 6 and n of 200, 2000.
    There is no randomness in any of it. p-values are per class and unadjusted: see `audit.metrics.multiplicity`.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, gammaln, ndtr, ndtri

from audit.errors import MetricError
from audit.estimates import Estimate, Measurement, NotMeasured
from audit.metrics.discrepancy import as_target
from audit.metrics.features import MISSING, as_labels
from audit.metrics.shares import check_level, comparisons, said_of_design


class PairedShares(NamedTuple):
    """Change of each class share.

    Attributes:
        differences: candidate minus baseline share per class, simultaneous over the classes, unit "share".
        p_values: mid-p McNemar per class, unadjusted; None where not measured.
        n: ids read on both sides.
        dropped: ids not read on one side or both.
    """

    differences: tuple[Measurement, ...]
    p_values: tuple[float | None, ...]
    n: int
    dropped: int


class PairedDiscrepancy(NamedTuple):
    """Change of the fairness discrepancy.

    Attributes:
        difference: candidate minus baseline, unit "distance".
        p_value: of no change, in step with the interval; None where not measured.
        n: ids read on both sides.
        dropped: ids not read on one side or both.
    """

    difference: Measurement
    p_value: float | None
    n: int
    dropped: int


def paired_share_difference(candidate_labels: Any, baseline_labels: Any, k: int, level: float = 0.95, *,
                            design_effect: float = 1.0) -> PairedShares:  # fmt: skip
    """Return the change of each class share between two generators that drew the same ids.

    Args:
        candidate_labels: (n,) integers 0..k-1, -1 = missing.
        baseline_labels: (n,) the same for the baseline, in the same order of ids.
        k: number of classes, two or more.
        level: simultaneous confidence level.
        design_effect: ids counted for each independent one, 1 or more; see `audit.metrics.resampling`.

    Returns:
        Differences and p-values; NotMeasured and None where no id was read on both sides.

    Raises:
        MetricError: unequal lengths, a label out of range, or k < 2.

    Example:
        >>> result = paired_share_difference([0, 0, 1, -1], [0, 1, 1, 1], 2)
        >>> round(result.differences[0].value, 3), result.n, result.dropped
        (0.333, 3, 1)
    """
    table, dropped = pairs_of(candidate_labels, baseline_labels, k)
    check_level(level)
    n = int(table.sum())
    if n == 0:
        return PairedShares((NotMeasured("no id was read on both sides"),) * k, (None,) * k, 0, dropped)
    z = float(ndtri(1 - (1 - level) / comparisons(k) / 2))
    check_design(design_effect)
    method = f"Tango score interval, paired, Bonferroni over {k} classes" + said_of_design(design_effect)
    differences, p_values = [], []
    for j in range(k):
        gained = int(table[j].sum() - table[j, j])
        lost = int(table[:, j].sum() - table[j, j])
        low, high = _tango(gained / design_effect, lost / design_effect, n / design_effect, z)
        differences.append(Estimate((gained - lost) / n, low, high, n, level, "share", method))
        p_values.append(_mid_p(gained, lost) if design_effect == 1 else _normal_p(gained, lost, design_effect))
    return PairedShares(tuple(differences), tuple(p_values), n, dropped)


def paired_discrepancy_difference(
    candidate_labels: Any, baseline_labels: Any, k: int, target: Any = None, level: float = 0.95, *, design_effect: float = 1.0
) -> PairedDiscrepancy:
    """Return the change of the fairness discrepancy between two generators that drew the same ids.

    Args:
        candidate_labels: (n,) integers 0..k-1, -1 = missing.
        baseline_labels: (n,) the same for the baseline, in the same order of ids.
        k: number of classes, two or more.
        target: (k,) shares adding to 1; None = 1/k each.
        level: confidence level.
        design_effect: as :func:`paired_share_difference`.

    Returns:
        Difference and p-value; NotMeasured and None where fewer than two ids were read on both sides.

    Raises:
        MetricError: as :func:`paired_share_difference`, or the target is no shares.

    Example:
        >>> result = paired_discrepancy_difference([0, 1] * 50, [1] * 100, 2)
        >>> round(result.difference.value, 4), result.p_value < 1e-6
        (-0.7071, True)
    """
    table, dropped = pairs_of(candidate_labels, baseline_labels, k)
    t = as_target(target, k)
    check_level(level)
    n = int(table.sum())
    if n < 2:
        reason = NotMeasured("fewer than two ids were read on both sides", n, "distance")
        return PairedDiscrepancy(reason, None, n, dropped)
    shares = (table.sum(axis=1) / n, table.sum(axis=0) / n)
    plain, corrected = (
        float(f(shares[0]) - f(shares[1])) for f in (lambda q: _plain(q, t), lambda q: _corrected(q, t, n))
    )
    check_design(design_effect)
    error = _paired_error(table, t) * math.sqrt(design_effect)
    half = float(ndtri(0.5 + level / 2)) * error
    low, high = sorted((plain, corrected))
    gap = max(low, -high, 0.0)  # how far 0 lies outside
    p_value = 1.0 if gap == 0 else min(1.0, 2 * float(ndtr(-gap / error)))
    method = "paired delta method over the plain and the bias-corrected difference" + said_of_design(design_effect)
    return PairedDiscrepancy(
        Estimate(plain, low - half, high + half, n, level, "distance", method), p_value, n, dropped
    )


def pairs_of(candidate_labels: Any, baseline_labels: Any, k: int) -> tuple[NDArray[np.int64], int]:
    """Return the (k, k) table of pairs, candidate class by row, and how many ids were dropped."""
    if k < 2:
        raise MetricError(f"a comparison needs two classes or more, got k = {k}")
    candidate = as_labels(candidate_labels, k, name="candidate labels")
    baseline = as_labels(baseline_labels, k, name="baseline labels")
    if candidate.size != baseline.size:
        raise MetricError(
            f"{candidate.size} candidate and {baseline.size} baseline labels; a paired comparison needs the same ids"
        )
    read = (candidate != MISSING) & (baseline != MISSING)
    table = np.bincount(candidate[read] * k + baseline[read], minlength=k * k).reshape(k, k)
    return table, int((~read).sum())


def check_design(design_effect: float) -> None:
    """Refuse a design effect below 1.

    Raises:
        MetricError: it is.
    """
    if not 1 <= design_effect < math.inf:
        raise MetricError(f"a design effect is 1 or more, got {design_effect}")


def _normal_p(gained: int, lost: int, design_effect: float) -> float:
    return 1.0 if gained == lost else min(1.0, 2 * float(ndtr(-abs(gained - lost) / math.sqrt((gained + lost) * design_effect))))


def _tango(gained: float, lost: float, n: float, z: float) -> tuple[float, float]:
    def score(d: float) -> float:
        b = -gained - lost + (2 * n - gained + lost) * d
        rare = (math.sqrt(max(b * b + 8 * n * lost * d * (1 - d), 0.0)) - b) / (4 * n)
        variance = n * (2 * rare + d * (1 - d))
        gap = gained - lost - n * d
        return gap / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, gap) if gap else 0.0

    value = (gained - lost) / n
    ends = []
    for wanted, outer in ((z, -1.0), (-z, 1.0)):
        inside, outside = value, outer
        for _ in range(60):  # the score falls as d grows: halve to the last bit
            middle = (inside + outside) / 2
            if abs(score(middle)) <= abs(wanted):
                inside = middle
            else:
                outside = middle
        ends.append(inside)
    return ends[0], ends[1]


def _mid_p(gained: int, lost: int) -> float:
    if gained == lost:
        return 1.0
    changed, fewer = gained + lost, min(gained, lost)
    equal = math.exp(gammaln(changed + 1) - gammaln(fewer + 1) - gammaln(changed - fewer + 1) - changed * math.log(2))
    return min(1.0, max(0.0, float(2 * bdtr(fewer, changed, 0.5)) - equal))


def _plain(q: NDArray[np.float64], t: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(q - t))


def _corrected(q: NDArray[np.float64], t: NDArray[np.float64], n: int) -> float:
    return math.sqrt(max(_plain(q, t) ** 2 - (1 - float((q**2).sum())) / (n - 1), 0.0))


def _paired_error(table: NDArray[np.int64], t: NDArray[np.float64]) -> float:
    softened = (table + 2 / table.size) / (table.sum() + 2)
    candidate, baseline = softened.sum(axis=1), softened.sum(axis=0)
    moved = candidate - baseline
    change = np.diag(candidate) + np.diag(baseline) - softened - softened.T - np.outer(moved, moved)
    # at the target itself the discrepancy has no slope: take the direction in which the shares changed most
    steepest = np.linalg.eigh(change)[1][:, -1]
    up, down = slope(candidate, t), slope(baseline, t)
    if up is None and down is None:
        pairs = [(steepest, steepest)]
    elif up is None:
        pairs = [(steepest, down), (-steepest, down)]
    else:
        pairs = [(up, down)] if down is not None else [(up, steepest), (up, -steepest)]
    variances = []
    for a, b in pairs:
        mean = a @ candidate - b @ baseline
        variances.append(a**2 @ candidate + b**2 @ baseline - 2 * a @ softened @ b - mean**2)
    return math.sqrt(max(*variances, 0.0) / table.sum())


def slope(q: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the gradient of |q - t| at q, None at the target itself, where there is none."""
    distance = np.linalg.norm(q - t)
    return (q - t) / distance if distance > 1e-9 else None
