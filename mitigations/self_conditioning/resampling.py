"""From skewed scores to an even training set: a list of image indices, with repeats, whose labels fill the unit cube.

Liu et al. 2022, arXiv 2202.04040, as its code does it: queries are drawn uniformly in [0, 1]^A, and each one picks one of the k
data points nearest to it. Departure, optional: no image is picked more than ``cap`` times.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.neighbors import BallTree

from audit.errors import SourceError


@dataclass(frozen=True)
class Resampled:
    """What resampling did.

    Attributes:
        queries: points asked for.
        placed: how many found an image; the others had only images at the cap nearby.
        effective: Kish's effective sample size, (sum c)^2 / sum c^2 over the times c each image was picked.
        unique: share of all images that was picked at least once, 0..1.
        max_repeats: picks of the image picked most.
        cap: the limit, None = none.
        reach: median distance between a query and its pick, in units of the normalised score.
    """

    queries: int
    placed: int
    effective: float
    unique: float
    max_repeats: int
    cap: int | None
    reach: float


def effective_size(counts: np.ndarray) -> float:
    """Return Kish's effective sample size of (n,) weights or repeat counts; 0 where all are 0.

    Example:
        >>> effective_size(np.array([3, 1]))
        1.6
    """
    counts = np.asarray(counts, dtype=np.float64)
    return float(counts.sum() ** 2 / np.square(counts).sum()) if counts.any() else 0.0


def uniform_resample(scores: np.ndarray, queries: int, *, k: int = 10, cap: int | None = None,
                     rng: np.random.Generator) -> tuple[np.ndarray, Resampled]:  # fmt: skip
    """Pick images so that their scores are uniform in the unit cube.

    Args:
        scores: (n, A) in 0..1.
        queries: how many picks.
        k: nearest points each query chooses among.
        cap: most picks of one image; None = no limit.
        rng: where queries and choices come from.

    Returns:
        (placed,) int64 indices in random order, and the report.

    Raises:
        SourceError: no scores, scores that are no numbers in 0..1, or a cap that leaves too few picks.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2 or not len(scores) or not scores.shape[1]:
        raise SourceError(f"resampling needs scores (images, attributes), at least one of each; found shape {scores.shape}")
    if not (np.isfinite(scores).all() and scores.min() >= 0 and scores.max() <= 1):
        raise SourceError("resampling needs scores in 0..1 without gaps; normalise them by percentiles first")
    if queries < 1 or k < 1 or (cap is not None and cap < 1):
        raise SourceError(f"resampling was asked for {queries} picks among {k} neighbours with cap {cap}; each must be at least 1")
    if cap is not None and cap * len(scores) < queries:
        raise SourceError(f"{len(scores)} images picked at most {cap} times give {cap * len(scores)} picks, "
                          f"fewer than the {queries} asked for: "
                          "raise the cap, give more images or ask for fewer")  # fmt: skip
    points = rng.random((queries, scores.shape[1]))
    k = min(k, len(scores))
    # Not SciPy's tree: with denormals flushed, as training runs, its splits never part images clipped to exactly 0.
    near = BallTree(scores).query(points, k=k, return_distance=False).astype(np.int64)
    picks = _capped(rng.permuted(near, axis=1), len(scores), cap)
    placed = picks >= 0
    reach = np.linalg.norm(scores[picks[placed]] - points[placed], axis=1)
    picks = picks[placed]
    counts = np.bincount(picks, minlength=len(scores))
    return picks, Resampled(
        queries, len(picks), effective_size(counts), float((counts > 0).mean()), int(counts.max()), cap, float(np.median(reach))
    )


def _capped(choices: np.ndarray, n: int, cap: int | None) -> np.ndarray:
    """Give each row its first choice that is not full; -1 where all are. Rows of a round are served in order."""
    if cap is None:
        return choices[:, 0].copy()
    picks, counts = np.full(len(choices), -1, dtype=np.int64), np.zeros(n, dtype=np.int64)
    for column in choices.T:
        open_rows = np.flatnonzero(picks < 0)
        if not len(open_rows):
            break
        wanted = column[open_rows]
        order = np.argsort(wanted, kind="stable")
        grouped = wanted[order]
        first = np.searchsorted(grouped, grouped)
        rank = np.empty(len(wanted), dtype=np.int64)
        rank[order] = np.arange(len(wanted)) - first  # place in the queue for the same image
        served = rank + counts[wanted] < cap
        picks[open_rows[served]] = wanted[served]
        counts += np.bincount(wanted[served], minlength=n)
    return picks
