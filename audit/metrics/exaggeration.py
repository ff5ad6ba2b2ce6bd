"""One class's share in generated images beside its share in the training data: difference, ratio, log odds, and what may be missing.

Source: Zou and Donner 2008 (Statistics in Medicine 27, 1693-1702): the interval of f(q) - f(p) from the intervals of q and p, for any
    increasing f; with Wilson or Clopper-Pearson intervals of shares and f the identity this is Newcombe's hybrid (1998, Statistics in
    Medicine 17, method 10). Louis 1981 (American Statistician 35): nothing seen in n draws bounds a share by 1 - alpha^(1/n).
Formula: with a = f(q), (la, ua) its interval, and b, lb, ub of p: [a - b - sqrt((a - la)^2 + (ub - b)^2), a - b + sqrt((ua - a)^2 +
    (b - lb)^2)]; f the identity (difference), log (ratio, exponentiated) or log odds.
Parity: difference 0, ratio 1, log odds 0: the generator repeats its data.
Direction: for a minority below 0, below 1, below 0: its share has shrunk, the skew is exaggerated.
Blind to: the labels' own errors where shares are raw, and everything that is not this class; one training run is one draw of what
    its recipe does, so a claim about a recipe needs several (:func:`audit.metrics.between_runs`).
Departures: both intervals are of one level and independent of each other; a training set is itself a draw from its population, which
    `widened` adds to the interval of p.
"""

import math
from typing import NamedTuple

import numpy as np

from audit.errors import MetricError
from audit.estimates import Estimate, Measurement, NotMeasured
from audit.metrics.shares import check_level


class Exaggeration(NamedTuple):
    """What became of one class.

    Attributes:
        difference: generated minus training share, unit "share".
        ratio: generated over training share, unit "ratio".
        log_odds: log of the odds ratio, unit "nats".
    """

    difference: Measurement
    ratio: Measurement
    log_odds: Measurement


def exaggeration(generated: Measurement, training: Measurement) -> Exaggeration:
    """Return how a class's share differs between a generator and its training data.

    Args:
        generated: share with its interval, in 0..1, raw or corrected.
        training: the same of the training data, read by the same instrument, independent of the former.

    Returns:
        Three measurements; ratio and log odds are NotMeasured where a share, or an end of an interval, is 0 (or, for the odds, 1).

    Raises:
        MetricError: the levels differ, or a share is none.

    Example:
        >>> found = exaggeration(Estimate(0.1, 0.08, 0.12, 1000), Estimate(0.2, 0.18, 0.22, 1000))
        >>> round(found.difference.high, 3), round(found.ratio.value, 2)
        (-0.072, 0.5)
    """
    for side in (generated, training):
        if isinstance(side, NotMeasured):
            nothing = {unit: NotMeasured(side.reason, side.n, unit) for unit in ("share", "ratio", "nats")}
            return Exaggeration(nothing["share"], nothing["ratio"], nothing["nats"])
    assert isinstance(generated, Estimate)
    assert isinstance(training, Estimate)
    if generated.level != training.level:
        raise MetricError(f"levels differ: generated {generated.level:g}, training {training.level:g}")
    q, p = (np.array([e.low, e.value, e.high]) for e in (generated, training))
    for name, ends in (("generated", q), ("training", p)):
        if not ((ends >= 0) & (ends <= 1)).all() or (np.diff(ends) < -1e-9).any():
            raise MetricError(f"the {name} share must lie in 0..1 within its interval, got {ends[1]:g} in [{ends[0]:g}, {ends[2]:g}]")
    n, level = min(generated.n, training.n), generated.level
    said = f"square-and-add of {generated.method or 'the generated'} and {training.method or 'the training'} interval"
    zero = NotMeasured("a share, or the end of its interval, is 0: a ratio has no limit", n, "ratio")
    edge = NotMeasured("a share, or the end of its interval, is 0 or 1: the odds have no limit", n, "nats")
    positive, inner = min(q.min(), p.min()) > 0, min(q.min(), p.min()) > 0 and max(q.max(), p.max()) < 1
    logs = _apart(np.log(q), np.log(p)) if positive else None
    odds = _apart(np.log(q) - np.log1p(-q), np.log(p) - np.log1p(-p)) if inner else None
    return Exaggeration(
        Estimate(*_apart(q, p), n, level, "share", said),
        zero if logs is None else Estimate(*(math.exp(x) for x in logs), n, level, "ratio", said),
        edge if odds is None else Estimate(*odds, n, level, "nats", said),
    )


def _apart(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    """Return (value, low, high) of the difference of two independent quantities given as (low, value, high)."""
    value = float(a[1] - b[1])
    return value, value - float(np.hypot(a[1] - a[0], b[2] - b[1])), value + float(np.hypot(a[2] - a[1], b[1] - b[0]))


def widened(share: Measurement, images: int) -> Measurement:
    """Return the share of a population as what it says of one training set of ``images`` drawn from it.

    The share of a training set scatters about that of its population with variance p(1-p)/images, which comes on top of the variance
    of an estimate from ``share.n`` further images: half-widths grow by sqrt(1 + n / images).

    Raises:
        MetricError: images is not positive.
    """
    if images <= 0:
        raise MetricError(f"a training set of {images} images; expected one or more")
    if isinstance(share, NotMeasured):
        return share
    grow = math.sqrt(1 + share.n / images)
    low = max(0.0, share.value - (share.value - share.low) * grow)
    high = min(1.0, share.value + (share.high - share.value) * grow)
    return Estimate(share.value, low, high, share.n, share.level, share.unit, f"{share.method}, and the luck of {images:,} training images")


def at_most_missing(seen: int, n: int, *, level: float = 0.95) -> Measurement:
    """Return the upper limit of the share of a mode of which ``seen`` of ``n`` images are: 1 - alpha^(1/n) where none is.

    One-sided Clopper-Pearson; for none seen this is Louis's bound, about 3/n at 95 %.

    Args:
        seen: images of the mode.
        n: images drawn.
        level: of the one-sided limit.

    Raises:
        MetricError: seen is not in 0..n.

    Example:
        >>> round(at_most_missing(0, 1000).high, 5)
        0.00299
    """
    check_level(level)
    if not 0 <= seen <= n:
        raise MetricError(f"{seen} images of {n} cannot be: expected 0 <= seen <= n")
    if n == 0:
        return NotMeasured("no image was read", 0)
    from scipy.special import betaincinv

    high = 1.0 if seen == n else float(betaincinv(seen + 1, n - seen, level))
    return Estimate(seen / n, 0.0, high, n, level, "share", "one-sided Clopper-Pearson limit")
