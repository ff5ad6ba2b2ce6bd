"""Read nights in the order they came, and say at each of them which series have stepped, and whether the night looks odd.

The same reading serves a night that has just ended, a whole history read again, and the study of false alarms, so that what was said on a night
is said again when its history is read. After a step a series starts over: its new level is the one later nights are held against.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtr

from audit.history.dispersion import Prior, fit_prior
from audit.history.steps import CANDIDATES, LARGEST, Scores, plausible, scan
from audit.history.thresholds import alarm_threshold, doubt_threshold

ODD = tuple(n for n in CANDIDATES if 3 <= n <= 8)
"""A night looks odd for the sake of a step that began so many observations ago: one or two odd ones are mostly chance and cost the most
drawing, older steps were looked into at their time."""


@dataclass(frozen=True)
class Step:
    """A series has a new level.

    Attributes:
        series: column of the panel.
        since: first observation at the new level.
        found: observation at which it was found; ``found >= since``.
        score: normal score, signed by direction.
        old, difference, error: the level before, the new less the old, and its standard error, in the panel's units.
        df: degrees of freedom of that error.
        others: first observations that explain the step nearly as well, ``since`` among them.
    """

    series: int
    since: int
    found: int
    score: float
    old: float
    difference: float
    error: float
    df: float
    others: tuple[int, ...]


class Watch:
    """Sees observations one by one.

    Args:
        series: how many are watched together.
        families: how many such families are seen at once, side by side; they know nothing of one another.
        alarm: score of an alarm; None = by :func:`audit.history.thresholds.alarm_threshold`.
        doubt: score of an odd night; None = by :func:`audit.history.thresholds.doubt_threshold`.

    Attributes:
        steps: all that were found so far.
        scores: of the last observation, with the regimes as they were before it.
    """

    def __init__(self, series: int, *, families: int = 1, alarm: float | None = None, doubt: float | None = None) -> None:
        self.alarm = alarm_threshold(series) if alarm is None else alarm
        self.doubt = doubt_threshold(series) if doubt is None else doubt
        self.steps: list[Step] = []
        self.families = families
        self.starts = np.zeros(series * families, dtype=int)
        self.scores: Scores | None = None
        self.prior = Prior()
        self._sums = np.zeros((4, 65, series * families))
        self._seen = 0

    def see(self, values: np.ndarray, weights: np.ndarray) -> list[Step]:
        """Take in one observation and return the steps it shows.

        Args:
            values: (series,) in standard errors, see :class:`audit.history.steps.Panel`.
            weights: (series,) 0 where nothing new was measured.
        """
        self._append(values, weights)
        end = self._seen
        self.prior = self._spread()
        found = self.scores = scan(self._sums, end, self.starts, self.prior)
        steps = []
        for at in np.flatnonzero(np.abs(found.score) >= self.alarm):
            lengths, fine = self._dated(int(at), end)
            since = end - int(fine.length[0])
            others = tuple(sorted(end - n for n in plausible(fine.all[:, 0], candidates=lengths)))
            steps.append(Step(int(at), since, end - 1, float(found.score[at]), float(fine.old[0]), float(fine.difference[0]),
                              float(fine.error[0]), float(fine.df[0]), others))  # fmt: skip
            self.starts[at] = since
        self.steps += steps
        return steps

    def is_odd(self) -> bool:
        """Return whether the last observation looks as if something had stepped lately, without being an alarm yet."""
        return bool((self.oddness() >= self.doubt).any())

    def oddness(self) -> np.ndarray:
        """Return (series,) the score of a step in the last few observations; 0 for series that have just stepped."""
        if self.scores is None or not len(self.scores.all):
            return np.zeros(len(self.starts))
        t = np.abs(np.nan_to_num(self.scores.all[[CANDIDATES.index(n) for n in ODD if n < self._seen]])).max(axis=0, initial=0.0)
        z = np.clip(-ndtri(np.maximum(stdtr(np.maximum(self.scores.df, 1.0), -t), 1e-300)), 0, LARGEST)
        return np.where(np.abs(self.scores.score) >= self.alarm, 0.0, z)

    def _dated(self, at: int, end: int) -> tuple[tuple[int, ...], Scores]:
        """Return where an alarm's step is put: every number of last observations is tried now, not only the candidates."""
        lengths = tuple(range(1, min(end, CANDIDATES[-1] + 1)))
        prior = Prior(np.ravel(self.prior.variance)[[at]], np.ravel(self.prior.df)[[at]])
        return lengths, scan(self._sums[:, :, [at]], end, self.starts[[at]], prior, candidates=lengths)

    def _append(self, values: np.ndarray, weights: np.ndarray) -> None:
        if self._seen + 1 == self._sums.shape[1]:
            self._sums = np.concatenate([self._sums, np.zeros_like(self._sums)], axis=1)
        y = np.where(weights > 0, values, 0.0)
        row = np.stack([(weights > 0).astype(float), weights, weights * y, weights * y * y])
        self._sums[:, self._seen + 1] = self._sums[:, self._seen] + row
        self._seen += 1

    def _spread(self) -> Prior:
        count, weight, first, second = self._sums[:, self._seen] - self._sums[:, self.starts, np.arange(len(self.starts))]
        with np.errstate(divide="ignore", invalid="ignore"):
            variances = (second - first**2 / weight) / (count - 1)
        usable = np.isfinite(variances) & (count > 1)
        shape = (self.families, -1)
        found = fit_prior(np.where(usable, variances, 0.0).reshape(shape), np.where(usable, count - 1, 0.0).reshape(shape))
        each = np.ones(len(self.starts)).reshape(shape)
        return Prior((found.variance * each).ravel(), (found.df * each).ravel())


def watch(values: np.ndarray, weights: np.ndarray, **known: float | None) -> Watch:
    """Read a whole panel of (observations, series) and return what was seen."""
    seen = Watch(values.shape[1], **known)
    for row, w in zip(values, weights, strict=True):
        seen.see(row, w)
    return seen
