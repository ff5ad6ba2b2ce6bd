"""Curves of the editing study: small multiples of one attribute, a line a kind of edit, with bands."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from reports import numerals as num
from reports.reading import measured
from reports.svg import BASELINE, CANDIDATE, EDGE, INK, MUTED, PAGE, TARGET, WIDTH, Drawing, drawing

Row = Mapping[str, Any]

STYLES = {
    "self_conditioned": (CANDIDATE, "-", 2.4),
    "conditional": (BASELINE, "-", 1.5),
    "interfacegan": (BASELINE, (0, (5, 2)), 1.5),
    "ganspace": (MUTED, (0, (1.5, 1.5)), 1.8),
    "learned": (TARGET, "-", 1.5),
}
"""Colour, dashes and width of each kind of edit; one that is not known is drawn like a component."""

_LEFT, _TOP, _TALL, _BELOW = 46, 30, 150, 40


def key_figure(edits: Sequence[Row], key: str) -> Markup:
    """Draw the key: a piece of line and a name for each kind of edit of the study."""
    names = {str(c.get("by")): str(c.get("title")) for e in edits for c in e.get("curves") or []}
    rows = -(-len(names) // 2)
    with drawing(key, height=20 * rows + 4) as d:
        axes = d.axes(left=0, top=0, width=WIDTH, height=20 * rows + 4)
        axes.set_axis_off()
        axes.set_xlim(0, WIDTH)
        axes.set_ylim(20 * rows + 4, 0)
        for i, (by, title) in enumerate(names.items()):
            x, y = (i % 2) * WIDTH / 2, 20 * (i // 2) + 11
            colour, dashes, width = _style(by)
            axes.plot([x + 2, x + 30], [y, y], color=colour, linestyle=dashes, linewidth=width)
            axes.text(x + 38, y + 4, d.label(title, limit=30))
        return d.svg(title="Key", description=f"Kinds of edit: {num.listing([num.plain(t) for t in names.values()])}.")


def reached_figure(edit: Row, key: str) -> Markup:
    """Draw how far the judge's mean score moves with strength."""

    def line(axes: Axes, curve: Row, style: tuple) -> str:
        points = [p for p in curve["points"] if measured(p["change"])]
        _band(axes, [abs(p["strength"]) for p in points], [p["change"] for p in points], style, points)
        return f"{points[-1]['change']['value']:+.2f} at {points[-1]['strength']:g}" if points else "not measured"

    with _panel(key) as d:
        axes = _axes(
            d,
            f"Change of the judge's mean score towards {num.plain(edit.get('towards'))}",
            "strength (1 = the end of what the edit was made on)",
        )
        axes.axvline(1, color=MUTED, linewidth=0.8, linestyle=":")
        said = _lines(axes, edit, line)
        return d.svg(title=f"{num.plain(edit.get('title'))}: attribute reached against strength", description=said)


def identity_figure(edit: Row, key: str) -> Markup:
    """Draw how like the unedited person an image stays, at equal change."""

    def line(axes: Axes, curve: Row, style: tuple) -> str:
        equal = curve.get("equal") or {}
        x, y = equal.get("change") or [], equal.get("identity") or []
        if len(x) < 2:
            return "does not change the attribute"
        axes.fill_between(x, equal["low"], equal["high"], color=style[0], alpha=0.14, linewidth=0)
        axes.plot(x, y, color=style[0], linestyle=style[1], linewidth=style[2])
        return f"{y[-1]:.2f} at a change of {x[-1]:.2f}"

    with _panel(key) as d:
        axes = _axes(d, "Similarity to the unedited person", "change of the judge's mean score")
        strangers = [c["strangers"] for c in edit.get("curves") or [] if c.get("strangers") is not None]
        if strangers:
            axes.axhline(sum(strangers) / len(strangers), color=MUTED, linewidth=0.8, linestyle=":")
            axes.annotate(d.label("different people"), (1, sum(strangers) / len(strangers)), xycoords=("axes fraction", "data"), ha="right", va="bottom",
                          color=MUTED, fontsize=10.5, xytext=(0, 2), textcoords="offset points")  # fmt: skip
        said = _lines(axes, edit, line)
        perfect = edit.get("redrawn") or {}
        if perfect.get("identity") is not None:
            axes.plot([perfect["change"]], [perfect["identity"]], "D", color=INK, markersize=5)
            axes.annotate(d.label("same person, redrawn"), (perfect["change"], perfect["identity"]), ha="right", va="bottom", color=MUTED,
                          fontsize=10.5, xytext=(-7, 3), textcoords="offset points")  # fmt: skip
            said += f" The same people redrawn: {perfect['identity']:.2f} at a change of {perfect['change']:+.2f}."
        axes.set_ylim(min(axes.get_ylim()[0], 0), 1.02)
        return d.svg(title=f"{num.plain(edit.get('title'))}: identity at equal change", description=said)


def drift_figure(edit: Row, key: str) -> Markup:
    """Draw the share of other attributes' labels that flipped, against the change reached."""
    return _against_change(
        edit, key, "drift_mean", "Labels of other attributes that flipped", lambda v: f"{v * 100:.0f}%", "drift of other attributes"
    )


def fid_figure(edit: Row, key: str, reference: str) -> Markup | None:
    """Draw the Frechet distance of the edited images, against the change reached; None where it was not measured."""
    rows = [p.get("fid") for c in edit.get("curves") or [] for p in c["points"]]
    if not any(row and measured(row) for row in rows):
        return None
    return _against_change(edit, key, "fid", f"FID against the {num.plain(reference)} reference", num.tick, "FID of edited images")


def _against_change(edit: Row, key: str, what: str, title: str, say: Callable[[float], str], spoken: str) -> Markup:
    def line(axes: Axes, curve: Row, style: tuple) -> str:
        start = {"value": 0.0, "low": 0.0, "high": 0.0}
        points = [{**p, what: p.get(what) or start} for p in curve["points"]]
        points = [p for p in points if measured(p[what]) and measured(p["change"])]
        _band(axes, [p["change"]["value"] for p in points], [p[what] for p in points], style, points, bars=True)
        return (
            f"{num.rounded(round(points[-1][what]['value'], 3))} at a change of {points[-1]['change']['value']:+.2f}"
            if points
            else "not measured"
        )

    with _panel(key) as d:
        axes = _axes(d, title, "change of the judge's mean score", say)
        said = _lines(axes, edit, line)
        axes.set_ylim(bottom=0)
        return d.svg(title=f"{num.plain(edit.get('title'))}: {spoken}", description=said)


def _panel(key: str) -> Any:
    return drawing(key, height=_TOP + _TALL + _BELOW)


def _axes(d: Drawing, title: str, below: str, say: Callable[[float], str] = num.tick) -> Axes:
    axes = d.axes(left=_LEFT, top=_TOP, width=WIDTH - _LEFT - EDGE, height=_TALL)
    axes.grid(axis="y")
    axes.set_title(
        d.label(title, limit=64), loc="left", fontsize=11.5, fontweight="bold", color=BASELINE, x=-_LEFT / (WIDTH - _LEFT - EDGE), pad=10
    )
    axes.set_xlabel(d.label(below, limit=64))
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(d.ticks())
    axes.yaxis.set_major_formatter(lambda v, _: d.label(say(round(v, 9))))
    return axes


def _lines(axes: Axes, edit: Row, draw: Callable[[Axes, Row, tuple], str]) -> str:
    """Draw every curve, the self-conditioned one last; return what is told to those who do not see it."""
    curves = sorted(edit.get("curves") or [], key=lambda c: c.get("by") == "self_conditioned")
    told = [f"{num.plain(c.get('title'))}: {draw(axes, c, _style(str(c.get('by'))))}" for c in curves]
    return "; ".join(reversed(told)) + "."


def _band(axes: Axes, x: list[float], rows: list[Row], style: tuple, points: list[Row], *, bars: bool = False) -> None:
    colour, dashes, width = style
    y = [row["value"] for row in rows]
    low, high = ([row[k] if row.get(k) is not None else row["value"] for row in rows] for k in ("low", "high"))
    axes.plot(x, y, color=colour, linestyle=dashes, linewidth=width)
    if bars:
        axes.vlines(x, low, high, color=colour, linewidth=1, alpha=0.55)
    else:
        axes.fill_between(x, low, high, color=colour, alpha=0.14, linewidth=0)
    for at, value, point in zip(x, y, points, strict=True):
        far = (point.get("outside") or {}).get("flagged")
        axes.plot(
            [at], [value], "o", color=colour, markerfacecolor=PAGE if far else colour, markersize=5 if far else 3.2, markeredgewidth=1.2
        )


def _style(by: str) -> tuple:
    return STYLES.get(by, STYLES["ganspace"])
