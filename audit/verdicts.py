"""Interval against limit: held, broken, or undecided because the data cannot tell.

Source: Holm 1979 (Scandinavian Journal of Statistics 6) for the adjustment; Lakens 2017 (Social Psychological and Personality Science
    8) for margins and equivalence as statements about an interval.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from audit.errors import SpecError
from audit.evidence import Evidence, evidence
from audit.metrics.multiplicity import holm
from audit.planning import Readings, more_images
from audit.quantities import QUANTITIES, Measure
from audit.spec import LimitSpec

_TOUCH = 1e-9
"""An interval that ends on the limit lies within it, and not beyond it."""

Outcome = Literal["held", "broken", "undecided"]


@dataclass(frozen=True)
class Verdict:
    """The decision on one limit for one measure.

    Attributes:
        limit: in words.
        generator, metric, attribute, group: what was judged.
        bound: the limit; the lower end of ``between``, the margin of ``not_worse_than``.
        value, low, high: the number and its interval by itself, at ``level``; for ``not_worse_than`` the paired difference.
        outcome: decided by ``p_adjusted``.
        why: in a sentence.
        bound_high: upper end of ``between``.
        baseline: the generator that ``not_worse_than`` compares with.
        level: confidence level of the interval, and of the decision over all limits together.
        p_value: 1 - the highest level whose interval still lies on one side of the limit; None where nothing was measured.
        p_adjusted: the same after Holm's adjustment over all verdicts of a run.
        n: images behind the number.
        images_to_decide: of the undecided: images at which the interval would clear the limit, should the value stay as it is;
            None where no number of images would, or none can be given.
    """

    limit: str
    generator: str
    metric: str
    attribute: str | None
    group: str | None
    bound: float
    value: float | None
    low: float | None
    high: float | None
    outcome: Outcome
    why: str
    bound_high: float | None = None
    baseline: str | None = None
    level: float = 0.95
    p_value: float | None = None
    p_adjusted: float | None = None
    n: int = 0
    images_to_decide: int | None = None


@dataclass(frozen=True)
class Question:
    """One limit put to one number: is it within [least, most]?"""

    limit: LimitSpec
    row: Mapping[str, Any]
    least: float
    most: float
    evidence: Evidence | None
    baseline: str | None = None

    @property
    def p(self) -> tuple[float, bool] | None:
        """Return the stronger p-value and whether it speaks for the limit; None where nothing was measured."""
        if self.evidence is None:
            return None
        held, broken = self.evidence.p_held(self.least, self.most), self.evidence.p_broken(self.least, self.most)
        return (held, True) if held <= broken else (broken, False)


def judge(measures: Sequence[Measure], limits: Sequence[LimitSpec], comparisons: Sequence[Mapping[str, Any]] = (), *,
          level: float = 0.95, readings: Readings | None = None) -> list[Verdict]:  # fmt: skip
    """Return a verdict for every number that a limit speaks of.

    A limit holds when the whole interval lies within it, is broken when the whole interval lies beyond it, and is undecided
    otherwise. Several verdicts are one family: their p-values are adjusted by Holm's method, so that the chance of any wrong
    ``held`` or ``broken`` among all of them stays below ``1 - level``. Where a corrected and a raw row exist, the corrected one
    is judged.

    Args:
        measures: of one run.
        limits: what they are held to.
        comparisons: of the same run, for ``not_worse_than``.
        level: of the decisions together.
        readings: what was read of each generator and attribute, to say how many images would decide; None = scaled from the interval.

    Raises:
        SpecError: a limit speaks of something this audit did not measure.
    """
    questions = [question for limit in limits for question in _questions(limit, measures, comparisons)]
    found = [question.p for question in questions]
    adjusted = holm([None if p is None else p[0] for p in found])
    return [_decide(q, p, a, level, readings) for q, p, a in zip(questions, found, adjusted, strict=True)]


def sentence(limit: LimitSpec, baseline: str | None = None) -> str:
    """Return the limit in words: "fairness_discrepancy of gender at most 0.1"."""
    what = limit.metric + (f" of {limit.attribute}" if limit.attribute else "") + (f" ({limit.group})" if limit.group else "")
    if limit.between is not None:
        return f"{what} between {limit.between[0]:g} and {limit.between[1]:g}"
    if limit.not_worse_than is not None:
        other = "its baseline" if limit.than is None else "the last green night"
        return f"{what} not worse than {baseline or other} by more than {limit.not_worse_than:g}"
    return f"{what} at most {limit.at_most:g}" if limit.at_most is not None else f"{what} at least {limit.at_least:g}"


def exit_code(verdicts: Sequence[Verdict]) -> int:
    """Return 1 if any limit is broken, 3 if any is undecided, else 0."""
    outcomes = {v.outcome for v in verdicts}
    return 1 if "broken" in outcomes else 3 if "undecided" in outcomes else 0


def allowed(limit: LimitSpec) -> tuple[float, float]:
    """Return the values that a limit allows, of the number itself or, for ``not_worse_than``, of the difference."""
    if limit.between is not None:
        return limit.between
    if limit.not_worse_than is not None:
        direction = QUANTITIES[limit.metric].direction if limit.metric in QUANTITIES else "target"
        if direction == "target":
            raise SpecError(f"limit {sentence(limit)!r}: neither more nor less of {limit.metric} is worse by itself; "
                            "put not_worse_than on fairness_discrepancy, or use between")  # fmt: skip
        return (-limit.not_worse_than, float("inf")) if direction == "higher" else (float("-inf"), limit.not_worse_than)
    return (float("-inf"), limit.at_most) if limit.at_most is not None else (limit.at_least or 0.0, float("inf"))


def _questions(limit: LimitSpec, measures: Sequence[Measure], comparisons: Sequence[Mapping[str, Any]]) -> list[Question]:
    least, most = allowed(limit)
    if limit.not_worse_than is not None:
        rows: list[Mapping[str, Any]] = [{**row, "value": row["difference"]} for row in comparisons
                                         if _compared_so(limit, row) and _speaks_of(limit, row)]  # fmt: skip
    else:
        rows = [{**m.row(), "curve": m.curve} for m in measures if _speaks_of(limit, m.__dict__)]
    corrected = {(row["generator"], row["group"]) for row in rows if row["corrected"]}
    rows = [row for row in rows if row["corrected"] or (row["generator"], row["group"]) not in corrected]
    if not rows:
        raise SpecError(_nothing(limit, measures, comparisons))
    return [Question(limit, row, least, most, _evidence(row), row.get("baseline")) for row in rows]


def _compared_so(limit: LimitSpec, row: Mapping[str, Any]) -> bool:
    """Whether a margin speaks of this comparison: with the last green night of a history, or with another generator by the judge."""
    return (row.get("reader") == "last_green") if limit.than is not None else row.get("reader") not in ("second_rater", "last_green")


def _evidence(row: Mapping[str, Any]) -> Evidence | None:
    if row["value"] is None or row["low"] is None or row["high"] is None:
        return None
    return evidence(row["value"], row["low"], row["high"], row["level"], row.get("curve"))


def _speaks_of(limit: LimitSpec, row: Mapping[str, Any]) -> bool:
    return (limit.metric == row["metric"] and limit.generator in (None, row["generator"]) and limit.attribute == row["attribute"]
            and limit.group in (None, row["group"]))  # fmt: skip


def _decide(q: Question, p: tuple[float, bool] | None, adjusted: float | None, level: float, readings: Readings | None) -> Verdict:
    row, limit = q.row, q.limit
    outcome: Outcome = "undecided"
    needed = None
    if p is None or adjusted is None or q.evidence is None:
        why = f"not measured: {row.get('reason') or 'no interval'}"
    else:
        interval = f"[{row['low']:.4g}, {row['high']:.4g}]"
        alone, held = p
        if adjusted <= 1 - level + (_TOUCH if held else -_TOUCH):
            outcome = "held" if held else "broken"
            why = f"the whole interval {interval} lies {'within' if held else 'beyond'} the limit"
            why += f"; so it does at the stricter level that {adjusted / alone:.3g} open limits ask for" if adjusted > alone * 1.001 else ""
        else:
            factor = adjusted / alone if alone > 0 else 1.0
            needed, remark = more_images(row, (q.least, q.most), q.evidence, 1 - (1 - level) / factor, readings)
            if alone <= 1 - level:
                why = (f"by itself the interval {interval} lies {'within' if held else 'beyond'} the limit, but among "
                       f"{round(factor)} open limits that may be chance (adjusted p = {adjusted:.3g}); {remark}")  # fmt: skip
            else:
                why = f"the interval {interval} contains the limit; {remark}"
    bound = limit.between[0] if limit.between else next(b for b in (limit.at_most, limit.at_least, limit.not_worse_than) if b is not None)
    return Verdict(sentence(limit, q.baseline), row["generator"], limit.metric, limit.attribute, row["group"], bound, row["value"], row["low"],
                   row["high"], outcome, why, bound_high=limit.between[1] if limit.between else None, baseline=q.baseline, level=level,
                   p_value=None if p is None else p[0], p_adjusted=adjusted, n=row["n"], images_to_decide=needed)  # fmt: skip


def _nothing(limit: LimitSpec, measures: Sequence[Measure], comparisons: Sequence[Mapping[str, Any]]) -> str:
    if limit.than is not None:
        found = sorted({row["attribute"] or row["group"] or "the whole" for row in comparisons
                        if row["metric"] == limit.metric and row.get("reader") == "last_green"})  # fmt: skip
        known = f"there are {limit.metric} of {', '.join(found)}" if found else f"no {limit.metric} was measured then by the same protocol"
        return f"limit {sentence(limit)!r} matches nothing that the last green night and this audit both measured; {known}"
    if limit.not_worse_than is not None:
        metrics = sorted({row["metric"] for row in comparisons})
        pairs = sorted({f"{row['generator']} with {row['baseline']}" for row in comparisons})
        known = f"compared are {', '.join(pairs)} by {', '.join(metrics)}" if pairs else "no generator is compared: give it compare_to"
        return f"limit {sentence(limit)!r} matches no comparison of this audit; {known}"
    if limit.metric not in QUANTITIES:
        known = ", ".join(sorted({m.metric for m in measures}))
    else:
        found = sorted({m.attribute or m.group or "the whole" for m in measures if m.metric == limit.metric})
        known = f"{limit.metric} of " + ", ".join(found) if found else "no " + limit.metric
    return f"limit {sentence(limit)!r} matches no measure of this audit; measured are {known}"
