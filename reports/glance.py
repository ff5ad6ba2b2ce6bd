"""The picture of the first screen: for each attribute, how near the target each generator is, against its image quality."""

from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

from reports import wording
from reports.alternatives import tradeoff_alt
from reports.discrepancy import discrepancy_figure, reach
from reports.reading import Attribute, Reading
from reports.svg import INK, MUTED, TARGET, drawing
from reports.tradeoff import both, numbered

WIDTH = 264
"""Width in CSS pixels: four abreast on a desk."""

_HEIGHT, _LEFT, _TOP, _BELOW = 206, 36, 22, 34


def glance_figure(reading: Reading, attribute: Attribute, key: str) -> Markup | None:
    """Draw fairness discrepancy against FID, nearer the target to the left, nearer the reference below; intervals both ways.

    Where quality was not measured, the discrepancies alone are drawn, a row a generator. All attributes share their scales.

    Args:
        reading: the result.
        attribute: whose fairness discrepancy.
        key: unique name of the figure on its page.

    Returns:
        One SVG element, or None where no fairness discrepancy was measured.
    """
    references = reading.references()
    points = both(reading, attribute, "fid", references[0]) if references else []
    if not points:
        return discrepancy_figure(reading, attribute, key, width=WIDTH + 20, bare=True)
    right = reach(reading)
    with drawing(key, height=_HEIGHT, width=WIDTH) as d:
        axes = d.axes(left=_LEFT, top=_TOP, width=WIDTH - _LEFT - 8, height=_HEIGHT - _TOP - _BELOW)
        axes.set_xlim(-0.025 * right, right)
        numbered(axes, points, {g.name for g, x, _ in points if reading.fell_back(x)})
        axes.axvline(0, color=TARGET, linewidth=1.4)
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        axes.set_xlabel("fairness discrepancy")
        axes.set_title(d.label(f"FID, {wording.reference(references[0])}", limit=34), loc="left", fontsize=10.5, color=MUTED, x=-_LEFT / axes.bbox.width)
        axes.set_title("\u2199 better", loc="right", fontsize=10.5, color=INK)
        title = f"{wording.attribute(reading, attribute.name)}: fairness discrepancy against FID"
        return d.svg(title=title, description=tradeoff_alt([("fid", 0, points)]))
