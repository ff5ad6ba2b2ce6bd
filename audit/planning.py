"""How many images would decide a limit: from what was seen so far, or from what one expects before any image is drawn.

Source: the intervals themselves, put to the counts that so many images would give on average; nothing is approximated but the power.
Formula: n images of shares p are labelled q = A p; the interval at n q is held to the limit. For power 1 - b the level is raised
    to that of z(level) + z(1 - b), the usual normal addition (Fleiss 1981, section 3).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from audit import metrics
from audit.attribute_rows import SUMMARIES, TO_TARGET, Reading
from audit.estimates import Estimate, NotMeasured
from audit.evidence import Evidence

Readings = Mapping[tuple[str, str], tuple[Reading, "np.ndarray | None", "tuple[str, ...]"]]
"""What was read by generator and attribute, with the target shares and the names of the classes."""

MOST = 10**9
"""Images beyond which one may as well say never."""


def more_images(row: Mapping[str, Any], limits: tuple[float, float], known: Evidence, level: float,
                readings: Readings | None) -> tuple[int | None, str]:  # fmt: skip
    """Return how many images would decide an undecided limit should the value stay, and that in words.

    Args:
        row: the measure or comparison.
        limits: allowed values.
        known: its intervals.
        level: at which it is to be decided.
        readings: counts behind shares; without them, and for all other metrics, the interval is scaled by the root of n.
    """
    n, value = int(row["n"]), float(row["value"])
    if value in limits:
        return None, "its value lies on the limit, so no number of images would decide it"
    reading = (readings or {}).get((row["generator"], row["attribute"])) if row.get("baseline") is None else None
    found = None
    if reading is not None and (row["metric"] == "share" or row["metric"] in SUMMARIES):
        found = _by_counts(row, reading, limits, level)
    if found is None:
        found = _scaled(known, limits, level, n)
    if found is None or found > MOST:
        return None, "no number of images would decide it if the value stays: the calibration is too small for that"
    return found, f"about {found:,} images would decide it if the value stays"


def images_needed(interval: Callable[[int, float], tuple[float, float] | None], limits: tuple[float, float], *, level: float,
                  power: float | None = None, most: int = MOST) -> int | None:  # fmt: skip
    """Return the fewest images at which an interval lies on one side of the limits; None where none up to ``most`` do.

    Args:
        interval: maps n and a level to the ends expected.
        limits: allowed values.
        level: of the decision.
        power: chance of deciding, e.g. .9; None = one half, the interval expected just clears.
        most: where to stop.
    """
    wanted = level if power is None else float(2 * ndtr(ndtri(0.5 + level / 2) + ndtri(power)) - 1)

    def decided(n: int) -> bool:
        ends = interval(n, wanted)
        return ends is not None and ((limits[0] <= ends[0] and ends[1] <= limits[1]) or ends[1] < limits[0] or ends[0] > limits[1])

    few, many = 1, 16
    while not decided(many):
        if many >= most:
            return None
        few, many = many, min(many * 4, most)
    while many - few > max(1, few // 200):
        middle = (few + many) // 2
        few, many = (few, middle) if decided(middle) else (middle, many)
    return many


def expected_interval(shares: np.ndarray, metric: str, group: int | None, target: np.ndarray | None,
                      like: Reading) -> Callable[[int, float], tuple[float, float] | None]:  # fmt: skip
    """Return the interval that n images of these shares give on average, for :func:`images_needed`.

    Args:
        shares: (K,) true shares.
        metric: "share" or a key of :data:`audit.attribute_rows.SUMMARIES`.
        group: index of the class, for "share".
        target: (K,) wished-for shares, None = uniform.
        like: how they are read: errors, design effect.
    """
    labelled = shares if like.errors is None else like.errors.rates @ shares

    def at(n: int, level: float) -> tuple[float, float] | None:
        counts = np.floor(labelled * n).astype(np.int64)
        counts[np.argsort(-(labelled * n - counts), kind="stable")[: n - counts.sum()]] += 1
        reading = replace(like, counts=counts, missing=0, path=None)
        box = reading.raw(level) if like.errors is None else reading.corrected(level)
        if box is None or isinstance(box, NotMeasured):
            return None
        if metric == "share":
            at_class = 0 if group is None else group
            return float(box.low[at_class]), float(box.high[at_class])
        found = SUMMARIES[metric](box, *([target] if metric in TO_TARGET else []))
        return (found.low, found.high) if isinstance(found, Estimate) else None

    return at


def _by_counts(row: Mapping[str, Any], reading: tuple, limits: tuple[float, float], level: float) -> int | None:
    like, target, groups = reading
    if like.into is not None or like.scores is not None:
        return None
    like = like if row["corrected"] else replace(like, errors=None)
    box = like.raw(level) if like.errors is None else metrics.corrected_share_box(like.counts, like.errors, level=level)
    if isinstance(box, NotMeasured):
        return None
    group = groups.index(row["group"]) if row["group"] in groups else None
    needed = images_needed(expected_interval(box.value, row["metric"], group, target, like), limits, level=level)
    return MOST + 1 if needed is None else needed


def _scaled(known: Evidence, limits: tuple[float, float], level: float, n: int) -> int | None:
    low, high = known.at(level)
    value, (least, most) = known.value, limits
    if least <= value <= most:
        needed = [((high - value) / (most - value)) ** 2, ((value - low) / (value - least)) ** 2]
    elif value > most:
        needed = [((value - low) / (value - most)) ** 2]
    else:
        needed = [((high - value) / (least - value)) ** 2]
    factor = max(x for x in needed if np.isfinite(x))
    return int(np.ceil(n * max(factor, 1.0) + 1))

