"""What a metric returns: an Estimate with its interval, or NotMeasured with its reason. Missing is a state, never a 0."""

import math
from dataclasses import dataclass

from audit.errors import MetricError


@dataclass(frozen=True)
class Estimate:
    """A number with its interval.

    Attributes:
        value: the point estimate.
        low: lower end of the interval, ``low <= high``; the value may lie outside only for bias-corrected estimates.
        high: upper end of the interval.
        n: independent units (images) behind it.
        level: confidence level, e.g. 0.95; simultaneous over the classes of an attribute where there are several.
        unit: "share" (0..1), "distance", "nats", "ratio", "count" or "degrees".
        method: how the interval was made, in words a statistician recognises.
    """

    value: float
    low: float
    high: float
    n: int
    level: float = 0.95
    unit: str = "share"
    method: str = ""

    def __post_init__(self) -> None:
        """Refuse what is not a number: a metric that has none says NotMeasured."""
        if not all(math.isfinite(v) for v in (self.value, self.low, self.high)):
            raise MetricError(f"an estimate must be finite, got {self.value} in [{self.low}, {self.high}]")
        if self.low > self.high:
            raise MetricError(f"an interval must run upwards, got [{self.low}, {self.high}]")


@dataclass(frozen=True)
class NotMeasured:
    """A number that could not be had, and why.

    Attributes:
        reason: one clause for the reader, e.g. "no image of this group".
        n: units that were available.
        unit: as in :class:`Estimate`.
    """

    reason: str
    n: int = 0
    unit: str = "share"


Measurement = Estimate | NotMeasured
