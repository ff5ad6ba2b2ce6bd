"""The paired audit of image-to-image maps on the page: what each map did to skin and labels, pair by pair, with its controls."""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from audit.errors import ReportError
from reports import numerals as num
from reports.fragments import figure, folded, heading, legend, pair, paragraph, table
from reports.studies import Result, Study
from reports.studies.paired_map_figures import colour_figure, flips_figure
from reports.studies.paired_map_tables import all_changes, all_flips, clipped, summary

TITLE = "What the map does to each image"

Row = dict[str, Any]

STRATA = {"true_tone": "true tone of the portrait before", "input_tone": "tone of the image before, as read"}

NOTE = (
    "Each image is compared with itself before the map, by the same instruments. Positive changes of L* and of ITA are lighter, of the Monk tone "
    "darker. The controls say what a map does that means nothing: the identity must show exact zeros; the jitter shifts each image at random by as "
    "much as the map does, so what it shows is chance; the blur shows what softness alone does to the readings."
)
REGRESSION = (
    "Strata by a reading of the image before show regression to the mean wherever that reading is noisy: the lightest third seems to darken and "
    "the darkest to lighten though nothing changed. Strata by the mean of both readings (Oldham 1962), and by the true tone where it is known, do "
    "not have that flaw; a trend that only the first shows is no finding."
)


def section(study: Study, result: Result) -> Markup:
    """Return the section.

    Raises:
        ReportError: the study holds no map.
    """
    maps = list(study.get("maps") or [])
    if not maps:
        raise ReportError("the paired audit holds no map; run the genbias command again")
    blocks = [*(paragraph(sentence) for sentence in findings(maps)), paragraph(NOTE, quiet=True)]
    by = division(maps)
    drawn = [figure(svg) for svg in (colour_figure(maps, by, "paired_map-colour"), flips_figure(maps, "paired_map-flips")) if svg is not None]
    if drawn:
        blocks += [legend(("round", "a map"), ("square", "a control, or a filter of known effect"), ("bar", "planted"))] if by else []
        blocks.append(pair(*drawn))
    blocks += _strips(study, maps)
    blocks += [heading("In numbers", anchor="paired_map-numbers"), table(summary(maps), show_caption=False)]
    blocks += [paragraph(REGRESSION, quiet=True), folded("Change of the skin's colour by strata", all_changes(maps))]
    blocks += [folded("Labels before and after", all_flips(maps)), folded("Pixels clipped, by tone", clipped(maps))]
    return Markup("").join(blocks)


def markdown(study: Study, result: Result) -> str:
    """Return the findings, a line each."""
    return "\n".join(f"- {sentence}" for sentence in findings(list(study.get("maps") or [])))


def division(maps: Sequence[Row]) -> str | None:
    """Return the strata that the figure shows: the true tone where it is known, else the tone read before; None without any."""
    known = {row.get("by") for m in maps for row in m.get("changes") or []}
    return next((by for by in STRATA if by in known), None)


def findings(maps: Sequence[Row]) -> list[str]:
    """Return a sentence or two on every map that is no control, and one on the controls."""
    said = [_finding(m) for m in maps if m.get("control") is None]
    for m in maps:
        if m.get("control") == "identity":
            said.append("The identity changes nothing at all, as it must." if m.get("exact") else
                        "The identity changes something: readings of this run do not depend on the image alone, and no number here is sure.")  # fmt: skip
    if not any(m.get("control") for m in maps):
        said.append("This run holds no control, so nothing says what chance, light or blur alone would have shown.")
    return said


def _finding(m: Row) -> str:
    title, lightness = num.plain(m.get("title"), limit=48), change(m, "L", "all")
    planted = (m.get("map") or {}).get("planted") or {}
    parts = []
    for quantity, name in (("L", "L* of the skin"), ("hue", "hue of the skin")):
        row = change(m, quantity, "all")
        if row is not None and row.get("value") is not None and planted.get(quantity):
            parts.append(f"{_signed(planted[quantity])} was planted in the {name} and {_with_interval(row)} found")
    if parts:
        clean = change(m, "L", "unclipped")
        if planted.get("L") and clean is not None and clean.get("value") is not None:
            parts.append(f"{_with_interval(clean)} where no pixel of the skin was clipped")
        return f"{title}: {', '.join(parts)}."
    if lightness is not None and lightness.get("value") is not None:
        beyond = change(m, "L", "beyond_blur")
        extra = f", {_with_interval(beyond)} beyond the blur" if beyond is not None and beyond.get("value") is not None else ""
        by = division([m])
        tones = [r for r in m["changes"] if r["quantity"] == "L" and r["by"] == by and r.get("value") is not None] if by else []
        shown = [f"{_signed(r['value'], 2)} where it was {num.plain(r['stratum'])}" for r in tones]
        each = f" ({num.listing(shown)})" if shown else ""
        parts.append(f"L* of the skin changes by {_with_interval(lightness)} on average{each}{extra}")
    flips = [f for f in m.get("flips") or [] if f.get("attribute") == "gender" and f["differences"][1].get("value") is not None]
    for flip in flips:
        classes, (to_first, to_second), shift = flip["classes"], flip["gained"], flip["differences"][1]
        changed = f"changes by {_points(shift)}, adjusted p {num.p_value(flip.get('p_adjusted'))}"
        if flip.get("reader") == "second_rater":
            parts.append(f"by the second rater it {changed}")
            continue
        parts.append(f"{num.count(to_second)} of {num.plural(flip['n'], 'image')} flip from {num.plain(classes[0])} to {num.plain(classes[1])} and "
                     f"{num.count(to_first)} back: the share labelled {num.plain(classes[1])} {changed}")  # fmt: skip
    kept = (m.get("identity") or {}).get("lost") or {}
    if kept.get("value") is not None:
        parts.append(f"{num.percent(kept['value'])} of the pairs are less alike than the most alike twentieth of pairs of different people")
    return f"{title}: {'; '.join(parts)}." if parts else f"{title}: nothing was measured."


def change(m: Row, quantity: str, by: str, stratum: str | None = None) -> Row | None:
    """Return the row of one mean change; None where there is none."""
    rows = (r for r in m.get("changes") or [] if r.get("quantity") == quantity and r.get("by") == by)
    return next((r for r in rows if stratum in (None, r.get("stratum"))), None)


def _signed(number: float, digits: int = 1) -> str:
    text = num.signed(number, digits)
    return f"+{text}" if number > 0 and text.strip("0.") else text


def _with_interval(row: Row) -> str:
    return f"{_signed(row['value'], 2)} ({num.signed(row['low'], 2)} to {num.signed(row['high'], 2)})"


def _points(row: Row) -> str:
    return f"{_signed(row['value'] * 100)} points ({num.signed(row['low'] * 100, 1)} to {num.signed(row['high'] * 100, 1)})"


def _strips(study: Study, maps: Sequence[Row]) -> list[Markup]:
    strips = list(study.get("strips") or [])
    if not strips:
        return []
    titles = {m["generator"]: m.get("title") or m["generator"] for m in maps}
    blocks = [heading("The first images, before and after", anchor="paired_map-images")]
    rows = []
    for strip in strips:
        title = num.plain(titles.get(strip["generator"], "Before"), limit=48)
        if not str(strip.get("picture", "")).startswith("data:image/jpeg;base64,"):
            continue
        width = 64 * len(strip.get("ids") or [])
        alt = f"{title}: images {num.listing([f'#{i}' for i in strip.get('ids') or []])}"
        rows.append(Markup('<div><small>{}</small><br><img src="{}" alt="{}" width="{}" height="64"></div>').format(title, strip["picture"], alt, width))
    blocks.append(Markup('<div class="scroll" role="group" aria-label="Images before and after" tabindex="0">{}</div>').format(Markup("").join(rows)))
    return [*blocks, paragraph("The first ids of the run, not selected.", quiet=True)]
