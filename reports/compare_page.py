"""The page of several runs: what moved, in words and one picture, then every measure side by side, then what sets them apart."""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from reports import compare, phrases, wording
from reports import numerals as num
from reports.anchors import anchor
from reports.compare import Line, Run
from reports.figures import HEAD, NAMES, Dots, dot_axes, heading, pixels
from reports.fragments import environment, script
from reports.reading import QUALITY, Row, measured
from reports.svg import BASELINE, CANDIDATE, MUTED, TARGET, Drawing, drawing
from reports.tables import Cell, Table, number

MOST_RUNS = 6
"""Runs a figure draws; the tables have all."""

MOST_LINES = 12
"""Generators a figure draws."""

_MARKS = ("s", "o", "D", "^", "v", "P")


def render(runs: Sequence[Run], *, fairness_only: bool = False) -> str:
    """Return the page of several runs as HTML: one file, no request, whole without its script.

    Args:
        runs: what :func:`reports.compare.open_runs` returns.
        fairness_only: whether image quality is left out.
    """
    first = runs[0].reading
    sections = [_section(runs, "fairness_discrepancy", a.name, None, wording.attribute(_knows(runs, a.name), a.name), shares=a.classes)
                for a in compare.attributes(runs)]  # fmt: skip
    quality = []
    if not fairness_only:
        for ref in compare.references(runs):
            for metric in QUALITY:
                title = f"{wording.metric(metric)}, {wording.reference(ref)}"
                quality.append(_section(runs, metric, None, ref, title))
    facts = compare.apart(runs)
    rows = [[Cell(fact, "", "head"), *[Cell(value, "", "prose") for value in values]] for fact, values in facts]
    return environment().get_template("compare.html.j2").render(
        runs=runs,
        say=wording,
        num=num,
        text=phrases,
        script=script(),
        moved=_moved(runs, fairness_only=fairness_only),
        chance=_chance(runs),
        sections=[s for s in sections if s],
        quality=[s for s in quality if s],
        apart=Table("What sets the runs apart", ["Fact", *[_label(run) for run in runs]], rows) if rows else None,
        target=first.result.get("spec"),
    )  # fmt: skip


def headline(runs: Sequence[Run]) -> str:
    """Return what moved as lines for a terminal."""
    said = _moved(runs, fairness_only=False)
    return "\n".join([f"{_label(run)}: {num.plural(sum(g.images for g in run.reading.generators), 'image')}" for run in runs] + [f"  {s}" for s in said])


def differences(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return the differences of the headline as rows for machines."""
    rows = []
    for line in compare.headline(runs):
        for run, d in zip(runs[1:], line.differences(), strict=True):
            found = {k: None if d is None else d[k] for k in ("difference", "low", "high")}
            rows.append({"run": run.name, "against": runs[0].name, "generator": line.generator, "metric": line.metric,
                         "attribute": line.attribute, "group": line.group, **found})  # fmt: skip
    return rows


def _section(runs: Sequence[Run], metric: str, attribute: str | None, group: str | None, title: str, shares: Sequence[str] = ()) -> dict[str, Any] | None:
    found = compare.lines(runs, metric=metric, attribute=attribute, group=group)
    if not found:
        return None
    place = anchor("compare", metric, attribute or group or "all")
    every = [line for c in shares for line in compare.lines(runs, metric="share", attribute=attribute, group=c)]
    return {
        "id": place,
        "title": title,
        "figure": _figure(runs, found, f"{place}-figure", title),
        "table": _table(runs, found, f"{title}: {wording.lower_first(wording.metric(metric))} in each run"),
        "shares": _table(runs, every, f"{title}: share of images by label in each run") if every else None,
    }


def _table(runs: Sequence[Run], found: Sequence[Line], caption: str) -> Table:
    parts = any(line.metric == "share" for line in found)
    rows = []
    for line in found:
        cells = [Cell(wording.group(line.group))] if parts else []
        cells += [number(row) if row is not None else Cell("\u2013", "not in this run", "missing") for row in line.rows]
        rows.append([Cell(num.plain(compare.title(runs, line.generator), limit=80), "", "head"), *cells, *map(_change, line.differences())])
    heads = [_label(run) for run in runs] + [f"{run.letter} {num.MINUS} {runs[0].letter}" for run in runs[1:]]
    return Table(caption, ["Generator", *(["Labelled"] if parts else []), *heads], rows)


def _change(row: Row | None) -> Cell:
    if row is None:
        return Cell("\u2013", "nothing to compare", "missing", numbers=(None, None, None))
    shown, between = num.difference(row)
    return Cell(shown, between, "number", numbers=(row["difference"], row["low"], row["high"]))


def _figure(runs: Sequence[Run], found: Sequence[Line], key: str, title: str) -> Markup | None:
    shown, drawn = found[:MOST_LINES], runs[:MOST_RUNS]
    ends = [row[k] for line in shown for row in line.rows[:MOST_RUNS] if row is not None and measured(row)
            for k in ("value", "low", "high") if row.get(k) is not None]  # fmt: skip
    if not ends:
        return None
    room = (max(ends) - min(ends)) * 0.06 or 0.05
    left = min(0.0, *ends) - room * 0.2 if min(ends) - room < max(ends) * 0.4 else min(ends) - room
    each = 9 * len(drawn) + 7
    height = HEAD + each * len(shown)
    with drawing(key, height=height + 34) as d:
        axes, dots = dot_axes(d, height, max(ends) + room, left=left), Dots()
        axes.xaxis.set_major_formatter(d.ticks())
        heading(d, axes, 0, wording.lower_first(wording.metric(shown[0].metric)), "")
        if left <= 0:
            axes.vlines(0, HEAD - 4, height, colors=TARGET, linewidth=1.4)
        for i, line in enumerate(shown):
            top = HEAD + each * i
            _name(d, axes, top + each / 2, num.plain(compare.title(runs, line.generator)))
            for j, (row, mark) in enumerate(zip(line.rows[:MOST_RUNS], _MARKS, strict=False)):
                y = top + 3.5 + 9 * (j + 0.5)
                ink = BASELINE if j == 0 else CANDIDATE
                dots.add(row, y, ink, filled=True, mark=mark)
                if row is not None and measured(row):
                    axes.text(1, y, runs[j].letter, transform=axes.get_yaxis_transform(), fontsize=9, color=MUTED, ha="left", va="center")
        dots.draw(axes)
        return d.svg(title=f"{title}, a dot a run", description=_spoken(runs, shown))


def _name(d: Drawing, axes: Any, y: float, name: str) -> None:
    axes.text(-NAMES, y, d.label(name, limit=21), transform=pixels(axes), va="center")


def _spoken(runs: Sequence[Run], shown: Sequence[Line]) -> str:
    told = []
    for line in shown:
        said = [f"{run.letter} {wording.quoted(row) if row is not None and measured(row) else 'not measured'}"
                for run, row in zip(runs, line.rows, strict=True)]  # fmt: skip
        told.append(f"{num.plain(compare.title(runs, line.generator), limit=40)}: {num.listing(said, most=8)}.")
    return " ".join(told)


def _moved(runs: Sequence[Run], *, fairness_only: bool) -> list[str]:
    """Return sentences on the headline numbers whose difference from the first run leaves 0 out, and one that counts the rest."""
    moved, still = [], 0
    for line in compare.headline(runs):
        if fairness_only and line.metric != "fairness_discrepancy":
            continue
        for run, d in zip(runs[1:], line.differences(), strict=True):
            way = wording.direction(d)
            if way is None:
                continue
            if way == 0:
                still += 1
                continue
            better = (way < 0) is (line.metric in ("fairness_discrepancy", "fid"))
            moved.append((abs(d["difference"]) if d else 0.0, _sentence(runs, run, line, d or {}, better)))
    said = [text for _, text in moved]
    if still:
        said.append(f"{'The other' if moved else 'All'} {num.plural(still, 'difference')} of the headline hold 0 in their interval: these images do not settle them.")
    missing = [f"{num.plain(compare.title(runs, n), limit=40)} is not in every run" for n in _incomplete(runs)]
    if missing:
        said.append(f"{num.listing(missing, most=4)}.")
    return said or ["No number was measured in two of these runs, so there is nothing to compare."]


def _sentence(runs: Sequence[Run], run: Run, line: Line, d: Row, better: bool) -> str:
    shown, between = num.difference(d)
    about = wording.lower_first(wording.attribute(_knows(runs, line.attribute), line.attribute)) if line.attribute else wording.reference(line.group)
    words = ("nearer the target" if better else "farther from the target") if line.attribute else "better" if better else "worse"
    name = num.plain(compare.title(runs, line.generator), limit=60)
    what = f"fairness discrepancy of {about}" if line.attribute else f"{wording.metric(line.metric)} against the {about.removeprefix('the ')}"
    return f"{run.letter} against {runs[0].letter}, {name}: {what} {shown}{f' ({between})' if between else ''}, {words}."


def _chance(runs: Sequence[Run]) -> str:
    total = sum(d is not None for line in compare.headline(runs) for d in line.differences())
    if not total:
        return ""
    return (f"Each difference has its own 95% interval: of the {num.count(total)} in the headline, some {num.signed(max(total * 0.05, 0.1), 1)} would "
            "leave 0 out by chance alone if nothing had moved.")  # fmt: skip


def _incomplete(runs: Sequence[Run]) -> list[str]:
    names = dict.fromkeys(g.name for run in runs for g in run.reading.generators)
    return [n for n in names if any(n not in run.reading.by_name for run in runs)]


def _knows(runs: Sequence[Run], attribute: str | None) -> Any:
    """Return the reading of the first run that describes an attribute."""
    return next((run.reading for run in runs if run.reading.attribute(attribute) is not None), runs[0].reading)


def _label(run: Run) -> str:
    return f"{run.letter} {num.plain(run.name, limit=32)}"


