"""Every quantity a result can hold: what it means when nothing is amiss, which way is worse, and how it is written."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

from scipy.special import ndtr

from audit.estimates import Estimate, Measurement

Direction = Literal["lower", "higher", "target"]


@dataclass(frozen=True)
class Quantity:
    """What is known of a metric before anything is measured.

    Attributes:
        parity: the value that means no disparity or no loss; None where it depends on the target.
        direction: "lower" or "higher" is better; "target" = nearer to its target is.
    """

    parity: float | None
    direction: Direction


QUANTITIES: dict[str, Quantity] = {
    "share": Quantity(None, "target"),
    "fairness_discrepancy": Quantity(0.0, "lower"),
    "share_worst_case": Quantity(None, "target"),
    "fairness_discrepancy_worst_case": Quantity(0.0, "lower"),
    "share_gap": Quantity(0.0, "lower"),
    "parity_ratio": Quantity(1.0, "higher"),
    "total_variation": Quantity(0.0, "lower"),
    "kl_divergence": Quantity(0.0, "lower"),
    "entropy": Quantity(1.0, "higher"),
    "bias_amplification": Quantity(0.0, "target"),
    "fid": Quantity(0.0, "lower"),
    "kid": Quantity(0.0, "lower"),
    "precision": Quantity(1.0, "higher"),
    "recall": Quantity(1.0, "higher"),
    "density": Quantity(1.0, "higher"),
    "coverage": Quantity(1.0, "higher"),
    "group_fid": Quantity(0.0, "lower"),
    "group_kid": Quantity(0.0, "lower"),
    "group_coverage": Quantity(1.0, "higher"),
    "identity_similarity": Quantity(None, "lower"),
    "no_face": Quantity(0.0, "lower"),
    "several_faces": Quantity(0.0, "lower"),
    "unreadable": Quantity(0.0, "lower"),
    "agreement": Quantity(1.0, "higher"),
}
"""Metric keys of ``result.json``."""


@dataclass(frozen=True)
class Measure:
    """One row of ``measures``: a number, its interval, and what makes it comparable. See the README for the columns.

    ``curve`` holds (level, low, high) of the same number at other levels, the widest last, so that limits can be adjusted for
    one another without measuring again; None where there is no interval.
    """

    generator: str
    metric: str
    attribute: str | None
    group: str | None
    value: float | None
    low: float | None
    high: float | None
    level: float
    n: int
    unit: str
    parity: float | None
    direction: str
    method: str | None
    protocol: str | None
    corrected: bool
    reason: str | None
    curve: tuple[tuple[float, float, float], ...] | None = None

    def row(self) -> dict:
        """Return the measure as a plain dictionary."""
        return asdict(self)


LADDER = tuple(float(2 * ndtr(z) - 1) for z in (0.5, 1.0, 1.645, 2.0, 2.33, 2.58, 2.81, 3.1, 3.5, 4.0, 5.0))
"""Levels of the intervals that a measure carries besides its own."""


def laddered(rows_at: Callable[[float], Sequence[Measure]], level: float) -> list[Measure]:
    """Return the rows at ``level``, each with its intervals at the levels of :data:`LADDER`.

    Args:
        rows_at: maps a level to rows, the same rows in the same order at every level.
        level: the level of the rows themselves.
    """
    rows, others = list(rows_at(level)), [list(rows_at(rung)) for rung in LADDER]
    return [_with_curve(row, [other[at] for other in others]) for at, row in enumerate(rows)]


def _with_curve(row: Measure, others: Sequence[Measure]) -> Measure:
    if row.low is None or row.high is None:
        return row
    return replace(row, curve=tuple((o.level, o.low, o.high) for o in others if o.low is not None and o.high is not None))


def measure_row(generator: str, metric: str, found: Measurement, *, attribute: str | None = None, group: str | None = None,
                parity: float | None = None, protocol: str | None = None, corrected: bool = False, level: float = 0.95) -> Measure:  # fmt: skip
    """Return the row of one measurement; ``parity`` overrides the metric's own."""
    known = QUANTITIES[metric]
    parity = known.parity if parity is None else parity
    common = {"generator": generator, "metric": metric, "attribute": attribute, "group": group, "parity": parity,
              "direction": known.direction, "protocol": protocol, "corrected": corrected}  # fmt: skip
    if isinstance(found, Estimate):
        return Measure(value=found.value, low=found.low, high=found.high, level=found.level, n=found.n, unit=found.unit,
                       method=found.method, reason=None, **common)  # fmt: skip
    return Measure(value=None, low=None, high=None, level=level, n=found.n, unit=found.unit, method=None, reason=found.reason, **common)
