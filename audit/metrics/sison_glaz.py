"""Sison and Glaz's simultaneous intervals for the shares of several classes.

Source: Sison and Glaz 1995 (JASA 90, 366-369); the interval of May and Johnson 2000 (J. Statistical Software 5(6)).
Formula: X multinomial with the counts c seen as means. P(c_i - w <= X_i <= c_i + w for all i) = n! e^n / n^n prod P(Y_i in its
    window) f(n), Y_i Poisson(c_i), f the Edgeworth density of the sum of the truncated Y_i. With w the greatest width at which this
    is below the level and g = (level - P(w)) / (P(w+1) - P(w)), the interval is [c_i - w, c_i + w + 2g] / n.
Parity: as for shares.
Direction: towards the target.
Blind to: as `audit.metrics.shares`.
Departures: beyond a thousand images the width is found by halving, not by counting up from 1.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, pdtr

Floats = NDArray[np.float64]

_FEW = 1000


def sison_glaz(counts: NDArray[np.int64], level: float) -> tuple[Floats, Floats]:
    """Return (K,) low and high ends of the shares, all holding together with probability about ``level``.

    Args:
        counts: (K,) whole numbers >= 0, at least one above 0.
        level: simultaneous confidence level.

    Example:
        >>> low, high = sison_glaz(np.array([56, 72, 73]), 0.95)
        >>> low.round(4).tolist(), high.round(4).tolist()
        ([0.204, 0.2836, 0.2886], [0.3539, 0.4335, 0.4384])
    """
    c = counts.astype(np.float64)
    n = c.sum()
    narrow, wide = 0, 1
    if n <= _FEW:  # the series is not monotone for a handful of images: the first width that is wide enough counts
        wide = next((w for w in range(1, int(n) + 1) if _within(c, w) >= level), int(n))
        narrow = wide - 1
    while wide < n and _within(c, wide) < level:
        narrow, wide = wide, 2 * wide
    while wide - narrow > 1:
        middle = (narrow + wide) // 2
        narrow, wide = (middle, wide) if _within(c, middle) < level else (narrow, middle)
    before, after = _within(c, narrow), _within(c, wide)
    part = (level - before) / (after - before) if after > before else 1.0
    return np.clip((c - narrow) / n, 0, 1), np.clip((c + narrow + 2 * part) / n, 0, 1)


def _within(c: Floats, width: int) -> float:
    """Return P(every class within ``width`` of its count)."""
    top, bottom = c + width, np.maximum(c - width, 0.0)

    def below(x: Floats) -> Floats:
        return np.where(x < 0, 0.0, pdtr(np.maximum(x, 0.0), c))

    window = below(top) - below(bottom - 1)
    m1, m2, m3, m4 = (c**r * (below(top - r) - below(bottom - 1 - r)) / window for r in (1, 2, 3, 4))  # factorial moments
    variance = m2 + m1 - m1**2
    third = m3 + m2 * (3 - 3 * m1) + m1 - 3 * m1**2 + 2 * m1**3
    fourth = m4 + m3 * (6 - 4 * m1) + m2 * (7 - 12 * m1 + 6 * m1**2) + m1 - 4 * m1**2 + 6 * m1**3 - 3 * m1**4
    total = variance.sum()
    if total <= 0:
        return 0.0
    skew, excess = third.sum() / total**1.5, (fourth - 3 * variance**2).sum() / total**2
    n = c.sum()
    z = (n - m1.sum()) / np.sqrt(total)
    series = (1 + skew / 6 * (z**3 - 3 * z) + excess / 24 * (z**4 - 6 * z**2 + 3)
              + skew**2 / 72 * (z**6 - 15 * z**4 + 45 * z**2 - 15))  # fmt: skip
    scale = gammaln(n + 1) + n - n * np.log(n) + np.log(window).sum() - z * z / 2
    return float(np.exp(scale) * series / np.sqrt(2 * np.pi * total))
