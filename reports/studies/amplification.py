"""The study of amplification on the page: generated against training share, what became of each family, and the minority's quality."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter

from audit.errors import ReportError
from reports import numerals as num
from reports import wording
from reports.fragments import figure, folded, heading, pair, paragraph
from reports.reading import Reading
from reports.studies import Result, Study
from reports.svg import BASELINE, CANDIDATE, MUTED, PAGE, RULE, TARGET, WIDTH, drawing
from reports.tables import Cell, Table

TITLE = "Do they exaggerate the skew of their data?"

Row = dict[str, Any]

TICKS = (0.01, 0.05, 0.2)
"""Shares written on the scales."""

WORDS = {"shrinks": "shrink", "grows": "grow"}


def section(study: Study, result: Result) -> Markup:
    """Return the section.

    Raises:
        ReportError: the study holds no rows.
    """
    reading = Reading(result)
    blocks = [paragraph(_what(study))]
    for at, minority in enumerate(study.get("minority", [])):
        rows, families = _of(study, minority, "rows"), _of(study, minority, "families")
        if not rows:
            raise ReportError(f"the study of amplification holds no rows of {minority.get('attribute')}; run the genbias command again")
        name = _name(reading, minority)
        blocks += [heading(f"Share of images {name}", anchor=f"amplification-{num.plain(minority.get('attribute'))}"),
                   paragraph(finding(families, name, _second(study, minority))),
                   pair(figure(_shares(rows, f"amplification-shares-{at}", name)), figure(_forest(families, f"amplification-forest-{at}", name))),
                   folded("Every generator, every reader", _all_rows(study, minority, name))]  # fmt: skip
        quality = _of(study, minority, "quality", by_reader=False)
        if quality:
            blocks += [paragraph(quality_finding(quality, name)), folded("Quality of the minority beside the majority", _quality(quality, name))]
    blocks.append(paragraph("One training run is one draw of what a recipe does: what is said of a family counts runs, not images. Where a share was "
                            "trained once, nothing is known of how another run would differ there.", quiet=True))  # fmt: skip
    return Markup("").join(blocks)


def markdown(study: Study, result: Result) -> str:
    """Return a sentence for each minority."""
    reading = Reading(result)
    return "\n\n".join(finding(_of(study, m, "families"), _name(reading, m), _second(study, m)) for m in study.get("minority", []))


def finding(families: Sequence[Row], name: str, second: Mapping[str, str] | None = None) -> str:
    """Return what became of a minority's share, in one or two sentences that say what cannot be concluded.

    Args:
        families: what the best reader found of each family.
        name: of the images, e.g. "labelled feminine".
        second: what the second rater found, by family.
    """
    said, controls = [], [f for f in families if f.get("control")]
    families = [f for f in families if not f.get("control")]
    for outcome, verb in WORDS.items():
        found = [f for f in families if f.get("outcome") == outcome]
        if found:
            each = [f"{num.plain(f['family'])} (log odds {_number(f['log_odds'])}, adjusted p {num.p_value(f.get('p_adjusted'))}{_asked(f, second)})"
                    for f in found]  # fmt: skip
            said.append(f"{num.listing(each)} {verb if len(found) > 1 else outcome} the share of images {name}")
    open_ = [num.plain(f["family"]) for f in families if f.get("outcome") == "cannot tell"]
    if open_:
        said.append(f"for {num.listing(open_)} the runs differ too much to tell, or nothing changed")
    unmeasured = [num.plain(f["family"]) for f in families if f.get("outcome") == "not measured"]
    if unmeasured:
        said.append(f"for {num.listing(unmeasured)} there are too few runs to say")
    text = wording.upper_first("; ".join(said)) + "." if said else "No generator was measured."
    for f in controls:
        text += (f" {num.plain(f['family'])}, which no generator drew, changes the log odds by {_number(f['log_odds'])}: as much may be the "
                 "instrument's and not a generator's.")  # fmt: skip
    return text


def _asked(family: Row, second: Mapping[str, str] | None) -> str:
    """Return whether the second rater agrees, in a few words."""
    said = (second or {}).get(family["family"])
    if said is None:
        return ""
    return "; the second rater agrees" if said == family["outcome"] else "; the second rater cannot tell" if said == "cannot tell" else "; the second rater does not agree"


def _second(study: Study, minority: Row) -> dict[str, str]:
    return {f["family"]: f["outcome"] for f in study.get("families", [])
            if (f.get("attribute"), f.get("group"), f.get("reader")) == (minority.get("attribute"), minority.get("group"), "second rater")}  # fmt: skip


def quality_finding(quality: Sequence[Row], name: str) -> str:
    """Return on how many generators the minority lost more quality than the others."""
    gaps = [q for q in quality if q["metric"] == "group_fid" and q["gap"].get("value") is not None and not q.get("control")]
    if not gaps:
        return f"The quality of images {name} could not be compared: too few of them were drawn. More --samples would tell."
    worse, better = sum(q["gap"]["low"] > 0 for q in gaps), sum(q["gap"]["high"] < 0 for q in gaps)
    return (f"Images {name} lost more quality than the others (FID within the group above that of the training data, at equal n) on {worse} of "
            f"{num.plural(len(gaps), 'generator')} that drew enough of them, less on {better}; on the others the intervals contain 0.")  # fmt: skip


def _what(study: Study) -> str:
    images = study.get("training_images")
    luck = f", with the luck of a training set of {num.count(images)} images counted in" if images else ""
    text = ("A generator is read by the same instruments as the data it was trained on, and its share of a minority is held against theirs. On the "
            f"dashed line it repeats its data; below, the minority has shrunk. Bars are {num.percent(study.get('level', 0.95)).replace('.0', '')} intervals{luck}.")  # fmt: skip
    return f"{text} {study['note']}" if study.get("note") else text


def _name(reading: Reading, minority: Row) -> str:
    return f"labelled {wording.group(minority.get('group'))}"


def _of(study: Study, minority: Row, key: str, *, by_reader: bool = True) -> list[Row]:
    """Return the rows of one minority, as the best reader has them: the corrected classifier's where there are such."""
    rows = [r for r in study.get(key, []) if (r.get("attribute"), r.get("group")) == (minority.get("attribute"), minority.get("group"))]
    if not by_reader:
        return rows
    readers = {r.get("reader") for r in rows}
    best = "classifier, corrected" if "classifier, corrected" in readers else "classifier"
    return [r for r in rows if r.get("reader") == best]


def _shares(rows: Sequence[Row], key: str, name: str) -> Markup:
    """Draw the generated against the training share, a panel a family, on log scales with the line of equality."""
    families = list(dict.fromkeys(r["family"] for r in rows))
    measured = [r for r in rows if r["share"]["value"] is not None]
    lowest = min([max(r["share"]["value"], 0.004) for r in measured] + [r["training_share"]["value"] for r in measured], default=0.05)
    ends = max(0.004, lowest * 0.6), min(0.95, max([r["training_share"]["value"] for r in measured] + [r["share"]["high"] for r in measured], default=0.5) * 1.25)
    columns, gap, left, top = 3 if len(families) > 4 else 2, 8, 36, 22
    side = (WIDTH - left - 4 - gap * (columns - 1)) / columns
    lines = -(-len(families) // columns)
    with drawing(key, height=lines * (side + 26) + 34) as d:
        for at, family in enumerate(families):
            line, column = divmod(at, columns)
            axes = d.axes(left=left + column * (side + gap), top=top + line * (side + 26), width=side, height=side)
            _panel(axes, [r for r in measured if r["family"] == family], ends)
            axes.set_title(d.label(family, limit=18), loc="left", fontsize=11.5, pad=4)
            if column:
                axes.set_yticklabels([])
            if at + columns < len(families):
                axes.set_xticklabels([])
        d.figure.text((left + (WIDTH - left) / 2) / WIDTH, 4 / d.height, "share in the training data", ha="center", color=MUTED)
        said = "; ".join(f"{num.plain(r['generator'])}: {num.percent(r['training_share']['value'])} of the data, {num.percent(r['share']['value'])} generated"
                         for r in measured)  # fmt: skip
        return d.svg(title=f"Share of images {name}, generated (upwards) against training data", description=said or "nothing measured")


def _panel(axes: Axes, rows: Sequence[Row], ends: tuple[float, float]) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(*ends)
    axes.set_ylim(*ends)
    axes.plot(ends, ends, "--", color=TARGET, linewidth=1)
    axes.grid(True, color=RULE)
    for scale in (axes.xaxis, axes.yaxis):
        scale.set_major_locator(FixedLocator([t for t in TICKS if ends[0] <= t <= ends[1]]))
        scale.set_minor_locator(FixedLocator([]))
        scale.set_major_formatter(FuncFormatter(lambda x, _: f"{x * 100:g}%"))
    for r in rows:
        x, share = r["training_share"]["value"], r["share"]
        off = r["outcome"] != "cannot tell"
        colour = CANDIDATE if off else BASELINE
        axes.vlines(x, max(share["low"], ends[0]), max(share["high"], ends[0]), colors=colour, linewidth=1.2)
        axes.plot([x], [max(share["value"], ends[0])], "o" if off else "s", color=colour, markerfacecolor=colour if off else PAGE, markersize=4.5)


def _forest(families: Sequence[Row], key: str, name: str) -> Markup:
    """Draw the mean change of log odds of each family with the run as the unit."""
    row, head, left = 30, 26, 120
    height = head + row * len(families)
    ends = [f["log_odds"][k] for f in families for k in ("low", "high", "value") if f["log_odds"].get(k) is not None]
    reach = min(max([abs(e) for e in ends], default=1) * 1.08, 3.0) or 1.0
    with drawing(key, height=height + 40) as d:
        axes = d.axes(left=left, top=2, width=WIDTH - left - 14, height=height)
        axes.set_xlim(-reach, reach)
        axes.set_ylim(height, 0)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.vlines(0, head - 6, height, colors=TARGET, linewidth=1.2)
        axes.text(-reach, head / 2, "share shrinks", color=MUTED, va="center")
        axes.text(reach, head / 2, "share grows", color=MUTED, va="center", ha="right")
        axes.set_xlabel("change of log odds, mean over training runs")
        for at, f in enumerate(families):
            y, mean = head + row * (at + 0.5), f["log_odds"]
            axes.annotate(d.label(f["family"]), (0, y), (-left + 4, 0), xycoords=("axes fraction", "data"), textcoords="offset points", va="center",
                          annotation_clip=False)  # fmt: skip
            if mean["value"] is None:
                axes.text(0.04 * reach, y, f"{f['measured']} runs: too few", color=MUTED, va="center")
                continue
            decided = f["outcome"] in WORDS
            colour = CANDIDATE if decided else BASELINE
            axes.hlines(y, max(mean["low"], -reach), min(mean["high"], reach), colors=colour, linewidth=1.6)
            axes.plot([mean["value"]], [y], "o" if decided else "s", color=colour, markerfacecolor=colour if decided else PAGE, markersize=6)
        said = "; ".join(f"{num.plain(f['family'])}: {_number(f['log_odds'])} over {num.plural(f['measured'], 'run')}" for f in families)
        return d.svg(title=f"What became of the share of images {name}, by family", description=said)


def _number(found: Row) -> str:
    if found.get("value") is None:
        return "not measured"
    return f"{num.signed(found['value'], 2)} ({num.signed(found['low'], 2)} to {num.signed(found['high'], 2)})"


def _cell(found: Row | None, *, percent: bool = False, decimals: int = 2) -> Cell:
    if found is None or found.get("value") is None:
        return Cell("not measured", num.plain((found or {}).get("reason") or ""), "missing", numbers=(None, None, None))

    def write(x: float) -> str:
        return num.percent(x) if percent else num.signed(x, decimals)

    return Cell(write(found["value"]), f"{write(found['low'])} to {write(found['high'])}", "number", numbers=(found["value"], found["low"], found["high"]))


def _all_rows(study: Study, minority: Row, name: str) -> Table:
    rows = [r for r in study.get("rows", []) if (r.get("attribute"), r.get("group")) == (minority.get("attribute"), minority.get("group"))]
    body = [[Cell(num.plain(r["generator"]), num.plain(r["family"]), "head"), Cell(num.plain(r["reader"])), _cell(r["training_share"], percent=True),
             _cell(r["share"], percent=True), _cell(r["difference"], decimals=3), _cell(r["ratio"]), _cell(r["log_odds"]),
             Cell(num.percent_at_most(r["at_most"]["high"])) if r.get("at_most") and r["at_most"].get("high") is not None else Cell("\u2013"),
             Cell(num.plain(r["outcome"]))] for r in rows]  # fmt: skip
    columns = ["generator", "reader", "training data", "generated", "difference", "ratio", "log odds ratio", "at most", "minority"]
    return Table(f"Share of images {name} in the training data and in the samples, each with its interval", columns, body,
                 note="At most: one-sided upper limit of the share; where none was seen, this bounds a missing mode.")  # fmt: skip


def _quality(quality: Sequence[Row], name: str) -> Table:
    body = []
    for q in quality:
        own = q["groups"].get(q["group"], {})
        others = [c for g, c in q["groups"].items() if g != q["group"]]
        words = {"group_fid": "FID within the group", "group_coverage": "coverage of the group"}[q["metric"]]
        body.append([Cell(num.plain(q["generator"]), num.plain(q["family"]), "head"), Cell(words, f"{q['better']} is better"),
                     _cell(own.get("loss"), decimals=3), _cell(others[0].get("loss") if len(others) == 1 else None, decimals=3)
                     if len(others) == 1 else Cell("mean of the others"), _cell(q["gap"], decimals=3)])  # fmt: skip
    return Table(f"Generated minus training data at the same n: images {name}, the others, and the difference between them",
                 ["generator", "measure", "minority", "majority", "minority minus majority"], body)  # fmt: skip
