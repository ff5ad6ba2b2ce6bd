"""The claim to test: self-conditioned edits keep identity at least as well as the best traversal, over the outer half of the range.

Against each traversal the range runs from no change to the largest change that both edits surely reach, and the outer half of it is
where they are compared: the mean identity over those changes, self-conditioned minus traversal, on the same ids. Intervals are
simultaneous over the traversals (largest absolute bootstrap t), so the claim is about the best of them without having chosen it by
the same data; several claims of a run share the level equally (Bonferroni). Held: every interval lies above 0. Broken: one lies
below 0. Else undecided. No range, no test: an edit that hardly moves the attribute is not said to keep anything.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mitigations.editing.curves import Curve, Floats, mean_over

OWN = "self_conditioned"
LEAST = 0.05
"""Change of the judge's mean score (0..1) that is the least to speak of a range."""


@dataclass(frozen=True)
class Rival:
    """One traversal against the self-conditioned edit.

    Attributes:
        by: the traversal.
        low_change, high_change: the outer half of the common range; None where there is none.
        own, other: mean identity of both there.
        difference, low, high: own minus other, with a simultaneous interval.
        reason: why there is none.
    """

    by: str
    low_change: float | None = None
    high_change: float | None = None
    own: float | None = None
    other: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


def judge_claim(curves: Sequence[Curve], weights: Floats, *, level: float) -> dict[str, Any]:
    """Return ``outcome`` (held, broken, undecided, not_tested), ``why``, ``reach`` of every edit, ``rivals``, and ``best``.

    Args:
        curves: of one attribute and direction, on the same n ids.
        weights: (R, n) of resampled ids.
        level: simultaneous over the traversals.
    """
    sure = {c.by: c.reach(weights, 0.5 + level / 2) for c in curves}
    said: dict[str, Any] = {"level": level, "reach": sure, "rivals": [], "best": None}
    own = next((c for c in curves if c.by == OWN), None)
    others = [c for c in curves if c.by != OWN]
    if own is None or not others:
        return {**said, "outcome": "not_tested", "why": "a claim needs self-conditioned edits and at least one traversal"}
    if sure[OWN] < LEAST:
        rivals = [Rival(c.by, reason="no common range") for c in others]
        return {**said, "rivals": [asdict(r) for r in rivals], "outcome": "not_tested",
                "why": f"self-conditioned edits surely change the judge's mean score by no more than {max(sure[OWN], 0):.3f}"}  # fmt: skip
    tested = [c for c in others if sure[c.by] >= LEAST]
    found = [_against(own, c, weights, min(sure[OWN], sure[c.by])) for c in tested]
    rivals = [Rival(c.by, reason=f"surely reaches a change of only {max(sure[c.by], 0):.3f}") for c in others if c not in tested]
    if not tested:
        return {**said, "rivals": [asdict(r) for r in rivals], "outcome": "not_tested", "why": "no traversal changes the attribute enough"}
    spread = np.stack([again.std(ddof=1) for _, again in found]).clip(min=1e-12)
    largest = np.abs((np.stack([again - again.mean() for _, again in found])) / spread[:, None]).max(axis=0)
    wide = float(np.quantile(largest, level))
    for (rival, _), error in zip(found, spread, strict=True):
        rivals.append(
            Rival(**{**asdict(rival), "low": float(rival.difference - wide * error), "high": float(rival.difference + wide * error)})
        )  # type: ignore[operator]
    measured = [r for r in rivals if r.difference is not None]
    best = min(measured, key=lambda r: r.difference)  # type: ignore[arg-type, return-value]
    order = {c.by: i for i, c in enumerate(others)}
    outcome = "held" if all(r.low >= 0 for r in measured) else "broken" if any(r.high < 0 for r in measured) else "undecided"  # type: ignore[operator]
    why = {"held": "every interval lies above 0", "broken": "an interval lies below 0", "undecided": "an interval contains 0"}[outcome]
    return {
        **said,
        "rivals": [asdict(r) for r in sorted(rivals, key=lambda r: order[r.by])],
        "best": best.by,
        "outcome": outcome,
        "why": why,
    }


def _against(own: Curve, other: Curve, weights: Floats, end: float) -> tuple[Rival, Floats]:
    means = [mean_over(c.change.mean(axis=0), c.identity.mean(axis=0), end / 2, end) for c in (own, other)]
    again = [mean_over(*c.resampled(weights), end / 2, end) for c in (own, other)]
    rival = Rival(other.by, end / 2, end, float(means[0]), float(means[1]), float(means[0] - means[1]))
    return rival, again[0] - again[1]
