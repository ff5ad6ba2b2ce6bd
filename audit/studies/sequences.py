"""Sampling until decided, simulated: how often is any look wrong, and how many images does a decision take?

Two classes or three, labels as they are or through a classifier of known accuracy whose calibration is drawn anew each time. A
decision is set against the two plans for a fixed number of images one could have made: one by someone who knew the truth, one by
someone who wanted to notice a truth half as far from the limit.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from audit.metrics.sequences import BOX_PRIOR, share_evidence
from audit.metrics.sequences_corrected import corrected_ends

LEVEL = 0.95
POWER = 0.9
CALIBRATION = 2000
_IMAGES = 5000  # of a run whose every look counts
_EDGE = 0.1 / np.sqrt(2)  # how far from 1/2 a share of two classes lies where the fairness discrepancy is .1

TRUTHS = {2: ((0.5, 0.5), (0.2, 0.8), (0.05, 0.95)), 3: ((1 / 3, 1 / 3, 1 / 3), (0.7, 0.2, 0.1), (0.05, 0.15, 0.8))}
"""Class shares, from parity to far from it."""


@dataclass(frozen=True)
class Case:
    """A limit on two classes and a truth twice as far from parity, or half, as the limit allows.

    Attributes:
        limit: in words.
        low: least share of class 0 within the limit.
        high: greatest share within it.
        truth: the share of class 0.
        nearer: the share half as far from the limit, which a careful plan would be made for.
    """

    limit: str
    low: float
    high: float
    truth: float
    nearer: float


CASES = (
    Case("fairness_discrepancy at most 0.1, truth 0.2", 0.5 - _EDGE, 0.5 + _EDGE, 0.5 + 2 * _EDGE, 0.5 + 1.5 * _EDGE),
    Case("fairness_discrepancy at most 0.1, truth 0.05", 0.5 - _EDGE, 0.5 + _EDGE, 0.5 + _EDGE / 2, 0.5 + 0.75 * _EDGE),
    Case("share at least 0.4, truth 0.2", 0.4, 1.0, 0.2, 0.3),
    Case("share at least 0.4, truth 0.8", 0.4, 1.0, 0.8, 0.6),
)


def sequence_study(*, rng: np.random.Generator, repeats: int = 400) -> list[dict]:
    """Return the study as rows: name, K, accuracy, calibration, limit, truth, ever_wrong, median_images, fixed_n, saving.

    ``ever_wrong`` is the share of runs in which any look missed the truth, or in rows with a limit the share that ended in the
    wrong verdict. ``saving`` is 1 - median_images / fixed_n; what a row does not measure is None.

    Args:
        rng: source of all randomness.
        repeats: runs of each row; 400 take five to ten minutes and put a standard error of .011 on a share of .05.

    Example:
        >>> rows = sequence_study(rng=np.random.default_rng(0), repeats=2)
        >>> sorted({row["name"] for row in rows})[0]
        'a fixed-n interval, looked at after every image'
    """
    return [*_coverage(rng, repeats), *_efficiency(rng, repeats)]


def _coverage(rng: np.random.Generator, repeats: int) -> Iterator[dict]:
    for k, truths in TRUTHS.items():
        for truth in truths:
            p = np.array(truth)
            n = np.arange(1, _IMAGES + 1)
            fixed = np.zeros(repeats, dtype=bool)
            wrong = np.zeros(repeats, dtype=bool)
            for at in range(repeats):
                counts = _one_hot(rng.choice(k, p=p, size=_IMAGES), k).cumsum(axis=0)
                error = (1 - LEVEL) / (1 if k == 2 else k)
                wrong[at] = (share_evidence(counts, n[:, None], p, prior=BOX_PRIOR) >= -np.log(error)).any()
                if k == 2:
                    fixed[at] = _outside_fixed(counts[29:, 0], n[29:], truth[0]).any()
            if k == 2:
                yield _row("a fixed-n interval, looked at after every image", k, truth=truth[0], ever_wrong=fixed.mean())
            yield _row("sequence of labels, looked at after every image", k, truth=truth[0], ever_wrong=wrong.mean())
            for accuracy in (0.95, 0.85):
                missed = np.mean([_ever_missed(p, accuracy, rng) for _ in range(repeats)])
                yield _row("sequence of corrected shares, looked at again and again", k, accuracy=accuracy, calibration=CALIBRATION,
                           truth=truth[0], ever_wrong=missed)  # fmt: skip


def _ever_missed(p: np.ndarray, accuracy: float, rng: np.random.Generator) -> bool:
    """Draw a calibration and a run; return whether any look's interval missed. Errors fall on the other classes unevenly."""
    k = p.size
    looks = np.unique(np.geomspace(20, _IMAGES, 40 if k > 2 else 400).astype(int))
    weights = 1.0 + np.arange(k) * np.ones((k, 1))
    np.fill_diagonal(weights, 0)
    rates = (1 - accuracy) * weights / weights.sum(axis=1, keepdims=True) + accuracy * np.eye(k)
    table = np.stack([rng.multinomial(CALIBRATION // k, row) for row in rates]).astype(float)
    labels = _one_hot(rng.choice(k, p=p @ rates, size=_IMAGES), k)
    low, high = corrected_ends(labels.cumsum(axis=0)[looks - 1].astype(float), table, LEVEL)
    return bool(((low > p) | (high < p)).any())


def _efficiency(rng: np.random.Generator, repeats: int) -> Iterator[dict]:
    for case in CASES:
        known, careful = _fixed_images(case, case.truth), _fixed_images(case, case.nearer)
        stops, wrong = _decisions(case, case.truth, 4 * known, rng, repeats)
        median = float(np.median(stops))
        for name, n in (("a plan that knows the truth", known), ("a plan for half the distance", careful)):
            yield _row(f"images to a decision against {name}", 2, limit=case.limit, truth=case.truth, ever_wrong=wrong,
                       median_images=median, fixed_n=n, saving=1 - median / n)  # fmt: skip
    at_limit = Case("fairness_discrepancy at most 0.1, truth 0.1", 0.5 - _EDGE, 0.5 + _EDGE, 0.5 + _EDGE, 0.5 + _EDGE)
    _, wrong = _decisions(at_limit, np.nextafter(at_limit.high, 1), _IMAGES, rng, repeats)
    yield _row("false held at the limit", 2, limit=at_limit.limit, truth=at_limit.truth, ever_wrong=wrong)


def _decisions(case: Case, truth: float, images: int, rng: np.random.Generator, repeats: int) -> tuple[np.ndarray, float]:
    """Return (repeats,) images until decided, looking at each, ``images`` + 1 where never; and the share decided wrongly."""
    stops, wrong = np.empty(repeats), 0
    n = np.arange(1, images + 1)
    for at in range(repeats):
        s = (rng.random(images) < truth).cumsum()
        below, above = (_ruled_out(s, n, edge) for edge in (case.low, case.high))
        held = _from_then_on(below & (s > n * case.low)) & _from_then_on(above & (s < n * case.high))
        broken = (below & (s < n * case.low)) | (above & (s > n * case.high))
        first = [int(x.argmax()) if x.any() else images for x in (held, broken)]
        stops[at] = min(first) + 1
        wrong += min(first) < images and (first[0] < first[1]) != (case.low <= truth <= case.high)
    return stops, wrong / repeats


def _ruled_out(s: np.ndarray, n: np.ndarray, edge: float) -> np.ndarray:
    if edge == 1.0:  # nothing lies beyond
        return np.ones(n.shape, dtype=bool)
    return share_evidence(s, n, edge, prior=BOX_PRIOR) >= -np.log(1 - LEVEL)


def _from_then_on(flags: np.ndarray) -> np.ndarray:
    return np.logical_or.accumulate(flags)


def _fixed_images(case: Case, truth: float) -> int:
    """Return the least number of images whose Clopper-Pearson interval decides rightly with the wanted power, to 1%."""
    few, many = 4, 20_000
    while many - few > max(1, many // 100):
        n = (few + many) // 2
        few, many = (few, n) if _power(case, truth, n) >= POWER else (n, many)
    return many


def _power(case: Case, truth: float, n: int) -> float:
    s = np.arange(n + 1)
    tail = (1 - LEVEL) / 2
    over_low, under_low = binom.sf(s - 1, n, case.low) < tail, binom.cdf(s, n, case.low) < tail
    over_high, under_high = binom.sf(s - 1, n, case.high) < tail, binom.cdf(s, n, case.high) < tail
    if case.high == 1.0:
        over_high, under_high = np.zeros(n + 1, dtype=bool), np.ones(n + 1, dtype=bool)
    right = (over_low & under_high) if case.low <= truth <= case.high else (under_low | over_high)
    return float(binom.pmf(s, n, truth)[right].sum())


def _outside_fixed(s: np.ndarray, n: np.ndarray, share: float) -> np.ndarray:
    tail = (1 - LEVEL) / 2
    return (binom.sf(s - 1, n, share) < tail) | (binom.cdf(s, n, share) < tail)


def _one_hot(labels: np.ndarray, k: int) -> np.ndarray:
    return labels[:, None] == np.arange(k)


def _row(name: str, k: int, **facts: float | str | None) -> dict:
    blank = dict.fromkeys(("accuracy", "calibration", "limit", "truth", "ever_wrong", "median_images", "fixed_n", "saving"))
    said = {key: value if isinstance(value, str | int) else float(value) for key, value in facts.items() if value is not None}
    return {"name": name, "K": k, **blank, **said}
