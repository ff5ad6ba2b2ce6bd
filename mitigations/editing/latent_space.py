"""Where a generator's intermediate codes lie, so that an edit that leaves that place can be told.

The measure is the Mahalanobis distance of a code w from the mapping network's own distribution; Wulff and Torralba 2020, arXiv
2009.06529, show that codes far out by it draw implausible images. A code counts as outside where it lies beyond the 99.9 % quantile of
the generator's own codes, so one in a thousand unedited images does. Mean and covariance come from one half of the codes, the
quantile from the other: codes that shaped the covariance lie nearer to it than new ones.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.errors import SourceError

QUANTILE = 0.999
CODES = 8192
"""Codes that describe the place; half of them set the quantile, of which four lie beyond it."""

FLOOR = 1e-6
"""Directions with less than this part of the largest variance are given that much: nobody can say how far out along them is far."""


@dataclass(frozen=True, eq=False)
class LatentSpace:
    """The distribution of a generator's codes.

    Attributes:
        mean: (P, w_dim); P is the number of layers, or 1 where all layers get one code.
        whiten: (P, w_dim, w_dim): (w - mean) @ whiten has unit covariance.
        limit: the 99.9 % quantile of the distance of the generator's own codes.
    """

    mean: NDArray[np.float64]
    whiten: NDArray[np.float64]
    limit: float

    @classmethod
    def of(cls, codes: NDArray) -> "LatentSpace":
        """Describe the place of codes.

        Args:
            codes: (n, num_ws, w_dim), the generator's own.

        Raises:
            SourceError: fewer codes than twice their dimensions, or codes that are not finite or all the same.
        """
        codes = np.asarray(codes, dtype=np.float64)
        n, _, width = codes.shape
        if n < 4 * width or not np.isfinite(codes).all():
            raise SourceError(f"a latent space of {width} numbers is described by at least {4 * width} codes, all finite; found {n}, "
                              f"{int(np.isfinite(codes).all(axis=(1, 2)).sum())} of them finite: check the generator's weights")  # fmt: skip
        places = codes[:, :1] if (codes == codes[:, :1]).all() else codes
        half = places[: n // 2]
        mean = half.mean(axis=0)
        whiten = np.stack([_whitening(half[:, at] - mean[at]) for at in range(places.shape[1])])
        space = cls(mean, whiten, 1.0)
        return cls(mean, whiten, float(np.quantile(space.distance(codes[n // 2 :]), QUANTILE)))

    def distance(self, codes: NDArray) -> NDArray[np.float64]:
        """Return (n,) Mahalanobis distances of codes (n, num_ws, w_dim), of the layer that is farthest out."""
        codes = np.asarray(codes, dtype=np.float64)
        same = len(self.mean) == 1 and (codes == codes[:, :1]).all()
        layers = range(1 if same else codes.shape[1])
        found = [
            np.linalg.norm((codes[:, at] - self.mean[at % len(self.mean)]) @ self.whiten[at % len(self.mean)], axis=1) for at in layers
        ]
        return np.max(found, axis=0)

    def outside(self, codes: NDArray) -> NDArray[np.float64]:
        """Return (n,) distances over the limit: above 1 a code has left the place."""
        return self.distance(codes) / self.limit


def _whitening(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(centred.T @ centred / (len(centred) - 1))
    if values[-1] <= 0:
        raise SourceError("all codes of this generator are the same, so no edit of one can be told from another; check its mapping network")
    return vectors / np.sqrt(np.maximum(values, FLOOR * values[-1]))
