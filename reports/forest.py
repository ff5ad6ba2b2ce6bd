"""Forests of differences, candidate minus baseline, around zero: fairness by attribute, and quality number by number."""

from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes

from reports import wording
from reports.alternatives import changes_alt, comparison_alt, pair_label
from reports.figures import HEAD, ROW, Dots, dot_axes, heading, names_at, words
from reports.reading import MOST_SHOWN, Generator, Reading, Row, measured, second
from reports.svg import CANDIDATE, MUTED, TARGET, Drawing, drawing

PANELS = (
    ("fid", True, "left"), ("precision", False, "right"), ("recall", False, "right"), ("coverage", False, "right"),
    ("identity_similarity", False, "left"),
)  # fmt: skip
"""Numbers of the forest of quality: whether each reference has a panel of its own, and on which side of 0 is better."""

_FOOT = 30  # pixels below a panel, for its scale


def comparison_figure(reading: Reading, key: str) -> Markup | None:
    """Draw the differences in fairness discrepancy as a forest: the classifier's as a dot, the second rater's as a diamond.

    Args:
        reading: the result.
        key: unique name of the figure on its page.

    Returns:
        One SVG element, or None where no fairness discrepancy was compared.
    """
    every = [c for c in reading.comparisons if c.get("metric") == "fairness_discrepancy" and c.get("group") is None]
    candidates = [g.name for g in reading.candidates][:MOST_SHOWN]
    every = [c for c in every if c.get("generator") in candidates]
    singles = {a.name for a in reading.attributes}
    every = [c for c in every if c.get("attribute") in singles] or every  # intersections have their numbers in the tables
    rows, others = (_corrected_first([r for r in every if second(r) is by_second]) for by_second in (False, True))
    beside = {_pair(row): row for row in others}
    blocks: dict[str, list[Row]] = {}
    for row in rows:
        blocks.setdefault(str(row.get("attribute")), []).append(row)
    reach = _reach([*rows, *others])
    if reach is None:
        return None
    height = sum(HEAD + ROW * len(found) for found in blocks.values())
    with drawing(key, height=height + 38) as d:
        axes, dots, top = dot_axes(d, height, reach[1], left=reach[0]), Dots(), 0.0
        axes.axvline(0, color=TARGET, linewidth=1.2)
        axes.xaxis.set_major_formatter(d.ticks())
        axes.set_xlabel("difference; left of 0 is closer to the target")
        for name, found in blocks.items():
            heading(d, axes, top, wording.attribute(reading, name), "")
            top += HEAD
            for row in found:
                other = beside.get(_pair(row))
                apart = 3.5 if measured(row) and measured(other) else 0.0
                _line(d, axes, dots, pair_label(reading, row), row, top + ROW / 2, apart)
                dots.add(other, top + ROW / 2 + apart, MUTED, filled=bool(other and other.get("corrected")), mark="d")
                top += ROW
        dots.draw(axes)
        return d.svg(title="Fairness discrepancy, candidate minus baseline", description=comparison_alt(reading, [*rows, *others]))


def quality_figure(reading: Reading, key: str) -> Markup | None:
    """Draw the differences in image quality and in the diversity of people, a panel a number, a row a candidate.

    Args:
        reading: the result.
        key: unique name of the figure on its page.

    Returns:
        One SVG element, or None where no quality was compared.
    """
    panels = []
    for metric, every, better in PANELS:
        references = reading.references() or [None]
        for reference in [None] if metric == "identity_similarity" else references if every else references[:1]:
            found = [(g, row) for g in reading.candidates[:MOST_SHOWN] if (row := reading.change(g.name, metric, None, reference)) is not None]
            reach = _reach([row for _, row in found])
            if reach is not None:
                panels.append((metric, reference, better, found, reach))
    if not panels:
        return None
    heights = [HEAD + ROW * len(found) for *_, found, _ in panels]
    with drawing(key, height=sum(heights) + _FOOT * len(panels)) as d:
        above = 2.0
        for (metric, reference, better, found, reach), height in zip(panels, heights, strict=True):
            axes, dots = dot_axes(d, height, reach[1], left=reach[0], top=above), Dots()
            axes.vlines(0, HEAD - 4, height, colors=TARGET, linewidth=1.2)
            axes.xaxis.set_major_formatter(d.ticks())
            title = wording.metric(metric) + ("" if reference is None else f", {wording.reference(reference)}")
            heading(d, axes, 0, title, f"{better} is better")
            for at, (g, row) in enumerate(found):
                _line(d, axes, dots, _label(reading, g, row), row, HEAD + ROW * (at + 0.5), 0.0)
            dots.draw(axes)
            above += height + _FOOT
        description = changes_alt([(m, r, [(g, row) for g, row in f]) for m, r, _, f, _ in panels])
        return d.svg(title="Image quality, candidate minus baseline", description=description)


def _line(d: Drawing, axes: Axes, dots: Dots, name: str, row: Row, middle: float, apart: float) -> None:
    names_at(d, axes, middle, name)
    dots.add(row, middle - apart, CANDIDATE, filled=bool(row.get("corrected")) or row.get("reader") is None)
    if not measured(row):
        words(d, axes, middle, f"not compared: {wording.reason(row)}")


def _label(reading: Reading, g: Generator, row: Row) -> str:
    return pair_label(reading, {"generator": g.name, "baseline": row.get("baseline")})


def _reach(rows: list[Row]) -> tuple[float, float] | None:
    """Return the ends of a scale that holds 0 and every interval, with a little room; None where nothing was measured."""
    ends = [r[k] for r in rows if measured(r) for k in ("difference", "low", "high") if r.get(k) is not None]
    if not ends:
        return None
    low, high = min(0.0, *ends), max(0.0, *ends)
    room = (high - low) * 0.06 or 0.1
    return low - room, high + room


def _pair(row: Row) -> tuple[Any, ...]:
    return row.get("attribute"), row.get("generator"), row.get("baseline")


def _corrected_first(rows: list[Row]) -> list[Row]:
    """Return one row for each pair of generators and attribute: the corrected one where it was measured."""
    chosen: dict[tuple[Any, ...], Row] = {}
    for row in sorted(rows, key=lambda r: (not measured(r), not r.get("corrected"))):
        chosen.setdefault(_pair(row), row)
    order = {id(row): i for i, row in enumerate(rows)}
    return sorted(chosen.values(), key=lambda r: order[id(r)])
