"""Every quantity a result can hold: what it means when nothing is amiss, which way is worse, and how it is written."""

from dataclasses import asdict, dataclass
from typing import Literal

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
    """One row of ``measures``: a number, its interval, and what makes it comparable. See the README for the columns."""

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

    def row(self) -> dict:
        """Return the measure as a plain dictionary."""
        return asdict(self)


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
