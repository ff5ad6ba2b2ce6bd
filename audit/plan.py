"""``genbias plan``: how many images each limit of a spec will need, said before any image is drawn.

What the answer depends on is how far the truth is from the limit, which nobody knows beforehand; so it is given for several
truths, and for the truth that a pilot run suggests.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from audit.attribute_rows import SUMMARIES, TO_TARGET, Reading
from audit.attributes import ATTRIBUTES, parts
from audit.calibrations import Calibration
from audit.estimates import Estimate
from audit.labels import cells
from audit.measure import target_shares
from audit.metrics.shares import ShareBox
from audit.planning import expected_interval, images_needed
from audit.result import load_result
from audit.spec import LimitSpec, Spec
from audit.verdicts import allowed, sentence

POWER = 0.9
TRUTHS = (0.0, 0.5, 0.8, 1.25, 1.5, 2.0)
"""True values that are tried, in multiples of the limit."""


@dataclass(frozen=True)
class Need:
    """Images that one limit needs under one truth.

    Attributes:
        limit: in words.
        generator: whom it is about; None = any.
        truth: the true value assumed.
        outcome: what it would be decided to be.
        images: a generator, for a chance of :data:`POWER` to decide; None where no number would, or ``why`` says why not.
        why: where there is no number, the reason.
    """

    limit: str
    generator: str | None
    truth: float | None
    outcome: str
    images: int | None
    why: str = ""

    def row(self) -> dict:
        """Return it as a plain dictionary."""
        return asdict(self)


def plan(spec: Spec, calibration: Calibration | None, *, pilot: Path | None = None) -> list[Need]:
    """Return the images every limit of a spec needs, each at the strictest level that Holm's adjustment may ask for.

    Args:
        spec: with limits.
        calibration: the classifier's errors; None = labels are taken as they come.
        pilot: a finished run whose shares are taken for true; None = :data:`TRUTHS`.
    """
    questions = sum(len(_groups(limit)) * (1 if limit.generator else len(spec.generators)) for limit in spec.limits)
    level = 1 - (1 - spec.level) / max(questions, 1)
    needs: list[Need] = []
    for limit in spec.limits:
        for group in _groups(limit):
            needs += _needs(spec, limit, group, calibration, level, pilot)
    return needs


def _groups(limit: LimitSpec) -> list[str | None]:
    if limit.metric == "share" and limit.attribute and limit.group is None and set(parts(limit.attribute)) <= set(ATTRIBUTES):
        return list(cells(limit.attribute))
    return [limit.group]


def _needs(spec: Spec, limit: LimitSpec, group: str | None, calibration: Calibration | None, level: float, pilot: Path | None) -> Iterator[Need]:
    said = sentence(limit.model_copy(update={"group": group}))
    if limit.attribute is None or limit.not_worse_than is not None or not (limit.metric == "share" or limit.metric in SUMMARIES):
        yield Need(said, limit.generator, None, "unknown", None, "only limits on shares and what sums them up can be planned; run a pilot, "
                   "whose verdicts say how many images would decide")  # fmt: skip
        return
    names = cells(limit.attribute)
    target = target_shares(spec, limit.attribute)
    model = calibration.error_model(limit.attribute) if calibration is not None else None
    like = Reading(np.ones(len(names), dtype=np.int64), errors=model)
    at = names.index(group) if group in names else None
    bounds = allowed(limit)
    if pilot is not None:
        cases = [(g, shares) for g, shares in _pilot_shares(pilot, limit, names)]
    else:
        finite = [b for b in bounds if np.isfinite(b)]
        cases = [(limit.generator, p) for f in TRUTHS for b in finite if (p := _shares_with(limit.metric, f * b, at, len(names), target)) is not None]
    for generator, shares in cases:
        truth = _value(limit.metric, shares, at, target)
        within = bounds[0] <= truth <= bounds[1]
        needed = images_needed(expected_interval(shares, limit.metric, at, target, like), bounds, level=level, power=POWER)
        why = "" if needed is not None else "the truth lies too near the limit for this calibration" if model else "the truth lies on the limit"
        yield Need(said, generator, truth, "held" if within else "broken", needed, why)


def _pilot_shares(pilot: Path, limit: LimitSpec, names: list[str]) -> Iterator[tuple[str, np.ndarray]]:
    rows = [m for m in load_result(pilot).measures if m.metric == "share" and m.attribute == limit.attribute and m.value is not None]
    for generator in dict.fromkeys(m.generator for m in rows):
        own = [m for m in rows if m.generator == generator and limit.generator in (None, generator)]
        best = {m.group: m.value for m in sorted(own, key=lambda m: m.corrected)}  # corrected last, so it wins
        if set(best) == set(names):
            shares = np.array([float(best[n] or 0) for n in names])
            yield generator, shares / shares.sum()


def _shares_with(metric: str, value: float, at: int | None, k: int, target: np.ndarray | None) -> np.ndarray | None:
    """Return shares whose metric has this value, on the way from the target to all images in one class; None where there are none."""
    t = np.full(k, 1 / k) if target is None else target
    if metric == "share":
        if not 0 <= value <= 1:
            return None
        rest = np.delete(t, at or 0)
        return np.insert((1 - value) * rest / rest.sum(), at or 0, value)
    end = np.eye(k)[0]
    low, high = 0.0, 1.0
    rises = _value(metric, end, at, target) > _value(metric, t, at, target)
    ends = sorted((_value(metric, t, at, target), _value(metric, end, at, target)))
    if not ends[0] - 1e-9 <= value <= ends[1] + 1e-9:
        return None
    for _ in range(50):
        middle = (low + high) / 2
        if (_value(metric, t + middle * (end - t), at, target) < value) == rises:
            low = middle
        else:
            high = middle
    return t + low * (end - t)


def _value(metric: str, shares: np.ndarray, at: int | None, target: np.ndarray | None) -> float:
    if metric == "share":
        return float(shares[at or 0])
    box = ShareBox(shares, shares, shares, 1, 0.95, "")
    found = SUMMARIES[metric](box, *([target] if metric in TO_TARGET else []))
    return found.value if isinstance(found, Estimate) else float("nan")
