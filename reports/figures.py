"""Dot plots with intervals: the shares of an attribute against their target; and the parts such plots are made of."""

import math
from collections.abc import Mapping

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator
from matplotlib.transforms import Affine2D, Transform, blended_transform_factory

from reports import numerals as num
from reports import wording
from reports.alternatives import shares_alt
from reports.reading import Attribute, Generator, Reading, Row, measured
from reports.svg import BASELINE, EDGE, MUTED, PAGE, TARGET, WIDTH, Drawing, colour, drawing

ROW = 20  # pixels a generator takes in a dot plot
HEAD = 30  # pixels a heading takes
NAMES = 144  # pixels left of the axes of a dot plot, for names
ABOVE = 2  # pixels above the axes of a dot plot

Links = Mapping[tuple[str, str, str], str]
"""Where the page shows the images of (generator, attribute, class): ids of places on it."""


def share_figure(reading: Reading, attribute: Attribute, key: str, links: Links | None = None) -> Markup | None:
    """Draw the shares of one attribute against their target: raw hollow, corrected filled, a row a generator.

    Args:
        reading: the result.
        attribute: which attribute.
        key: unique name of the figure on its page.
        links: where the page shows the images of (generator, attribute, class); each such row leads there.

    Returns:
        One SVG element, or None where the result has no share of this attribute.
    """
    blocks = []
    for c in attribute.classes:
        rows = [(g, *reading.pair(g.name, "share", attribute.name, c)) for g in reading.shown]
        rows = [row for row in rows if row[1] or row[2]]
        blocks += [(c, rows)] if rows else []
    if not blocks:
        return None
    every = [row for _, rows in blocks for _, *pair in rows for row in pair if row is not None]
    reach = max([row[k] for row in every for k in ("value", "high", "parity") if row.get(k) is not None], default=1.0)
    right = min(1.0, math.ceil((reach + 0.01) * 10) / 10)
    height = sum(HEAD + ROW * len(rows) for _, rows in blocks)
    title = f"{wording.attribute(reading, attribute.name)}: shares against target"
    with drawing(key, height=height + 34) as d:
        axes, dots, top = dot_axes(d, height, right), Dots(), 0.0
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x * 100:.0f}%"))
        for c, rows in blocks:
            first = rows[0][1] or rows[0][2]
            heading(d, axes, top, f"labelled {wording.group(c)}", wording.target(first))
            top += HEAD
            _target_line(axes, first, top - 4, top + ROW * len(rows) - 3)
            for g, raw, corrected in rows:
                middle = top + ROW / 2
                generator_name(d, axes, middle, g)
                if place := (links or {}).get((g.name, attribute.name, c)):
                    said = f"Images of {num.plain(g.title, limit=60)} labelled {wording.group(c)}"
                    d.link(place, said, left=0, top=ABOVE + top, width=WIDTH, height=ROW)
                apart = 3.5 if measured(raw) and measured(corrected) else 0.0
                dots.add(raw, middle - apart, colour(g), filled=False)
                dots.add(corrected, middle + apart, colour(g), filled=True)
                if not measured(raw) and not measured(corrected):
                    words(d, axes, middle, f"not measured: {wording.reason(corrected or raw)}")
                top += ROW
        dots.draw(axes)
        return d.svg(title=title, description=shares_alt(reading, attribute))


def dot_axes(d: Drawing, height: float, right: float, *, left: float = 0.0, top: float = ABOVE, names: float = NAMES) -> Axes:
    """Return the axes of a dot plot: rows downwards in pixels, ``names`` pixels to their left, a scale from ``left`` to ``right``."""
    axes = d.axes(left=names, top=top, width=d.width - names - EDGE, height=height)
    axes.set_xlim(left, right)
    axes.set_ylim(height, 0)
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    return axes


def pixels(axes: Axes, names: float = NAMES) -> Transform:
    """Return the transform of labels: x in pixels from the left edge of the axes, y in rows."""
    return blended_transform_factory(Affine2D().translate(names, 0), axes.transData)


def heading(d: Drawing, axes: Axes, top: float, left: str, right: str, *, names: float = NAMES) -> None:
    """Write a heading in bold from the left edge, and a remark at the right."""
    axes.text(-names, top + 18, d.label(left, limit=44), transform=pixels(axes, names), weight="bold", va="center")
    if right:
        axes.text(1, top + 18, right, transform=axes.get_yaxis_transform(), ha="right", va="center", color=MUTED)


def generator_name(d: Drawing, axes: Axes, y: float, g: Generator, *, names: float = NAMES) -> None:
    """Write the number and the title of a generator from the left edge."""
    axes.text(-names + 14, y, str(g.number), transform=pixels(axes, names), color=MUTED, ha="right", va="center")
    limit = 18 if names >= NAMES else 16
    axes.text(-names + 20, y, d.label(g.title, limit=limit), transform=pixels(axes, names), va="center")


def names_at(d: Drawing, axes: Axes, y: float, name: str) -> None:
    """Write the name of a row from the left edge."""
    axes.text(-NAMES, y, d.label(name), transform=pixels(axes), va="center")


def words(d: Drawing, axes: Axes, y: float, text: str) -> None:
    """Write why there is no dot."""
    axes.text(
        0.02, y, d.label(text, limit=42), transform=axes.get_yaxis_transform(), va="center", color=MUTED, fontsize=10.5
    )


def _target_line(axes: Axes, row: Row | None, top: float, bottom: float) -> None:
    if row is not None and row.get("parity") is not None:
        axes.vlines(row["parity"], top, bottom, colors=TARGET, linewidth=1.4)


class Dots:
    """Numbers with their intervals, gathered so that all of one look are drawn at once."""

    def __init__(self) -> None:
        self.looks: dict[tuple[str, bool, str], list[tuple[float, Row, float]]] = {}

    def add(self, row: Row | None, y: float, ink: str, *, filled: bool, mark: str = "") -> None:
        """Take a row of measures or comparisons; one that was not measured leaves no dot. ``mark`` = a shape of its own."""
        if row is not None and measured(row):
            x = row["value"] if row.get("value") is not None else row["difference"]
            self.looks.setdefault((ink, filled, mark), []).append((x, row, y))

    def draw(self, axes: Axes) -> None:
        """Draw what was taken."""
        for (ink, filled, mark), points in self.looks.items():
            bars = [(r["low"], r["high"], y) for _, r, y in points if None not in (r.get("low"), r.get("high"))]
            if bars:
                low, high, y = zip(*bars, strict=True)
                axes.hlines(y, low, high, colors=ink, linewidth=1.6 if filled else 1.0)
            axes.plot(
                [x for x, _, _ in points],
                [y for _, _, y in points],
                mark or ("s" if ink == BASELINE else "o"),
                color=ink,
                markerfacecolor=ink if filled else PAGE,
                markersize=5.5 if filled else 5,
                markeredgewidth=1.1,
                clip_on=False,
            )

