"""The sentences that depend on what was found. Findings arrive as data; here they become words, and percentages."""

import math
import re
from collections.abc import Mapping
from typing import Any

from reports import numerals as num
from reports.phrases import METRICS, MONK, NO_VERDICTS, NOT_ASKED
from reports.reading import COUNTS, Attribute, Generator, Reading, Row, measured


def lower_first(text: str) -> str:
    """Return ``text`` with a small first letter, unless it opens with an abbreviation."""
    return text if text[:2].isupper() else text[:1].lower() + text[1:]


def upper_first(text: str) -> str:
    """Return ``text`` with a capital first letter."""
    return text[:1].upper() + text[1:]


def metric(key: object) -> str:
    """Return the name of a metric for the reader."""
    return METRICS.get(str(key)) or num.plain(str(key)).replace("_", " ")


def attribute(reading: Reading, name: str | None) -> str:
    """Return the title of an attribute, or of an intersection with its parts joined by a cross."""
    found = reading.attribute(name)
    if found is None:
        return num.plain(name or "")
    if found.crossed:
        names = [attribute(reading, part) for part in found.crossed]
        return " \u00d7 ".join([names[0], *map(lower_first, names[1:])])
    return num.plain(found.title)


def group(name: object) -> str:
    """Return a class, a cell of an intersection, or a reference, in words."""
    text = num.plain(name)
    return text.removeprefix("reference:").replace("*", " \u00d7 ") + (
        " reference" if text.startswith("reference:") else ""
    )


def reference(name: str | None) -> str:
    """Return the name of a reference."""
    return "the reference" if name is None else group(name)


def role(reading: Reading, generator: Generator) -> str:
    """Return what part a generator plays: baseline, or compared with one."""
    if generator.baseline:
        return "baseline"
    return f"against {num.plain(reading.title(generator.compare_to), limit=40)}" if generator.compare_to else ""


def audited(reading: Reading) -> str:
    """Return one sentence on what was audited."""
    images = sum(g.images for g in reading.generators)
    if reading.from_labels:
        return _audited_labels(reading, images)
    attributes = [lower_first(attribute(reading, a.name)) for a in reading.attributes]
    text = f"{num.plural(len(reading.generators), 'generator')}, {num.plural(images, 'image')} in all"
    if attributes:
        text += f", read for {num.listing(attributes, most=8)}"
    if reading.intersections:
        text += f", and for {num.plural(len(reading.intersections), 'intersection')} of these"
    return text + "."


def _audited_labels(reading: Reading, images: int) -> str:
    names = num.listing([lower_first(attribute(reading, a.name)) for a in (*reading.attributes, *reading.intersections)], most=8)
    several = f" from {num.plural(len(reading.generators), 'generator')}" if len(reading.generators) > 1 else ""
    return f"A table of labels of {num.plural(images, 'image')}{several}: {names or 'no attribute'}. The images themselves were not looked at."


def missing(reading: Reading) -> str:
    """Return how many images could not be used, by reason; the count is part of the result."""
    total = sum(g.images for g in reading.generators)
    lost = {key: sum(g.missing[key] for g in reading.generators) for key in COUNTS}
    if reading.from_labels:
        none = sum(lost.values())
        return f"{num.count(none) if none else 'None'} of {num.plural(total, 'image')} in the table {'has' if none < 2 else 'have'} no label at all."
    if not sum(lost.values()):
        return f"Each of the {num.plural(total, 'image')} was read: none is missing."
    words = {"no_face": "no face was found", "several_faces": "several faces were found", "unreadable": "unreadable"}
    reasons = [f"{words[key]} in {num.count(n)}" if "found" in words[key] else f"{num.count(n)} were {words[key]}"
               for key, n in lost.items() if n]  # fmt: skip
    return f"{num.count(sum(lost.values()))} of {num.plural(total, 'image')} could not be used: {num.listing(reasons)}."


def verdict_summary(reading: Reading) -> str:
    """Return how many limits were held, broken and undecided."""
    if not reading.verdicts:
        return NO_VERDICTS
    tally = [(sum(v.get("outcome") == o for v in reading.verdicts), o) for o in ("broken", "undecided", "held")]
    outcomes = num.listing([f"{num.count(n)} {outcome}" for n, outcome in tally if n])
    return f"{num.plural(len(reading.verdicts), 'limit')}: {outcomes}."


def limit(reading: Reading, verdict: Row) -> str:
    """Return the limit of a verdict in words, with the class or reference it was applied to."""
    key, about, part = str(verdict.get("metric")), verdict.get("attribute"), verdict.get("group")
    written = num.plain(verdict.get("limit") or (f"{key} of {about}" if about else f"{key} "))
    text = f"{metric(key)} {written.removeprefix(key).strip()}" if written.startswith(f"{key} ") else written
    baseline = num.plain(verdict.get("baseline") or "")
    if baseline and re.search(rf"(?<!\w){re.escape(baseline)}(?!\w)", text):
        text = re.sub(rf"(?<!\w){re.escape(baseline)}(?!\w)", lambda _: num.plain(reading.title(baseline)), text)
    if about:
        text = text.replace(f"of {num.plain(about)}", f"of {lower_first(attribute(reading, str(about)))}", 1)
    if part:
        raw = f"({num.plain(part)})"
        text = text.replace(raw, f"({group(part)})") if raw in text else f"{text} ({group(part)})"
    return text.strip()


def quoted(row: Row) -> str:
    """Return a measured number with its interval in brackets."""
    between = num.interval(row)
    return f"{num.value(row)} ({between})" if between else num.value(row)


def raw_note(reading: Reading, row: Row) -> str:
    """Return the remark behind a raw number among corrected ones, empty where none is needed."""
    return ", not corrected for the classifier's errors" if reading.fell_back(row) else ""


def reason(row: Mapping[str, Any] | None) -> str:
    """Return why a number is missing."""
    if row is None:
        return NOT_ASKED
    why = num.plain(row.get("reason") or "no reason was recorded")
    bounded = row.get("metric") in num.PERCENT and row.get("high") is not None
    return f"{why}; at most {num.percent_at_most(row['high'])}" if bounded else why


def reader(row: Row) -> str:
    """Return whose labels a comparison goes by, and whether they were corrected; empty where labels play no part."""
    said = {None: [], "classifier": [], "second_rater": ["second rater"]}.get(row.get("reader"), [num.plain(row.get("reader"))])
    return ", ".join([*said, *(["corrected"] if row.get("corrected") else [])])


def finding(reading: Reading, name: str) -> str:
    """Return who is farthest from the target of one attribute, by how much, and who is closest."""
    rows = [(g, reading.best(g.name, "fairness_discrepancy", name)) for g in reading.generators]
    known = [(g, row) for g, row in rows if row is not None and measured(row)]
    if not known:
        why = sorted({reason(row) for _, row in rows})
        return f"The fairness discrepancy could not be measured: {num.listing(why, most=3)}."
    worst, far = max(known, key=lambda pair: pair[1]["value"])
    title = num.plain(worst.title, limit=60)
    opening = f"{title} has a fairness discrepancy of {quoted(far)}{raw_note(reading, far)}"
    if len(known) > 1:
        opening = (
            f"{title} is farthest from the target, with a fairness discrepancy of {quoted(far)}{raw_note(reading, far)}"
        )
    sentences = [opening + _most_off(reading, worst.name, name) + "."]
    if len(known) > 1:
        best, near = min(known, key=lambda pair: pair[1]["value"])
        sentences.append(f"{num.plain(best.title, limit=60)} is closest, with {quoted(near)}{raw_note(reading, near)}.")
        if _overlap(near, far):
            sentences.append("Their intervals overlap, so this order is not settled.")
    unknown = len(rows) - len(known)
    if unknown:
        sentences.append(f"For {num.plural(unknown, 'generator')} it could not be measured.")
    return " ".join(sentences)


def direction(row: Row | None) -> int | None:
    """Return -1 or 1 where the interval of a difference lies below or above 0, 0 where it holds 0, None where there is none."""
    if row is None or not measured(row) or row.get("low") is None or row.get("high") is None:
        return None
    return -1 if row["high"] < 0 else 1 if row["low"] > 0 else 0


def share_of(row: Row) -> str:
    """Return a share as a phrase: what was labelled how, with its interval, corrected or not."""
    estimated = "an estimated " if row.get("corrected") else ""
    return f"{estimated}{quoted(row)} of images labelled {group(row.get('group'))}"


def empty_cell(reading: Reading, row: Row) -> str:
    """Return a sentence on a cell of an intersection in which no image fell."""
    bound = row.get("high")
    most = f", share at most {num.percent_at_most(bound)}" if bound is not None else ""
    return f"{num.plain(reading.title(row.get('generator')), limit=40)}, {group(row.get('group'))}: 0 images{most}"


def target(row: Row | None) -> str:
    """Return the target of a share, empty where there is none."""
    return "" if row is None or row.get("parity") is None else f"target {num.percent(row['parity'])}"


def provenance(reading: Reading) -> list[tuple[str, str]]:
    """Return what is known of where the result comes from, as (name, fact)."""
    p, t = reading.provenance, dict(reading.result.get("timings") or {})
    packages = dict(p.get("packages") or {})
    facts = [
        ("Made", p.get("created")), ("genbias", p.get("genbias")), ("Commit", p.get("commit")),
        ("Seed", p.get("seed")), ("Spec digest", p.get("spec_digest")), ("Device", p.get("device")),
        ("Platform", p.get("platform")), ("Python", p.get("python")),
        ("Packages", ", ".join(f"{k} {packages[k]}" for k in sorted(packages))), ("Time taken", timing(t, "rows" if reading.from_labels else "images")),
    ]  # fmt: skip
    return [(name, num.plain(fact)) for name, fact in facts if fact not in (None, "")]


def timing(timings: Mapping[str, Any], what: str = "images") -> str:
    """Return how long the run took, how fast it was and how much memory it used, as far as that is known."""
    took = dict(timings.get("seconds") or {})
    said = [num.seconds(took["total"])] if took.get("total") is not None else []
    steps = [f"{k} {num.seconds(v)}" for k, v in took.items() if k != "total" and v is not None]
    said += [f"of which {num.listing(steps)}"] if steps else []
    if timings.get("images_per_second"):
        said.append(f"{num.signed(timings['images_per_second'], 1)} {what} a second")
    if timings.get("peak_memory_bytes"):
        said.append(f"peak memory {num.size(timings['peak_memory_bytes'])}")
    return "; ".join(said)


def gallery_group(reading: Reading, name: str) -> str:
    """Return the heading of the samples of one class: "gender=feminine" becomes "labelled feminine"."""
    key, _, label = name.partition("=")
    return f"{attribute(reading, key)}: {group(label)}" if label else group(name)


def not_shown(reading: Reading) -> str:
    """Return which generators the figures leave out, empty where they leave out none."""
    if not reading.many:
        return ""
    which = "the baselines" if any(g.baseline for g in reading.shown) else f"the first {num.count(len(reading.shown))}"
    return f"With {num.plural(len(reading.generators), 'generator')} the figures and samples show {which}; the tables have all."


def not_drawn(reading: Reading, rest: list[Attribute]) -> str:
    """Return which attributes the page leaves to measures.csv."""
    names = [attribute(reading, a.name) for a in rest]
    return f"Not drawn here, to keep the page small: {num.listing(names, most=40)}. Their numbers are in measures.csv."


def said(sample: Row) -> list[tuple[str, str]]:
    """Return what was read off a sample: (label, probability) for each attribute, then the Monk tone."""
    lines = []
    for v in (sample.get("labels") or {}).values():
        p = v.get("p")
        lines.append((group(v.get("label")), num.signed(p, 2) if p is not None and math.isfinite(p) else ""))
    return [*lines, *([(MONK, num.plain(sample["monk"]))] if sample.get("monk") is not None else [])]


def _most_off(reading: Reading, generator: str, name: str) -> str:
    found = reading.attribute(name)
    rows = [reading.best(generator, "share", name, c) for c in (found.classes if found else [])]
    known = [row for row in rows if row is not None and measured(row) and row.get("parity") is not None]
    if not known:
        return ""
    row = max(known, key=lambda r: r["value"] - r["parity"])
    return f": {share_of(row)}, {target(row)}"


def _overlap(near: Row, far: Row) -> bool:
    if near.get("high") is None or far.get("low") is None:
        return False
    return bool(near["high"] >= far["low"])
