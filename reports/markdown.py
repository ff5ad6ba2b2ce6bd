"""The summary in Markdown: what CI systems and pull requests show."""

import re
from collections.abc import Mapping
from typing import Any

from reports import decisions, mitigations, phrases, studies, wording
from reports import numerals as num
from reports.reading import Reading, measured, worst_first
from reports.tables import headline_columns


def render(result: Mapping[str, Any]) -> str:
    """Return summary.md: the verdicts, the finding of each attribute, the headline table, where the report is.

    Args:
        result: what :func:`reports.load` returns.

    Raises:
        ReportError: the result has another schema.
    """
    reading = Reading(result)
    findings = [(wording.attribute(reading, a.name), wording.finding(reading, a.name)) for a in reading.attributes]
    findings.append(("Missing images", wording.missing(reading)))
    blocks = [
        f"# {safe(reading.name)}: bias audit",
        safe(wording.audited(reading)),
        f"**{safe(wording.verdict_summary(reading))}**",
        _verdicts(reading),
        safe(decisions.to_decide(reading)),
        _study(reading),
        _looks(reading),
        "\n".join(f"- **{safe(about)}.** {safe(sentence)}" for about, sentence in findings),
        _headline(reading),
        *_mitigations(reading),
        f"FD is the fairness discrepancy. {phrases.DISCREPANCY} {phrases.LABELS_GIVEN if reading.from_labels else phrases.LABELS}",
        "The full report is in `report.html`, every number in `measures.csv`, verdicts for CI in `junit.xml`.",
    ]
    return "\n\n".join(filter(None, blocks)) + "\n"


def _verdicts(reading: Reading) -> str:
    shown = worst_first(reading.verdicts)
    tested, counted = (any(v.get(k) for v in shown) for k in ("p_adjusted", "n"))
    rows = [
        [
            str(v.get("outcome")),
            reading.title(v.get("generator")),
            wording.limit(reading, v),
            decisions.quoted(v) if measured(v) else "not measured",
            *([num.p_value(v.get("p_adjusted")) or "\u2013"] if tested else []),
            *([num.count(int(v["n"])) if v.get("n") else "\u2013"] if counted else []),
            decisions.why(v),
        ]
        for v in shown
    ]
    more = [*(["adjusted p"] if tested else []), *(["images"] if counted else [])]
    return table(["outcome", "generator", "limit", "measured", *more, "why"], rows) if rows else ""


def _study(reading: Reading) -> str:
    found = studies.markdown(reading.result)
    return f"## {safe(found[0])}\n\n{found[1].strip()}" if found else ""


def _looks(reading: Reading) -> str:
    """Return when each limit of a sequential run was decided, a line a limit."""
    lines = []
    for v, found in decisions.told(reading):
        about = f"{reading.title(v.get('generator'))}, {wording.lower_first(wording.limit(reading, v))}"
        lines.append(f"- {safe(f'{about}: {decisions.stopped(reading, found)}')}")
    return "\n".join(lines)


def _headline(reading: Reading) -> str:
    asked = headline_columns(reading)
    head = ["generator", "images"]
    head += [f"FD {c.title}" if c.attribute else f"{c.title}, {wording.reference(c.group)}" for c in asked]
    rows = []
    for g in reading.generators:
        found = [reading.best(g.name, c.metric, c.attribute, c.group) for c in asked]
        numbers = [wording.quoted(row) if row and measured(row) else "not measured" for row in found]
        rows.append([g.title, num.count(g.images), *numbers])
    return table(head, rows)


def _mitigations(reading: Reading) -> list[str]:
    """Return the section on mitigations: the table of the page, then a line a method; nothing where there is none."""
    if not reading.candidates:
        return []
    found = mitigations.overview(reading)
    head = [found.columns[0].lower(), *found.columns[1:]]
    rows = [[f"{row[0].text}{', ' if row[0].under else ''}{row[0].under}", *[_said(c.text, c.under) for c in row[1:]]] for row in found.rows]
    lines = []
    for g in reading.candidates:
        if g.method:
            told = f" Told: {g.method['uses']}." if g.method.get("uses") else ""
            line = f"- **{safe(g.method.get('title') or g.title)}** ({safe(g.method.get('paper') or 'no paper')}). "
            lines.append(line + safe(f"{g.method.get('sentence') or ''}{told}"))
    return ["## Mitigations", safe(phrases.MITIGATIONS), table(head, rows), "\n".join(lines), safe(f"{phrases.PRICE} {phrases.RUNS}")]


def _said(text: str, under: str) -> str:
    return f"{text}; {under}" if under else text


def table(head: list[str], body: list[list[str]]) -> str:
    """Return a Markdown table of texts, everything in it escaped."""
    rows = [head, ["---"] * len(head), *body]
    cells = [row if i == 1 else [safe(text) for text in row] for i, row in enumerate(rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def safe(text: str) -> str:
    """Return ``text`` with everything Markdown or HTML would act on escaped."""
    plain = num.plain(text).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"(?<!\w)_|_(?!\w)|[\\`*\[\]|#~]", lambda m: "\\" + m[0], plain)
