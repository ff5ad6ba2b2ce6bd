"""Corrected shares that may be looked at after every image: one look's interval, label noise and calibration noise together.

Source: Ryu and Bhatt 2022 (arXiv 2207.12382) for Cover's universal portfolio as a confidence sequence of bounded means; Rogan
    and Gladen 1978 for the correction.
Formula: class j's share is the mean of the scores w[label], w the j-th row of A^-1. With y = w scaled to 0..1 and m a mean,
    E(m) = integral over r of prod_k (y_k r/m + (1-y_k)(1-r)/(1-m))^c_k, which is the Beta mixture of `audit.metrics.sequences`
    where y is 0 or 1. The calibration's error in that mean has variance V(t) = t^2 s_j/m_j + (1-t)^2 sum_l rest_l^2 s_l/m_l at
    the share t, s_l the variance of w[label] in true class l, and is the same at all looks. The covariance of two looks'
    estimates, S/n that of the labels, is then S/n + V at the later: a random walk in the time 1/(S/n + V), as for perfect labels
    in the time n/S. So t is ruled out when E at the counts times (S/n) / (S/n + V(t)) reaches 1/alpha, alpha = (1-level)/K.
Parity: as for shares.
Direction: towards the target.
Blind to: a calibration set unlike the audited images, as `audit.metrics.correction`, and dependence between images.
Departures: asymptotic in the calibration, like `audit.metrics.correction`: z^2/2 is added to each cell of the table inside V, and
    S is not taken below its value at label shares with z^2 labels added. Halving the error, one half for the labels and one
    for the calibration, was 15-25% wider up to 2,000 images with a calibration of 2,000, and the exact four corners of
    Rogan-Gladen wider still; both are narrower only where images outnumber the calibration many times. The integral is a sum
    over 512 shares r fixed beforehand, itself a mixture; it costs width only beyond about 100,000 images.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, ndtri, xlog1py, xlogy

from audit.metrics.shares import comparisons

Floats = NDArray[np.float64]

_HALVINGS = 23  # 1e-7, the outer side is kept
_NEAR = 1e-12  # as near to 0 and 1 as shares are asked about
_ANGLES = (np.arange(512) + 0.5) * np.pi / 512
_NODES = np.sin(_ANGLES / 2) ** 2
_LOG_WEIGHTS = np.log(np.sin(_ANGLES) / np.sin(_ANGLES).sum())  # the flat prior on nodes that crowd at 0 and 1


def corrected_ends(counts: Floats, table: Floats, level: float) -> tuple[Floats, Floats]:
    """Return (T, K) lower and upper ends of corrected shares at each look by itself.

    Args:
        counts: (T, K) labels counted so far.
        table: (K, K) calibration counts, row = true class; one that can be inverted.
        level: confidence level over classes and looks.

    Example:
        >>> low, high = corrected_ends(np.array([[310.0, 690.0]]), np.array([[950.0, 50.0], [100.0, 900.0]]), 0.95)
        >>> [round(float(x), 3) for x in (low[0, 0], high[0, 0])]
        [0.181, 0.316]
    """
    k = table.shape[0]
    alpha = (1 - level) / comparisons(k)
    z2 = float(ndtri(1 - alpha / 2)) ** 2
    m, n = table.sum(axis=1), counts.sum(axis=1)
    errors = (table / m[:, None]).T
    softened = table + z2 / 2
    rates = (softened / softened.sum(axis=1, keepdims=True)).T
    inverse = np.linalg.inv(errors)
    labelled = np.divide(counts, n[:, None], out=np.full(counts.shape, 1 / k), where=n[:, None] > 0)
    shares = np.clip(labelled @ inverse.T, 0, None)
    shares /= shares.sum(axis=1, keepdims=True)
    low, high = np.empty(counts.shape), np.empty(counts.shape)
    for j, w in enumerate(inverse):
        noise = ((w * w) @ rates - (w @ rates) ** 2) / m  # of w[label], as the calibration saw each true class
        rest = np.delete(shares, j, axis=1)
        total = rest.sum(axis=1, keepdims=True)
        rest = np.divide(rest, total, out=np.full(rest.shape, 1 / (k - 1)), where=total > 0)
        square = (w * w) @ errors
        soft = (counts + z2 / k) / (n + z2)[:, None]
        look = _Look(counts, n, w, (soft @ (w * w) - (soft @ w) ** 2), rest @ np.delete(square, j), square[j],
                     rest**2 @ np.delete(noise, j), noise[j], -np.log(alpha))  # fmt: skip
        low[:, j], high[:, j] = look.ends(np.clip(labelled @ w, 0, 1))
    # where A^-1 q leaves the simplex the interval reaches to the nearest shares there are
    return np.minimum(low, shares), np.maximum(high, shares)


@dataclass(frozen=True)
class _Look:
    """All that decides whether a share t of one class is ruled out, at T looks side by side.

    Attributes:
        counts: (T, K) labels.
        n: (T,) their sums.
        w: (K,) scores of the labels, whose mean is the share.
        soft: (T,) variance of a score at softened label shares.
        square_none: (T,) mean squared score if no image were of this class.
        square_all: the same if all were.
        noise_none: (T,) variance of the mean score due to calibration, if no image were of this class.
        noise_all: the same if all were.
        bar: log wealth that rules out.
    """

    counts: Floats
    n: Floats
    w: Floats
    soft: Floats
    square_none: Floats
    square_all: float
    noise_none: Floats
    noise_all: float
    bar: float

    def ends(self, inside: Floats) -> tuple[Floats, Floats]:
        """Return the least and greatest share that is not ruled out, searched from (T,) shares inside."""
        found = []
        for edge in (_NEAR, 1 - _NEAR):
            out, kept = np.full(inside.shape, edge), inside
            reaches = ~self.rules_out(out)
            for _ in range(_HALVINGS):
                t = (out + kept) / 2
                excluded = self.rules_out(t)
                out, kept = np.where(excluded, t, out), np.where(excluded, kept, t)
            found.append(np.where(reaches, np.round(edge), out))
        return found[0], found[1]

    def rules_out(self, t: Floats) -> NDArray[np.bool_]:
        least, span = float(self.w.min()), float(np.ptp(self.w))
        sampling = np.maximum(self.soft, self.square_none * (1 - t) + self.square_all * t - t * t) / np.maximum(self.n, 1)
        worth = sampling / (sampling + t * t * self.noise_all + (1 - t) ** 2 * self.noise_none)  # of an image, in perfect labels
        y, mean, counts = (self.w - least) / span, (t - least) / span, self.counts * worth[:, None]
        if y.size == 2:
            s, n = counts @ y, counts.sum(axis=1)
            wealth = betaln(1 + s, 1 + n - s) - xlogy(s, mean) - xlog1py(n - s, -mean)
        else:
            wealth = mean_evidence(counts, y, mean)
        return wealth >= self.bar


def mean_evidence(counts: Floats, y: Floats, mean: Floats) -> Floats:
    """Return the log of the wealth against a mean score, (T,) for (T, K) counts, scores ``y`` in 0..1 and (T,) means inside 0..1.

    Example:
        >>> bool(mean_evidence(np.array([[90.0, 5.0, 5.0]]), np.array([0.0, 1.0, 0.5]), np.array([0.5]))[0] > np.log(20))
        True
    """
    m = mean[:, None, None]
    gain = np.log(m * ((1 - y) * (1 - _NODES[:, None])) + (1 - m) * (y * _NODES[:, None]))  # (T, nodes, K)
    wealth = _LOG_WEIGHTS + (gain @ counts[:, :, None])[:, :, 0]
    top = wealth.max(axis=1)
    return top + np.log(np.exp(wealth - top[:, None]).sum(axis=1)) - counts.sum(axis=1) * np.log(mean * (1 - mean))
