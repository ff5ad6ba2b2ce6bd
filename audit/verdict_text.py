"""A verdict as lines of plain text: the limit, the interval drawn against it, and what to do next."""

from collections.abc import Mapping, Sequence
from typing import Any

from audit.quantities import QUANTITIES

WIDTH = 48
"""Characters of the drawn scale."""

MOST_SHOWN = 8
"""Verdicts one message spells out; the rest is counted."""

Row = Mapping[str, Any]


def allowed(verdict: Row) -> tuple[float | None, float | None]:
    """Return the lowest and the highest number the limit of a verdict allows; None = open on that side.

    Args:
        verdict: a row of ``verdicts``; of a limit against a baseline, the numbers are differences, candidate minus baseline.

    Example:
        >>> allowed({"limit": "entropy of age at least 0.9", "metric": "entropy", "bound": 0.9})
        (0.9, None)
        >>> allowed({"limit": "share of age between 0.3 and 0.4", "metric": "share", "bound": 0.3, "bound_high": 0.4})
        (0.3, 0.4)
    """
    bound, high = verdict["bound"], verdict.get("bound_high")
    if high is not None:
        return bound, high
    if verdict.get("baseline") is not None:
        known = QUANTITIES.get(str(verdict.get("metric")))
        return (-abs(bound), None) if known is not None and known.direction == "higher" else (None, abs(bound))
    return (bound, None) if " at least " in str(verdict.get("limit")) else (None, bound)


def scale(verdicts: Sequence[Row]) -> tuple[float, float] | None:
    """Return the ends of a scale with room for every interval and limit, from 0 where nothing is negative; None for no number."""
    ends = [v[k] for v in verdicts for k in ("value", "low", "high") if v.get(k) is not None]
    ends += [b for v in verdicts for b in allowed(v) if b is not None]
    if not ends:
        return None
    low, high = min(0.0, *ends), max(0.0, *ends)
    room = (high - low) * 0.08 or 0.1
    return low - (room if low < 0 else 0.0), high + room


def picture(verdict: Row, *, width: int = WIDTH) -> str:
    """Return the interval against its limit on one line of text; empty where nothing was measured.

    Args:
        verdict: a row of ``verdicts``.
        width: characters between the two ends of the scale.

    Example:
        >>> picture({"limit": "no_face at most 0.1", "metric": "no_face", "bound": 0.1, "value": 0.05, "low": 0.04, "high": 0.07}, width=24)
        '0.00 --------[==o===]------|x 0.11'
    """
    value, low, high = (verdict.get(k) for k in ("value", "low", "high"))
    ends = scale([verdict])
    if ends is None or value is None or low is None or high is None:
        return ""
    first, last = ends
    least, most = allowed(verdict)

    def at(number: float) -> int:
        return min(width - 1, max(0, int((number - first) / (last - first) * width)))

    line = ["-"] * width
    for k in range(width):
        middle = first + (k + 0.5) / width * (last - first)
        if (most is not None and middle > most) or (least is not None and middle < least):
            line[k] = "x"
    line[at(low) : at(high) + 1] = "=" * (at(high) - at(low) + 1)
    if at(low) < at(value) < at(high):
        line[at(low)], line[at(high)] = "[", "]"
    for bound in (least, most):
        if bound is not None:
            column = at(bound)
            column += (at(low) <= column <= at(high)) * ((bound >= high) - (bound <= low))  # a limit only touched stands beside
            line[min(width - 1, max(0, column))] = "|"
    line[at(value)] = "o"
    return f"{first:.2f} {''.join(line)} {last:.2f}"


def describe(verdict: Row) -> str:
    """Return a verdict in a few lines: the limit and the generator, what was measured, the picture, why, and what to do."""
    lines = [f"{verdict['outcome']}: {verdict['limit']} [{verdict['generator']}]" + _group(verdict)]
    if verdict.get("value") is not None:
        what = f"difference from {verdict['baseline']}" if verdict.get("baseline") else "measured"
        lines.append(f"  {what} {verdict['value']:.4g}{_interval(verdict)}{_images(verdict)}{_p_value(verdict)}")
        drawn = picture(verdict)
        lines += [f"  {drawn}   (| limit, x beyond it)"] if drawn else []
    lines.append(f"  why: {verdict['why']}")
    lines += [f"  to do: {todo}"] if (todo := _todo(verdict)) else []
    return "\n".join(lines)


def describe_all(verdicts: Sequence[Row]) -> str:
    """Return the verdicts that did not hold, broken ones first, each by :func:`describe`; the rest is counted."""
    order = {"broken": 0, "undecided": 1}
    told = sorted((v for v in verdicts if v["outcome"] in order), key=lambda v: order[v["outcome"]])
    blocks = [describe(v) for v in told[:MOST_SHOWN]]
    blocks += [f"and {len(told) - MOST_SHOWN} more"] if len(told) > MOST_SHOWN else []
    return "\n".join(blocks)


def needed(verdict: Row) -> str:
    """Return "about 12,400 images would decide it"; empty where that is not known.

    Example:
        >>> needed({"images_to_decide": 12_400})
        'about 12,400 images would decide it'
    """
    images = verdict.get("images_to_decide")
    return f"about {images:,} images would decide it" if images else ""


def _todo(verdict: Row) -> str:
    if verdict["outcome"] == "broken":
        return "change the generator, or the limit if it was set wrongly; more images will hardly decide otherwise"
    if verdict["outcome"] == "held":
        return ""
    if verdict.get("value") is None:
        return "see why it was not measured; an undecided limit is no pass"
    return f"{needed(verdict) or 'more images may decide it'}; raise samples, or let the run go on with until: decided"


def _group(verdict: Row) -> str:
    group = verdict.get("group")
    return f" ({group})" if group and f"({group})" not in verdict["limit"] else ""


def _interval(verdict: Row) -> str:
    if verdict.get("low") is None or verdict.get("high") is None:
        return ""
    return f", {verdict.get('level', 0.95) * 100:g}% interval {verdict['low']:.4g} to {verdict['high']:.4g}"


def _images(verdict: Row) -> str:
    return f", on {verdict['n']:,} images" if verdict.get("n") else ""


def _p_value(verdict: Row) -> str:
    p = verdict.get("p_adjusted")
    return "" if p is None else f", adjusted p {'< 0.0001' if p < 0.0001 else f'{p:.2g}'}"
