"""Edits held against one another at equal change: curves over strength read off where they first reach a change.

A curve of one edit is (change, quality) at strengths 0 = s_0 < s_1 < ... away from the unedited image: change is 0 there and identity 1.
At a change x the quality is that of the smallest strength that reaches x, straight between the strengths drawn: an edit is used as
far as needed and no farther, also where more strength moves the attribute back. Bands come from resampling ids (Efron 1979), the
same ids for all edits, whose curves therefore move together. Straight lines between few strengths flatter a curve that sags.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

GRID = 33
"""Changes at which the mean over a range is taken."""


def at_change(change: Floats, quality: Floats, wanted: Floats) -> Floats:
    """Return the quality where a curve first reaches each wanted change, NaN where it does not.

    Args:
        change: (..., S) along strengths, 0 first.
        quality: (..., S) at the same strengths.
        wanted: (G,) changes >= 0.

    Returns:
        (..., G).

    Example:
        >>> at_change(np.array([0.0, 0.2, 0.1]), np.array([1.0, 0.8, 0.2]), np.array([0.1, 0.3])).tolist()
        [0.9, nan]
    """
    reached = change[..., 1:, None] >= wanted
    step = reached.argmax(axis=-2)
    before, after = (np.take_along_axis(change, step + more, axis=-1) for more in (0, 1))
    low, high = (np.take_along_axis(quality, step + more, axis=-1) for more in (0, 1))
    width = after - before
    part = np.clip(np.divide(wanted - before, width, out=np.zeros(np.broadcast_shapes(width.shape, wanted.shape)), where=width > 0), 0, 1)
    return np.where(reached.any(axis=-2), low + part * (high - low), np.nan)


def mean_over(change: Floats, quality: Floats, low: float, high: float) -> Floats:
    """Return (...) the mean quality over changes low..high: the area under the curve there over the width of the range.

    Where a curve ends within the range, which resampled curves may, its last strength stands for the rest.
    """
    found = at_change(change, quality, np.linspace(low, high, GRID))
    found = np.where(np.isnan(found), quality[..., -1:], found)
    inner = found[..., 1:-1].sum(axis=-1)
    return (inner + (found[..., 0] + found[..., -1]) / 2) / (GRID - 1)


def resampled_ids(n: int, resamples: int, rng: np.random.Generator) -> Floats:
    """Return (resamples, n) weights of ids drawn with replacement, adding up to 1 a row."""
    return rng.multinomial(n, np.full(n, 1 / n), size=resamples) / n


@dataclass(frozen=True, eq=False)
class Curve:
    """One kind of edit of one attribute in one direction, image by image.

    Attributes:
        by: the kind.
        strengths: (S,) absolute strengths, 0 first, rising.
        change: (n, S) change of the judge's score towards the wanted side, 0 first.
        identity: (n, S) similarity to the unedited image, 1 first.
    """

    by: str
    strengths: Floats
    change: Floats
    identity: Floats

    def resampled(self, weights: Floats) -> tuple[Floats, Floats]:
        """Return (R, S) mean changes and identities under weights of ids (R, n)."""
        return weights @ self.change, weights @ self.identity

    def reach(self, weights: Floats, level: float) -> float:
        """Return the largest change that this edit surely reaches: the lower end of its one-sided interval."""
        return float(np.quantile(self.resampled(weights)[0].max(axis=1), 1 - level))


@dataclass(frozen=True, eq=False)
class Band:
    """A curve over equal changes: (G,) changes, identities, and the ends of their intervals; shorter where it is not reached."""

    change: Floats
    identity: Floats
    low: Floats
    high: Floats


def equal_band(curve: Curve, weights: Floats, *, level: float, points: int = 25) -> Band:
    """Return identity against change with pointwise intervals, from 0 to the largest change that is surely reached."""
    end = max(curve.reach(weights, 0.5 + level / 2), 0.0)
    grid = np.linspace(0, end, points) if end > 0 else np.zeros(1)
    value = at_change(curve.change.mean(axis=0), curve.identity.mean(axis=0), grid)
    again = at_change(*curve.resampled(weights), grid)
    again = np.where(np.isnan(again), curve.resampled(weights)[1][:, -1:], again)
    low, high = np.quantile(again, [0.5 - level / 2, 0.5 + level / 2], axis=0)
    return Band(grid, value, low, high)
