"""How far people who labelled the same images agree, beyond what chance would give.

Source: Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability" (Annenberg School, University of Pennsylvania).
Formula: over images with two labels or more, m_u labels of image u of which n_uc say c, n_c their sum over images, n over all:
    same = sum_u sum_c n_uc (n_uc - 1) / (m_u - 1); alpha = 1 - (n - 1) (n - same) / (n^2 - sum_c n_c^2). Nominal: any two
    classes are equally far apart. Interval: percentiles over images drawn again with replacement; where nobody ever
    disagreed, the lower end lets each image hide a disagreement with the Clopper-Pearson probability of never having met one.
Parity: 1, everybody agrees; 0 is what labels handed out at random would give; below 0 is systematic disagreement.
Direction: higher is better. Krippendorff asks for .8, and calls .667 the lowest from which anything may be concluded.
Blind to: raters who agree and are wrong; why they disagree.
Departures: none.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from audit.errors import MetricError
from audit.estimates import Estimate, Measurement, NotMeasured
from audit.labels import MISSING

_RESAMPLES = 2000


def krippendorff_alpha(labels: Any, k: int, *, rng: np.random.Generator, level: float = 0.95) -> Measurement:
    """Return Krippendorff's nominal alpha with its interval.

    Args:
        labels: (raters, images) class indices 0..k-1, -1 = this rater did not label this image.
        k: classes.
        rng: draws images again for the interval.
        level: confidence level, in (0, 1).

    Returns:
        Alpha, ``n`` the images with two labels or more; NotMeasured where there are none, or only one class was ever used.

    Raises:
        MetricError: a label lies outside -1..k-1, or the array is not two-dimensional.

    Example:
        >>> found = krippendorff_alpha([[0, 0, 1, 1], [0, 0, 1, 0]], 2, rng=np.random.default_rng(0))
        >>> round(found.value, 3), found.n
        (0.533, 4)
    """
    table = np.asarray(labels)
    if table.ndim != 2 or table.dtype.kind not in "iu" or (table.size and not ((table >= MISSING) & (table < k)).all()):
        raise MetricError(f"labels must be (raters, images) class indices in -1..{k - 1}, got shape {table.shape} of {table.dtype}")
    counts = (table[:, :, None] == np.arange(k)).sum(axis=0)
    counts = counts[counts.sum(axis=1) >= 2]
    images = len(counts)
    if not images:
        return NotMeasured("no image was labelled by two raters", 0, "ratio")
    if (counts.sum(axis=0) > 0).sum() < 2:
        return NotMeasured("only one class was ever used, so agreement by chance cannot be told from agreement", images, "ratio")
    value = float(_alpha(counts, np.ones((1, images)))[0])
    again = _alpha(counts, rng.multinomial(images, np.full(images, 1 / images), size=_RESAMPLES))
    again = again[np.isfinite(again)]
    low, high = (float(q) for q in np.quantile(again, [(1 - level) / 2, (1 + level) / 2]))
    if value == 1:
        never = 1 - ((1 - level) / 2) ** (1 / images)
        shares = counts.sum(axis=0) / counts.sum()
        low = min(low, 1 - never / float(1 - (shares**2).sum()))
    return Estimate(value, min(low, value), max(high, value), images, level, "ratio", "Krippendorff's nominal alpha, images drawn again")


def summary(found: Measurement, *, raters: int) -> dict[str, Any]:
    """Return alpha as a calibration file keeps it: numbers and a sentence."""
    if isinstance(found, NotMeasured):
        return {"alpha": None, "low": None, "high": None, "images": found.n, "raters": raters,
                "sentence": f"agreement of {raters} rater{'s' if raters != 1 else ''} not measured: {found.reason}"}  # fmt: skip
    word = "high enough to rely on" if found.low >= 0.8 else "enough for tentative conclusions" if found.low >= 0.667 else "too low to rely on"
    return {"alpha": found.value, "low": found.low, "high": found.high, "images": found.n, "raters": raters,
            "sentence": f"Krippendorff's alpha {found.value:.3f} [{found.low:.3f}, {found.high:.3f}], {raters} raters on {found.n:,} images: "
                        f"by its lower end {word}"}  # fmt: skip


def majority(labels: Any, k: int) -> tuple[np.ndarray, int]:
    """Return the class most raters gave each image, -1 where nobody answered or the vote is tied, and how many were tied.

    Args:
        labels: (raters, images) as :func:`krippendorff_alpha`.
        k: classes.

    Example:
        >>> majority([[0, 0, 1], [0, 1, -1], [1, -1, -1]], 2)
        (array([ 0, -1,  1]), 1)
    """
    table = np.asarray(labels)
    counts = (table[:, :, None] == np.arange(k)).sum(axis=0)
    most = counts.max(axis=1)
    tied = (counts == most[:, None]).sum(axis=1) > 1
    answered = most > 0
    return np.where(answered & ~tied, counts.argmax(axis=1), MISSING), int((answered & tied).sum())


def accuracy_of_raters(labels: Mapping[str, np.ndarray], truth: np.ndarray) -> dict[str, float | None]:
    """Return how often each rater gave the majority's class, on images both labelled; None where there are none."""
    found: dict[str, float | None] = {}
    for rater, said in labels.items():
        both = (said != MISSING) & (truth != MISSING)
        found[rater] = float((said[both] == truth[both]).mean()) if both.any() else None
    return found


def _alpha(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return alpha for each row of weights over images, NaN where only one class is left."""
    sizes = counts.sum(axis=1)
    same = (counts * (counts - 1)).sum(axis=1) / (sizes - 1)
    n, n_c, same = weights @ sizes, weights @ counts, weights @ same
    expected = n**2 - (n_c**2).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected > 0, 1 - (n - 1) * (n - same) / expected, np.nan)
