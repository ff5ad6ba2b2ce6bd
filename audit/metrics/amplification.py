"""Does the generator make the training data's imbalance larger, class by class and as a whole.

Source: Zhao et al. 2017 (arXiv 1707.09457), bias amplification, in its form without a task; Zou and Donner 2008
    (Statistics in Medicine 27) for the interval of a difference.
Formula: change_k = q_k - p_k with q the generated and p the training shares; log_odds_k = log[q_k (1-p_k)] -
    log[p_k (1-q_k)]; amplification = sum of change_k over the classes with p_k > 1/K (for K = 2, of the majority);
    discrepancy_change = FD(q) - FD(p) against the uniform target. The interval of a difference d = q - p is
    [d - sqrt((q-lq)^2 + (up-p)^2), d + sqrt((uq-q)^2 + (p-lp)^2)]; with training shares known exactly it is the interval
    of q, moved.
Parity: 0 means the generator repeats its training data, which is not the same as being at parity.
Direction: above 0 the over-represented classes, or the distance from uniform, have grown.
Blind to: which way a person would want the shares to move; a generator may amplify nothing and copy a gross imbalance.
Departures: Zhao divides by the number of tasks, which is 1 here. Classes at exactly 1/K count as not over-represented;
    which classes do is read off the training shares as given, their own sampling error notwithstanding.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from audit.errors import MetricError
from audit.estimates import Estimate, Measurement, NotMeasured
from audit.metrics.discrepancy import as_target, fairness_discrepancy
from audit.metrics.shares import ShareBox


class BiasAmplification(NamedTuple):
    """What became of the training shares.

    Attributes:
        amplification: gain of the over-represented classes together, unit "share".
        change: per class, generated minus training share, simultaneous over the classes, unit "share".
        log_odds: per class, change of the log odds, unit "nats".
        discrepancy_change: fairness discrepancy of the generated minus that of the training shares, unit "distance".
        over_represented: class numbers with a training share above 1/K.
    """

    amplification: Measurement
    change: tuple[Measurement, ...]
    log_odds: tuple[Measurement, ...]
    discrepancy_change: Measurement
    over_represented: tuple[int, ...]


def bias_amplification(generated_box: ShareBox | NotMeasured, training_shares: Any) -> BiasAmplification:
    """Return how far generated shares moved from training shares.

    Args:
        generated_box: shares of the generated images, raw or corrected.
        training_shares: (K,) shares adding to 1 if known exactly, or a ShareBox if estimated from a sample of its own.

    Returns:
        Four kinds of change. `amplification` is NotMeasured where no class is over-represented, a log odds where a
        share or its interval reaches 0 or 1, everything where the generated shares are.

    Raises:
        MetricError: the numbers of classes differ, or the training shares are no shares.

    Example:
        >>> from audit.metrics.shares import share_box
        >>> result = bias_amplification(share_box([300, 700]), [0.4, 0.6])
        >>> round(result.amplification.value, 3), result.over_represented
        (0.1, (1,))
    """
    if not isinstance(generated_box, ShareBox | NotMeasured):
        raise MetricError(
            "bias_amplification takes a share box of the generated images; make one with share_box(counts)"
        )
    if isinstance(generated_box, NotMeasured):
        return _nothing(generated_box, training_shares)
    q, p = generated_box, _training(training_shares, generated_box)
    over = p.value > 1 / q.k + 1e-12
    change = tuple(
        _difference((q.value[i], q.low[i], q.high[i]), (p.value[i], p.low[i], p.high[i]), q, "share")
        for i in range(q.k)
    )
    if over.any():
        amplification: Measurement = _difference(_share_of(q, over), _share_of(p, over), q, "share")
    else:
        amplification = NotMeasured("no class is over-represented in the training data", q.n)
    return BiasAmplification(
        amplification,
        change,
        tuple(_log_odds(q, p, i) for i in range(q.k)),
        _difference(_ends(fairness_discrepancy(q)), _ends(fairness_discrepancy(p)), q, "distance"),
        tuple(np.nonzero(over)[0].tolist()),
    )


def _training(training_shares: Any, generated: ShareBox) -> ShareBox:
    if isinstance(training_shares, NotMeasured):
        raise MetricError(f"the training shares were not measured: {training_shares.reason}")
    if not isinstance(training_shares, ShareBox):
        p = as_target(training_shares, generated.k)
        return ShareBox(p, p, p, generated.n, generated.level, "known exactly")
    if training_shares.k != generated.k:
        raise MetricError(f"{generated.k} generated classes and {training_shares.k} training classes")
    if training_shares.level != generated.level:
        raise MetricError(f"levels differ: generated {generated.level}, training {training_shares.level}")
    return training_shares


def _nothing(reason: NotMeasured, training_shares: Any) -> BiasAmplification:
    k = training_shares.k if isinstance(training_shares, ShareBox) else len(training_shares)
    share = NotMeasured(reason.reason, reason.n, "share")
    nats = NotMeasured(reason.reason, reason.n, "nats")
    return BiasAmplification(share, (share,) * k, (nats,) * k, NotMeasured(reason.reason, reason.n, "distance"), ())


def _difference(q: tuple[float, float, float], p: tuple[float, float, float], box: ShareBox, unit: str) -> Estimate:
    """Combine (value, low, high) of two independent quantities into their difference."""
    value = float(q[0] - p[0])
    low = value - float(np.hypot(q[0] - q[1], p[2] - p[0]))
    high = value + float(np.hypot(q[2] - q[0], p[0] - p[1]))
    return Estimate(value, low, high, box.n, box.level, unit, f"difference over {box.method}")


def _share_of(box: ShareBox, classes: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Return the summed share of several classes and its range over the box, the other classes filling up to 1."""
    low = max(box.low[classes].sum(), 1 - box.high[~classes].sum())
    high = min(box.high[classes].sum(), 1 - box.low[~classes].sum())
    value = box.value[classes].sum()
    return float(value), float(min(low, value)), float(max(high, value))


def _log_odds(q: ShareBox, p: ShareBox, i: int) -> Measurement:
    ends = np.array([[box.value[i], box.low[i], box.high[i]] for box in (q, p)])
    if (ends <= 0).any() or (ends >= 1).any():
        return NotMeasured("a share, or the end of its interval, is 0 or 1: the odds have no limit", q.n, "nats")
    generated, training = np.log(ends) - np.log1p(-ends)
    return _difference(tuple(generated), tuple(training), q, "nats")


def _ends(estimate: Measurement) -> tuple[float, float, float]:
    if isinstance(estimate, NotMeasured):
        raise MetricError(estimate.reason)
    return estimate.value, estimate.low, estimate.high
