"""Model cards: what the audit found of one generator, as Markdown with YAML metadata that model hubs and registries read."""

from collections.abc import Mapping
from typing import Any

import yaml

from reports import decisions, mitigations, phrases, wording
from reports import numerals as num
from reports.anchors import anchor
from reports.markdown import safe, table
from reports.reading import COUNTS, GROUPS, QUALITY, Attribute, Generator, Reading, Row, measured, worst_first

MOST_GROUPS = 40
"""Rows of quality within groups a card lists; measures.csv has all."""


def cards(result: Mapping[str, Any]) -> dict[str, str]:
    """Return {file name: text} of a model card for each generator of a result.

    The metadata follow the layout of a model index: a metric is a mapping of name, type, value, and under ``args`` the interval, its
    level, and what the number is of. What was not measured is left out of the metadata and said with its reason in the text.

    Args:
        result: what :func:`reports.load` returns.

    Raises:
        ReportError: the result has another schema.
    """
    reading = Reading(result)
    return {f"{anchor(g.name)}.md": _card(reading, g) for g in reading.generators}


def _card(reading: Reading, g: Generator) -> str:
    head = yaml.safe_dump(_metadata(reading, g), sort_keys=False, allow_unicode=True, width=120)
    blocks = [
        f"---\n{head}---",
        f"# {safe(num.plain(g.title, limit=120))}",
        safe(_introduction(reading, g)),
        _verdicts(reading, g),
        "## Perceived attributes",
        safe(phrases.LABELS_GIVEN if reading.from_labels else phrases.LABELS),
        *[text for a in (*reading.attributes, *reading.intersections) if (text := _attribute(reading, g, a))],
        *_quality(reading, g),
        *_against(reading, g),
        *_made(reading, g),
        "## Limits of this card",
        _limits(reading, g),
        *_origin(reading),
    ]
    return "\n\n".join(filter(None, blocks)) + "\n"


def _metadata(reading: Reading, g: Generator) -> dict[str, Any]:
    rows = [reading.best(g.name, "fairness_discrepancy", a.name) for a in reading.attributes]
    rows += [reading.best(g.name, "share", a.name, c) for a in reading.attributes for c in a.classes]
    rows += [reading.best(g.name, k, None, ref) for ref in reading.references() for k in QUALITY]
    metrics = [_metric(reading, row) for row in rows if row is not None and measured(row)]
    return {
        "library_name": "genbias",
        "tags": ["bias-audit", "image-generation", *(["mitigation"] if g.method else [])],
        "model_name": num.plain(g.title),
        **({"base_model": num.plain(g.compare_to)} if g.compare_to else {}),
        "model-index": [{
            "name": num.plain(g.name),
            "results": [{
                "task": {"type": "image-generation", "name": "bias audit"},
                "dataset": {"type": "generated", "name": f"{num.plain(reading.name)}, {g.images} images"},
                "metrics": metrics,
            }],
        }],
    }  # fmt: skip


def _metric(reading: Reading, row: Row) -> dict[str, Any]:
    about = wording.lower_first(wording.attribute(reading, row["attribute"])) if row.get("attribute") else ""
    part = wording.group(row["group"]) if row.get("group") else ""
    words = [wording.metric(row["metric"]), *([f"of {about}"] if about else []), *([f"({part})"] if part else [])]
    keys = ("attribute", "group", "low", "high", "level", "n", "corrected", "protocol")
    return {
        "name": " ".join(words),
        "type": num.plain(row["metric"]),
        "value": row["value"],
        "args": {k: num.plain(row[k]) if isinstance(row[k], str) else row[k] for k in keys if row.get(k) is not None},
    }


def _introduction(reading: Reading, g: Generator) -> str:
    part = "A baseline" if g.baseline else f"Compared with {reading.title(g.compare_to)}" if g.compare_to else "A generator"
    lost = sum(g.missing[key] for key in COUNTS)
    read = "all were read" if not lost else f"{num.count(lost)} could not be used"
    return f"{part} in the audit {reading.name}: {num.plural(g.images, 'image')}, {read}. Every number below stands with its interval."


def _verdicts(reading: Reading, g: Generator) -> str:
    found = [v for v in worst_first(reading.verdicts) if v.get("generator") == g.name]
    rows = [[str(v.get("outcome")), wording.limit(reading, v), decisions.quoted(v) if measured(v) else "not measured", decisions.why(v)]
            for v in found]  # fmt: skip
    return "## Limits\n\n" + table(["outcome", "limit", "measured", "why"], rows) if rows else ""


def _attribute(reading: Reading, g: Generator, attribute: Attribute) -> str:
    rows = []
    for c in attribute.classes:
        raw, corrected = reading.pair(g.name, "share", attribute.name, c)
        if raw or corrected:
            images = reading.images(g.name, attribute.name, c)
            count = "\u2013" if images is None else num.count(images)
            rows.append([f"labelled {wording.group(c)}", _said(raw), _said(corrected), wording.target(raw or corrected).removeprefix("target "), count])
    if not rows:
        return ""
    row = reading.best(g.name, "fairness_discrepancy", attribute.name)
    distance = f"Fairness discrepancy {_said(row)}{wording.raw_note(reading, row)}; 0 is the target." if row is not None else ""
    note = f"{distance} {attribute.caveat}".strip()
    heading = f"### {safe(wording.attribute(reading, attribute.name))}"
    return "\n\n".join(filter(None, [heading, safe(note), table(["", "raw", "corrected", "target", "images"], rows)]))


def _quality(reading: Reading, g: Generator) -> list[str]:
    rows = []
    for ref in reading.references():
        for k in QUALITY:
            row = reading.best(g.name, k, None, ref)
            if row is not None:
                rows.append([wording.metric(k), wording.reference(ref), _said(row), str(row.get("protocol") or "\u2013")])
    groups = []
    for k in GROUPS:
        for a in (*reading.attributes, *reading.intersections):
            found = [(c, reading.best(g.name, k, a.name, c)) for c in a.classes]
            groups += [[wording.metric(k), f"{wording.attribute(reading, a.name)}: {wording.group(c)}", _said(row)] for c, row in found if row is not None]
    blocks = ["## Image quality", table(["measure", "against", "value", "protocol"], rows)] if rows else []
    if groups:
        blocks += ["### Within groups", table(["measure", "group", "value"], groups[:MOST_GROUPS])]
    return blocks


def _against(reading: Reading, g: Generator) -> list[str]:
    found = [(a, reading.change(g.name, "fairness_discrepancy", a.name)) for a in reading.attributes]
    rows = [["Fairness discrepancy", wording.attribute(reading, a.name), *_change(c)] for a, c in found if c is not None]
    for ref in reading.references():
        changes = [(k, reading.change(g.name, k, None, ref)) for k in QUALITY]
        rows += [[wording.metric(k), wording.reference(ref), *_change(c)] for k, c in changes if c is not None]
    if not rows:
        return []
    words = f"{reading.title(g.compare_to)} \u2192 {g.title}, on the same image ids. {phrases.RUNS}"
    return ["## Against its baseline", safe(words), table(["measure", "of", "change", "difference"], rows)]


def _made(reading: Reading, g: Generator) -> list[str]:
    if not g.method:
        return []
    said = [("Paper", g.method.get("paper")), ("What it was told", g.method.get("uses")), *mitigations.price(g.method)]
    lines = "\n".join(f"- {safe(name)}: {safe(str(value))}" for name, value in said if value)
    title = safe(str(g.method.get("title") or g.title))
    return ["## How it was made", safe(f"{g.method.get('sentence') or ''}") or title, lines]


def _limits(reading: Reading, g: Generator) -> str:
    own = [*g.caveats, *mitigations.caveats(reading, g), *(reading.provenance.get("caveats") or [])]
    always = "A card speaks of images, of how one set of instruments reads them, and of nothing else; it recommends no use."
    return "\n".join(f"- {safe(num.plain(line))}" for line in dict.fromkeys([always, *own]))


def _origin(reading: Reading) -> list[str]:
    facts = [f"- {safe(name)}: {safe(fact)}" for name, fact in wording.provenance(reading)]
    command = reading.provenance.get("command")
    made = ["## Provenance", "\n".join(facts)] if facts else []
    return made + (["Made by:", f"    {num.plain(command)}"] if command else [])


def _change(row: Row) -> tuple[str, str]:
    if not measured(row):
        return "\u2013", f"not compared: {wording.reason(row)}"
    shown, between = num.difference(row)
    return mitigations.pair_text(row), f"{shown} ({between})" if between else shown


def _said(row: Row | None) -> str:
    if row is None:
        return "\u2013"
    return wording.quoted(row) if measured(row) else f"not measured: {wording.reason(row)}"
