"""What each reader says of one class's share in one generator's images."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from audit import metrics
from audit.attributes import ATTRIBUTES
from audit.estimates import Estimate, Measurement, NotMeasured
from audit.labels import MISSING, labels

if TYPE_CHECKING:
    from audit.measure import Measure
    from audit.study import StudyContext

READERS = ("classifier", "classifier, corrected", "second rater")
"""Who reads: the classifier's labels, the same corrected for its errors, and the second rater's labels."""


def share_of(measures: "list[Measure]", generator: str, attribute: str, group: str, *, corrected: bool) -> Measurement | None:
    """Return the share in the rows of a run, None where there is no such row."""
    for m in measures:
        if (m.generator, m.metric, m.attribute, m.group, m.corrected) == (generator, "share", attribute, group, corrected):
            if m.value is None or m.low is None or m.high is None:
                return NotMeasured(m.reason or "not measured", m.n)
            return Estimate(m.value, m.low, m.high, m.n, m.level, m.unit, m.method or "")
    return None


def readings(context: "StudyContext", generator: str, attribute: str, group: str) -> Iterator[tuple[str, Measurement]]:
    """Yield (reader, share) of one class for every reader of the run that reads the attribute."""
    for reader, corrected in zip(READERS[:2], (False, True), strict=True):
        found = share_of(context.measures, generator, attribute, group, corrected=corrected)
        if found is not None:
            yield reader, found
    said = labels(context.run.frame(generator), attribute, role="second_rater")
    if said is not None:
        counts = metrics.class_counts(said, ATTRIBUTES[attribute].k)
        box = metrics.share_box(counts, level=context.spec.level)
        yield READERS[2], box if isinstance(box, NotMeasured) else box.estimates()[ATTRIBUTES[attribute].classes.index(group)]


def seen(context: "StudyContext", generator: str, attribute: str, group: str) -> tuple[int, int]:
    """Return how many images the classifier labelled as the class, and how many it labelled at all."""
    said = labels(context.run.frame(generator), attribute)
    if said is None:
        return 0, 0
    return int((said == ATTRIBUTES[attribute].classes.index(group)).sum()), int((said != MISSING).sum())
