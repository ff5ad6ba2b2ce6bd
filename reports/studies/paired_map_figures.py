"""Figures of the paired audit: the change of the skin's lightness by tone, and labels that flipped, as bars either way."""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.ticker import FuncFormatter, MaxNLocator

from reports import numerals as num
from reports.figures import HEAD, ROW, Dots, dot_axes, heading, names_at, words
from reports.reading import measured
from reports.svg import BASELINE, CANDIDATE, MUTED, PAGE, RULE, TARGET, drawing

Row = dict[str, Any]

MOST_MAPS = 10
"""Maps drawn; the tables hold all."""


def colour_figure(maps: Sequence[Row], by: str | None, key: str) -> Markup | None:
    """Draw the mean change of L* with its interval: a panel a map, a row a tone; a bar marks what was planted.

    Args:
        maps: of the study.
        by: which strata.
        key: unique name of the figure on its page.

    Returns:
        One SVG element, or None where nobody read the skin.
    """
    panels = [(m, rows) for m in maps[:MOST_MAPS] if (rows := _rows(m, by)) and any(measured(r) for r in rows)]
    if not panels or by is None:
        return None
    ends = [r[k] for _, rows in panels for r in rows if measured(r) for k in ("low", "high")]
    ends += [r["planted"] for _, rows in panels for r in rows if r.get("planted") is not None]
    room = (max(*ends, 0.0) - min(*ends, 0.0)) * 0.05 or 1.0
    height = sum(HEAD + ROW * len(rows) for _, rows in panels)
    said = []
    with drawing(key, height=height + 38) as d:
        axes, dots, top = dot_axes(d, height, max(*ends, 0.0) + room, left=min(*ends, 0.0) - room), Dots(), 0.0
        axes.axvline(0, color=RULE, linewidth=1.2)
        axes.xaxis.set_major_formatter(d.ticks())
        axes.set_xlabel("change of L* of the skin; right of 0 is lighter")
        for m, rows in panels:
            planted = rows[0].get("planted")
            heading(d, axes, top, str(m.get("title")), "" if not planted else f"planted {'+' if planted > 0 else ''}{num.tick(planted)}")
            top += HEAD
            if planted is not None:
                axes.vlines(planted, top - 3, top + ROW * len(rows) - 3, colors=TARGET, linewidth=2)
            for row in rows:
                names_at(d, axes, top + ROW / 2, "all pairs" if row["by"] == "all" else f"{row['stratum']} before")
                dots.add(row, top + ROW / 2, _ink(m), filled=True)
                if not measured(row):
                    words(d, axes, top + ROW / 2, f"not measured: {row.get('reason')}")
                top += ROW
            each = [f"{r['stratum']} {num.signed(r['value'], 2)}" for r in rows if measured(r)]
            said.append(f"{num.plain(m.get('title'))}: {', '.join(each)}")
        dots.draw(axes)
        return d.svg(title="Change of the skin's lightness by tone of the image before", description=". ".join(said) + ".")


def flips_figure(maps: Sequence[Row], key: str) -> Markup | None:
    """Draw the labels that flipped: for each attribute of two classes, bars either way as a share of the pairs, a row a map.

    Args:
        maps: of the study.
        key: unique name of the figure on its page.

    Returns:
        One SVG element, or None where no attribute of two classes was read.
    """
    panels: dict[tuple, list[tuple[Row, Row]]] = {}
    for m in maps[:MOST_MAPS]:
        for flip in m.get("flips") or []:
            if len(flip.get("classes") or []) == 2 and flip.get("n") and flip.get("reader") != "second_rater":
                panels.setdefault((flip["attribute"], *flip["classes"]), []).append((m, flip))
    if not panels:
        return None
    reach = max(max(f["gained"]) / f["n"] for found in panels.values() for _, f in found) * 1.12 or 0.01
    height = sum(HEAD + ROW * len(found) for found in panels.values())
    said = []
    with drawing(key, height=height + 38) as d:
        axes, top = dot_axes(d, height, reach, left=-reach), 0.0
        axes.axvline(0, color=RULE, linewidth=1.2)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: d.label(f"{num.tick(round(abs(x) * 100, 6))}%")))
        axes.set_xlabel("share of pairs whose label flips")
        for (_, first, second), found in panels.items():
            heading(d, axes, top, f"to {first} (left), to {second} (right)", "")
            top += HEAD
            for m, flip in found:
                left, right = (n / flip["n"] for n in flip["gained"])
                names_at(d, axes, top + ROW / 2, str(m.get("title")))
                axes.barh([top + ROW / 2] * 2, [-left, right], height=ROW * 0.55, color=_ink(m), alpha=0.85, linewidth=0)
                net = right - left
                axes.plot([net], [top + ROW / 2], "|", color=PAGE if net else MUTED, markersize=ROW * 0.5, markeredgewidth=2)
                top += ROW
                said.append(f"{num.plain(m.get('title'))}: {flip['gained'][0]} to {num.plain(first)}, {flip['gained'][1]} to {num.plain(second)}, of "
                            f"{num.count(flip['n'])}")  # fmt: skip
        return d.svg(title="Labels that flipped, either way", description=". ".join(said) + ".")


def _rows(m: Row, by: str | None) -> list[Row]:
    return [r for r in m.get("changes") or [] if r.get("quantity") == "L" and r.get("by") in ("all", by)]


def _ink(m: Row) -> str:
    return BASELINE if m.get("control") or (m.get("map") or {}).get("planted") else CANDIDATE
