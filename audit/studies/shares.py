"""Do the intervals of shares, of the fairness discrepancy and of their differences cover the truth as often as they say?

Worlds with known shares are read by classifiers with known errors, which are then measured on a calibration set as in an audit;
each interval either holds the truth or does not. The labels as they came are counted beside, to show what correction is for.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from audit import metrics
from audit.estimates import Estimate, NotMeasured
from audit.metrics.paired_corrected import corrected_discrepancy_difference, corrected_share_difference

Floats = NDArray[np.float64]

FAR = {2: (0.9, 0.1), 3: (0.75, 0.2, 0.05), 7: (0.6, 0.15, 0.1, 0.06, 0.04, 0.03, 0.02)}
"""Shares far from parity, by number of classes."""


@dataclass(frozen=True)
class Setting:
    """One world and one classifier.

    Attributes:
        k: classes.
        n: images.
        truth: "parity" (both generators have equal shares) or "far".
        accuracy: of the classifier, mean over classes; errors go to the next class twice as often as to any other.
        calibration: labelled images in all, equally many of each class.
    """

    k: int
    n: int
    truth: str
    accuracy: float
    calibration: int

    def shares(self) -> tuple[Floats, Floats]:
        """Return the true shares of the candidate and of its baseline."""
        even, far = np.full(self.k, 1 / self.k), np.array(FAR[self.k])
        return (even, even) if self.truth == "parity" else (far, 0.7 * even + 0.3 * far)

    def errors(self) -> Floats:
        """Return (K, K) P(label i | class j) at [i, j]; classes are read unequally well, so that errors do not cancel."""
        table = np.zeros((self.k, self.k))
        uneven = min(0.03, (1 - self.accuracy) / 2)
        for j in range(self.k):
            others = np.delete(np.arange(self.k), j)
            right = self.accuracy + (uneven if j % 2 == 0 else -uneven)
            weight = np.where(others == (j + 1) % self.k, 2.0, 1.0)
            table[j, j], table[others, j] = right, (1 - right) * weight / weight.sum()
        return table


def settings(*, full: bool) -> list[Setting]:
    """Return every setting of the study, or a handful of them."""
    if not full:
        return [Setting(2, 1000, "far", 0.95, 200), Setting(2, 1000, "parity", 0.85, 2000), Setting(3, 1000, "parity", 0.95, 2000),
                Setting(3, 100, "far", 0.85, 200), Setting(7, 1000, "far", 0.95, 2000), Setting(7, 10_000, "parity", 0.85, 2000)]  # fmt: skip
    grid = product((2, 3, 7), (100, 1000, 10_000), ("parity", "far"), (1.0, 0.95, 0.85), (200, 2000))
    return [Setting(*values) for values in grid]


def share_study(*, rng: np.random.Generator, repeats: int, over: Sequence[Setting] | None = None, level: float = 0.95,
                quiet: bool = False) -> list[dict]:  # fmt: skip
    """Return how often each interval held the truth, a row a quantity and setting.

    Args:
        rng: draws the worlds.
        repeats: audits a setting.
        over: which settings; None = the handful of :func:`settings`.
        level: nominal level of every interval.
        quiet: no progress bar.

    Returns:
        Rows with study, quantity, corrected, k, n, truth, accuracy, calibration, repeats, coverage, mean_width, not_measured.
    """
    rows = []
    chosen = settings(full=False) if over is None else over
    with tqdm(total=repeats * len(chosen), unit="audit", desc="shares", disable=quiet, mininterval=1) as bar:
        for setting in chosen:
            held: dict[tuple[str, bool], list[tuple[bool, float] | None]] = {}
            for _ in range(repeats):
                for key, found in _audit(setting, rng, level):
                    held.setdefault(key, []).append(found)
                bar.update()
            rows += [_row(setting, key, found) for key, found in held.items()]
    return rows


def _row(setting: Setting, key: tuple[str, bool], found: list[tuple[bool, float] | None]) -> dict:
    known = [f for f in found if f is not None]
    return {"study": "shares", "quantity": key[0], "corrected": key[1], "k": setting.k, "n": setting.n, "truth": setting.truth,
            "accuracy": setting.accuracy, "calibration": setting.calibration, "repeats": len(found),
            "coverage": float(np.mean([f[0] for f in known])) if known else None,
            "mean_width": float(np.mean([f[1] for f in known])) if known else None, "not_measured": len(found) - len(known)}  # fmt: skip


def _audit(setting: Setting, rng: np.random.Generator, level: float) -> Iterator[tuple[tuple[str, bool], tuple[bool, float] | None]]:
    """Yield (quantity, corrected) and whether its interval held the truth, with its width; None where it was not measured."""
    k, errors = setting.k, setting.errors()
    ours, theirs = setting.shares()
    pairs = errors @ (0.5 * comonotone(ours, theirs) + 0.5 * np.outer(ours, theirs)) @ errors.T
    table = rng.multinomial(setting.n, pairs.ravel() / pairs.sum()).reshape(k, k)
    confusion = np.stack([rng.multinomial(setting.calibration // k, column) for column in errors.T])
    counts, even = table.sum(axis=1), np.full(k, 1 / k)
    far = [float(np.linalg.norm(p - even)) for p in (ours, theirs)]
    after, before = (np.repeat(index, table.ravel()) for index in np.divmod(np.arange(k * k), k))
    for corrected in (False, True):
        box = metrics.corrected_share_box(counts, confusion, level=level) if corrected else metrics.share_box(counts, level=level)
        yield ("share", corrected), None if isinstance(box, NotMeasured) else _all_hold(box.estimates(), ours)
        yield ("fairness discrepancy", corrected), _all_hold([metrics.fairness_discrepancy(box)], far[:1])
        if corrected:
            whole = corrected_discrepancy_difference(after, before, confusion, level=level).difference
            each = corrected_share_difference(after, before, confusion, level=level).differences
        else:
            whole = metrics.paired_discrepancy_difference(after, before, k, None, level).difference
            each = metrics.paired_share_difference(after, before, k, level).differences
        yield ("difference of shares", corrected), _all_hold(each, ours - theirs)
        yield ("difference of discrepancies", corrected), _all_hold([whole], [far[0] - far[1]])


def comonotone(ours: Floats, theirs: Floats) -> Floats:
    """Return (K, K) the joint shares of two generators whose classes are cut from one common uniform number.

    Example:
        >>> comonotone(np.array([0.5, 0.5]), np.array([0.2, 0.8])).round(2).tolist()
        [[0.2, 0.3], [0.0, 0.5]]
    """
    one, two = (np.concatenate([[0.0], p.cumsum()]) for p in (ours, theirs))
    top, bottom = np.minimum(one[1:, None], two[None, 1:]), np.maximum(one[:-1, None], two[None, :-1])
    return np.maximum(top - bottom, 0.0)


def _all_hold(found: Sequence, truth: Sequence[float] | Floats) -> tuple[bool, float] | None:
    if any(not isinstance(f, Estimate) for f in found):
        return None
    holds = all(f.low - 1e-9 <= t <= f.high + 1e-9 for f, t in zip(found, truth, strict=True))
    return holds, float(np.mean([f.high - f.low for f in found]))
