"""What became of the limits, in words: the number against its limit, the evidence, how many images would decide, when it was decided."""

from collections.abc import Mapping
from typing import Any

from audit.verdict_text import allowed
from reports import numerals as num
from reports import wording
from reports.reading import Reading, Row, measured


def numbers(verdict: Row) -> tuple[str, str]:
    """Return the measured number of a verdict and its interval; of a margin against a baseline, the difference."""
    if verdict.get("baseline"):
        return num.difference({**verdict, "difference": verdict["value"]})
    return num.value(verdict), num.span(verdict)


def quoted(verdict: Row) -> str:
    """Return the measured number of a verdict with its interval in brackets."""
    if not verdict.get("baseline"):
        return wording.quoted(verdict)
    shown, between = numbers(verdict)
    return f"{shown} ({between})" if between else shown


def bounds(verdict: Row) -> list[tuple[float, str]]:
    """Return the ends of what a limit allows, each as a number and as text."""
    percent, difference = verdict.get("metric") in num.PERCENT, bool(verdict.get("baseline"))
    found = []
    for bound in (b for b in allowed(verdict) if b is not None):
        text = num.tick(round(bound * 100, 6)) if percent else num.tick(bound)
        text = f"+{text}" if difference and bound > 0 else text
        found.append((bound, text + (" points" if difference else "%") if percent else text))
    return found


def why(verdict: Row) -> str:
    """Return why a verdict came out as it did; for an undecided one with the number of images that would decide it."""
    said = num.plain(verdict.get("why") or "")
    more = needed(verdict)
    if not more or num.count(int(verdict["images_to_decide"])) in said:
        return said
    return f"{said}; {more}" if said else more


def needed(verdict: Row) -> str:
    """Return "about 12,400 images would decide it"; empty where the verdict is decided or nobody can tell."""
    images = verdict.get("images_to_decide")
    if verdict.get("outcome") in ("held", "broken") or not images:
        return ""
    return f"about {num.count(int(images))} images would decide it"


def to_decide(reading: Reading) -> str:
    """Return a sentence on how many images the undecided limits need; empty where none says so."""
    open_ = [v for v in reading.verdicts if needed(v)]
    if not open_:
        return ""
    most = max(open_, key=lambda v: v["images_to_decide"])
    now = f", {num.count(int(most['n']))} were measured" if most.get("n") else ""
    about = f"{num.plain(reading.title(most.get('generator')), limit=60)}, {wording.lower_first(wording.limit(reading, most))}"
    if len(open_) == 1:
        return f"More images would decide one limit. {about}: {needed(most)}{now}."
    return f"More images would decide {num.count(len(open_))} of the limits. Most are needed for {about}: {needed(most)}{now}."


def properties(verdict: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return a verdict as names and texts for machines: numbers with all their digits, missing ones left out."""
    keys = ("generator", "metric", "attribute", "group", "baseline", "bound", "bound_high", "value", "low", "high", "level", "n",
            "p_value", "p_adjusted", "outcome", "images_to_decide")  # fmt: skip
    return [(key, num.plain(verdict[key])) for key in keys if verdict.get(key) is not None]


def lines(reading: Reading) -> list[str]:
    """Return the verdicts that did not hold as lines for a terminal, after a line that counts all."""
    if not reading.verdicts:
        return []
    said = [wording.verdict_summary(reading)]
    for v in (v for o in ("broken", "undecided") for v in reading.verdicts if v.get("outcome") == o):
        number = quoted(v) if measured(v) else "not measured"
        more = f"; {needed(v)}" if needed(v) else ""
        said.append(f"  {num.plain(v.get('outcome'))}: {num.plain(v.get('limit'))} [{num.plain(v.get('generator'), limit=40)}]: {number}{more}")
    return said


def stopped(reading: Reading, looks: list[Row]) -> str:
    """Return when a sequential run decided one limit: "held after 1,400 images instead of the budget of 10,000"."""
    budget = dict(reading.result.get("spec") or {}).get("samples")
    end = next((row for row in looks if row.get("outcome") in ("held", "broken")), None)
    if end is None:
        last = max((int(row.get("n") or 0) for row in looks), default=0)
        return f"undecided after {num.plural(last, 'image')}" + (", the whole budget" if budget and last >= budget else "")
    n = int(end.get("n") or 0)
    instead = f" instead of the budget of {num.count(int(budget))}" if budget and n < budget else ""
    return f"{end['outcome']} after {num.plural(n, 'image')}{instead}"


def told(reading: Reading) -> list[tuple[Row, list[Row]]]:
    """Return each verdict that has looks at a number, with these in the order of their images."""
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in reading.looks:
        if row.get("n") and None not in (row.get("low"), row.get("high")):
            found.setdefault(_about(row), []).append(row)
    return [(v, sorted(found[_about(v)], key=lambda row: row["n"])) for v in reading.verdicts if _about(v) in found]


def _about(row: Row) -> tuple[Any, ...]:
    return row.get("generator"), row.get("metric"), row.get("attribute"), row.get("group")
