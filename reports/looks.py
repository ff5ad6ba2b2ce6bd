"""The path of a run that drew until decided: each limit's interval narrowing as images come, up to where it stopped."""

import math
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from audit.verdict_text import allowed
from reports import decisions, wording
from reports import numerals as num
from reports.reading import Reading, Row
from reports.svg import BROKEN, CANDIDATE, HELD, INK, MUTED, PAGE, RULE, UNDECIDED, Drawing, drawing

MOST_DRAWN = 12
"""Paths drawn; the rest is counted, and stands in result.json."""

_WIDTH, _HEIGHT, _LEFT, _TOP, _BELOW = 320, 132, 46, 12, 36
_SHAPES = {"held": ("o", HELD, HELD), "broken": ("x", BROKEN, BROKEN), "undecided": ("o", UNDECIDED, PAGE)}


@dataclass(frozen=True)
class Path:
    """The path of one limit: what it is about, when it was decided, its figure."""

    generator: str
    limit: str
    outcome: str
    ending: str
    figure: Markup


def paths(reading: Reading, key: str) -> list[Path]:
    """Return the path of each limit of a sequential run, at most :data:`MOST_DRAWN`.

    Args:
        reading: the result.
        key: unique beginning of the figures' names on the page.
    """
    return [_path(reading, verdict, looks, f"{key}-{i}") for i, (verdict, looks) in enumerate(decisions.told(reading)[:MOST_DRAWN])]


def left_out(reading: Reading) -> int:
    """Return how many paths are not drawn."""
    return max(0, len(decisions.told(reading)) - MOST_DRAWN)


def _path(reading: Reading, verdict: Row, looks: list[Row], key: str) -> Path:
    end = next((row for row in looks if row.get("outcome") in ("held", "broken")), looks[-1])
    outcome = str(end.get("outcome"))
    limit, title = wording.limit(reading, verdict), num.plain(reading.title(verdict.get("generator")), limit=48)
    ending = decisions.stopped(reading, looks)
    budget = int(dict(reading.result.get("spec") or {}).get("samples") or looks[-1]["n"])
    with drawing(key, height=_TOP + _HEIGHT + _BELOW, width=_WIDTH) as d:
        axes = d.axes(left=_LEFT, top=_TOP, width=_WIDTH - _LEFT - 10, height=_HEIGHT)
        _scales(d, axes, verdict, looks, budget)
        _limits(axes, verdict)
        n, low, high = ([row[k] for row in looks] for k in ("n", "low", "high"))
        axes.fill_between(n, low, high, color=CANDIDATE, alpha=0.2, linewidth=0)
        for edge in (low, high):
            axes.plot(n, edge, "-", color=CANDIDATE, linewidth=1.4)
        axes.axvline(end["n"], color=MUTED, linewidth=1, linestyle=(0, (2, 2)))
        shape, ink, fill = _SHAPES.get(outcome, _SHAPES["undecided"])
        axes.vlines(end["n"], end["low"], end["high"], colors=ink, linewidth=3)
        middle, edge = (end["low"] + end["high"]) / 2, 2.4 if shape == "x" else 1.6
        axes.plot([end["n"]], [middle], shape, color=ink, markerfacecolor=fill, markersize=8, markeredgewidth=edge, clip_on=False)
        figure = d.svg(title=f"{limit}, {title}: {ending}", description=_alt(verdict, looks, ending))
    return Path(title, limit, outcome, ending, figure)


def _scales(d: Drawing, axes: Axes, verdict: Row, looks: list[Row], budget: int) -> None:
    first, last = min(row["n"] for row in looks), max(budget, looks[-1]["n"])
    if last == first:
        first, last = first / 2, last * 2
    axes.set_xscale("log")
    axes.set_xlim(first * (first / last) ** 0.03, last * (last / first) ** 0.03)
    axes.xaxis.set_major_locator(FixedLocator(_round_numbers(first, last)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda n, _: d.label(num.count(round(n)))))
    axes.set_xlabel("images")
    ends = [row[k] for row in looks for k in ("low", "high")] + [b for b in allowed(verdict) if b is not None]
    room = (max(ends) - min(ends)) * 0.08 or 0.05
    axes.set_ylim(0 if min(ends) == 0 else min(ends) - room, max(ends) + room)
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: d.label(_tick(y, verdict))))
    axes.grid(axis="y")


def _limits(axes: Axes, verdict: Row) -> None:
    least, most = allowed(verdict)
    bottom, top = axes.get_ylim()
    for bound, side in ((least, bottom), (most, top)):
        if bound is not None:
            axes.axhspan(min(bound, side), max(bound, side), color=BROKEN, alpha=0.14, linewidth=0)
            axes.axhline(bound, color=INK, linewidth=1.4)
    axes.axhline(0, color=RULE, linewidth=0.8)
    axes.set_ylim(bottom, top)


def _tick(y: float, verdict: Row) -> str:
    y = round(y, 9)
    return f"{num.tick(round(y * 100, 6))}%" if verdict.get("metric") in num.PERCENT else num.tick(y)


def _round_numbers(first: float, last: float) -> list[float]:
    """Return three to five round numbers of images from ``first`` to ``last``."""
    powers = range(math.floor(math.log10(first)), math.ceil(math.log10(last)) + 1)
    for steps in ((1,), (1, 3), (1, 2, 5), (1, 2, 3, 4, 5, 6, 8)):
        found = [s * 10.0**p for p in powers for s in steps if first <= s * 10.0**p <= last]
        if len(found) >= 3:
            return found[:: -(-len(found) // 5)]
    return [first, last]


def _alt(verdict: Row, looks: list[Row], ending: str) -> str:
    ends = num.listing([text for _, text in decisions.bounds(verdict)])
    points = [f"{num.count(row['n'])} images {num.interval({**verdict, **row})}" for row in looks]
    if len(points) > 8:
        points = [*points[:3], f"{len(points) - 6} more looks", *points[-3:]]
    return f"{wording.upper_first(ending)}. Limit {ends}. {'; '.join(points)}."
