"""Class shares corrected for the classifier's own measured errors, with the uncertainty of that measurement.

A classifier that mislabels 5% of one class moves every share. A labelled calibration set tells how often each class is
read as each other class; this module turns counts of labels into shares of classes and widens the interval accordingly.

Source: Rogan and Gladen 1978 (Am. J. Epidemiol. 107) for two classes; Teo, Abdollahzadeh and Cheung 2023 (CLEAM, NeurIPS
    36) for why an audit of generators needs it; Wilson 1927 for the form of the interval.
Formula: q = A p with A[i, j] = P(labelled i | is j) from the calibration counts. Point: maximum likelihood on the
    simplex, A^-1 q where that lies in it, else EM, p_j <- p_j sum_i q_i A[i, j] / (A p)_i. Variance of p_j = w.q with w
    the j-th row of A^-1 (delta method): (sum_i w_i^2 q_i - p_j^2) / n + sum_l p_l^2 (sum_i w_i^2 A[i, l] - [l=j]) / m_l;
    for K = 2 that is [q(1-q)/n + p^2 a0(1-a0)/m0 + (1-p)^2 a1(1-a1)/m1] / (a0+a1-1)^2. Interval: all t with
    (w.q - t)^2 <= z^2 variance(t), z at (1-level)/K, cut to 0..1.
Parity: as for shares.
Direction: towards the target.
Blind to: a calibration set unlike the audited images. Error rates measured on photographs are not those on generated
    images; a class accuracy lower by .05 moves a corrected share by about .03.
Departures: the variance is evaluated at the hypothesised share (Wilson) and not at the estimate (Wald, as CLEAM), which
    at shares near 0 and 1 covered .86 instead of .95; z^2/2 is added to each calibration cell inside the variance only,
    because an error never seen among m images is not an error rate known to be 0. Batches resampled from one pool, as
    the released CLEAM scripts use, are not independent and are not used. Two classes are one comparison.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from audit.errors import MetricError
from audit.estimates import NotMeasured
from audit.metrics.features import as_array
from audit.metrics.shares import ShareBox, as_counts, check_level, comparisons

_EM_ROUNDS = 100_000
_EM_TOLERANCE = 1e-13


def corrected_share_box(
    counts: Any, confusion: Any, *, level: float = 0.95, condition_limit: float = 20
) -> ShareBox | NotMeasured:
    """Return class shares corrected for classifier errors, with simultaneous intervals.

    Args:
        counts: (K,) images labelled as each class.
        confusion: (K, K) counts of a labelled calibration set, row = true class, column = label.
        level: simultaneous confidence level, in (0, 1).
        condition_limit: largest condition number of the error matrix that is still inverted.

    Returns:
        The box; or NotMeasured where no image was counted, a class is absent from the calibration set, or the
        classifier tells the classes apart too badly to be corrected.

    Raises:
        MetricError: counts or confusion are not whole numbers >= 0 of matching shapes.

    Example:
        >>> box = corrected_share_box([600, 400], [[950, 50], [100, 900]])
        >>> [round(float(x), 3) for x in (box.value[0], box.low[0], box.high[0])]
        [0.588, 0.55, 0.626]
    """
    c = as_counts(counts)
    table = _as_confusion(confusion, c.size)
    check_level(level)
    n, m = int(c.sum()), table.sum(axis=1)
    if n == 0:
        return NotMeasured("no image was counted")
    if (m == 0).any():
        return NotMeasured(f"the calibration set has no image of class {int(np.argmin(m))}", n)
    errors = (table / m[:, None]).T
    condition = float(np.linalg.cond(errors))
    if not condition <= condition_limit:  # infinity and NaN too
        return NotMeasured(
            f"the classifier confuses the classes too much to correct: condition number {condition:.3g}, "
            f"limit {condition_limit:g}",
            n,
        )
    z = float(ndtri(1 - (1 - level) / comparisons(c.size) / 2))
    value = _shares_on_simplex(c / n, errors)
    low, high = _score_interval(c / n, value, errors, table, n, z)
    method = f"error-corrected score interval, Bonferroni over {c.size} classes, calibration of {int(m.sum())} images"
    return ShareBox(value, low, high, n, level, method)


def _shares_on_simplex(q: NDArray[np.float64], errors: NDArray[np.float64]) -> NDArray[np.float64]:
    p = np.linalg.solve(errors, q)
    if (p >= 0).all():
        return p / p.sum()
    p = np.maximum(p, 1e-3)
    p /= p.sum()
    for _ in range(_EM_ROUNDS):
        predicted = errors @ p
        # a label the model gives probability 0 has q = 0 as well: no class that is read so is left
        ratio = np.divide(q, predicted, out=np.zeros_like(q), where=predicted > 0)
        step = p * (errors.T @ ratio)
        step /= step.sum()
        if np.abs(step - p).max() < _EM_TOLERANCE:
            break
        p = step
    return np.where(p < 1e-9, 0.0, p) / p[p >= 1e-9].sum()


def _score_interval(
    q: NDArray[np.float64],
    value: NDArray[np.float64],
    errors: NDArray[np.float64],
    table: NDArray[np.int64],
    n: int,
    z: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Solve (w.q - t)^2 = z^2 variance(t) for each class; the other classes keep their estimated proportions."""
    k = q.size
    m = table.sum(axis=1)
    softened = table + z * z / 2
    rates = (softened / softened.sum(axis=1, keepdims=True)).T
    low, high = np.zeros(k), np.ones(k)
    for j, w in enumerate(np.linalg.inv(errors)):
        spread = (w * w) @ rates - (w @ rates) ** 2  # of the labels of each true class, as class j sees them
        rest = np.where(np.arange(k) == j, 0.0, value)
        rest = rest / rest.sum() if rest.sum() > 0 else (np.arange(k) != j) / (k - 1)
        if_none, if_all = (w * w) @ (errors @ rest), (w * w) @ errors[:, j]
        others = float((rest**2 * spread / m).sum())
        v0 = if_none / n + others
        v1 = (if_all - if_none) / n - 2 * others
        v2 = -1 / n + others + spread[j] / m[j]
        point = float(w @ q)
        a, b, c = 1 - z * z * v2, -2 * point - z * z * v1, point * point - z * z * v0
        if a <= 0:  # so few calibration images that no share can be ruled out
            continue
        root = np.sqrt(max(b * b - 4 * a * c, 0.0))
        low[j], high[j] = (-b - root) / (2 * a), (-b + root) / (2 * a)
    # where the plain inverse leaves the simplex the value is moved onto it; the interval then reaches to the value
    return np.clip(np.minimum(low, value), 0, 1), np.clip(np.maximum(high, value), 0, 1)


def _as_confusion(confusion: Any, k: int) -> NDArray[np.int64]:
    table = as_array(confusion)
    if table.shape != (k, k):
        raise MetricError(f"confusion must be ({k}, {k}) for {k} classes, true class by row, got shape {table.shape}")
    if table.dtype.kind not in "iuf" or not (np.isfinite(table) & (table >= 0) & (table == np.floor(table))).all():
        raise MetricError("confusion must hold counts, whole numbers >= 0; give counts, not rates")
    return table.astype(np.int64)
