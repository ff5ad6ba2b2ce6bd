"""The heat map of an intersection, drawn by seaborn: a row a cell, a column a generator, counts in every field."""

import math
from functools import cache

import numpy as np
import seaborn
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.colors import Colormap

from reports import numerals as num
from reports import wording
from reports.alternatives import heatmap_alt
from reports.figures import Links
from reports.reading import Attribute, Generator, Reading, Row, measured
from reports.svg import INK, MUTED, PAGE, WIDTH, Drawing, drawing

REACH = 2.0
"""Ratio of share and target, in powers of two, at which colour is strongest: a quarter and four times."""

ABREAST = 8
"""Generators in one heat map; more make another, and are spread evenly."""

_NAMES = 128
_ROW = 34
_BELOW, _MIDDLE, _ABOVE = "#0072b2", "#f7f5f0", "#d55e00"  # blue and vermillion of Okabe and Ito, told apart by all
_DARK, _LIGHT = "#101214", "#ffffff"


def intersection_figures(reading: Reading, attribute: Attribute, key: str, links: Links | None = None) -> list[Markup]:
    """Draw the shares of an intersection: colour is the ratio of share and target, text the share and the count.

    Args:
        reading: the result.
        attribute: the intersection.
        key: unique name of the figure on its page; further ones carry a number behind it.
        links: where the page shows the images of (generator, attribute, cell); each such field leads there.

    Returns:
        SVG elements of at most :data:`ABREAST` generators each; none where the result has no such share.
    """
    shown = [g for g in reading.shown
             if any(reading.best(g.name, "share", attribute.name, c) for c in attribute.classes)]  # fmt: skip
    each = -(-len(shown) // -(-len(shown) // ABREAST)) if shown else 1
    parts = [shown[i : i + each] for i in range(0, len(shown), each)]
    return [_figure(reading, attribute, part, f"{key}-{i}", links or {}) for i, part in enumerate(parts)]


def _figure(reading: Reading, attribute: Attribute, generators: list[Generator], key: str, links: Links) -> Markup:
    cells = attribute.classes
    rows = {(c, g.name): reading.best(g.name, "share", attribute.name, c) for c in cells for g in generators}
    ratios = np.array([[_ratio(rows[c, g.name]) for g in generators] for c in cells])  # (cells, generators)
    name = wording.attribute(reading, attribute.name)
    with drawing(key, height=30 + _ROW * len(cells)) as d:
        axes = d.axes(left=_NAMES, top=26, width=WIDTH - _NAMES - 4, height=_ROW * len(cells))
        seaborn.heatmap(
            np.nan_to_num(ratios),
            mask=np.isnan(ratios),
            vmin=-REACH,
            vmax=REACH,
            cmap=_palette(),
            ax=axes,
            cbar=False,
            linewidths=2,
            linecolor=PAGE,
            xticklabels=False,
            yticklabels=False,
        )
        left = axes.get_yaxis_transform()
        for i, c in enumerate(cells):
            axes.text(-0.02, i + 0.5, d.label(wording.group(c)), transform=left, ha="right", va="center")
            for j, g in enumerate(generators):
                _cell(d, axes, j, i, rows[c, g.name], reading.images(g.name, attribute.name, c), ratios[i, j])
                if place := links.get((g.name, attribute.name, c)):
                    said = f"Images of {num.plain(g.title, limit=60)} labelled {wording.group(c)}"
                    wide = (WIDTH - _NAMES - 4) / len(generators)
                    d.link(place, said, left=_NAMES + j * wide + 1, top=26 + _ROW * i + 1, width=wide - 2, height=_ROW - 2)
        for j, g in enumerate(generators):
            axes.text(j + 0.5, -0.22, str(g.number), ha="center", va="center", weight="bold", color=INK)
        return d.svg(
            title=f"{name}: share and count of each cell", description=heatmap_alt(reading, attribute, generators)
        )


@cache
def _palette() -> Colormap:
    palette: Colormap = seaborn.blend_palette([_BELOW, _MIDDLE, _ABOVE], n_colors=17, as_cmap=True)
    return palette


def _legible(ratio: float) -> str:
    """Return the ink, dark or light, that contrasts more with the field of ``ratio`` (WCAG relative luminance)."""
    rgb = _palette()((ratio + REACH) / (2 * REACH))[:3]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return _LIGHT if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.056 else _DARK


def _ratio(row: Row | None) -> float:
    """Return log2 of share over target, cut at a quarter and four times; NaN where there is no number or no target."""
    if row is None or not measured(row) or not row.get("parity"):
        return math.nan
    return max(-REACH, min(REACH, math.log2(max(row["value"], 1e-9) / row["parity"])))


def _cell(d: Drawing, axes: Axes, x: int, y: int, row: Row | None, images: int | None, ratio: float) -> None:
    ink = MUTED if math.isnan(ratio) else _legible(ratio)
    if row is None:
        upper, lower = "\u2013", ""
    elif images == 0:
        upper = "0 images"
        lower = f"\u2264 {num.percent_at_most(row['high'])}" if row.get("high") is not None else ""
    elif not measured(row):
        upper, lower = "not", "measured"
    else:
        upper, lower = num.value(row), "" if images is None else num.count(images)
    axes.text(x + 0.5, y + (0.36 if lower else 0.5), d.label(upper), ha="center", va="center", fontsize=10.5, color=ink)
    if lower:
        axes.text(x + 0.5, y + 0.7, d.label(lower), ha="center", va="center", fontsize=9.5, color=ink)
