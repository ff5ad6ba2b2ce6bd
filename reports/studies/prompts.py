"""The section of a study of prompts: who is drawn for which prompt, whether prompts differ at all, what was refused, what was cut."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup
from matplotlib.ticker import FuncFormatter

from reports import numerals as num
from reports import wording
from reports.figures import HEAD, ROW, Dots, dot_axes, names_at, words
from reports.fragments import figure, folded, heading, legend, pair, paragraph, table
from reports.markdown import safe
from reports.reading import Reading
from reports.svg import CANDIDATE, MUTED, TARGET, drawing
from reports.tables import Cell, Table

TITLE = "By prompt"

DRAWN = 4
"""Classes of an attribute up to which each has a figure of its own; beyond, the table says it."""

MARKS = (("filled", "differs from all prompts together"), ("hollow", "no difference shown"), ("bar", "all prompts"))

Study = Mapping[str, Any]
Result = Mapping[str, Any]
Part = Mapping[str, Any]


def section(study: Study, result: Result) -> Markup:
    """Return the section: a finding, figures of shares by prompt, tables, refusals and cuts, for each generator that takes prompts."""
    reading, several = Reading(result), len(study.get("generators") or []) > 1
    parts: list[Markup] = []
    for at, g in enumerate(study.get("generators") or []):
        if several:
            parts.append(heading(reading.title(g["generator"]), anchor=f"prompts-{at}"))
        parts += [paragraph(text) for text in _said(g, reading, study)]
        names = _short(g)
        parts += [legend(*MARKS)] if any(_drawable(a) for a in g["attributes"]) else []
        for attribute in g["attributes"]:
            drawn = _figures(attribute, names, reading, f"prompts-{at}-{len(parts)}")
            title = wording.attribute(reading, attribute["attribute"])
            parts += [pair(*map(figure, drawn))] if drawn else []
            parts += [folded(f"{title}: shares by prompt", _shares(attribute, names, study)),
                      folded(f"{title}: difference from all prompts", _differences(attribute, names, study))]  # fmt: skip
        if any(p["count_refused"] or p["cut"] for p in g["prompts"]):
            parts.append(table(_lost(g, names, study)))
    said = (f"Intervals hold for all prompts and classes of an attribute together ({study.get('level', 0.95):.0%}). Tests exchange images "
            "between prompts, and whole prompts between words; their p-values are adjusted together (Holm).")  # fmt: skip
    return Markup("").join([*parts, paragraph(said, quiet=True)])


def markdown(study: Study, result: Result) -> str:
    """Return the findings as a list, for a CI job page."""
    reading = Reading(result)
    lines = [text for g in study.get("generators") or [] for text in _said(g, reading, study)]
    return "\n".join(f"- {safe(line)}" for line in lines)


def _said(g: Part, reading: Reading, study: Study) -> list[str]:
    chance = 1 - float(study.get("level", 0.95)) + 1e-12
    return [*_findings(g, reading, chance), *_refusals(g, chance), *_cuts(g)]


def _findings(g: Part, reading: Reading, chance: float) -> list[str]:
    said, names = [], _short(g)
    for a in g["attributes"]:
        title, test = wording.attribute(reading, a["attribute"]), a["test"]
        if test.get("p_value") is None:
            said.append(f"{title}: not tested, {num.plain(test.get('reason'))}.")
            continue
        found = test["p_adjusted"] <= chance
        said.append(f"{title} {'differs' if found else 'was not shown to differ'} between the {num.plural(len(g['prompts']), 'prompt')} "
                    f"(adjusted p {_p(test['p_adjusted'])}){': ' + _extremes(a, names) if found else ''}.")  # fmt: skip
        for slot, word in a["words"].items():
            if word.get("p_value") is not None:
                sure = word["p_adjusted"] <= chance
                said.append(f"The word for {num.plain(slot)} {'matters' if sure else 'was not shown to matter'} for "
                            f"{wording.lower_first(title)} beside the rest of the prompt (adjusted p {_p(word['p_adjusted'])}).")  # fmt: skip
    return said


def _extremes(a: Part, names: list[str]) -> str:
    """Return between which prompts the class that varies most varies, with intervals."""
    read = [i for i, row in enumerate(a["prompts"]) if row["shares"][0]["value"] is not None]
    reach = {k: [a["prompts"][i]["shares"][k]["value"] for i in read] for k in range(len(a["classes"]))}
    k = max(reach, key=lambda c: max(reach[c]) - min(reach[c]))
    low, high = (read[f(range(len(read)), key=lambda i: reach[k][i])] for f in (min, max))
    ends = [f"{_percent(a['prompts'][i]['shares'][k])} for {names[i]}" for i in (low, high)]
    return f"labelled {wording.group(a['classes'][k])} from {ends[0]} to {ends[1]}"


def _refusals(g: Part, chance: float) -> list[str]:
    no, images = sum(p["count_refused"] for p in g["prompts"]), sum(p["images"] for p in g["prompts"])
    if not no:
        return []
    p, whole = g["refusals"].get("p_adjusted"), sum(p["count_refused"] == p["images"] > 0 for p in g["prompts"])
    found = "come more often for some prompts than for others" if p is not None and p <= chance else "were not shown to go with some prompts"
    tested = "" if p is None else f" They {found} (adjusted p {_p(p)})."
    none = f" {num.plural(whole, 'prompt')} {'was' if whole == 1 else 'were'} refused altogether." if whole else ""
    return [f"{num.count(no)} of {num.plural(images, 'image')} {'was' if no == 1 else 'were'} refused, and are missing from the shares.{none}{tested}"]


def _cuts(g: Part) -> list[str]:
    cut = [p for p in g["prompts"] if p["cut"]]
    if not cut:
        return []
    return [f"{num.count(len(cut))} of {num.plural(len(g['prompts']), 'prompt')} {'is' if len(cut) == 1 else 'are'} longer than the "
            f"{cut[0]['cut']['limit']} tokens that the pipeline reads, and cut: their ends had no part in what was drawn."]  # fmt: skip


def _figures(a: Part, names: list[str], reading: Reading, key: str) -> list[Markup]:
    if not _drawable(a):
        return []
    drawn = [0] if len(a["classes"]) == 2 else range(len(a["classes"]))
    return [_figure(a, k, names, reading, f"{key}-{k}") for k in drawn]


def _drawable(a: Part) -> bool:
    return "*" not in a["attribute"] and len(a["classes"]) <= DRAWN


def _figure(a: Part, k: int, names: list[str], reading: Reading, key: str) -> Markup:
    rows = sorted(range(len(names)), key=lambda i: -1 if a["prompts"][i]["shares"][k]["value"] is None else a["prompts"][i]["shares"][k]["value"], reverse=True)
    title = f"{wording.attribute(reading, a['attribute'])}: share labelled {wording.group(a['classes'][k])} by prompt"
    height = HEAD + ROW * len(rows)
    with drawing(key, height=height + 34) as d:
        axes, dots = dot_axes(d, height, 1.0), Dots()
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x * 100:.0f}%"))
        axes.text(0, 18, d.label(f"labelled {wording.group(a['classes'][k])}", limit=44), transform=axes.get_yaxis_transform(), weight="bold", va="center")
        if a["whole"][k] is not None:
            axes.vlines(a["whole"][k], HEAD - 4, height, colors=TARGET, linewidth=1.4)
            axes.text(1, 18, d.label(f"all prompts {num.percent(a['whole'][k])}"), transform=axes.get_yaxis_transform(), ha="right", va="center", color=MUTED)
        for row, i in enumerate(rows):
            y, share = HEAD + ROW * row + ROW / 2, a["prompts"][i]["shares"][k]
            names_at(d, axes, y, names[i])
            if share["value"] is None:
                words(d, axes, y, f"not measured: {num.plain(share['reason'])}")
                continue
            dots.add({**share, "metric": "share"}, y, CANDIDATE, filled=_apart(a["prompts"][i]["differences"][k]))
        dots.draw(axes)
        said = "; ".join(f"{names[i]} {_percent(a['prompts'][i]['shares'][k])}" for i in rows)
        return d.svg(title=title, description=f"{title}. {said}.")


def _shares(a: Part, names: list[str], study: Study) -> Table:
    better = any(row["corrected"] for row in a["prompts"])
    bounded = any(row["bounds"] for row in a["prompts"])
    kinds = [("shares", "")] + [("corrected", ", corrected")] * better + [("bounds", ", bounds")] * bounded
    columns = ["prompt", "images", *(f"{wording.group(c)}{said}" for _, said in kinds for c in a["classes"])]
    rows = [[Cell(name, kind="head"), Cell(num.count(row["n"]), f"{num.count(row['missing'])} not read" if row["missing"] else "", "number"),
             *(_cell(share) for kind, _ in kinds for share in (row[kind] or [{}] * len(a["classes"])))]
            for name, row in zip(names, a["prompts"], strict=True)]  # fmt: skip
    note = "Bounds: as if all images that were not read, refused ones included, were of that class, and as if none were." if bounded else ""
    return Table(f"Share of images labelled as each class, by prompt, with {study.get('level', 0.95):.0%} intervals", columns, rows, note=note)


def _differences(a: Part, names: list[str], study: Study) -> Table:
    rows = [[Cell(name, kind="head"), *(_cell(d, points=True) for d in row["differences"])] for name, row in zip(names, a["prompts"], strict=True)]
    return Table("Share of a prompt minus the share of all images, in percentage points", ["prompt", *map(wording.group, a["classes"])], rows)


def _lost(g: Part, names: list[str], study: Study) -> Table:
    lost = [(name, p) for name, p in zip(names, g["prompts"], strict=True) if p["count_refused"] or p["cut"]]
    columns, rows = ["prompt", "images asked"], [[Cell(name, kind="head"), Cell(num.count(p["images"]), "", "number")] for name, p in lost]
    if any(p["count_refused"] for _, p in lost):
        columns += ["refused", "why"]
        for row, (_, p) in zip(rows, lost, strict=True):
            row += [_cell(p["refused"]), Cell("; ".join(f"{num.plain(k, limit=60)} ({num.count(v)})" for k, v in p["reasons"].items()))]
    if any(p["cut"] for _, p in lost):
        columns += ["tokens, of which read", "end that is not read"]
        for row, (_, p) in zip(rows, lost, strict=True):
            row += [Cell(f"{p['cut']['tokens']}, {p['cut']['limit']}"), Cell(num.plain(p["cut"]["unread"], limit=60))] if p["cut"] else [Cell(""), Cell("")]
    return Table(f"Prompts that were refused or cut, with {study.get('level', 0.95):.0%} intervals over all prompts", columns, rows)


def _short(g: Part) -> list[str]:
    """Return what tells prompts apart: the words of their slots where these do, else the whole prompt."""
    filled = [", ".join(map(str, p["words"].values())) for p in g["prompts"]]
    return [num.plain(text) for text in (filled if all(filled) and len(set(filled)) == len(filled) else [p["prompt"] for p in g["prompts"]])]


def _apart(d: Part) -> bool:
    return d["value"] is not None and (d["low"] > 0 or d["high"] < 0)


def _cell(row: Part, *, points: bool = False) -> Cell:
    if row.get("value") is None:
        return Cell("not measured" if row else "–", num.plain(row.get("reason") or ""), "missing", numbers=(None, None, None))
    numbers = (row["value"], row["low"], row["high"])
    if points:
        text, low, high = (("+" if x > 0 else "") + num.signed(x * 100, 1) for x in numbers)
        return Cell(text, f"{low} to {high}", "number", numbers=numbers)
    return Cell(num.percent(row["value"]), f"{num.percent(row['low'])} to {num.percent(row['high'])}", "number", numbers=numbers)


def _percent(row: Part) -> str:
    if row["value"] is None:
        return "not measured"
    return f"{num.percent(row['value'])} ({num.percent(row['low'])} to {num.percent(row['high'])})"


def _p(p: float | None) -> str:
    text = num.p_value(p)
    return text if text.startswith("<") else f"= {text}"
