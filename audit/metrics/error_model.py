"""What a labelled calibration set says of a classifier: the scores it gives to images of each class, and how they scatter.

Source: as `audit.metrics.correction`, which uses it.
Formula: rates[i, l] = mean of score i over calibration images of class l; second[l] = mean of s s' over them. A label is a
    score vector with a single 1, so a confusion table is the case rates = columns of shares, second[l] = diag(rates[:, l]).
    Softened for the variance: (m second + z^2/I identity) / (m + z^2) less the square of (m rates + z^2/I) / (m + z^2), that
    is z^2 imagined labels a class, spread evenly.
Parity: none; it is an instrument's description and no finding.
Direction: none.
Blind to: whether the calibration images are like those under audit.
Departures: none.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.errors import MetricError
from audit.metrics.features import as_array, as_labels

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ErrorModel:
    """How a classifier of K classes reads images whose class is known.

    Attributes:
        rates: (K, K) column l = mean scores of images of class l; columns add to 1.
        second: (K, K, K) second moments of the scores of class l.
        m: (K,) independent calibration images of each class; effective sizes may be fractions.
    """

    rates: Floats
    second: Floats
    m: Floats

    @property
    def k(self) -> int:
        """Number of classes."""
        return self.m.size

    @classmethod
    def from_confusion(cls, confusion: Any, k: int | None = None, *, whole: bool = True) -> "ErrorModel":
        """Return the model of a table of counts.

        Args:
            confusion: (K, K) counts, row = true class, column = label.
            k: number of classes expected; None = any.
            whole: counts must be whole numbers; False for effective counts of a weighted sample.

        Raises:
            MetricError: another shape, negative, not finite, or not whole.

        Example:
            >>> ErrorModel.from_confusion([[90, 10], [20, 80]]).rates.tolist()
            [[0.9, 0.2], [0.1, 0.8]]
        """
        table = as_array(confusion)
        wanted = f"({k}, {k}) for {k} classes" if k else "square"
        if table.ndim != 2 or table.shape[0] != table.shape[1] or len(table) < 2 or k not in (None, len(table)):
            raise MetricError(f"confusion must be {wanted}, true class by row, got shape {table.shape}")
        good = table.dtype.kind in "iuf" and (np.isfinite(table) & (table >= 0)).all() and (not whole or (table == np.floor(table)).all())
        if not good:
            raise MetricError("confusion must hold counts, whole numbers >= 0; give counts, not rates")
        m = table.sum(axis=1).astype(np.float64)
        rates = (table / np.where(m > 0, m, 1)[:, None]).T
        return cls(rates, np.stack([np.diag(column) for column in rates.T]), m)

    @classmethod
    def from_scores(cls, scores: Any, true: Any) -> "ErrorModel":
        """Return the model of probabilities given to labelled images.

        Args:
            scores: (m, K) probabilities.
            true: (m,) their true classes 0..K-1.

        Raises:
            MetricError: unequal lengths, scores that are no probabilities, or a class outside 0..K-1.

        Example:
            >>> ErrorModel.from_scores([[0.9, 0.1], [0.4, 0.6]], [0, 1]).rates.tolist()
            [[0.9, 0.4], [0.1, 0.6]]
        """
        from audit.metrics.correction import as_scores

        s = as_scores(scores)
        k = s.shape[1]
        classes = as_labels(true, k, name="true classes")
        if len(classes) != len(s):
            raise MetricError(f"{len(s)} rows of scores and {len(classes)} true classes; give one class a row")
        known = (classes >= 0) & ~np.isnan(s).any(axis=1)
        s, classes = s[known], classes[known]
        m = np.bincount(classes, minlength=k).astype(np.float64)
        rates, second = np.zeros((k, k)), np.zeros((k, k, k))
        for at in np.flatnonzero(m):
            own = s[classes == at] / s[classes == at].sum(axis=1, keepdims=True)
            rates[:, at], second[at] = own.mean(axis=0), own.T @ own / len(own)
        return cls(rates, second, m)

    @classmethod
    def from_moments(cls, mean: Any, covariance: Any, m: Any) -> "ErrorModel":
        """Return the model of stored moments: mean (K, K) score by class, covariance (K, K, K) by class, m (K,) images."""
        rates, spread, size = (np.asarray(a, dtype=np.float64) for a in (mean, covariance, m))
        k = size.size
        if rates.shape != (k, k) or spread.shape != (k, k, k):
            raise MetricError(f"moments of {k} classes need a mean (K, K) and a covariance (K, K, K), got {rates.shape} and {spread.shape}")
        return cls(rates, spread + np.einsum("il,jl->lij", rates, rates), size)

    def spread(self, w: Floats, inside: NDArray[np.bool_], imagined: Floats) -> Floats:
        """Return (K,) the variance of ``w.s`` over images of each class, after adding imagined calibration images.

        Args:
            w: (K,) what each score counts.
            inside: (K,) labels and classes that stand for what is being measured; half of the imagined images are mislabelled across it.
            imagined: (K,) how many are added to each class; the other half is labelled as the class is.
        """
        mean, square = w @ self.rates, np.einsum("i,lij,j->l", w, self.second, w)
        hit = np.where(inside, w[~inside].mean(), w[inside].mean())
        total = self.m + imagined
        first = (self.m * mean + imagined / 2 * (hit + mean)) / total
        second = (self.m * square + imagined / 2 * (hit**2 + square)) / total
        return second - first**2

    def covariance(self, n: float, softening: float) -> Callable[[Floats], Floats]:
        """Return the function from true shares (K,) to the (K, K) covariance of the corrected shares A^-1 q of ``n`` images.

        Args:
            n: images read.
            softening: calibration images imagined in all, dealt to classes by their weight in the variance; half of them are
                labelled as one of the other classes, evenly.
        """
        inverse = np.linalg.inv(self.rates)
        others = (1 - np.eye(self.k)) / (self.k - 1)
        flat = self.second + np.stack([np.diag(column) for column in others.T])
        drawn_from = n / (1 + 4 / n)  # skewness of few images, as by adding four (Agresti and Coull 1998)

        def at(shares: Floats) -> Floats:
            q = self.rates @ shares
            weight = shares**2 / self.m
            half = softening * weight / weight.sum() / 2
            total = self.m + 2 * half
            mean = ((self.m + half) * self.rates + half * others) / total
            parts = shares / drawn_from + weight * self.m / total  # of the moments as they were measured
            spread = np.einsum("lij,l->ij", self.second, parts) + np.einsum("lij,l->ij", flat, weight * half / total)
            spread -= np.outer(q, q) / drawn_from + (mean * weight) @ mean.T
            return inverse @ spread @ inverse.T

        return at

    def why_not(self, condition_limit: float) -> str | None:
        """Return why this model cannot be inverted, None where it can."""
        if (self.m <= 0).any():
            return f"the calibration set has no image of class {int(np.argmin(self.m))}"
        condition = float(np.linalg.cond(self.rates))
        if not condition <= condition_limit:  # infinity and NaN too
            return (f"the classifier confuses the classes too much to correct: condition number {condition:.3g}, "
                    f"limit {condition_limit:g}")  # fmt: skip
        return None
