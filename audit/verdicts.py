"""Interval against limit: held, broken, or undecided because the data cannot tell."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from audit.errors import SpecError
from audit.quantities import QUANTITIES, Measure
from audit.spec import LimitSpec

Outcome = Literal["held", "broken", "undecided"]


@dataclass(frozen=True)
class Verdict:
    """The decision on one limit for one measure."""

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


def judge(measures: Sequence[Measure], limits: Sequence[LimitSpec]) -> list[Verdict]:
    """Return a verdict for every measure that a limit speaks of.

    A limit holds when the whole interval lies on its good side, is broken when the whole interval lies on the other, and is
    undecided otherwise. Where a corrected and a raw row exist, the corrected one is judged.

    Raises:
        SpecError: a limit speaks of something this audit did not measure.
    """
    verdicts = []
    for limit in limits:
        rows = [m for m in measures if _speaks_of(limit, m)]
        corrected = {(m.generator, m.group) for m in rows if m.corrected}
        rows = [m for m in rows if m.corrected or (m.generator, m.group) not in corrected]
        if not rows:
            raise SpecError(f"limit {sentence(limit)!r} matches no measure of this audit; measured are {_known(measures, limit)}")
        verdicts += [_decide(limit, m) for m in rows]
    return verdicts


def sentence(limit: LimitSpec) -> str:
    """Return the limit in words: "fairness_discrepancy of gender at most 0.1"."""
    what = limit.metric + (f" of {limit.attribute}" if limit.attribute else "") + (f" ({limit.group})" if limit.group else "")
    bound = f"at most {limit.at_most:g}" if limit.at_most is not None else f"at least {limit.at_least:g}"
    return f"{what} {bound}"


def exit_code(verdicts: Sequence[Verdict]) -> int:
    """Return 1 if any limit is broken, 3 if any is undecided, else 0."""
    outcomes = {v.outcome for v in verdicts}
    return 1 if "broken" in outcomes else 3 if "undecided" in outcomes else 0


def _speaks_of(limit: LimitSpec, m: Measure) -> bool:
    return (limit.metric == m.metric and (limit.generator in (None, m.generator)) and limit.attribute == m.attribute
            and limit.group in (None, m.group))  # fmt: skip


def _decide(limit: LimitSpec, m: Measure) -> Verdict:
    upper = limit.at_most is not None
    bound = limit.at_most if limit.at_most is not None else limit.at_least
    assert bound is not None  # the spec's own validator saw to it
    if m.value is None or m.low is None or m.high is None:
        outcome, why = "undecided", f"not measured: {m.reason}"
    else:
        interval = f"[{m.low:.4g}, {m.high:.4g}]"
        good = m.high <= bound if upper else m.low >= bound
        bad = m.low > bound if upper else m.high < bound
        side = "below" if upper == good else "above"
        if good:
            outcome, why = "held", f"the whole interval {interval} lies {'at or ' + side} the limit {bound:g}"
        elif bad:
            outcome, why = "broken", f"the whole interval {interval} lies {'above' if upper else 'below'} the limit {bound:g}"
        else:
            outcome, why = "undecided", f"the interval {interval} contains the limit {bound:g}; more images would narrow it"
    return Verdict(sentence(limit), m.generator, m.metric, m.attribute, m.group, bound, m.value, m.low, m.high, outcome, why)  # type: ignore[arg-type]


def _known(measures: Sequence[Measure], limit: LimitSpec) -> str:
    if limit.metric not in QUANTITIES:
        return ", ".join(sorted({m.metric for m in measures}))
    found = sorted({m.attribute or m.group or "the whole" for m in measures if m.metric == limit.metric})
    return f"{limit.metric} of " + ", ".join(found) if found else "no " + limit.metric
