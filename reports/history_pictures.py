"""Small multiples: one measure over its nights as a line with its intervals, its levels, and where it stepped.

Drawn by hand, not by matplotlib: a page holds dozens of them, and each is a path, a band and a few marks. Pictures of the same measure
span the same range, each around its own level.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from markupsafe import Markup, escape

from audit.history import words
from reports import numerals as num

WIDTH, HEIGHT = 280, 96
LEFT, RIGHT, TOP, BOTTOM = 40, 8, 8, 18
"""Pixels around the drawing: labels of the scale at the left, dates below."""


class Calendar:
    """Where nights lie from left to right: by date, so that missing nights leave a gap.

    Args:
        nights: rows of the document, repeats included.
    """

    def __init__(self, nights: Sequence[Mapping[str, Any]]) -> None:
        self.nights = nights
        self._days = [date.fromisoformat(n["night"]).toordinal() for n in nights]
        self._span = max(self._days[-1] - self._days[0], 1)

    def x(self, at: int) -> float:
        """Return the place of an entry in pixels."""
        return LEFT + (self._days[at] - self._days[0]) / self._span * (WIDTH - LEFT - RIGHT)

    def gap(self, before: int, after: int) -> bool:
        """Return whether a night is missing between two entries."""
        return self._days[after] - self._days[before] > 1

    def changed(self, generator: str) -> list[int]:
        """Return the entries before which weights of a generator, or the project's commit, changed."""
        return [at for at, n in enumerate(self.nights) if any(c["what"] == "weights" and c.get("of") == generator for c in n["changes"])]


def scales(series: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """Return the range of each picture: as wide as the widest of the same measure needs, so that a move looks as large as it is."""
    spans = [own_scale(s) for s in series]
    keys = [(s["metric"], s["attribute"], s["baseline"], s["unit"]) for s in series]
    width: dict[tuple, float] = {}
    for key, (low, high) in zip(keys, spans, strict=True):
        width[key] = max(width.get(key, 0.0), high - low)
    middles = [(low + high) / 2 for low, high in spans]
    return [(middle - width[key] / 2, middle + width[key] / 2) for key, middle in zip(keys, middles, strict=True)]


def own_scale(series: Mapping[str, Any]) -> tuple[float, float]:
    """Return the range that one picture alone needs."""
    ends = [v for _, value, low, high in series["points"] for v in (value, low, high) if v is not None]
    low, high = min(ends), max(ends)
    return (low - 0.5, high + 0.5) if low == high else (low - 0.04 * (high - low), high + 0.04 * (high - low))


def picture(series: Mapping[str, Any], calendar: Calendar, scale: tuple[float, float], key: str) -> Markup:
    """Return one picture as SVG with a title and a description.

    Args:
        series: a row of the document's ``series``.
        calendar: where its nights lie.
        scale: least and greatest value drawn.
        key: unique on the page; ids begin with it.
    """
    low, high = scale

    def y(value: float) -> float:
        return TOP + (high - min(max(value, low), high)) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = [_grid(series, scale, y, calendar)]
    moved = series["moved"]
    for run in _runs(series["points"], calendar):
        parts.append(_band(run, calendar, y))
        line = " ".join(f"{calendar.x(at):.1f},{y(value):.1f}" for at, value, _, _ in run)
        if len(run) == 1:
            at, value = run[0][0], run[0][1]
            parts.append(Markup('<circle class="dot-value" cx="{:.1f}" cy="{:.1f}" r="1.6"/>').format(calendar.x(at), y(value)))
        else:
            parts.append(Markup('<polyline class="line" points="{}"/>').format(line))
    for at in calendar.changed(series["generator"]):
        parts.append(Markup('<path class="change" d="M{:.1f} {}v6"/>').format(calendar.x(at), HEIGHT - BOTTOM - 3))
    if moved is not None:
        parts.append(_step(series, calendar, y))
    at, value, _, _ = series["points"][-1]
    parts.append(Markup('<circle class="last" cx="{:.1f}" cy="{:.1f}" r="2.6"/>').format(calendar.x(at), y(value)))
    return (Markup('<svg viewBox="0 0 {} {}" role="img" aria-labelledby="{key}-title {key}-text"><title id="{key}-title">{}</title><desc id="{key}-text">{}</desc>')
            .format(WIDTH, HEIGHT, num.plain(words.subject(series)), _description(series, calendar), key=key)
            + Markup("").join(parts) + Markup("</svg>"))  # fmt: skip


def _grid(series: Mapping[str, Any], scale: tuple[float, float], y: Any, calendar: Calendar) -> Markup:
    low, high = scale
    step = (high - low) * 0.04 / 1.08
    marks = [low + step, high - step]
    parity = series["parity"]
    lines = [Markup('<path class="grid" d="M{} {:.1f}H{}"/><text class="scale" x="{}" y="{:.1f}">{}</text>').format(
        LEFT, y(v), WIDTH - RIGHT, LEFT - 5, y(v) + 3.5, num.amount(v, {**series, "value": v, "low": None, "high": None})) for v in marks]  # fmt: skip
    if parity is not None and low <= parity <= high:
        lines.append(Markup('<path class="parity" d="M{} {:.1f}H{}"/>').format(LEFT, y(parity), WIDTH - RIGHT))
    first, final = calendar.nights[0]["night"], calendar.nights[-1]["night"]
    lines.append(Markup('<text class="day" x="{}" y="{}">{}</text>').format(LEFT, HEIGHT - 4, first))
    if final != first:
        lines.append(Markup('<text class="day end" x="{}" y="{}">{}</text>').format(WIDTH - RIGHT, HEIGHT - 4, final))
    return Markup("").join(lines)


def _runs(points: Sequence[Sequence[Any]], calendar: Calendar) -> list[list[Sequence[Any]]]:
    """Return the points in runs without a missing night."""
    runs: list[list[Sequence[Any]]] = []
    for point in points:
        if runs and not calendar.gap(runs[-1][-1][0], point[0]):
            runs[-1].append(point)
        else:
            runs.append([point])
    return runs


def _band(run: Sequence[Sequence[Any]], calendar: Calendar, y: Any) -> Markup:
    known = [(calendar.x(at), y(low), y(high)) for at, _, low, high in run if low is not None and high is not None]
    if not known:
        return Markup("")
    if len(known) == 1:
        x, bottom, top = known[0]
        return Markup('<path class="whisker" d="M{:.1f} {:.1f}V{:.1f}"/>').format(x, top, bottom)
    upper = " ".join(f"{x:.1f},{top:.1f}" for x, _, top in known)
    lower = " ".join(f"{x:.1f},{bottom:.1f}" for x, bottom, _ in reversed(known))
    return Markup('<polygon class="band" points="{} {}"/>').format(upper, lower)


def _step(series: Mapping[str, Any], calendar: Calendar, y: Any) -> Markup:
    told = series["moved"]
    x, end = calendar.x(told["since_at"]), WIDTH - RIGHT
    kind = escape({True: "worse", False: "better", None: "level"}[told["worse"]])
    return Markup('<path class="since" d="M{x:.1f} {top}V{bottom}"/><path class="level" d="M{left} {old:.1f}H{x:.1f}"/>'
                  '<path class="level {kind}" d="M{x:.1f} {new:.1f}H{end}"/>').format(
        x=x, top=TOP - 4, bottom=HEIGHT - BOTTOM, left=LEFT, old=y(told["before"]), new=y(told["after"]), end=end, kind=kind)  # fmt: skip


def _description(series: Mapping[str, Any], calendar: Calendar) -> str:
    values = [p[1] for p in series["points"]]
    text = (f"{len(values)} values between {num.amount(min(values), {**series, 'value': min(values)})} and "
            f"{num.amount(max(values), {**series, 'value': max(values)})}; last on {calendar.nights[series['points'][-1][0]]['night']}.")  # fmt: skip
    return text if series["moved"] is None else f"{text} A new level since {series['moved']['since']}."
