"""What the rows of the studies come to: for each kind of number the worst setting, held against its target."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Finding:
    """What a study says of one kind of number.

    Attributes:
        study: which study.
        what: the kind of number.
        points: settings looked at.
        worst: least coverage, or greatest rate of error.
        target: what it should be.
        missed: points beyond the target, whether by chance or not.
        kept: no point is beyond the target by more than three standard errors of the simulation.
        words: the finding in a sentence.
    """

    study: str
    what: str
    points: int
    worst: float
    target: float
    missed: int
    kept: bool
    words: str


def findings(rows: Sequence[dict[str, Any]]) -> list[Finding]:
    """Return what the rows come to, a finding a kind of number; raw labels are shown and not judged."""
    found = []
    for (study, what), own in _kinds(rows).items():
        coverage = [(float(r["coverage"]), int(r["repeats"])) for r in own if r.get("coverage") is not None]
        if coverage:
            target = 0.92 if study == "quality" else 0.93
            worst = min(c for c, _ in coverage)
            short = sum(c < target for c, _ in coverage)
            kept = all(c >= target - 3 * np.sqrt(target * (1 - target) / n) for c, n in coverage)
            found.append(Finding(study, what, len(coverage), worst, target, short, kept,
                                 f"{what}: nominal 95 % intervals cover {worst:.1%} at worst of {len(coverage)} settings, {short} below {target:.0%}"))  # fmt: skip
        wrong = [(float(r["wrong"]), int(r["repeats"])) for r in own if r.get("wrong") is not None]
        if wrong:
            worst = max(w for w, _ in wrong)
            kept = all(w <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / n) for w, n in wrong)
            found.append(Finding(study, what, len(wrong), worst, 0.05, sum(w > 0.05 for w, _ in wrong), kept,
                                 f"{what}: wrong in {worst:.1%} at worst of {len(wrong)} cases with the truth exactly at the limit"))  # fmt: skip
    return found


def _kinds(rows: Sequence[dict[str, Any]]) -> dict[tuple[str, str], list[dict]]:
    kinds: dict[tuple[str, str], list[dict]] = {}
    for row in rows:
        if row["study"] == "shares" and row["corrected"]:
            kinds.setdefault(("shares", f"corrected {row['quantity']}"), []).append(row)
        elif row["study"] == "quality":
            paired = "difference of " if row["difference"] else ""
            kinds.setdefault(("quality", f"{paired}{row['metric']} ({row['estimand']})"), []).append(row)
        elif row["study"] == "verdicts":
            kinds.setdefault(("verdicts", "verdict on one limit" if row["limits"] == 1 else f"any of {row['limits']} verdicts"), []).append(row)
        elif row["study"] == "sequences" and row.get("ever_wrong") is not None and not row["name"].startswith("a fixed-n"):
            kinds.setdefault(("sequences", "looking after every image"), []).append(
                {**row, "wrong": row["ever_wrong"]})  # fmt: skip
    return kinds
