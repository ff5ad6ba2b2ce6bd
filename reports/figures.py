"""Dot plots with intervals: the shares of an attribute against their target, and candidates against their baselines."""

import math

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator
from matplotlib.transforms import Affine2D, Transform, blended_transform_factory

from reports import numerals as num
from reports import wording
from reports.alternatives import comparison_alt, pair_label, shares_alt
from reports.reading import Attribute, Generator, Reading, Row, measured
from reports.svg import BASELINE, CANDIDATE, EDGE, MUTED, PAGE, TARGET, WIDTH, Drawing, colour, drawing

ROW = 19  # pixels a generator takes in a dot plot
HEAD = 30  # pixels a heading takes
NAMES = 144  # pixels left of the axes of a dot plot, for names


def share_figure(reading: Reading, attribute: Attribute, key: str) -> Markup | None:
    """Draw the shares of one attribute against their target: raw hollow, corrected filled, a row a generator.

    Args:
        reading: the result.
        attribute: which attribute.
        key: unique name of the figure on its page.

    Returns:
        One SVG element, or None where the result has no share of this attribute.
    """
    blocks = []
    for c in attribute.classes:
        rows = [(g, *reading.pair(g.name, "share", attribute.name, c)) for g in reading.generators]
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
        axes, dots, top = _dot_axes(d, height, right), _Dots(), 0.0
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x * 100:.0f}%"))
        for c, rows in blocks:
            first = rows[0][1] or rows[0][2]
            _heading(d, axes, top, f"labelled {wording.group(c)}", wording.target(first))
            top += HEAD
            _target_line(axes, first, top - 4, top + ROW * len(rows) - 3)
            for g, raw, corrected in rows:
                middle = top + ROW / 2
                _name(d, axes, middle, g)
                apart = 3.5 if measured(raw) and measured(corrected) else 0.0
                dots.add(raw, middle - apart, colour(g), filled=False)
                dots.add(corrected, middle + apart, colour(g), filled=True)
                if not measured(raw) and not measured(corrected):
                    _words(d, axes, middle, f"not measured: {wording.reason(corrected or raw)}")
                top += ROW
        dots.draw(axes)
        return d.svg(title=title, description=shares_alt(reading, attribute))


def comparison_figure(reading: Reading, key: str) -> Markup | None:
    """Draw the differences in fairness discrepancy, candidate minus baseline, as a forest around zero.

    Args:
        reading: the result.
        key: unique name of the figure on its page.

    Returns:
        One SVG element, or None where no fairness discrepancy was compared.
    """
    rows = [c for c in reading.comparisons if c.get("metric") == "fairness_discrepancy" and c.get("group") is None]
    rows = _corrected_first(rows)
    blocks: dict[str, list[Row]] = {}
    for row in rows:
        blocks.setdefault(str(row.get("attribute")), []).append(row)
    ends = [abs(r[k]) for r in rows if measured(r) for k in ("difference", "low", "high") if r.get(k) is not None]
    if not ends:
        return None
    height = sum(HEAD + ROW * len(found) for found in blocks.values())
    with drawing(key, height=height + 38) as d:
        reach = max(ends) * 1.05 or 0.1
        axes, dots, top = _dot_axes(d, height, reach, left=-reach), _Dots(), 0.0
        axes.axvline(0, color=TARGET, linewidth=1.2)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: num.signed(x, 2)))
        axes.set_xlabel("\u2190 closer to the target\u2003\u2003\u2003farther from it \u2192")
        for name, found in blocks.items():
            _heading(d, axes, top, wording.attribute(reading, name), "")
            top += HEAD
            for row in found:
                middle = top + ROW / 2
                axes.text(-NAMES, middle, d.label(pair_label(reading, row)), transform=_pixels(axes), va="center")
                dots.add(row, middle, CANDIDATE, filled=bool(row.get("corrected")))
                if not measured(row):
                    _words(d, axes, middle, f"not compared: {wording.reason(row)}")
                top += ROW
        dots.draw(axes)
        return d.svg(title="Fairness discrepancy, candidate minus baseline", description=comparison_alt(reading, rows))


def _dot_axes(d: Drawing, height: float, right: float, *, left: float = 0.0) -> Axes:
    axes = d.axes(left=NAMES, top=2, width=WIDTH - NAMES - EDGE, height=height)
    axes.set_xlim(left, right)
    axes.set_ylim(height, 0)
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    return axes


def _pixels(axes: Axes) -> Transform:
    """Return the transform of labels: x in pixels from the left edge of the axes, y in rows."""
    return blended_transform_factory(Affine2D().translate(NAMES, 0), axes.transData)


def _heading(d: Drawing, axes: Axes, top: float, left: str, right: str) -> None:
    axes.text(-NAMES, top + 18, d.label(left, limit=44), transform=_pixels(axes), weight="bold", va="center")
    if right:
        axes.text(1, top + 18, right, transform=axes.get_yaxis_transform(), ha="right", va="center", color=MUTED)


def _name(d: Drawing, axes: Axes, y: float, g: Generator) -> None:
    axes.text(-NAMES + 14, y, str(g.number), transform=_pixels(axes), color=MUTED, ha="right", va="center")
    axes.text(-NAMES + 20, y, d.label(g.title, limit=18), transform=_pixels(axes), va="center")


def _words(d: Drawing, axes: Axes, y: float, text: str) -> None:
    axes.text(
        0.02, y, d.label(text, limit=42), transform=axes.get_yaxis_transform(), va="center", color=MUTED, fontsize=10.5
    )


def _target_line(axes: Axes, row: Row | None, top: float, bottom: float) -> None:
    if row is not None and row.get("parity") is not None:
        axes.vlines(row["parity"], top, bottom, colors=TARGET, linewidth=1.4)


class _Dots:
    """Numbers with their intervals, gathered so that all of one look are drawn at once."""

    def __init__(self) -> None:
        self.looks: dict[tuple[str, bool], list[tuple[float, Row, float]]] = {}

    def add(self, row: Row | None, y: float, ink: str, *, filled: bool) -> None:
        """Take a row of measures or comparisons; one that was not measured leaves no dot."""
        if row is not None and measured(row):
            x = row["value"] if row.get("value") is not None else row["difference"]
            self.looks.setdefault((ink, filled), []).append((x, row, y))

    def draw(self, axes: Axes) -> None:
        for (ink, filled), points in self.looks.items():
            bars = [(r["low"], r["high"], y) for _, r, y in points if None not in (r.get("low"), r.get("high"))]
            if bars:
                low, high, y = zip(*bars, strict=True)
                axes.hlines(y, low, high, colors=ink, linewidth=1.6 if filled else 1.0)
            axes.plot(
                [x for x, _, _ in points],
                [y for _, _, y in points],
                "s" if ink == BASELINE else "o",
                color=ink,
                markerfacecolor=ink if filled else PAGE,
                markersize=5.5 if filled else 5,
                markeredgewidth=1.1,
                clip_on=False,
            )


def _corrected_first(rows: list[Row]) -> list[Row]:
    """Return one row for each pair of generators and attribute: the corrected one where it was measured."""
    chosen: dict[tuple[object, ...], Row] = {}
    for row in sorted(rows, key=lambda r: (not measured(r), not r.get("corrected"))):
        chosen.setdefault((row.get("attribute"), row.get("generator"), row.get("baseline")), row)
    order = {id(row): i for i, row in enumerate(rows)}
    return sorted(chosen.values(), key=lambda r: order[id(r)])
