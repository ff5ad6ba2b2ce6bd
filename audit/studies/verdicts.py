"""How often is a verdict wrong: one limit with the truth exactly at it, and twenty limits judged together?

The worst case for ``held`` is a truth at the very edge of its limit, where either decision is a mistake as often as not. A family of
twenty such limits shows what adjustment is for; the number that would be wrong without it stands beside.
"""

import numpy as np

from audit import metrics
from audit.estimates import NotMeasured
from audit.metrics.error_model import ErrorModel
from audit.quantities import Measure, laddered, measure_row
from audit.spec import LimitSpec
from audit.verdicts import judge

CASES = (
    ("share at most", 2, 500, 1.0), ("share at most", 2, 2000, 0.9), ("fairness_discrepancy at most", 2, 1000, 1.0),
    ("fairness_discrepancy at most", 3, 1000, 0.9), ("fairness_discrepancy at most", 7, 1000, 1.0), ("share between", 2, 1000, 0.9),
)  # fmt: skip
"""What is limited, classes, images, accuracy of the classifier (1 = labels are taken as they come; else calibrated on 2,000)."""

FAMILY = 20
_SHARES = {2: (0.62, 0.38), 3: (0.5, 0.3, 0.2), 7: (0.3, 0.2, 0.15, 0.12, 0.1, 0.08, 0.05)}


def verdict_study(*, rng: np.random.Generator, repeats: int, level: float = 0.95, only: int | None = None) -> list[dict]:
    """Return error rates of verdicts with every truth exactly at its limit, a row a case.

    Args:
        rng: draws the audits.
        repeats: audits a case; the families take half as many.
        level: of the decisions.
        only: which case, the families last; None = all.

    Returns:
        Rows with study, case, limits, repeats, false_held, false_broken, wrong (any), wrong_unadjusted (any, without Holm).
    """
    rows = []
    for at, (what, k, n, accuracy) in enumerate(CASES):
        if only in (None, at):
            found = [_judged([_audit("g", what, k, n, accuracy, rng)], level) for _ in range(repeats)]
            rows.append(_row(f"{what}, K = {k}, n = {n}, accuracy {accuracy:g}", 1, found))
    for at, shared in enumerate((False, True), start=len(CASES)):
        if only in (None, at):
            found = [_judged(_family(shared, rng), level) for _ in range(max(repeats // 2, 20))]
            rows.append(_row(f"{FAMILY} limits, {'one classifier and calibration' if shared else 'independent'}", FAMILY, found))
    return rows


def _family(shared: bool, rng: np.random.Generator) -> list[tuple[list[Measure], LimitSpec]]:
    confusion = _confusion(2, 0.9, rng) if shared else None
    return [_audit(f"g{i}", "share at most", 2, 1000, 0.9 if shared else 1.0, rng, confusion) for i in range(FAMILY)]


def _audit(name: str, what: str, k: int, n: int, accuracy: float, rng: np.random.Generator,
           confusion: np.ndarray | None = None) -> tuple[list[Measure], LimitSpec]:  # fmt: skip
    shares = np.array(_SHARES[k])
    model, rates = None, np.eye(k)
    if accuracy < 1:
        rates = np.where(np.eye(k) == 1, accuracy, (1 - accuracy) / (k - 1))
        model = ErrorModel.from_confusion(_confusion(k, accuracy, rng) if confusion is None else confusion)
    counts = rng.multinomial(n, rates @ shares)
    metric, _, bound = what.partition(" ")
    truth = float(shares[0]) if metric == "share" else float(np.linalg.norm(shares - 1 / k))
    limit = {"metric": metric, "attribute": "a", "generator": name, "group": "0" if metric == "share" else None}
    edge = {"between": (truth, truth + 0.2)} if bound == "between" else {"at_most": truth}

    def rows_at(level: float) -> list[Measure]:
        box = metrics.share_box(counts, level=level) if model is None else metrics.corrected_share_box(counts, model, level=level)
        share = box if isinstance(box, NotMeasured) else box.estimates()[0]
        found = share if metric == "share" else metrics.fairness_discrepancy(box)
        return [measure_row(name, metric, found, attribute="a", group=limit["group"], corrected=model is not None, level=level)]

    return laddered(rows_at, 0.95), LimitSpec.model_validate({**limit, **edge})


def _confusion(k: int, accuracy: float, rng: np.random.Generator) -> np.ndarray:
    return np.stack([rng.multinomial(2000 // k, np.where(np.arange(k) == j, accuracy, (1 - accuracy) / (k - 1))) for j in range(k)])


def _judged(audits: list[tuple[list[Measure], LimitSpec]], level: float) -> tuple[int, int, int]:
    """Return how many limits were wrongly held, wrongly broken, and decided without adjustment."""
    verdicts = judge([m for rows, _ in audits for m in rows], [limit for _, limit in audits], level=level)
    outcomes = [v.outcome for v in verdicts]
    alone = sum(v.p_value is not None and v.p_value <= 1 - level for v in verdicts)
    return outcomes.count("held"), outcomes.count("broken"), alone


def _row(case: str, limits: int, found: list[tuple[int, int, int]]) -> dict:
    held, broken, alone = (np.array(column) for column in zip(*found, strict=True))
    return {"study": "verdicts", "case": case, "limits": limits, "repeats": len(found), "false_held": float((held > 0).mean()),
            "false_broken": float((broken > 0).mean()), "wrong": float(((held + broken) > 0).mean()),
            "wrong_unadjusted": float((alone > 0).mean())}  # fmt: skip


