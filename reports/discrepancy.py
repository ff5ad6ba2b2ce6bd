"""The forest of fairness discrepancies: each generator's distance from the target, raw and corrected, with intervals."""

import math

from markupsafe import Markup

from reports import numerals as num
from reports import wording
from reports.figures import HEAD, NAMES, ROW, Dots, dot_axes, generator_name, heading, words
from reports.reading import Attribute, Reading, Row, measured
from reports.svg import TARGET, WIDTH, colour, drawing


def discrepancy_figure(reading: Reading, attribute: Attribute, key: str, *, width: float = WIDTH, bare: bool = False) -> Markup | None:
    """Draw the fairness discrepancy of one attribute, a row a generator: raw hollow, corrected filled, 0 is the target.

    All attributes of a result share a scale, so that figures side by side can be compared.

    Args:
        reading: the result.
        attribute: which attribute or intersection.
        key: unique name of the figure on its page.
        width: width in CSS pixels.
        bare: only the corrected numbers, or the raw ones where there are no others.

    Returns:
        One SVG element, or None where the result has no fairness discrepancy of this attribute.
    """
    rows = [(g, *reading.pair(g.name, "fairness_discrepancy", attribute.name)) for g in reading.shown]
    rows = [row for row in rows if row[1] or row[2]]
    if not rows:
        return None
    height = HEAD + ROW * len(rows)
    names = NAMES if width >= WIDTH else NAMES - 16
    with drawing(key, height=height + 34, width=width) as d:
        axes, dots, top = dot_axes(d, height, reach(reading), left=-0.004, names=names), Dots(), float(HEAD)
        axes.xaxis.set_major_formatter(d.ticks())
        axes.vlines(0, HEAD - 4, height, colors=TARGET, linewidth=1.4)
        heading(d, axes, 0, "discrepancy" if bare else "fairness discrepancy", f"at most {num.signed(ceiling(attribute), 2)}", names=names)
        for g, raw, corrected in rows:
            middle = top + ROW / 2
            generator_name(d, axes, middle, g, names=names)
            if bare:
                raw, corrected = (None, corrected) if measured(corrected) else (raw, None)
            apart = 3.5 if measured(raw) and measured(corrected) else 0.0
            dots.add(raw, middle - apart, colour(g), filled=False)
            dots.add(corrected, middle + apart, colour(g), filled=True)
            if not measured(raw) and not measured(corrected):
                words(d, axes, middle, f"not measured: {wording.reason(corrected or raw)}")
            top += ROW
        dots.draw(axes)
        title = f"{wording.attribute(reading, attribute.name)}: fairness discrepancy, 0 is the target"
        return d.svg(title=title, description=_spoken(rows))


def ceiling(attribute: Attribute) -> float:
    """Return the largest distance from equal shares that K classes allow, the square root of 1 minus 1/K."""
    return math.sqrt(1 - 1 / max(len(attribute.classes), 1))


def reach(reading: Reading) -> float:
    """Return the right end of the scale all discrepancies of single attributes share."""
    rows = [row for a in reading.attributes for g in reading.shown for row in reading.pair(g.name, "fairness_discrepancy", a.name)]
    ends = [row[k] for row in rows if row is not None and measured(row) for k in ("value", "high") if row.get(k) is not None]
    return math.ceil((max(ends, default=0.1) + 0.01) * 20) / 20


def _spoken(rows: list[tuple]) -> str:
    return num.listing([f"{num.plain(g.title, limit=40)} {_numbers(raw, corrected)}" for g, raw, corrected in rows], most=12) + "."


def _numbers(raw: Row | None, corrected: Row | None) -> str:
    told = [f"{wording.quoted(row)}{kind}" for row, kind in ((corrected, " corrected"), (raw, " raw")) if row is not None and measured(row)]
    return ", ".join(told) or "not measured"


