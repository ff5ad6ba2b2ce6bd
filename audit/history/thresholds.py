"""From which score on a step is said to be real: at most 5 % false alarms a year in a whole family of series.

For one series of independent normal nights the chance that the scan of :mod:`audit.history.steps` passes b within a year is
1 - exp(-365 C 2 b phi(b)); the shape is that of a Gaussian scan (Siegmund 1985, VI.9), the constant C was counted in simulations
(``python -m audit.history.study --calibrate``) and hardly depends on b (0.28 to 0.27 between 4.2 and 5.2). F series pass together with at most F times the
rate: less where they are correlated, so a family of correlated measures gets fewer alarms than allowed, not more.
"""

import math

CONSTANT = 0.28
"""C: crossings a night over 2 b phi(b), for the candidates of :mod:`audit.history.steps`."""

A_YEAR = 365

ALLOWED = 0.04
"""Chance of a false alarm a year that nights by themselves may use up; looking again at odd nights brings what is counted to about 5 %."""


def alarm_threshold(series: int, *, chance: float = ALLOWED, nights: int = A_YEAR) -> float:
    """Return the score above which a step in one of ``series`` series is an alarm.

    Args:
        series: how many are watched together, at least 1.
        chance: of any false alarm among them all ...
        nights: ... in so many nights.

    Example:
        >>> [round(alarm_threshold(n), 2) for n in (1, 20, 2000)]
        [4.25, 4.94, 5.82]
    """
    allowed = -math.log1p(-chance) / (max(series, 1) * nights * CONSTANT)
    low, high = 1.0, 10.0
    for _ in range(60):
        middle = (low + high) / 2
        rate = 2 * middle * math.exp(-middle * middle / 2) / math.sqrt(2 * math.pi)
        low, high = (middle, high) if rate > allowed else (low, middle)
    return high


def doubt_threshold(series: int) -> float:
    """Return the score above which a night looks odd enough to be drawn again.

    Low enough that a step of two standard errors passes it within five nights nine times out of ten, high enough that drawing again stays
    cheap; the study shows both. Large families look odd more often by chance, so theirs is higher.

    Example:
        >>> [doubt_threshold(n) for n in (1, 20, 2000)]
        [2.6, 2.9, 3.4]
    """
    return round(min(2.65 + 0.1 * math.log(max(series, 1)), alarm_threshold(series) - 1.0), 1)
