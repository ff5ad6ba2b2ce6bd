"""Fairness against quality: a numbered dot a generator, intervals both ways, joined to the baseline it came from."""

import math
from collections.abc import Sequence

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from reports import wording
from reports.alternatives import tradeoff_alt
from reports.reading import Attribute, Generator, Reading, Row, measured
from reports.svg import BASELINE, EDGE, INK, MUTED, PAGE, WIDTH, colour, drawing

Place = tuple[float, float]
"""A point in pixels."""

Point = tuple[Generator, Row, Row]
"""A generator, its fairness discrepancy and its quality."""

LEFT = 48  # pixels left of the axes, for the scale


def tradeoff_figure(reading: Reading, attribute: Attribute, key: str) -> Markup | None:
    """Draw fairness discrepancy of one attribute against image quality, a numbered dot a generator.

    Args:
        reading: the result.
        attribute: whose fairness discrepancy.
        key: unique name of the figure on its page.

    Returns:
        One SVG element, or None where no generator has both numbers.
    """
    references = reading.references()
    reference = references[0] if references else None
    panels = []
    for metric, panel_height in (("fid", 210), ("recall", 170)):
        points = both(reading, attribute, metric, reference)
        if points:
            panels.append((metric, panel_height, points))
    if not panels:
        return None
    name = wording.attribute(reading, attribute.name)
    title = f"{name}: fairness discrepancy against image quality"
    right = max(x[k] for _, _, points in panels for _, x, _ in points for k in ("value", "high") if x[k] is not None)
    with drawing(key, height=sum(h for _, h, _ in panels) + 44 * len(panels)) as d:
        top = 0.0
        for metric, panel_height, points in panels:
            axes = d.axes(left=LEFT, top=top + 26, width=WIDTH - LEFT - EDGE, height=panel_height - 20)
            axes.set_xlim(-0.02 * right, right * 1.06 or 0.1)
            numbered(axes, points, {g.name for g, x, _ in points if reading.fell_back(x)})
            label = f"{wording.metric(metric)}, {wording.reference(reference)}"
            better = "lower is better" if metric == "fid" else "higher is better"
            axes.set_title(
                d.label(f"{label} ({better})", limit=60),
                loc="left",
                fontsize=11.5,
                color=INK,
                x=-LEFT / (WIDTH - LEFT - EDGE),
            )
            axes.set_xlabel("fairness discrepancy (0 is the target)" if metric == panels[-1][0] else "")
            top += panel_height + 30
        return d.svg(title=title, description=tradeoff_alt(panels))


def both(reading: Reading, attribute: Attribute, metric: str, reference: str | None) -> list[Point]:
    """Return the generators that have both a fairness discrepancy of the attribute and a quality against the reference."""
    points = []
    for g in reading.shown:
        x = reading.best(g.name, "fairness_discrepancy", attribute.name)
        y = reading.best(g.name, metric, None, reference)
        if x is not None and y is not None and measured(x) and measured(y):
            points.append((g, x, y))
    return points


def numbered(axes: Axes, points: Sequence[Point], hollow: set[str]) -> None:
    """Draw points with intervals both ways and their numbers beside them; hollow ones are raw among corrected."""
    ends = [y[k] for _, _, y in points for k in ("value", "low", "high") if y.get(k) is not None]
    room = (max(ends) - min(ends)) * 0.12 or abs(max(ends)) * 0.1 or 0.1
    axes.set_ylim(min(ends) - room, max(ends) + room)
    axes.grid(True)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    places = {g.name: tuple(axes.transData.transform((x["value"], y["value"]))) for g, x, y in points}
    for g, x, y in points:
        base = next((p for p in points if p[0].name == g.compare_to), None)
        if base is not None:
            axes.plot([base[1]["value"], x["value"]], [base[2]["value"], y["value"]], ":", color=MUTED, linewidth=1)
    taken: list[Place] = list(places.values())
    for g, x, y in points:
        if x.get("low") is not None and x.get("high") is not None:
            axes.hlines(y["value"], x["low"], x["high"], colors=colour(g), linewidth=1.1)
        if y.get("low") is not None and y.get("high") is not None:
            axes.vlines(x["value"], y["low"], y["high"], colors=colour(g), linewidth=1.1)
        marker, face = "s" if colour(g) == BASELINE else "o", PAGE if g.name in hollow else colour(g)
        axes.plot([x["value"]], [y["value"]], marker, color=colour(g), markerfacecolor=face, markersize=6)
        offset = _free_place(places[g.name], taken)
        axes.annotate(
            str(g.number),
            (x["value"], y["value"]),
            offset,
            textcoords="offset points",
            ha="center",
            va="center",
            weight="bold",
            color=colour(g),
        )


def _free_place(point: Place, taken: list[Place]) -> Place:
    """Return the offset in pixels, among twelve around ``point``, that lies farthest from what is already there."""
    around = [(r * math.cos(a), r * math.sin(a)) for r in (13.0, 20.0) for a in (0.8, 2.36, 3.93, 5.5, 1.57, 4.71)]

    def clearance(offset: Place) -> float:
        x, y = point[0] + offset[0], point[1] + offset[1]
        return min(min(math.hypot(x - t[0], y - t[1]) for t in taken), 13.0)

    best = max(around, key=clearance)
    taken.append((point[0] + best[0], point[1] + best[1]))
    return best
