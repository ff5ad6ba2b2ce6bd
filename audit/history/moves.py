"""What moved in a history: steps of the watched series, other series that seem to have moved, and numbers that changed exactly.

An *alarm* is a step of a watched series, kept to 5 % false ones a year and family. Everything else is *notable* at best: of the lines shown on one
night about 5 % are chance (Benjamini and Hochberg 1995, JRSS B 57), and no year is promised.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import ndtr, stdtrit

from audit.history.causes import causes
from audit.history.chronicle import Chronicle, Series
from audit.history.dispersion import Prior, fit_prior
from audit.history.steps import CANDIDATES, Panel, plausible, scan
from audit.history.watch import Step, Watch

NOTABLE_NIGHTS = 180
"""Nights, repeats included, in which other series are looked at."""

MOST_NOTABLE = 50
"""Lines of notable series that are kept with a night."""

FALSE_SHARE = 0.05
"""Expected share of chance among the notable."""


def watched(chronicle: Chronicle) -> Watch:
    """Read the watched series of a history night by night and return what was seen."""
    panel, _, _ = chronicle.panel()
    seen = Watch(int(chronicle.watched.sum()))
    for values, weights in zip(panel.values[:, chronicle.watched], panel.weights[:, chronicle.watched], strict=True):
        seen.see(values, weights)
    return seen


def alarms(chronicle: Chronicle, seen: Watch) -> list[dict[str, Any]]:
    """Return the steps of the watched series in words' raw material, the last found first."""
    panel, middle, unit = chronicle.panel()
    columns = np.flatnonzero(chronicle.watched)
    found = []
    for at, column in enumerate(columns):
        steps = [s for s in seen.steps if s.series == at]
        starts = [0, *(s.since for s in steps), len(chronicle.entries)]
        for i, step in enumerate(steps):
            known = _with_later_nights(step, panel.values[:, column], panel.weights[:, column], starts[i], starts[i + 2])
            found.append(_move(chronicle, int(column), known, middle, unit))
    return sorted(found, key=lambda m: (m["found_at"], abs(m["score"])), reverse=True)


def notable(chronicle: Chronicle) -> list[dict[str, Any]]:
    """Return series that are not watched and seem to have moved lately, the clearest first.

    Args:
        chronicle: the last :data:`NOTABLE_NIGHTS` entries, or all.
    """
    panel, middle, unit = chronicle.panel()
    others = np.flatnonzero(~chronicle.watched & (panel.weights > 0).any(axis=0))
    if not len(others):
        return []
    mine = Panel(panel.values[:, others], panel.weights[:, others])
    sums, starts = mine.sums(), np.zeros(len(others), dtype=int)
    found = scan(sums, len(chronicle.entries), starts, _spread(sums))
    p = np.minimum(1.0, 2 * ndtr(-np.abs(found.score)) * len(CANDIDATES))
    order = np.argsort(p)
    passed = np.flatnonzero(p[order] <= FALSE_SHARE * np.arange(1, len(p) + 1) / len(p))
    moves = []
    for at in order[: passed.max() + 1 if len(passed) else 0][:MOST_NOTABLE]:
        end, length = len(chronicle.entries), int(found.length[at])
        step = Step(int(at), end - length, end - 1, float(found.score[at]), float(found.old[at]), float(found.difference[at]),
                    float(found.error[at]), float(found.df[at]), tuple(sorted(end - n for n in plausible(found.all[:, at]))))  # fmt: skip
        moves.append(_move(chronicle, int(others[at]), step, middle, unit))
    return moves


def exact(chronicle: Chronicle) -> list[dict[str, Any]]:
    """Return where a generator's numbers had been the same night after night and then changed, the last first.

    With one seed, or one folder of images, chance cannot do that: weights, code or the machine changed, however little it shows.
    """
    fresh = chronicle.news()
    names = [s.generator for s in chronicle.series]
    found = []
    for name in dict.fromkeys(names):
        columns = [at for at, n in enumerate(names) if n == name]
        new = [bool(fresh[at, columns].any()) for at in range(len(chronicle.entries))]
        for at in range(2, len(new)):
            if new[at] and not new[at - 1] and np.isfinite(chronicle.value[at - 1, columns]).any():
                changed = np.abs(chronicle.value[at, columns] - chronicle.value[at - 1, columns])
                same = next(i for i in range(at - 1, -1, -1) if new[i])
                found.append({"generator": name, "night": chronicle.entries[at].night, "same_since": chronicle.entries[same].night,
                              "changed": int(np.nansum(changed > 0)), "of": int(np.isfinite(changed).sum()),
                              "causes": causes(chronicle.entries, at, (), name)})  # fmt: skip
    return sorted(found, key=lambda e: e["night"], reverse=True)


def is_worse(series: Series, before: float, after: float) -> bool | None:
    """Return whether a change is for the worse; None where neither way is."""
    if series.direction == "lower":
        return after > before
    if series.direction == "higher":
        return after < before
    return None if series.parity is None or series.baseline else abs(after - series.parity) > abs(before - series.parity)


def _with_later_nights(step: Step, values: np.ndarray, weights: np.ndarray, start: int, end: int) -> Step:
    """Return a step with its levels as all nights of both tell them, those after it was found too; what was found, and when, stays."""
    old, new, told = slice(start, step.since), slice(step.since, end), slice(step.since, step.found + 1)
    was = 1 / weights[told].sum() + 1 / weights[old].sum()
    level = float(np.average(values[old], weights=weights[old]))
    difference = float(np.average(values[new], weights=weights[new])) - level
    error = step.error * float(np.sqrt((1 / weights[new].sum() + 1 / weights[old].sum()) / was))
    return replace(step, old=level, difference=difference, error=error)


def _move(chronicle: Chronicle, column: int, step: Step, middle: np.ndarray, unit: np.ndarray) -> dict[str, Any]:
    series, scale = chronicle.series[column], float(unit[column])
    before = float(middle[column] + scale * step.old)
    after = before + scale * step.difference
    half = float(stdtrit(step.df, 0.975)) * step.error * scale
    entries: Sequence[Any] = chronicle.entries
    return {**series.subject(), "since": entries[step.since].night, "found": entries[step.found].night, "found_at": step.found,
            "since_at": step.since, "before": before, "after": after, "difference": after - before, "low": after - before - half,
            "high": after - before + half, "score": step.score, "worse": is_worse(series, before, after),
            "or_since": sorted({entries[o].night for o in step.others} - {entries[step.since].night}),
            "causes": causes(entries, step.since, step.others, series.generator)}  # fmt: skip


def _spread(sums: np.ndarray) -> Prior:
    count, weight, first, second = sums[:, -1]
    with np.errstate(divide="ignore", invalid="ignore"):
        variances = (second - first**2 / weight) / (count - 1)
    usable = np.isfinite(variances) & (count > 1)
    return fit_prior(np.where(usable, variances, 0.0), np.where(usable, count - 1, 0.0))
