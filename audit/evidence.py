"""How strongly a number's interval speaks for or against a limit: the level at which the interval just clears it.

Source: the duality of intervals and tests (Neyman 1937): a limit is excluded at every level whose interval does not reach it.
Formula: allowed values R = [least, most]. p for "held" = 1 - the highest level whose interval lies within R; p for "broken" = 1 - the
    highest level whose interval lies outside. Between the levels that a measure carries, ends are joined by straight lines in
    the normal quantile z of the level; beyond the widest of them nothing is claimed, so p is never below 6e-7.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Evidence:
    """A number with its intervals at rising levels.

    Attributes:
        value: the number.
        z: (R,) normal quantiles of the levels, rising, the first 0.
        low: (R,) lower ends.
        high: (R,) upper ends.
    """

    value: float
    z: Floats
    low: Floats
    high: Floats

    def at(self, level: float) -> tuple[float, float]:
        """Return the interval at ``level``; beyond the widest known, ends go on as they did last."""
        wanted = float(ndtri(0.5 + level / 2))
        low, high = (float(np.interp(wanted, self.z, ends)) for ends in (self.low, self.high))
        if wanted > self.z[-1]:
            stretch = wanted / self.z[-1]
            low, high = self.value - (self.value - low) * stretch, self.value + (high - self.value) * stretch
        return low, high

    def p_held(self, least: float, most: float) -> float:
        """Return the p-value of "within the limit"; 1 where the value itself is not."""
        return _p(min(self._highest(self.high <= most, most, self.high), self._highest(self.low >= least, least, self.low)))

    def p_broken(self, least: float, most: float) -> float:
        """Return the p-value of "beyond the limit"; 1 where the value itself is within."""
        return _p(max(self._highest(self.low > most, most, self.low), self._highest(self.high < least, least, self.high)))

    def _highest(self, clear: NDArray[np.bool_], bound: float, ends: Floats) -> float:
        """Return the greatest z whose end still clears the bound, -1 where none does."""
        if not clear[0]:
            return -1.0
        if clear.all():
            return float(self.z[-1])
        first = int(np.argmin(clear))
        before, after = ends[first - 1], ends[first]
        part = 0.0 if after == before else (bound - before) / (after - before)
        return float(self.z[first - 1] + part * (self.z[first] - self.z[first - 1]))


def evidence(value: float, low: float, high: float, level: float, curve: Sequence[Sequence[float]] | None) -> Evidence:
    """Return the evidence of a number, its interval at ``level`` and, where they are known, at other levels.

    Args:
        value: the number.
        low: lower end at ``level``.
        high: upper end at ``level``.
        level: confidence level of the interval.
        curve: rows (level, low, high); None = the ends are taken to move away from the value in proportion to z.

    Example:
        >>> e = evidence(0.05, 0.01, 0.09, 0.95, None)
        >>> round(e.p_held(-1, 0.1), 3)
        0.014
    """
    rows = sorted({(float(a), float(b), float(c)) for a, b, c in [(level, low, high), *(curve or ())]})
    z = np.array([0.0, *(float(ndtri(0.5 + row[0] / 2)) for row in rows)])
    lows = np.minimum.accumulate([value, *(min(row[1], value) for row in rows)])
    highs = np.maximum.accumulate([value, *(max(row[2], value) for row in rows)])
    if not curve:  # one point: go on to where the widest curve would end
        last = 5.0
        lows, highs = np.append(lows, value - (value - low) * last / z[-1]), np.append(highs, value + (high - value) * last / z[-1])
        z = np.append(z, last)
    keep = np.append(True, np.diff(z) > 1e-9)
    return Evidence(value, z[keep], lows[keep], highs[keep])


def _p(z: float) -> float:
    return 1.0 if z < 0 else float(2 * ndtr(-z))
