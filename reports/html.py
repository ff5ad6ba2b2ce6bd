"""The page: one self-contained HTML file, no script, no request, readable in the dark, on a telephone and on paper."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from reports import appendix, decisions, gallery, groupquality, looks, mitigations, phrases, sheets, studies, wording
from reports import numerals as num
from reports.anchors import anchor
from reports.answers import answer, sentences
from reports.charts import method_chart
from reports.discrepancy import discrepancy_figure
from reports.figures import Links, share_figure
from reports.forest import comparison_figure, quality_figure
from reports.fragments import environment, script
from reports.glance import glance_figure
from reports.heatmap import intersection_figures
from reports.reading import GROUPS, MOST_SHOWN, QUALITY, Attribute, Generator, Reading, measured, second
from reports.tables import Table
from reports.tradeoff import tradeoff_figure
from reports.truncation import truncation_figure

SECTIONS = (
    ("until-decided", "Sampling until decided"),
    ("side-by-side", "Side by side"),
    ("discrepancy", "Distance from the target"),
    ("shares", "Shares against target"),
    ("trade-off", "Fairness against quality"),
    ("intersections", "Intersections"),
    ("mitigations", "Mitigations"),
    ("comparisons", "Differences"),
    ("quality", "Image quality"),
    ("groups", "Quality within groups"),
    ("samples", "Samples"),
    ("missing", "Missing data"),
    ("second-rater", "Second rater"),
    ("method", "Method and provenance"),
)
"""The sections of the page and what the navigation calls them; their anchors stay the same from release to release."""

MOST_VERDICTS = 6
"""Verdicts on the first screen; the rest is folded below them."""

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
    shelves = gallery.shelves(reading, run_dir)
    links = gallery.links(shelves)
    verdicts, further = _verdicts(reading)
    groups = groupquality.attributes(reading)
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
            sections=_navigation(reading, study[0] if study else None, absent),
            script=script(),
            first_verdicts=verdicts,
            more_verdicts=further,
            answers=[_answer(reading, a) for a in reading.attributes[:MOST_DRAWN]],
            asked=_asked(reading),
            groups=[_group(reading, a) for a in groups[:MOST_DRAWN]],
            groups_left=groups[MOST_DRAWN:],
            absent=absent,
            uncorrected=phrases.UNCORRECTED_GIVEN if reading.from_labels else phrases.UNCORRECTED,
            looks=looks.paths(reading, "look"),
            looks_left=looks.left_out(reading),
            attributes=[_attribute(reading, a, links) for a in reading.attributes[:MOST_DRAWN]],
            intersections=[_intersection(reading, a, links) for a in reading.intersections[:MOST_DRAWN]],
            findings=[
                (wording.attribute(reading, a.name), wording.finding(reading, a.name)) for a in reading.attributes[MOST_DRAWN:]
            ],
            drawn=MOST_DRAWN,
            methods=[_method(reading, g) for g in reading.candidates[:MOST_SHOWN] if g.method],
            forests=[f for f in (comparison_figure(reading, "forest"), quality_figure(reading, "forest-quality")) if f],
            truncation=truncation_figure(reading, "truncation"),
            two_readers=any(second(row) for row in reading.comparisons),
            shelves=shelves,
            has_quality=reading.has(QUALITY),
            references=reading.references(),
            corrected=any(row.get("corrected") and measured(row) for row in reading.measures),
            caveats=_caveats(reading),
            spec=_spec(reading),
        )
    )


def _absent(reading: Reading) -> set[str]:
    """Return the sections this page does without: of a table of labels, all that would speak of images or hold nothing."""
    discrepancies = any(reading.has(["fairness_discrepancy"], attribute=a.name) for a in reading.attributes)
    optional = {"mitigations": reading.candidates, "until-decided": reading.looks, "discrepancy": discrepancies,
                "groups": groupquality.attributes(reading), "second-rater": reading.has(["agreement"])}  # fmt: skip
    absent = {key for key, there in optional.items() if not there}
    if reading.from_labels:
        there = {"trade-off": reading.has(QUALITY), "quality": reading.has((*QUALITY, *GROUPS)), "samples": reading.gallery,
                 "intersections": reading.intersections, "comparisons": reading.comparisons}  # fmt: skip
        absent |= {key for key, found in there.items() if not found}
    return absent


def _navigation(reading: Reading, study: str | None, absent: set[str]) -> list[tuple[str, str]]:
    """Return the sections of this page, each with its anchor."""
    first = [("verdicts", "Verdicts")] if reading.verdicts else []
    first += [("study", study)] if study else []
    first += [("answers", "Findings")]
    named = {"mitigations": "Mitigations" if any(g.method for g in reading.candidates) else "Candidates"}
    return [*first, *((key, named.get(key, title)) for key, title in SECTIONS if key not in absent)]


def _asked(reading: Reading) -> str:
    """Return the question the first screen answers."""
    if len(reading.generators) < 2:
        return phrases.ASKED_ONE
    return phrases.ASKED if reading.has(["fid"]) else phrases.ASKED_FAIRNESS


def _verdicts(reading: Reading) -> tuple[Table | None, Table | None]:
    """Return the table of the first verdicts, and that of the rest, to be folded."""
    if not reading.verdicts:
        return None, None
    every = sheets.verdicts(reading)
    if len(every.rows) <= MOST_VERDICTS + 1:
        return every, None
    further = replace(every, caption="Further limits and what became of them", rows=every.rows[MOST_VERDICTS:])
    return replace(every, rows=every.rows[:MOST_VERDICTS], note=""), further


def _answer(reading: Reading, attribute: Attribute) -> dict[str, Any]:
    place = anchor("answer", attribute.name)
    return {
        "id": place,
        "title": wording.attribute(reading, attribute.name),
        "figure": glance_figure(reading, attribute, f"{place}-figure"),
        "said": sentences(reading, answer(reading, attribute)),
    }


def _group(reading: Reading, attribute: Attribute) -> dict[str, Any]:
    slug = anchor(attribute.name)
    return {
        "slug": slug,
        "title": wording.attribute(reading, attribute.name),
        "figure": None if attribute.crossed else groupquality.coverage_figure(reading, attribute, f"groups-{slug}-figure"),
        "table": groupquality.table(reading, attribute),
    }


def _attribute(reading: Reading, attribute: Attribute, links: Links) -> dict[str, Any]:
    slug = anchor(attribute.name)
    return {
        "slug": slug,
        "title": wording.attribute(reading, attribute.name),
        "caveat": num.plain(attribute.caveat),
        "forest": discrepancy_figure(reading, attribute, f"discrepancy-{slug}-figure"),
        "shares": share_figure(reading, attribute, f"shares-{slug}-figure", links),
        "trade_off": tradeoff_figure(reading, attribute, f"trade-off-{slug}-figure"),
        "table": sheets.shares(reading, attribute, links),
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


def _intersection(reading: Reading, attribute: Attribute, links: Links) -> dict[str, Any]:
    slug = anchor(attribute.name)
    rows = [
        (g, c) for g in reading.shown for c in attribute.classes if reading.images(g.name, attribute.name, c) == 0
    ]
    empty = [wording.empty_cell(reading, reading.pair(g.name, "share", attribute.name, c)[0] or {}) for g, c in rows]
    return {
        "slug": slug,
        "title": wording.attribute(reading, attribute.name),
        "finding": wording.finding(reading, attribute.name),
        "figures": intersection_figures(reading, attribute, f"cells-{slug}-figure", links),
        "empty": empty,
        "table": sheets.shares(reading, attribute, links),
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
