"""The page: one self-contained HTML file, no script, no request, readable in the dark, on a telephone and on paper."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reports import appendix, decisions, gallery, looks, mitigations, phrases, sheets, studies, wording
from reports import numerals as num
from reports.charts import method_chart
from reports.figures import share_figure
from reports.forest import comparison_figure, quality_figure
from reports.fragments import environment
from reports.heatmap import intersection_figures
from reports.reading import GROUPS, MOST_SHOWN, QUALITY, Attribute, Generator, Reading, measured, second
from reports.tradeoff import tradeoff_figure
from reports.truncation import truncation_figure

SECTIONS = (
    ("until-decided", "Sampling until decided"),
    ("side-by-side", "Generators side by side"),
    ("mitigations", "Mitigations"),
    ("shares", "Shares against target"),
    ("trade-off", "Fairness against quality"),
    ("intersections", "Intersections"),
    ("comparisons", "Candidate against baseline"),
    ("samples", "Samples"),
    ("quality", "Image quality"),
    ("missing", "Missing data"),
    ("method", "Method, caveats, provenance"),
)

MOST_DRAWN = 8
"""Attributes, and intersections, drawn on the page; the findings name all of them, measures.csv has the numbers."""

LONGEST_SPEC = 20_000
"""Characters of the resolved spec the page prints."""


def render(result: Mapping[str, Any], *, run_dir: Path | None = None) -> str:
    """Return the report of a result as one HTML page.

    The same result, and the same thumbnails, give the same page.

    Args:
        result: what :func:`reports.load` returns.
        run_dir: the run directory, whose gallery/ is embedded as data URIs; None leaves labelled placeholders.

    Raises:
        ReportError: the result has another schema.
    """
    reading = Reading(result)
    absent = _absent(reading)
    study = studies.section(reading.result)
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            reading=reading,
            num=num,
            say=wording,
            text=phrases,
            sheets=sheets,
            appendix=appendix,
            mitigations=mitigations,
            decide=decisions,
            study=study,
            sections=[*([("study", study[0])] if study else []), *(s for s in SECTIONS if s[0] not in absent)],
            absent=absent,
            uncorrected=phrases.UNCORRECTED_GIVEN if reading.from_labels else phrases.UNCORRECTED,
            looks=looks.paths(reading, "look"),
            looks_left=looks.left_out(reading),
            attributes=[_attribute(reading, a, i) for i, a in enumerate(reading.attributes[:MOST_DRAWN])],
            intersections=[_intersection(reading, a, i) for i, a in enumerate(reading.intersections[:MOST_DRAWN])],
            findings=[
                (wording.attribute(reading, a.name), wording.finding(reading, a.name)) for a in reading.attributes
            ],
            drawn=MOST_DRAWN,
            methods=[_method(reading, g) for g in reading.candidates[:MOST_SHOWN] if g.method],
            forests=[f for f in (comparison_figure(reading, "forest"), quality_figure(reading, "forest-quality")) if f],
            truncation=truncation_figure(reading, "truncation"),
            two_readers=any(second(row) for row in reading.comparisons),
            shelves=gallery.shelves(reading, run_dir),
            has_quality=reading.has(QUALITY),
            references=reading.references(),
            corrected=any(row.get("corrected") and measured(row) for row in reading.measures),
            caveats=_caveats(reading),
            spec=_spec(reading),
        )
    )


def _absent(reading: Reading) -> set[str]:
    """Return the sections this page does without: of a table of labels, all that would speak of images or hold nothing."""
    absent = {key for key, there in (("mitigations", reading.candidates), ("until-decided", reading.looks)) if not there}
    if reading.from_labels:
        there = {"trade-off": reading.has(QUALITY), "quality": reading.has((*QUALITY, *GROUPS)), "samples": reading.gallery,
                 "intersections": reading.intersections, "comparisons": reading.comparisons}  # fmt: skip
        absent |= {key for key, found in there.items() if not found}
    return absent


def _attribute(reading: Reading, attribute: Attribute, index: int) -> dict[str, Any]:
    return {
        "title": wording.attribute(reading, attribute.name),
        "caveat": num.plain(attribute.caveat),
        "shares": share_figure(reading, attribute, f"shares-{index}"),
        "trade_off": tradeoff_figure(reading, attribute, f"trade-off-{index}"),
        "table": sheets.shares(reading, attribute),
        "others": sheets.fairness(reading, attribute),
    }


def _method(reading: Reading, candidate: Generator) -> dict[str, Any]:
    """Return what the page says of one method: its words, its diagnostics, its charts, its price."""
    said = candidate.method
    title, name = num.plain(said.get("title") or candidate.title, limit=80), num.plain(candidate.title, limit=60)
    charts = [c for c in said.get("charts") or [] if isinstance(c, dict)]
    drawn = [(num.plain(c.get("title") or "Chart"), method_chart(c, f"method-{candidate.number}-{i}")) for i, c in enumerate(charts)]
    return {
        "generator": candidate,
        "title": title if title == name else f"{title} ({name})" if name.lower() not in title.lower() else title,
        "sentence": num.plain(said.get("sentence") or ""),
        "about": [(k, num.plain(said[key])) for k, key in (("Paper", "paper"), ("What it was told", "uses")) if said.get(key)] + mitigations.price(said),
        "facts": mitigations.facts(said),
        "charts": [(title, figure) for title, figure in drawn if figure],
        "undrawn": [title for title, figure in drawn if not figure],
        "caveats": mitigations.caveats(reading, candidate),
    }


def _intersection(reading: Reading, attribute: Attribute, index: int) -> dict[str, Any]:
    rows = [
        (g, c) for g in reading.shown for c in attribute.classes if reading.images(g.name, attribute.name, c) == 0
    ]
    empty = [wording.empty_cell(reading, reading.pair(g.name, "share", attribute.name, c)[0] or {}) for g, c in rows]
    return {
        "title": wording.attribute(reading, attribute.name),
        "finding": wording.finding(reading, attribute.name),
        "figures": intersection_figures(reading, attribute, f"cells-{index}"),
        "empty": empty,
        "table": sheets.shares(reading, attribute),
        "others": sheets.fairness(reading, attribute),
    }


def _caveats(reading: Reading) -> list[tuple[str, list[str]]]:
    """Return caveats with what they belong to: attributes, then generators, then the run."""
    found = [(wording.attribute(reading, a.name), [num.plain(a.caveat)]) for a in reading.attributes if a.caveat]
    found += [
        (num.plain(g.title, limit=60), [num.plain(c) for c in g.caveats]) for g in reading.generators if g.caveats
    ]
    run = [num.plain(c) for c in reading.provenance.get("caveats") or []]
    return [*found, *([("This run", run)] if run else [])]


def _spec(reading: Reading) -> str:
    """Return the resolved spec as indented JSON, cut where it is very long."""
    spec = reading.result.get("spec")
    if not spec:
        return ""
    lines = json.dumps(spec, indent=2, ensure_ascii=False, default=str).splitlines()
    text = "\n".join(num.plain(line) for line in lines)
    return (
        text if len(text) <= LONGEST_SPEC else f"{text[:LONGEST_SPEC]}\n{num.CUT} cut here; result.json has all of it"
    )
