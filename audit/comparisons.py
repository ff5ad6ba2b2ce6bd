"""Candidate against baseline, paired on ids: both drew image i from the same latent, so each pair shares its luck."""

from collections.abc import Iterator

import numpy as np

from audit import metrics
from audit.estimates import Estimate, Measurement
from audit.labels import cells, labels
from audit.measure import target_shares
from audit.records import Run
from audit.spec import Spec


def compare_pairs(run: Run, spec: Spec) -> list[dict]:
    """Return rows ``candidate minus baseline`` for every generator with ``compare_to``; see the README for the columns.

    p-values are adjusted over all rows of the run by Holm's method. Shares are raw labels on both sides: the classifier is the
    same, and a correction would have to assume that its errors are the same on both.
    """
    rows = [row for name, g in spec.generators.items() if g.compare_to for row in _pair(run, spec, name, g.compare_to)]
    adjusted = metrics.holm([row["p_value"] for row in rows])
    return [{**row, "p_adjusted": p} for row, p in zip(rows, adjusted, strict=True)]


def _pair(run: Run, spec: Spec, candidate: str, baseline: str) -> Iterator[dict]:
    ours, theirs = run.frame(candidate), run.frame(baseline)
    _, left, right = np.intersect1d(ours["id"], theirs["id"], return_indices=True)
    for attribute in spec.attributes:
        after, before = labels(ours.iloc[left], attribute), labels(theirs.iloc[right], attribute)
        if after is None or before is None:
            continue
        names = cells(attribute)
        common = {"generator": candidate, "baseline": baseline, "attribute": attribute, "level": spec.level, "corrected": False}
        whole = metrics.paired_discrepancy_difference(after, before, len(names), target_shares(spec, attribute), spec.level)
        yield _row("fairness_discrepancy", None, whole.difference, whole.p_value, whole.n, common)
        each = metrics.paired_share_difference(after, before, len(names), spec.level)
        for group, difference, p in zip(names, each.differences, each.p_values, strict=True):
            yield _row("share", group, difference, p, each.n, common)


def _row(metric: str, group: str | None, found: Measurement, p: float | None, n: int, common: dict) -> dict:
    if isinstance(found, Estimate):
        numbers = {"difference": found.value, "low": found.low, "high": found.high, "method": found.method, "reason": None}
    else:
        numbers = {"difference": None, "low": None, "high": None, "method": None, "reason": found.reason}
    return {**common, "metric": metric, "group": group, "n": n, "p_value": p, **numbers}
