"""From the records of a run to the finding: every generator against its training data, then every family over its runs."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import stdtr

from audit import metrics
from audit.amplification.reading import READERS, readings, seen
from audit.attributes import ATTRIBUTES
from audit.errors import SpecError
from audit.estimates import Estimate, Measurement, NotMeasured
from audit.metrics.exaggeration import at_most_missing, exaggeration, widened
from audit.portraits import known_population, population

if TYPE_CHECKING:
    from audit.spec import GeneratorSpec
    from audit.study import StudyContext

QUALITY = {"group_fid": "lower", "group_coverage": "higher"}
"""Measures of a group's quality, and which way is better."""


def study(context: "StudyContext", *, minority: dict[str, str], training_images: int | None = None, note: str | None = None) -> dict[str, Any]:
    """Return what became of each minority's share, generator by generator and family by family.

    A generator's training data is the generator of the spec with ``source: portraits`` whose population is its ``trained_on``; where the
    spec has none, the population's shares are taken as exactly known. Generators of one ``family`` (else of one title) that share a
    ``trained_on`` are runs of one recipe. A ``source: mapped`` is a control: the data themselves, changed, and no generator.

    Args:
        context: the run.
        minority: {attribute: class} whose share is followed.
        training_images: distinct images each generator was trained on, whose own luck then widens the training share; None = endless.
        note: a sentence of the spec's author for the page, e.g. on the budget.

    Returns:
        ``rows`` (a generator, class and reader each), ``families`` and ``quality`` of groups, all plain values.

    Raises:
        SpecError: no such attribute or class in the run, or no generator with a known ``trained_on``.
    """
    for attribute, group in minority.items():
        if attribute not in context.spec.attributes or group not in ATTRIBUTES[attribute].classes:
            raise SpecError(f"study.minority: {{{attribute}: {group}}} is no attribute of this spec with one of its classes; "
                            f"the spec reads {', '.join(context.spec.attributes)}")  # fmt: skip
    arms = training_arms(context)
    if not arms:
        raise SpecError("study: no generator says what it was trained on; add `trained_on: POPULATION` to the generators of the study")
    rows = [row for name in arms for attribute, group in minority.items() for row in _rows(context, name, arms[name], attribute, group, training_images)]
    return {
        "level": context.spec.level,
        "minority": [{"attribute": a, "group": g} for a, g in minority.items()],
        "training_images": training_images,
        "note": note,
        "rows": rows,
        "families": _families(rows, minority, context.spec.level),
        "quality": [q for name in arms for attribute, group in minority.items() for q in _quality(context, name, arms[name], attribute, group)],
    }


def training_arms(context: "StudyContext") -> dict[str, str | None]:
    """Return {generator: the generator that draws its training data}; None where the spec draws none."""
    drawn = {g.population: name for name, g in context.spec.generators.items() if g.source == "portraits" and g.population and g.sampler is None}
    return {name: drawn.get(g.trained_on) for name, g in context.spec.generators.items()
            if known_population(g.trained_on) and not (g.source == "portraits" and g.population == g.trained_on)}  # fmt: skip


def family_of(spec: "GeneratorSpec", name: str) -> str:
    """Return what the study calls the recipe of a generator."""
    return spec.family or spec.title or name


def _rows(context: "StudyContext", name: str, arm: str | None, attribute: str, group: str, images: int | None) -> list[dict]:
    spec = context.spec.generators[name]
    at = ATTRIBUTES[attribute].classes.index(group)
    truth = float(population(str(spec.trained_on)).shares(attribute)[at])
    trained = dict(readings(context, arm, attribute, group)) if arm is not None else {}
    count, n = seen(context, name, attribute, group)
    found = []
    for reader, share in readings(context, name, attribute, group):
        data = trained.get(reader) or Estimate(truth, truth, truth, n or 1, context.spec.level, "share", "known exactly")
        data = data if images is None else widened(data, images)
        change = exaggeration(share, data)
        found.append({"generator": name, "family": family_of(spec, name), "control": spec.source == "mapped", "trained_on": spec.trained_on, "data": arm, "true_share": truth,
                      "attribute": attribute, "group": group, "reader": reader, "share": _plain(share), "training_share": _plain(data),
                      "difference": _plain(change.difference), "ratio": _plain(change.ratio), "log_odds": _plain(change.log_odds), "smoothed": _smoothed(share, data),
                      "at_most": _plain(at_most_missing(count, n, level=context.spec.level)) if reader == READERS[0] else None,
                      "outcome": _outcome(change.difference)})  # fmt: skip
    return found


def _smoothed(share: Measurement, data: Measurement) -> float | None:
    """Return the change of log odds with half an image added to either side, which a share of 0 has too.

    Haldane 1956 and Anscombe 1956. A family's runs are averaged by it: to leave out those in which the minority was never drawn would leave
    out the strongest evidence that it shrinks.
    """
    if isinstance(share, NotMeasured) or isinstance(data, NotMeasured):
        return None
    ends = [np.log((e.value * e.n + 0.5) / ((1 - e.value) * e.n + 0.5)) for e in (share, data)]
    return float(ends[0] - ends[1])


def _outcome(change: Measurement) -> str:
    """Return what an interval of a change says of a minority's share."""
    if isinstance(change, NotMeasured):
        return "not measured"
    return "shrinks" if change.high < 0 else "grows" if change.low > 0 else "cannot tell"


def _families(rows: Sequence[dict], minority: dict[str, str], level: float) -> list[dict]:
    found = []
    for attribute, group in minority.items():
        for reader in READERS:
            own = [r for r in rows if (r["attribute"], r["group"], r["reader"]) == (attribute, group, reader)]
            batch = [_family(title, [r for r in own if r["family"] == title], level) for title in dict.fromkeys(r["family"] for r in own)]
            for family, p in zip(batch, metrics.holm([f["p_value"] for f in batch]), strict=True):
                adjusted = None if p is None else float(p)
                found.append({**family, "attribute": attribute, "group": group, "reader": reader, "p_adjusted": adjusted,
                              "outcome": _decided(family["log_odds"], adjusted, level)})  # fmt: skip
    return found


def _family(title: str, rows: Sequence[dict], level: float) -> dict:
    """Return the mean change of (smoothed) log odds of one family with the training run as the unit, at each share and over all below a half."""
    shares = sorted({r["true_share"] for r in rows}, reverse=True)
    each = []
    for share in shares:
        values = [r["smoothed"] for r in rows if r["true_share"] == share and r["smoothed"] is not None]
        each.append({"true_share": share, "runs": sum(r["true_share"] == share for r in rows), "measured": len(values),
                     "log_odds": _plain(metrics.between_runs(values, level=level, unit="nats"))})  # fmt: skip
    minor = [r for r in rows if r["true_share"] < 0.5]
    values = [r["smoothed"] for r in minor if r["smoothed"] is not None]
    mean = metrics.between_runs(values, level=level, unit="nats")
    return {"family": title, "control": any(r["control"] for r in rows), "runs": len(minor), "measured": len(values), "log_odds": _plain(mean),
            "p_value": _student(values), "by_share": each}  # fmt: skip


def _student(values: Sequence[float]) -> float | None:
    """Return the two-sided p-value of a mean of 0 over runs; None below two runs."""
    if len(values) < 2:
        return None
    spread = float(np.std(values, ddof=1))
    if spread == 0:
        return None if np.mean(values) else 1.0
    return float(2 * stdtr(len(values) - 1, -abs(np.mean(values)) / (spread / np.sqrt(len(values)))))


def _decided(mean: dict, p: float | None, level: float) -> str:
    if mean["value"] is None or p is None:
        return "not measured"
    return "cannot tell" if p > 1 - level else "shrinks" if mean["value"] < 0 else "grows"


def _quality(context: "StudyContext", name: str, arm: str | None, attribute: str, group: str) -> list[dict]:
    """Return how well the minority is drawn beside the other classes, and beside what its training data reach at the same n."""
    held = {(m.generator, m.metric, m.group): m for m in context.measures if m.metric in QUALITY and m.attribute == attribute}
    found = []
    for metric, better in QUALITY.items():
        cells = {}
        for g in ATTRIBUTES[attribute].classes:
            own = held.get((name, metric, g))
            data = held.get((arm, metric, g)) if arm is not None else None
            cells[g] = {"generated": _of(own), "data": _of(data), "loss": _plain(_difference(own, data))}
        if any(c["generated"] is not None for c in cells.values()):
            found.append({"generator": name, "family": family_of(context.spec.generators[name], name),
                          "control": context.spec.generators[name].source == "mapped", "attribute": attribute, "group": group,
                          "trained_on": context.spec.generators[name].trained_on, "metric": metric, "better": better, "groups": cells,
                          "gap": _gap(cells, group)})  # fmt: skip
    return found


def _gap(cells: dict[str, dict], group: str) -> dict:
    """Return the minority's loss minus the mean loss of the other classes."""
    own, others = cells[group]["loss"], [c["loss"] for g, c in cells.items() if g != group]
    if own["value"] is None or any(o["value"] is None for o in others):
        return _plain(NotMeasured("too few images of a class", unit="distance"))
    value = own["value"] - float(np.mean([o["value"] for o in others]))
    below = np.hypot(own["value"] - own["low"], np.linalg.norm([o["high"] - o["value"] for o in others]) / len(others))
    above = np.hypot(own["high"] - own["value"], np.linalg.norm([o["value"] - o["low"] for o in others]) / len(others))
    return {"value": value, "low": value - float(below), "high": value + float(above), "n": own["n"], "reason": None}


def _difference(own: Any, data: Any) -> Measurement:
    for m in (own, data):
        if m is None or m.value is None:
            return NotMeasured("no such number" if m is None else m.reason or "not measured", 0 if m is None else m.n, "distance")
    value = own.value - data.value
    low = value - float(np.hypot(own.value - own.low, data.high - data.value))
    high = value + float(np.hypot(own.high - own.value, data.value - data.low))
    return Estimate(value, min(low, value), max(high, value), min(own.n, data.n), own.level, own.unit, "square-and-add")


def _of(m: Any) -> dict | None:
    return None if m is None else {"value": m.value, "low": m.low, "high": m.high, "n": m.n, "reason": m.reason}


def _plain(found: Measurement) -> dict:
    if isinstance(found, NotMeasured):
        return {"value": None, "low": None, "high": None, "n": found.n, "reason": found.reason}
    kept = asdict(found)
    return {**{k: kept[k] for k in ("value", "low", "high", "n")}, "reason": None}
