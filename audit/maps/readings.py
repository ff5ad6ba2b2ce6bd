"""From pairs of rows to the rows of the study: flips of labels, changes of the skin's colour, what was clipped, who was kept."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from audit.attributes import ATTRIBUTES
from audit.estimates import Estimate, Measurement
from audit.labels import labels, role_of
from audit.maps.pairs import Pairs
from audit.metrics.paired import paired_share_difference
from audit.metrics.paired_maps import hue_change, identity_kept, label_flips, mean_change

QUANTITIES = {"L": "lightness", "hue": "degrees", "ita": "degrees", "monk": "tones"}
"""What is read of the skin, and the unit of its change."""


def flips(pairs: Pairs, attributes: list[str], against: Mapping[str, Pairs], *, rng: np.random.Generator, level: float) -> list[dict[str, Any]]:
    """Return a row for every attribute and reader.

    Args:
        pairs: before and after.
        attributes: which attributes, no intersections.
        against: controls by name, of the same images before.
        rng: for tails that are drawn.
        level: of the intervals.

    Returns:
        ``attribute``, ``reader``, ``classes``, ``table`` (from row to column), ``gained``, ``lost``, ``differences`` (after minus before by class),
        ``p_value``, ``test``, ``n``, ``dropped``; ``by_truth`` (labels by true class, before and after) where the truth is known; and
        ``beyond`` (by control: share after the map minus share after the control, by class).
    """
    rows = []
    for attribute in attributes:
        classes, truth = ATTRIBUTES[attribute].classes, pairs.truth(attribute)
        for reader in _readers(pairs, attribute):
            before, after = (labels(frame, attribute, role=reader) for frame in (pairs.before, pairs.after))
            if before is None or after is None:
                continue
            found = label_flips(before, after, len(classes), rng=rng, level=level)
            row: dict[str, Any] = {"attribute": attribute, "reader": reader, "classes": list(classes), "table": found.table.tolist(),
                                   "gained": found.gained.tolist(), "lost": found.lost.tolist(), "n": found.n, "dropped": found.dropped,
                                   "differences": [_plain(d) for d in found.differences], "p_value": found.p_value, "test": found.test,
                                   "by_truth": None, "beyond": {}}  # fmt: skip
            if truth is not None:
                row["by_truth"] = {side: _crossed(truth, said, len(classes)) for side, said in (("before", before), ("after", after))}
            for control, other in against.items():
                theirs = labels(other.after, attribute, role=reader)
                ours, theirs = _on_common_ids(pairs, other, after, theirs)
                apart = paired_share_difference(ours, theirs, len(classes), level)
                row["beyond"][control] = [_plain(d) for d in apart.differences]
            rows.append(row)
    return rows


def changes(pairs: Pairs, against: Mapping[str, Pairs], attributes: list[str], *, planted: Mapping[str, float],
            level: float) -> list[dict[str, Any]]:  # fmt: skip
    """Return the mean signed change of the skin's colour, a row for every quantity and stratum; empty where nobody read the skin.

    Args:
        pairs: before and after.
        against: controls by name; rows ``by: beyond_CONTROL`` are the map's change minus the control's, pair by pair.
        attributes: of the run.
        planted: changes known by construction, by quantity.
        level: of the intervals, simultaneous over the strata of one division.

    Returns:
        ``quantity``, ``by``, ``stratum``, ``value``, ``low``, ``high``, ``n``, ``unit``, ``method``, ``reason``, ``planted``. The quantity
        ``background_L`` is the change of L* in the upper corners of the image: light that fell on everything.
    """
    if "skin_tone:L" not in pairs.before:
        return []
    moved = {quantity: _moved(pairs, quantity) for quantity in QUANTITIES}
    rows = []
    for strata in pairs.strata(attributes):
        for quantity, unit in QUANTITIES.items():
            for at, stratum in enumerate(strata.names):
                found = mean_change(moved[quantity][strata.codes == at], level=level, strata=len(strata.names), unit=unit)
                rows.append({"quantity": quantity, "by": strata.by, "stratum": stratum, **_plain(found), "planted": planted.get(quantity)})
    for control, other in against.items():
        for quantity, unit in QUANTITIES.items():
            ours, theirs = _on_common_ids(pairs, other, moved[quantity], _moved(other, quantity))
            apart = _difference(quantity, ours, theirs)
            rows.append({"quantity": quantity, "by": f"beyond_{control}", "stratum": "all pairs", **_plain(mean_change(apart, level=level, unit=unit)),
                         "planted": None})  # fmt: skip
    light = mean_change(pairs.after["map:background_L"].to_numpy(dtype=np.float64), level=level)
    return [*rows, {"quantity": "background_L", "by": "all", "stratum": "all pairs", **_plain(light), "planted": None}]


def saturation(pairs: Pairs) -> list[dict[str, Any]]:
    """Return by tone of the input (true where known, else as read) how much was clipped: mean share of pixels, and share of images with any."""
    clipped = pairs.clipped()
    if clipped is None:
        return []
    strata = {s.by: s for s in pairs.strata([])}
    divided = strata.get("true_tone") or strata.get("input_tone") or strata["all"]
    rows = []
    for at, stratum in enumerate(divided.names):
        own = clipped[(divided.codes == at) & np.isfinite(clipped)]
        rows.append({"by": divided.by, "stratum": stratum, "n": len(own), "pixels": float(own.mean()) if len(own) else None,
                     "images": float((own > 0).mean()) if len(own) else None})  # fmt: skip
    return rows


def kept(pairs: Pairs, *, level: float) -> dict[str, Any] | None:
    """Return how much of the person was kept; None where nobody read identity."""
    if pairs.identity_before is None or pairs.identity_after is None:
        return None
    found = identity_kept(pairs.identity_before, pairs.identity_after, level=level)
    return {"similarity": _plain(found.similarity), "strangers": found.strangers, "lost": _plain(found.lost)}


def _readers(pairs: Pairs, attribute: str) -> Iterator[str]:
    first = role_of(pairs.before.columns, attribute)
    if first is not None:
        yield first
    for role in ("skin_tone", "second_rater"):
        if role != first and f"{role}:{attribute}:{ATTRIBUTES[attribute].classes[0]}" in pairs.before:
            yield role


def _moved(pairs: Pairs, quantity: str) -> np.ndarray:
    return _difference(quantity, pairs.reading("after", quantity), pairs.reading("before", quantity))


def _difference(quantity: str, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return hue_change(other, one) if quantity == "hue" else one - other


def _on_common_ids(pairs: Pairs, other: Pairs, ours: np.ndarray, theirs: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    _, left, right = np.intersect1d(pairs.after["id"], other.after["id"], return_indices=True)
    return ours[left], np.asarray(theirs)[right]


def _crossed(truth: np.ndarray, said: np.ndarray, k: int) -> list[list[int]]:
    read = (truth >= 0) & (said >= 0)
    return np.bincount(truth[read] * k + said[read], minlength=k * k).reshape(k, k).tolist()


def _plain(found: Measurement) -> dict[str, Any]:
    if isinstance(found, Estimate):
        return {"value": found.value, "low": found.low, "high": found.high, "n": found.n, "unit": found.unit, "method": found.method, "reason": None}
    return {"value": None, "low": None, "high": None, "n": found.n, "unit": found.unit, "method": None, "reason": found.reason}
