"""Shares that may be looked at after every image: intervals that hold at all looks together, so sampling can stop when it likes.

An interval for a fixed number of images, looked at again and again, misses the truth at some look about half the time. The
intervals here pay for looking: they are about 1.8 times as wide, and may be read whenever one wants and as often.

Source: Robbins 1970 (Ann. Math. Statist. 41) for the mixture.
Formula: log E_n(p) = ln B(a+S, b+n-S) - ln B(a, b) - S ln p - (n-S) ln(1-p), a wealth whose mean is 1 if p is the share, so
    that it ever reaches 1/alpha with probability at most alpha; the interval is {p : E_n(p) < 1/alpha} (E is log-convex), cut
    with those of all looks before. Several classes: alpha = (1-level)/K each; two are one comparison. Corrected shares: see
    `audit.metrics.sequences_corrected`.
Parity: as for shares.
Direction: towards the target.
Blind to: dependence. Images must be drawn independently of one generator that stays as it is: no folder in the order of its
    names, no relatives, no new seed after a look.
Departures: boxes use the flat prior a = b = 1 and not 1/2: 2-4% narrower for shares of .2 and more, 5-8% wider at .02. K beta
    sequences, because the box of the Dirichlet mixture region was 16% wider at K = 3 and 1.6 times as wide at K = 7 (n = 1,000,
    parity). Where looks contradict each other, which no truth allows, the last look's interval is used.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, xlog1py, xlogy

from audit.errors import MetricError
from audit.estimates import NotMeasured
from audit.metrics.boxes import nearest_euclidean
from audit.metrics.correction import corrected_share_box
from audit.metrics.features import as_array
from audit.metrics.sequences_corrected import corrected_ends
from audit.metrics.shares import ShareBox, check_level, comparisons

Floats = NDArray[np.float64]

BOX_PRIOR = (1.0, 1.0)
"""Beta prior of the sequences in a box, fixed before any image is drawn."""

_HALVINGS = 48  # of an interval at most 1 long: 4e-15


def share_evidence(successes: Any, n: Any, share: Any, *, prior: tuple[float, float] = (0.5, 0.5)) -> Floats:
    """Return the log of the wealth against one share: it reaches ln(1/alpha) at any look with probability at most alpha.

    Args:
        successes: whole numbers 0..n, any shape.
        n: images looked at, of a shape that broadcasts.
        share: the share in question, 0..1.
        prior: a and b of the Beta mixture, chosen before any image was seen.

    Raises:
        MetricError: successes outside 0..n, a share outside 0..1, or a prior that is not positive.

    Example:
        >>> round(float(share_evidence(70, 100, 0.5)), 3)
        5.697
    """
    s, m = _as_trials(successes, n)
    a, b = _as_prior(prior)
    p = np.asarray(as_array(share), dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise MetricError(f"a share lies in 0..1, got {p.tolist()}")
    return betaln(a + s, b + m - s) - betaln(a, b) - xlogy(s, p) - xlog1py(m - s, -p)


def share_sequence(successes: Any, n: Any, *, level: float = 0.95, prior: tuple[float, float] = (0.5, 0.5)) -> tuple[Floats, Floats]:
    """Return the ends of the confidence sequence of a share: with probability ``level`` all of them hold, whatever the number of looks.

    Args:
        successes: whole numbers 0..n, any shape.
        n: images looked at, of a shape that broadcasts; 0 gives 0..1.
        level: confidence level over all looks together, in (0, 1).
        prior: a and b of the Beta mixture, chosen before any image was seen; 1/2, 1/2 suits shares from nothing to all.

    Returns:
        (low, high), of the common shape, within 1e-10 of the exact ends; each look by itself, not yet cut with earlier looks.

    Raises:
        MetricError: as :func:`share_evidence`, or a level outside (0, 1).

    Example:
        >>> low, high = share_sequence([0, 30], 100)
        >>> [round(float(x), 3) for x in (low[0], high[0], low[1], high[1])]
        [0.0, 0.057, 0.166, 0.463]
    """
    check_level(level)
    s, m = _as_trials(successes, n)
    a, b = _as_prior(prior)
    fixed = betaln(a + s, b + m - s) - betaln(a, b) + np.log1p(-level)
    middle = np.divide(s, m, out=np.full(s.shape, 0.5), where=m > 0)
    ends = []
    for outside, stays in ((0.0, s == 0), (1.0, s == m)):
        out, inside = np.full(s.shape, outside), middle
        for _ in range(_HALVINGS):
            p = (out + inside) / 2
            excluded = fixed - xlogy(s, p) - xlog1py(m - s, -p) >= 0
            out, inside = np.where(excluded, p, out), np.where(excluded, inside, p)
        ends.append(np.where(stays, outside, out))
    return ends[0], ends[1]


def sequence_box(path: Any, *, level: float = 0.95, confusion: Any = None) -> ShareBox | NotMeasured:
    """Return class shares after several looks, with simultaneous intervals that hold at every look.

    Args:
        path: (T, K) images of each class counted so far, a row a look, first look first.
        level: confidence level, over all classes and all looks together.
        confusion: (K, K) counts of a labelled calibration set, row = true class, column = label; None = shares of labels.

    Returns:
        The box at the last look, cut with the intervals of the looks before; its value is the share at the last look, moved
        to the nearest shares inside where an earlier look rules it out. NotMeasured where no image was counted or the
        classifier cannot be corrected.

    Raises:
        MetricError: path is not rows of counts that never fall, or confusion is no table of counts for these classes.

    Example:
        >>> box = sequence_box([[40, 60], [310, 690]])
        >>> [round(float(x), 3) for x in (box.value[0], box.low[0], box.high[0])]
        [0.31, 0.26, 0.363]
    """
    counts = _as_path(path)
    check_level(level)
    n = int(counts[-1].sum())
    words = f"beta confidence sequence over {len(counts)} looks, simultaneous over {counts.shape[1]} classes"
    if n == 0:
        return NotMeasured("no image was counted")
    if confusion is None:
        value = counts[-1] / n
        each = 1 - (1 - level) / comparisons(value.size)
        low, high = share_sequence(counts, counts.sum(axis=1, keepdims=True), level=each, prior=BOX_PRIOR)
    else:
        fixed = corrected_share_box(counts[-1], confusion, level=level)
        if isinstance(fixed, NotMeasured):
            return fixed
        value, table = fixed.value, np.asarray(as_array(confusion), dtype=np.float64)
        ends = [_corrected_ends(tuple(row), table.tobytes(), level) for row in counts.tolist()]
        low, high = np.array([e[0] for e in ends]), np.array([e[1] for e in ends])
        words = f"error-corrected {words}, calibration of {int(table.sum())} images"
    inner, outer = low.max(axis=0), high.min(axis=0)
    if (inner > outer).any() or not inner.sum() - 1e-12 <= 1 <= outer.sum() + 1e-12:
        inner, outer, words = low[-1], high[-1], f"{words}, last look only because looks contradict each other"
    if ((value < inner) | (value > outer)).any():
        value = np.clip(nearest_euclidean(value, inner, outer), inner, outer)
    return ShareBox(value, inner, outer, n, level, words)


@lru_cache(maxsize=16_384)
def _corrected_ends(counts: tuple[int, ...], table: bytes, level: float) -> tuple[Floats, Floats]:
    """Return the ends of one look; kept, because every later look asks for them again."""
    k = len(counts)
    low, high = corrected_ends(np.array([counts], dtype=np.float64), np.frombuffer(table).reshape(k, k), level)
    return low[0], high[0]


def _as_trials(successes: Any, n: Any) -> tuple[Floats, Floats]:
    s, m = np.broadcast_arrays(*(np.asarray(as_array(x), dtype=np.float64) for x in (successes, n)))
    if not ((s >= 0) & (s <= m) & (s == np.floor(s)) & (m == np.floor(m)) & np.isfinite(m)).all():  # false for NaN too
        raise MetricError("successes must be whole numbers with 0 <= successes <= n; give counts, not shares")
    return s, m


def _as_prior(prior: tuple[float, float]) -> tuple[float, float]:
    a, b = prior
    if not (0 < a < np.inf and 0 < b < np.inf):
        raise MetricError(f"a Beta prior needs two numbers above 0, got {prior}")
    return a, b


def _as_path(path: Any) -> NDArray[np.int64]:
    array = as_array(path)
    if array.ndim != 2 or array.shape[0] < 1 or array.shape[1] < 2:
        raise MetricError(f"a path is (looks, classes) counts with one look and two classes or more, got shape {array.shape}")
    if array.dtype.kind not in "iuf" or not (np.isfinite(array) & (array >= 0) & (array == np.floor(array))).all():
        raise MetricError("a path must hold counts, whole numbers >= 0; give counts, not shares")
    if (np.diff(array, axis=0) < 0).any():
        raise MetricError(f"counts fall at look {int(np.argmax((np.diff(array, axis=0) < 0).any(axis=1))) + 2}; give counts so far, look after look")
    return array.astype(np.int64)
