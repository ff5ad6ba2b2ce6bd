"""A suite's nights in order, its series, and their numbers side by side; what the detector and the pages read."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from audit.history.steps import Panel

_FIRST = 10
"""A series' middle and unit are those of so many first numbers."""

_SAME = 1e-9
"""Relative difference below which two numbers are the same number."""


@dataclass(frozen=True)
class Entry:
    """One night, or one time it was drawn again. See :class:`audit.history.nights.Night` for the fields."""

    night: str
    repeat: int
    spec: str
    seed: int
    samples: int
    exit_code: int
    genbias: str
    commit: str | None
    facts: Mapping[str, Any]
    findings: dict[str, Any] | None = None


@dataclass(frozen=True)
class Series:
    """One number of a suite, followed over nights. See :data:`audit.history.nights.KEY`."""

    id: int
    generator: str
    metric: str
    attribute: str | None
    group: str | None
    baseline: str | None
    reader: str | None
    corrected: bool
    protocol: str | None
    direction: str
    unit: str
    parity: float | None

    def subject(self) -> dict[str, Any]:
        """Return what it is of, as plain data."""
        return {k: v for k, v in vars(self).items() if k != "id"}


@dataclass(frozen=True)
class Chronicle:
    """Nights by series.

    Attributes:
        suite: its name.
        entries: nights and repeats, in order.
        series: columns of the arrays.
        watched: (series,) whether a step is an alarm.
        value, low, high, level, n: (entries, series), NaN where nothing was measured.
    """

    suite: str
    entries: list[Entry]
    series: list[Series]
    watched: np.ndarray
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    level: np.ndarray
    n: np.ndarray

    def errors(self) -> np.ndarray:
        """Return (entries, series) standard errors, from the widths of the intervals."""
        from scipy.special import ndtri

        return (self.high - self.low) / (2 * ndtri(0.5 + self.level / 2))

    def news(self) -> np.ndarray:
        """Return (entries, series) whether a night brought anything new of a series.

        Where all numbers of a generator are those of the night before, the same images were read: a fixed seed, or a folder. That
        night says nothing new, however often it comes.
        """
        fresh = np.isfinite(self.value)
        names = np.array([s.generator for s in self.series])
        for name in dict.fromkeys(names.tolist()):
            columns = np.flatnonzero(names == name)
            mine = self.value[:, columns]
            for at in range(1, len(mine)):
                both = np.isfinite(mine[at]) & np.isfinite(mine[at - 1])
                if both.any() and np.allclose(mine[at][both], mine[at - 1][both], rtol=_SAME, atol=0):
                    fresh[at, columns] = False
        return fresh

    def panel(self) -> tuple["Panel", np.ndarray, np.ndarray]:
        """Return the numbers in standard errors for the scan, and each series' middle and unit to come back from there.

        Middle and unit are medians over a series' first nights, so that they stay what they were as nights are added. A series without an
        interval of any width has weight 0 throughout.
        """
        from audit.history.steps import Panel

        errors, fresh = self.errors(), self.news()
        usual, middle, images = (_early(a, fresh) for a in (errors, self.value, self.n))
        with np.errstate(invalid="ignore", divide="ignore"):
            unit = np.where(np.isfinite(usual) & (usual > 0), usual, np.nan)
            values = (self.value - middle) / unit
            share = self.n / np.where(images > 0, images, np.nan)
        weights = np.where(fresh & np.isfinite(values), np.where(np.isfinite(share) & (share > 0), share, 1.0), 0.0)
        return Panel(np.nan_to_num(values), weights), middle, unit

    def missing(self) -> list[str]:
        """Return the dates between the first night and the last that have none."""
        if not self.entries:
            return []
        there = {e.night for e in self.entries}
        day, end, gaps = date.fromisoformat(self.entries[0].night), date.fromisoformat(self.entries[-1].night), []
        while day < end:
            day += timedelta(days=1)
            if day.isoformat() not in there:
                gaps.append(day.isoformat())
        return gaps


def _early(numbers: np.ndarray, fresh: np.ndarray) -> np.ndarray:
    """Return (series,) the median of each column's first few numbers that count."""
    found = np.full(numbers.shape[1], np.nan)
    for at in range(numbers.shape[1]):
        column = numbers[fresh[:, at] & np.isfinite(numbers[:, at]), at][:_FIRST]
        if len(column):
            found[at] = np.median(column)
    return found
