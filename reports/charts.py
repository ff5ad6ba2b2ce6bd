"""The small diagnostic charts that methods hand in: lines, bars and histograms, drawn in the page's own style."""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from reports import numerals as num
from reports.alternatives import chart_alt
from reports.svg import CANDIDATE, EDGE, RULE, WIDTH, Drawing, drawing

MOST_POINTS = 300
"""Points of a line that are drawn; of more, every second or third is left out."""

MOST_BARS = 24
"""Bars that have room for a name."""

KINDS = ("line", "bar", "histogram")
_LEFT, _TOP, _BELOW, _HEIGHT = 52, 8, 44, 168
_NAMES, _LINE = 148, 20


def method_chart(chart: Any, key: str) -> Markup | None:
    """Draw one chart of a method.

    Args:
        chart: title, kind ("line", "bar" or "histogram"), x, y, x_label, y_label; a histogram's x holds the left edges and the
            last right one, one more than y.
        key: unique name of the figure on its page.

    Returns:
        One SVG element, or None where the chart holds nothing that can be drawn: another kind, unequal lengths, no number.
    """
    if not isinstance(chart, Mapping) or chart.get("kind") not in KINDS:
        return None
    kind, x, y = str(chart["kind"]), list(chart.get("x") or []), list(chart.get("y") or [])
    if len(x) != len(y) + (kind == "histogram") or not any(map(_known, y)):
        return None
    if kind != "bar" and not all(map(_known, x)):
        return None
    labels = [num.plain(chart.get(k) or "") for k in ("x_label", "y_label")]
    spoken = [f"{num.rounded(a)} to {num.rounded(b)}" for a, b in pairwise(x)] if kind == "histogram" else [*map(_text, x)]
    description = chart_alt(kind, spoken, [_text(v) for v in y], *labels)
    values = [float(v) if _known(v) else math.nan for v in y]
    if kind == "bar" and len(y) <= MOST_BARS and max(map(len, spoken)) > _room(len(y)):
        return _lying(key, chart, spoken, values, labels, description)
    with drawing(key, height=_TOP + _HEIGHT + _BELOW) as d:
        axes = d.axes(left=_LEFT, top=_TOP, width=WIDTH - _LEFT - EDGE, height=_HEIGHT)
        axes.grid(axis="y")
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_formatter(d.ticks())
        {"line": _line, "bar": _bars, "histogram": _histogram}[kind](d, axes, x, values)
        if labels[0]:
            axes.set_xlabel(d.label(labels[0], limit=60))
        if labels[1]:
            axes.set_title(d.label(labels[1], limit=60), loc="left", fontsize=10.5, x=-_LEFT / (WIDTH - _LEFT - EDGE), pad=2)
            d.figure.axes[0].set_position(_lowered(d))
        return d.svg(title=num.plain(chart.get("title") or "Chart"), description=description)


def _lowered(d: Drawing) -> tuple[float, float, float, float]:
    """Return the place of the axes with room above for the label of the values."""
    return _LEFT / d.width, _BELOW / d.height, (WIDTH - _LEFT - EDGE) / d.width, (_HEIGHT - 14) / d.height


def _line(d: Drawing, axes: Axes, x: list, y: list[float]) -> None:
    step = -(-len(x) // MOST_POINTS)
    kept = [*range(0, len(x), step)]
    kept += [len(x) - 1] if kept[-1] != len(x) - 1 else []
    few = len(kept) <= 40
    axes.plot([float(x[i]) for i in kept], [y[i] for i in kept], "o-" if few else "-", color=CANDIDATE, linewidth=1.6, markersize=3.5)
    _plain_scale(d, axes)


def _histogram(d: Drawing, axes: Axes, edges: list, y: list[float]) -> None:
    axes.stairs([0.0 if math.isnan(v) else v for v in y], [float(e) for e in edges], color=CANDIDATE, linewidth=1.2, fill=True, alpha=0.75)
    _plain_scale(d, axes)


def _bars(d: Drawing, axes: Axes, x: list, y: list[float]) -> None:
    step = -(-len(x) // MOST_BARS)
    at = list(range(0, len(x), step))
    names = [_text(x[i]) for i in at]
    axes.bar(range(len(y)), [0.0 if math.isnan(v) else v for v in y], width=0.72, color=CANDIDATE)
    axes.set_xticks(at, [d.label(name, limit=max(3, _room(len(at)))) for name in names])
    axes.axhline(0, color=RULE, linewidth=0.8)


def _lying(key: str, chart: Mapping, names: list[str], y: list[float], labels: list[str], description: str) -> Markup:
    """Draw bars that lie, each with its name at its left: for names too long to stand side by side."""
    with drawing(key, height=_TOP + _LINE * len(y) + _BELOW) as d:
        axes = d.axes(left=_NAMES, top=_TOP, width=WIDTH - _NAMES - EDGE, height=_LINE * len(y))
        axes.grid(axis="x")
        axes.barh(range(len(y)), [0.0 if math.isnan(v) else v for v in y], height=0.66, color=CANDIDATE)
        axes.set_ylim(len(y) - 0.5, -0.5)
        axes.set_yticks(range(len(y)), [d.label(name, limit=24) for name in names])
        _plain_scale(d, axes)
        axes.axvline(0, color=RULE, linewidth=0.8)
        if labels[1]:
            axes.set_xlabel(d.label(labels[1], limit=50))
        return d.svg(title=num.plain(chart.get("title") or "Chart"), description=description)


def _room(bars: int) -> int:
    """Return how many letters fit below one of so many bars."""
    return round((WIDTH - _LEFT - EDGE) / bars / 6.4)


def _plain_scale(d: Drawing, axes: Axes) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(d.ticks())


def _known(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _text(value: Any) -> str:
    return num.rounded(value) if _known(value) else "not measured" if value is None else num.plain(value)
