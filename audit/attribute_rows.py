"""From the counts of one attribute to its rows: shares and what sums them up, raw and corrected, and the bounds of what was not read.

Pure arithmetic on a handful of numbers, the same for images of a run and for a table of labels made elsewhere.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from audit import metrics
from audit.estimates import Measurement, NotMeasured
from audit.metrics.correction import corrected_score_box, corrected_share_box
from audit.metrics.error_model import ErrorModel
from audit.metrics.sequences import sequence_box
from audit.quantities import Measure, laddered, measure_row

Shares = metrics.ShareBox | NotMeasured

SUMMARIES: dict[str, Callable[..., Measurement]] = {
    "fairness_discrepancy": metrics.fairness_discrepancy,
    "share_gap": metrics.share_gap,
    "parity_ratio": metrics.parity_ratio,
    "total_variation": metrics.total_variation,
    "kl_divergence": metrics.kl_divergence,
    "entropy": metrics.entropy,
}
"""Numbers that sum up the class shares of an attribute; the target enters those that measure a distance to it."""

_AMPLIFIED = "share generated minus share in the training population"

TO_TARGET = {"fairness_discrepancy", "total_variation", "kl_divergence"}

@dataclass(frozen=True, eq=False)
class Reading:
    """What was read of one attribute of one generator.

    Attributes:
        counts: (K,) images labelled as each class.
        missing: images without a label.
        errors: the classifier's errors, None where they are not known.
        confusion: the table behind ``errors``, which a sequential run needs.
        into: (cells,) as in :func:`audit.metrics.corrected_share_box`; ``cell_counts`` are then corrected and not ``counts``.
        cell_counts: (cells,) images of each cell.
        scores: (n, K) probabilities, to be corrected in the place of labels; ``errors`` is then a model of scores.
        design_effect: images counted for each independent one.
        path: (T, K) counts after each look of a sequential run; None = looked at once.
        training: (K,) shares of the population a generator was trained on, None where unknown.
    """

    counts: np.ndarray
    missing: int = 0
    errors: ErrorModel | None = None
    confusion: np.ndarray | None = None
    into: np.ndarray | None = None
    cell_counts: np.ndarray | None = None
    scores: np.ndarray | None = None
    design_effect: float = 1.0
    path: np.ndarray | None = None
    training: np.ndarray | None = None

    def raw(self, level: float) -> Shares:
        """Return the shares of labels as they came."""
        if self.path is not None:
            return sequence_box(self.path, level=level)
        return metrics.share_box(self.counts, level=level, design_effect=self.design_effect)

    def corrected(self, level: float) -> Shares | None:
        """Return the shares corrected for the classifier's errors, None where these are not known."""
        if self.errors is None:
            return None
        if self.path is not None and self.confusion is not None:
            return sequence_box(self.path, level=level, confusion=self.confusion)
        if self.scores is not None:
            return corrected_score_box(self.scores, self.errors, level=level, into=self.into, design_effect=self.design_effect)
        counts = self.counts if self.cell_counts is None else self.cell_counts
        return corrected_share_box(counts, self.errors, level=level, into=self.into, design_effect=self.design_effect)

    def worst_case(self, level: float) -> Shares:
        """Return the shares of all images, those not read counting for every class and for none."""
        n = int(self.counts.sum()) + self.missing
        if not self.counts.sum():
            return NotMeasured("no image was read", n)
        low = metrics.share_box(np.append(self.counts, self.missing), level=level, design_effect=self.design_effect)
        ends = [metrics.proportion(int(c + self.missing), n, 1 - (1 - level) / self.counts.size) for c in self.counts]
        assert isinstance(low, metrics.ShareBox)
        high = np.maximum([e.high for e in ends if not isinstance(e, NotMeasured)], low.low[:-1])
        value = self.counts / self.counts.sum()
        return metrics.ShareBox(value, np.minimum(low.low[:-1], value), np.maximum(high, value), n, level,
                                f"bounds if all {self.missing} images without a reading were of one class; {low.method}")  # fmt: skip


@dataclass(frozen=True)
class About:
    """Whose rows these are."""

    generator: str
    attribute: str
    groups: Sequence[str]
    target: np.ndarray | None = None
    level: float = 0.95


def attribute_rows(about: About, reading: Reading) -> list[Measure]:
    """Return the rows of one attribute, each with its intervals at other levels too."""
    return laddered(lambda level: list(_rows(about, reading, level)), about.level)


def nobody_rows(about: About, reason: str) -> list[Measure]:
    """Return the rows of an attribute that nobody read."""
    return list(_shares(about, NotMeasured(reason), about.level, corrected=False))


def _rows(about: About, reading: Reading, level: float) -> Iterator[Measure]:
    raw, better = reading.raw(level), reading.corrected(level)
    yield from _shares(about, raw, level, corrected=False)
    if better is not None:
        yield from _shares(about, better, level, corrected=True)
    if reading.missing:
        yield from _bounds(about, reading.worst_case(level), level)
    if reading.training is not None:
        yield from _amplification(about, raw if better is None else better, reading.training, level, corrected=better is not None)


def _shares(about: About, box: Shares, level: float, *, corrected: bool) -> Iterator[Measure]:
    k = len(about.groups)
    wished = np.full(k, 1 / k) if about.target is None else about.target
    each = [box] * k if isinstance(box, NotMeasured) else box.estimates()
    common = {"attribute": about.attribute, "corrected": corrected, "level": level}
    for group, share, parity in zip(about.groups, each, wished, strict=True):
        yield measure_row(about.generator, "share", share, group=group, parity=float(parity), **common)
    for metric, function in SUMMARIES.items():
        found: Measurement = box if isinstance(box, NotMeasured) else function(box, *([about.target] if metric in TO_TARGET else []))
        yield measure_row(about.generator, metric, found, protocol=f"K={k}", **common)


def _bounds(about: About, box: Shares, level: float) -> Iterator[Measure]:
    k = len(about.groups)
    wished = np.full(k, 1 / k) if about.target is None else about.target
    each = [box] * k if isinstance(box, NotMeasured) else box.estimates()
    for group, share, parity in zip(about.groups, each, wished, strict=True):
        yield measure_row(about.generator, "share_worst_case", share, attribute=about.attribute, group=group, parity=float(parity), level=level)
    found = box if isinstance(box, NotMeasured) else metrics.fairness_discrepancy(box, about.target)
    yield measure_row(about.generator, "fairness_discrepancy_worst_case", found, attribute=about.attribute, protocol=f"K={k}", level=level)


def _amplification(about: About, box: Shares, trained: np.ndarray, level: float, *, corrected: bool) -> Iterator[Measure]:
    if isinstance(box, NotMeasured):
        return
    found = metrics.bias_amplification(box, trained)
    for group, change in zip([None, *about.groups], [found.amplification, *found.change], strict=True):
        yield measure_row(about.generator, "bias_amplification", change, attribute=about.attribute, group=group, corrected=corrected, level=level,
                          protocol=_AMPLIFIED)  # fmt: skip
