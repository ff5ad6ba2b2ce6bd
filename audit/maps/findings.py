"""The study ``paired_map``: what each mapped generator of a run did to the images of its baseline, from the records alone."""

from typing import Any

import numpy as np
import pandas as pd

from audit.errors import SpecError
from audit.maps.pairs import Pairs
from audit.maps.readings import changes, flips, kept, saturation
from audit.maps.strips import strips
from audit.metrics.multiplicity import holm
from audit.sources.mapped import MappedSource
from audit.study import StudyContext

CONTROLS = ("identity", "jitter", "blur")
"""Filters that stand beside a map as its controls."""

HELD_AGAINST = ("jitter", "blur")
"""Controls that a map's changes are compared with, pair by pair; the identity changes nothing."""


def study(context: StudyContext) -> dict[str, Any]:
    """Return what every map of the run did, for ``result.json`` under ``study``.

    Args:
        context: a run with generators of ``source: mapped``, each with ``compare_to`` naming the one that draws its base.

    Returns:
        ``level``, ``before`` (the baseline's title), ``maps`` (a dictionary each: ``generator``, ``title``, ``control``, ``map``, ``pairs``,
        ``missing``, ``size``, ``exact``, ``flips``, ``changes``, ``saturation``, ``identity``) and ``strips`` (the first pairs as pictures).

    Raises:
        SpecError: no generator is mapped, one has no baseline, or its baseline draws other images than its base.
    """
    spec, sources = context.spec, context.sources
    mapped = {name: source for name, source in sources.items() if isinstance(source, MappedSource)}
    if not mapped:
        raise SpecError("study: paired_map needs generators of source 'mapped', e.g. {source: mapped, base: {...}, map: {filter: lighten, amount: 3}, "
                        "compare_to: before}; this spec has none")  # fmt: skip
    for name, source in mapped.items():
        baseline = spec.generators[name].compare_to
        if baseline is None:
            raise SpecError(f"study: generator {name!r} is mapped but is compared to nothing; add compare_to, the generator that draws its base")
        if sources[baseline].digest != source.base.digest:
            raise SpecError(f"study: generator {name!r} is compared to {baseline!r}, which does not draw the images of its base; make the two the same")
    frames = {name: context.run.frame(name) for name in dict.fromkeys([*mapped, *(str(spec.generators[n].compare_to) for n in mapped)])}
    features = {name: _features(context, name) for name in frames}
    pairs = {name: _paired(name, str(spec.generators[name].compare_to), frames, features) for name in mapped}
    names = {control: name for name, control in ((n, _control(s)) for n, s in mapped.items()) if control in HELD_AGAINST}
    singles = [a for a in spec.attributes if "*" not in a]
    found = []
    for name, source in mapped.items():
        same_base = [c for c, n in names.items() if n != name and spec.generators[n].compare_to == spec.generators[name].compare_to]
        against = {c: pairs[names[c]] for c in same_base} if _control(source) is None else {}
        found.append(_one(name, source, context, pairs[name], singles, against))
    baselines = list(dict.fromkeys(str(spec.generators[name].compare_to) for name in mapped))
    return {"level": spec.level, "before": [spec.generators[b].title or b for b in baselines], "maps": found,
            "strips": strips(context.run.path, {b: [n for n in mapped if spec.generators[n].compare_to == b] for b in baselines},
                             first=spec.gallery)}  # fmt: skip


def _one(name: str, source: MappedSource, context: StudyContext, pairs: Pairs, singles: list[str], against: dict[str, Pairs]) -> dict[str, Any]:
    level, given = context.spec.level, context.spec.generators[name]
    flipped = flips(pairs, singles, against, rng=context.rng, level=level)
    for reader in dict.fromkeys(row["reader"] for row in flipped):
        family = [row for row in flipped if row["reader"] == reader]
        for row, p in zip(family, holm([row["p_value"] for row in family]), strict=True):
            row["p_adjusted"] = p
    moved = changes(pairs, against, singles, planted=source.map.facts.get("planted") or {}, level=level)
    delta_e = pairs.after["map:delta_e"].to_numpy(dtype=np.float64)
    size = float(np.sqrt(np.nanmean(np.square(delta_e)))) if np.isfinite(delta_e).any() else None
    return {"generator": name, "baseline": given.compare_to, "title": given.title or name, "control": _control(source), "map": dict(source.map.facts),
            "pairs": len(pairs.after), "missing": pairs.missing(), "size": size, "exact": _exact(delta_e, flipped, moved),
            "flips": flipped, "changes": moved, "saturation": saturation(pairs), "identity": kept(pairs, level=level)}  # fmt: skip


def _control(source: MappedSource) -> str | None:
    kind = source.map.facts.get("filter")
    return kind if kind in CONTROLS else None


def _exact(delta_e: np.ndarray, flipped: list[dict], moved: list[dict]) -> bool:
    """Return whether nothing at all changed: what the identity must show, to the bit."""
    still = all(row["low"] == row["high"] == 0 for row in moved if row["value"] is not None and row["by"] == "all")
    return bool(still and np.nan_to_num(delta_e).max(initial=0.0) == 0 and not any(sum(row["gained"]) for row in flipped))


def _features(context: StudyContext, name: str) -> np.ndarray | None:
    return None if context.spec.instruments.identity is None else context.run.features(name, "identity")


def _paired(name: str, baseline: str, frames: dict[str, pd.DataFrame], features: dict[str, np.ndarray | None]) -> Pairs:
    _, left, right = np.intersect1d(frames[baseline]["id"], frames[name]["id"], return_indices=True)
    sides = [None if features[n] is None else np.asarray(features[n])[rows] for n, rows in ((baseline, left), (name, right))]
    return Pairs(frames[baseline].iloc[left].reset_index(drop=True), frames[name].iloc[right].reset_index(drop=True), *sides)
