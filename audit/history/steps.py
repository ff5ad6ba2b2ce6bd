"""Has the level of a series stepped? A scan over the last nights, each possible first night of a new level against all before it.

What it measures: for every series and every candidate number n of last observations, the difference between the mean of those n and
the mean of the observations before them in the same regime, over its standard error; the largest over n is the score.
Sources: Siegmund 1985 (Sequential Analysis, chapter VI) and Lai 1995 (JRSS B 57) for the window-limited likelihood ratio scan; Smyth
2004 (SAGMB 3:3) for the moderated variance behind it, see :mod:`audit.history.dispersion`.
Formula: t_n = (mean_post - mean_pre) / (s sqrt(1/W_post + 1/W_pre)), with weighted means (weights are images over the usual number
of images) and s^2 = (d0 s0^2 + SS) / (d0 + df), SS the squares within both parts and df their number less two;
s^2 is never less than the interval's. All n have the same
degrees of freedom, so the largest |t| is turned into the normal score of equal tail probability once, and thresholds hold for
short histories as for long ones.
No change is a score that is large only as often as :mod:`audit.history.thresholds` says; larger is worse, in either direction.
What it cannot see: drifts slower than the longest candidate, changes of spread, and steps in the first nights of a regime.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtr

from audit.history.dispersion import Prior

CANDIDATES = (1, 2, 3, 4, 5, 6, 8, 10, 14, 20, 30, 50)
"""Numbers of last observations that may be at a new level; dense where a step has to be found, sparse where it is old news."""

FEWEST_BEFORE = 4
"""Observations an old level needs before anything is said of a new one."""

FEWEST = 10
"""Observations a regime needs in all."""

LARGEST = 37.0
"""Scores are cut here: a normal tail beyond it is no number any more."""


@dataclass(frozen=True)
class Panel:
    """Observations of several series, in units in which nights compare.

    Attributes:
        values: (observations, series) the numbers, less the series' median, in its usual standard errors; anything where weight is 0.
        weights: (observations, series) images over the usual number of images; 0 where nothing was measured or nothing new was seen.
    """

    values: np.ndarray
    weights: np.ndarray

    def sums(self) -> np.ndarray:
        """Return (4, observations + 1, series) running sums of: observations that count, w, w y and w y^2."""
        w = self.weights
        y = np.where(w > 0, self.values, 0.0)
        stacked = np.stack([(w > 0).astype(float), w, w * y, w * y * y])
        return np.concatenate([np.zeros((4, 1, w.shape[1])), stacked.cumsum(axis=1)], axis=1)


@dataclass(frozen=True)
class Scores:
    """What the scan finds at one observation.

    Attributes:
        score: (series,) normal scores of the best candidates, signed by the direction of the step; 0 where nothing can be said.
        length: (series,) how many last observations the best candidate takes for the new level; 0 where nothing can be said.
        difference: (series,) of the best candidate, new less old, in the units of the panel.
        error: (series,) its standard error.
        old: (series,) the level before the best candidate.
        df: (series,) degrees of freedom.
        all: (candidates, series) t of every candidate, NaN where it says nothing.
    """

    score: np.ndarray
    length: np.ndarray
    difference: np.ndarray
    error: np.ndarray
    old: np.ndarray
    df: np.ndarray
    all: np.ndarray


def scan(sums: np.ndarray, end: int, starts: np.ndarray, prior: Prior, *, candidates: tuple[int, ...] = CANDIDATES) -> Scores:
    """Look for a step in the last observations of every series.

    Args:
        sums: of :meth:`Panel.sums`, (4, observations + 1, series).
        end: the number of observations seen so far; those before it count.
        starts: (series,) the first observation of each series' current regime.
        prior: what is known of the spread between nights.
        candidates: numbers of last observations to try.

    Returns:
        The best candidate of each series.
    """
    series = np.arange(len(starts))
    now = sums[:, end, :]
    begin = sums[:, starts, series]
    count, weight, first, second = now - begin
    df = prior.df + count - 2
    lengths = np.array([n for n in candidates if n < end], dtype=int)
    cut = sums[:, end - lengths, :]  # (4, candidates, series)
    post, pre = now[:, None, :] - cut, cut - begin[:, None, :]
    inside = (end - lengths)[:, None] > starts[None, :]
    usable = inside & (post[0] >= 1) & (pre[0] >= FEWEST_BEFORE) & (count >= FEWEST)[None, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        old = pre[2] / pre[1]
        difference = post[2] / post[1] - old
        between = difference**2 * post[1] * pre[1] / weight
        within = np.maximum(second - first**2 / weight - between, 0.0)
        variance = np.maximum((prior.df * prior.variance + within) / df, prior.least)
        error = np.sqrt(variance * (1 / post[1] + 1 / pre[1]))
        t = np.where(usable & (error > 0), difference / error, np.nan)
    none = ~np.isfinite(t).any(axis=0) if len(lengths) else np.ones(len(starts), dtype=bool)
    if none.all():
        empty = np.zeros(len(starts))
        return Scores(empty, empty.astype(int), empty, empty, empty, df, t)
    best = np.where(none, 0, np.nanargmax(np.where(none, 0.0, np.abs(t)), axis=0))
    chosen = np.where(none, 0.0, t[best, series])
    z = -ndtri(np.maximum(stdtr(np.maximum(df, 1.0), -np.abs(chosen)), 1e-300))
    return Scores(score=np.sign(chosen) * np.clip(z, 0, LARGEST), length=np.where(none, 0, lengths[best]),
                  difference=np.where(none, 0.0, difference[best, series]), error=np.where(none, 0.0, error[best, series]),
                  old=np.where(none, 0.0, old[best, series]), df=df, all=t)  # fmt: skip


def plausible(t: np.ndarray, *, candidates: tuple[int, ...] = CANDIDATES) -> list[int]:
    """Return the candidates that explain a step nearly as well as the best one does: 2 log likelihood ratio within 3.84.

    Args:
        t: (candidates,) of one series, NaN where a candidate says nothing.
        candidates: what ``t`` was tried for.
    """
    squares = np.where(np.isfinite(t), np.square(t), -np.inf)
    return [n for n, s in zip(candidates, squares, strict=False) if s >= squares.max() - 3.84]
