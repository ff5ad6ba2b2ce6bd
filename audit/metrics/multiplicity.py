"""Adjusted p-values, so that asking many questions does not make a chance finding likely.

Source: Holm 1979 (Scandinavian Journal of Statistics 6).
Formula: sort p ascending; adjusted_(i) = max over j <= i of min(1, (m - j + 1) p_(j)), m the number of p-values given.
Parity: an adjusted p-value at or below 1 - level is a finding at that level for the whole family.
Direction: lower is stronger evidence of a difference.
Blind to: how large the difference is; questions asked elsewhere and not handed in here.
Departures: none. What was not measured (None) is no question: it passes through and does not count towards m.
"""

import math
from collections.abc import Sequence

from audit.errors import MetricError


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return Holm's adjusted p-values in the order given.

    Args:
        p_values: each in 0..1, or None for what was not measured.

    Returns:
        Adjusted p-values; None stays None.

    Raises:
        MetricError: a p-value lies outside 0..1 or is NaN.

    Example:
        >>> holm([0.01, None, 0.04])
        [0.02, None, 0.04]
    """
    given = [(float(p), i) for i, p in enumerate(p_values) if p is not None]
    for p, _ in given:
        if math.isnan(p) or not 0 <= p <= 1:
            raise MetricError(f"a p-value lies in 0..1, got {p}")
    adjusted: list[float | None] = [None] * len(p_values)
    running = 0.0
    for rank, (p, i) in enumerate(sorted(given)):
        running = max(running, min(1.0, (len(given) - rank) * p))
        adjusted[i] = running
    return adjusted
