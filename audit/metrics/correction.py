"""Class shares corrected for the classifier's own measured errors, with the uncertainty of that measurement.

A classifier that mislabels 5% of one class moves every share. A labelled calibration set tells how often each class is
read as each other class, or with which scores; this module turns labels or scores into shares of classes and widens the
interval accordingly.

Source: Rogan and Gladen 1978 (Am. J. Epidemiol. 107) for two classes; Teo, Abdollahzadeh and Cheung 2023 (CLEAM, NeurIPS
    36) for why an audit of generators needs it; Wilson 1927 for the form of the interval; Bella et al. 2010 (ICDM) for
    scores in the place of labels.
Formula: q = A p with A[i, j] = mean score i of class j; a label is a score of 1. Point: A^-1 q where that lies on the
    simplex, else for labels EM, p_j <- p_j sum_i q_i A[i, j] / (A p)_i, and for scores the nearest shares by least squares.
    Variance of w.q, w a sum of rows of A^-1 (delta method): [sum_l p_l E((w.s)^2 | l) - (w.Ap)^2] / n + sum_l p_l^2
    Var(w.s | l) / m_l; for two classes and labels that is [q(1-q)/n + p^2 a0(1-a0)/m0 + (1-p)^2 a1(1-a1)/m1] / (a0+a1-1)^2.
    Interval: all t with (w.q - t)^2 <= z^2 variance(t), z at (1-level)/K, cut to 0..1. Bootstrap: multinomial labels, and
    a multinomial calibration for each class, again and again; percentiles.
Parity: as for shares.
Direction: towards the target.
Blind to: a calibration set unlike the audited images. Error rates measured on photographs are not those on generated
    images; a class accuracy lower by .05 moves a corrected share by about .03.
Departures: the variance is evaluated at the hypothesised share (Wilson) and not at the estimate (Wald, as CLEAM), which
    at shares near 0 and 1 covered .86 instead of .95; z^2 imagined calibration images a class, spread over all labels,
    enter the variance only, because an error never seen among m images is not an error rate known to be 0. Batches
    resampled from one pool, as the released CLEAM scripts use, are not independent and are not used. Two classes are one
    comparison. Errors that differ between subgroups are corrected cell by cell and then added up (``into``).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.special import ndtri

from audit.errors import MetricError
from audit.estimates import NotMeasured
from audit.metrics.error_model import ErrorModel
from audit.metrics.features import as_array
from audit.metrics.shares import ShareBox, Spread, as_counts, check_level, comparisons, said_of_design

Floats = NDArray[np.float64]

CONDITION_LIMIT = 20.0
"""Largest condition number of the error matrix that is still inverted."""

_EM_ROUNDS = 100_000
_EM_TOLERANCE = 1e-13


def corrected_share_box(counts: Any, errors: Any, *, level: float = 0.95, condition_limit: float = CONDITION_LIMIT,
                        into: Any = None, design_effect: float = 1.0) -> ShareBox | NotMeasured:  # fmt: skip
    """Return class shares corrected for classifier errors, with simultaneous intervals.

    Args:
        counts: (K,) images labelled as each class.
        errors: (K, K) counts of a labelled calibration set, row = true class, column = label; or an
            :class:`~audit.metrics.error_model.ErrorModel` of K classes.
        level: simultaneous confidence level, in (0, 1).
        condition_limit: largest condition number of the error matrix that is still inverted.
        into: (K,) the class 0..C-1 that each of K cells belongs to; the shares returned are those of the C classes. With
            cells "class x subgroup" this corrects each subgroup by its own error rates. None = every cell is a class.
        design_effect: images counted for each independent one, 1 or more.

    Returns:
        The box; or NotMeasured where no image was counted, a class is absent from the calibration set, or the
        classifier tells the classes apart too badly to be corrected.

    Raises:
        MetricError: counts, errors or ``into`` are not as above.

    Example:
        >>> box = corrected_share_box([600, 400], [[950, 50], [100, 900]])
        >>> [round(float(x), 3) for x in (box.value[0], box.low[0], box.high[0])]
        [0.588, 0.55, 0.626]
    """
    c = as_counts(counts)
    model = errors if isinstance(errors, ErrorModel) else ErrorModel.from_confusion(errors, c.size)
    if model.k != c.size:
        raise MetricError(f"{c.size} classes were counted and the calibration has {model.k}; give a calibration of the same classes")
    n = float(c.sum())
    return _box(c / n if n else c * 1.0, n, model, level, condition_limit, into, labels=True, design_effect=design_effect)


def corrected_score_box(scores: Any, errors: ErrorModel, *, level: float = 0.95, condition_limit: float = CONDITION_LIMIT,
                        into: Any = None, design_effect: float = 1.0) -> ShareBox | NotMeasured:  # fmt: skip
    """Return class shares from the classifier's probabilities instead of its labels; arguments as :func:`corrected_share_box`.

    Scores waste less of what the classifier knew than labels do, so the interval is usually narrower.

    Args:
        scores: (n, K) probabilities, rows adding to 1; a row of NaN is an image that was not read, and is left out.
        errors: made by :meth:`~audit.metrics.error_model.ErrorModel.from_scores` on labelled images.
        level: simultaneous confidence level.
        condition_limit: as :func:`corrected_share_box`.
        into: as :func:`corrected_share_box`.
        design_effect: as :func:`corrected_share_box`.

    Raises:
        MetricError: scores are no probabilities, or the calibration has other classes.

    Example:
        >>> model = ErrorModel.from_scores([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.4, 0.6]], [0, 0, 1, 1])
        >>> round(float(corrected_score_box([[0.8, 0.2], [0.3, 0.7]], model).value[0]), 3)
        0.5
    """
    s = as_scores(scores, model_k=errors.k)
    s = s[~np.isnan(s).any(axis=1)]
    n = len(s)
    return _box(s.mean(axis=0) if n else np.zeros(errors.k), n, errors, level, condition_limit, into, labels=False, design_effect=design_effect)


def as_scores(scores: Any, *, model_k: int | None = None) -> Floats:
    """Return (n, K) probabilities, checked; rows of NaN pass.

    Raises:
        MetricError: another shape, a value outside 0..1, a row half NaN, or one that does not add to 1.
    """
    s = np.asarray(as_array(scores), dtype=np.float64)
    if s.ndim != 2 or s.shape[1] < 2 or model_k not in (None, s.shape[1]):
        raise MetricError(f"scores must be (images, {model_k or 'classes'}) probabilities, got shape {s.shape}")
    blank = np.isnan(s)
    if (blank.any(axis=1) & ~blank.all(axis=1)).any():
        raise MetricError(f"row {int(np.argmax(blank.any(axis=1) & ~blank.all(axis=1)))} of the scores is NaN in part; leave out the whole row")
    with np.errstate(invalid="ignore"):
        outside = ((s < 0) | (s > 1)).any(axis=1)
        off = np.abs(s.sum(axis=1) - 1) > 1e-3
    for wrong, what in ((outside, "holds a probability outside 0..1"), (off, "does not add up to 1")):
        if wrong.any():
            at = int(np.argmax(wrong))
            raise MetricError(f"row {at} of the scores {what}: {np.round(s[at], 4).tolist()}")
    return s


def corrected_share_bootstrap(counts: Any, confusion: Any, *, rng: np.random.Generator, resamples: int = 2000,
                              level: float = 0.95) -> ShareBox | NotMeasured:  # fmt: skip
    """Return what :func:`corrected_share_box` does, its intervals by parametric bootstrap over labels and calibration alike.

    An independent check of the default, and slower. Resampled shares are not moved onto the simplex before percentiles are
    taken, only cut to 0..1.

    Args:
        counts: (K,) images labelled as each class.
        confusion: (K, K) counts, row = true class.
        rng: draws the resamples.
        resamples: how many, 200 or more.
        level: simultaneous confidence level.

    Raises:
        MetricError: as :func:`corrected_share_box`, or too few resamples.
    """
    if resamples < 200:
        raise MetricError(f"{resamples} resamples leave no percentile to read; take 200 or more")
    plain = corrected_share_box(counts, confusion, level=level)
    if isinstance(plain, NotMeasured):
        return plain
    c, table = as_counts(counts), np.asarray(as_array(confusion), dtype=np.float64)
    z2 = float(ndtri(0.5 + level / 2)) ** 2
    softened = (table + z2 / c.size / 2) / (table + z2 / c.size / 2).sum(axis=1, keepdims=True)
    q = rng.multinomial(plain.n, (c + 0.5) / (c + 0.5).sum(), size=resamples) / plain.n
    again = np.stack([rng.multinomial(int(m), row, size=resamples) / m for m, row in zip(table.sum(axis=1), softened, strict=True)], axis=2)
    usable = np.linalg.cond(again) < 1e3
    shares = np.linalg.solve(again[usable], q[usable][:, :, None])[:, :, 0]
    tail = (1 - level) / comparisons(c.size) / 2
    low, high = np.quantile(np.clip(shares, 0, 1), [tail, 1 - tail], axis=0)
    return ShareBox(plain.value, np.minimum(low, plain.value), np.maximum(high, plain.value), plain.n, level,
                    f"parametric bootstrap of labels and calibration, {resamples} resamples, Bonferroni over {c.size} classes")  # fmt: skip


def _box(q: Floats, n: float, model: ErrorModel, level: float, limit: float, into: Any, *, labels: bool,
         design_effect: float) -> ShareBox | NotMeasured:  # fmt: skip
    check_level(level)
    whole = np.arange(model.k) if into is None else np.asarray(into)
    if whole.shape != (model.k,) or whole.dtype.kind not in "iu" or whole.min() < 0 or len(np.unique(whole)) != whole.max() + 1:
        raise MetricError(f"into must give one class 0..C-1 for each of {model.k} cells and leave no class without one")
    if not 1 <= design_effect < np.inf:
        raise MetricError(f"a design effect is 1 or more, got {design_effect}")
    reason = "no image was counted" if n == 0 else model.why_not(limit)
    if reason:
        return NotMeasured(reason, int(n))
    k = int(whole.max()) + 1
    z = float(ndtri(1 - (1 - level) / comparisons(k) / 2))
    cells = _shares_on_simplex(q, model, labels=labels)
    value = np.bincount(whole, cells, k)
    softening = float(ndtri(0.5 + level / 2)) ** 2
    low, high = _score_interval(q, cells, model, whole, n / design_effect, z=z, softening=softening)
    # where the plain inverse leaves the simplex the value is moved onto it; the interval then reaches to the value
    low, high = np.clip(np.minimum(low, value), 0, 1), np.clip(np.maximum(high, value), 0, 1)
    kind = "score interval" if labels else "score interval of mean probabilities"
    cells_said = "" if into is None else f", {model.k} cells corrected apart"
    method = f"error-corrected {kind}, Bonferroni over {k} classes, calibration of {round(float(model.m.sum()))} images{cells_said}"
    method += said_of_design(design_effect)
    spread = Spread(np.linalg.solve(model.rates, q), model.covariance(n / design_effect, softening)) if into is None else None
    return ShareBox(value, low, high, round(n), level, method, spread)


def _shares_on_simplex(q: Floats, model: ErrorModel, *, labels: bool) -> Floats:
    p = np.linalg.solve(model.rates, q)
    if (p >= -1e-12).all():  # a share of exactly 0 may come out a rounding error below
        p = np.maximum(p, 0.0)
        return p / p.sum()
    if not labels:  # least squares, the sum of 1 weighing heavily
        heavy = 1e4
        p, _ = nnls(np.vstack([model.rates, np.full(model.k, heavy)]), np.append(q, heavy))
        return p / p.sum()
    p = np.maximum(p, 1e-3)
    p /= p.sum()
    for _ in range(_EM_ROUNDS):
        predicted = model.rates @ p
        # a label the model gives probability 0 has q = 0 as well: no class that is read so is left
        ratio = np.divide(q, predicted, out=np.zeros_like(q), where=predicted > 0)
        step = p * (model.rates.T @ ratio)
        step /= step.sum()
        if np.abs(step - p).max() < _EM_TOLERANCE:
            break
        p = step
    return np.where(p < 1e-9, 0.0, p) / p[p >= 1e-9].sum()


def _score_interval(q: Floats, cells: Floats, model: ErrorModel, into: NDArray[np.int64], n: float, *, z: float,
                    softening: float) -> tuple[Floats, Floats]:  # fmt: skip
    """Solve (w.q - t)^2 = z^2 variance(t) for each class; cells keep their proportions within the class and without it."""
    k = int(into.max()) + 1
    low, high = np.zeros(k), np.ones(k)
    inverse = np.linalg.inv(model.rates)
    weight = cells**2 / model.m  # of each class in the variance that the calibration adds
    imagined = softening * weight / weight.sum()
    for j in range(k):
        inside = into == j
        w = inverse[inside].sum(axis=0)
        square = np.einsum("i,lij,j->l", w, model.second, w)  # E((w.s)^2 | l)
        spread = model.spread(w, inside, imagined) / model.m
        own, rest = _proportions(cells, inside), _proportions(cells, ~inside)
        if_none, if_all = float(square @ rest), float(square @ own)
        others, same = float((rest**2 * spread).sum()), float((own**2 * spread).sum())
        v0 = if_none / n + others
        v1 = (if_all - if_none) / n - 2 * others
        v2 = -1 / n + others + same
        point = float(w @ q)
        a, b, c = 1 - z * z * v2, -2 * point - z * z * v1, point * point - z * z * v0
        if a <= 0:  # so few calibration images that no share can be ruled out
            continue
        root = np.sqrt(max(b * b - 4 * a * c, 0.0))
        low[j], high[j] = (-b - root) / (2 * a), (-b + root) / (2 * a)
    return low, high


def _proportions(cells: Floats, members: NDArray[np.bool_]) -> Floats:
    own = np.where(members, cells, 0.0)
    return own / own.sum() if own.sum() > 0 else members / members.sum()
