"""The few directions of a latent that say which cell an image is in, and how to change them and nothing else.

A latent x has thousands of numbers and a cell only hundreds of examples, so mixtures live in d' coordinates y = A^T (x - c). The columns
of A are the discriminants of the cells (Fisher), then the leading principal components, scaled so that y has unit covariance S inside
the cells: A^T S A = I. A move to other coordinates writes along W = S A,

    x' = x + W (y' - y),

because x - W y is then uncorrelated with y inside every cell: what is not redrawn stays as the generator made it, and fits what is.
(An orthogonal projection would be the same for principal components, but not for discriminants.)
S is shrunk as Ledoit and Wolf 2004 have it.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.covariance import ledoit_wolf
from sklearn.decomposition import PCA

from audit.errors import SourceError

WIDE = 4096
"""Latents wider than this are first reduced to at most 1024 principal components."""


@dataclass(frozen=True)
class Subspace:
    """Coordinates of latents.

    Attributes:
        read: (width, d) float32, A.
        write: (width, d) float32, W.
        centre: (width,) float32, mean of the pool.
        spread: (width,) float32, standard deviation of the pool.
    """

    read: np.ndarray
    write: np.ndarray
    centre: np.ndarray
    spread: np.ndarray

    def coordinates(self, latents: np.ndarray) -> np.ndarray:
        """Return (n, d) float64 coordinates of (n, width) latents."""
        return (latents.astype(np.float64) - self.centre) @ self.read.astype(np.float64)

    @property
    def dims(self) -> int:
        """How many coordinates there are, d'."""
        return self.read.shape[1]


def find_subspace(latents: np.ndarray, labels: np.ndarray, *, dims: int) -> Subspace:
    """Return the coordinates in which labelled latents are modelled.

    Args:
        latents: (n, width).
        labels: (n,) cell indices >= 0.
        dims: d', discriminants included; less where there are fewer examples or directions.

    Raises:
        SourceError: fewer than two latents, latents that are not finite, or that do not vary.
    """
    if len(latents) < 2 or not np.isfinite(latents).all():
        raise SourceError(f"{len(latents)} latents, {int((~np.isfinite(latents)).any(axis=1).sum())} of them not finite; "
                          "expected at least 2 finite ones")  # fmt: skip
    x = latents.astype(np.float64)
    centre, spread = x.mean(axis=0), x.std(axis=0)
    if spread.max() < 1e-12:
        raise SourceError("every labelled latent is the same, so no mixture fits them; is the tap behind a layer that forgets its input?")
    back = None
    if x.shape[1] > WIDE:
        reduced = PCA(min(1024, *x.shape, len(x) - 1), svd_solver="randomized", random_state=0).fit(x)
        x, back = reduced.transform(x), reduced.components_.T
    else:
        x = x - centre
    read, write = _directions(x, labels, min(dims, x.shape[1], len(x) - 1))
    if back is not None:
        read, write = back @ read, back @ write
    return Subspace(*(a.astype(np.float32) for a in (read, write, centre, spread)))


def _directions(x: np.ndarray, labels: np.ndarray, dims: int) -> tuple[np.ndarray, np.ndarray]:
    present = np.unique(labels)
    means = np.stack([x[labels == k].mean(axis=0) for k in present])
    inside = x - means[np.searchsorted(present, labels)]
    within, _ = ledoit_wolf(inside, assume_centered=True)
    within += 1e-6 * max(np.trace(within) / len(within), 1e-12) * np.eye(len(within))
    apart = (means - means.mean(axis=0)).T  # (width, cells), of rank cells - 1
    left, size, _ = np.linalg.svd(apart, full_matrices=False)
    separating = np.linalg.solve(within, left[:, size > 1e-9 * max(size.max(), 1e-300)][:, :dims])
    _, principal = np.linalg.eigh(np.cov(x.T, ddof=0).reshape(x.shape[1], -1))
    chosen, _ = np.linalg.qr(np.concatenate([separating, principal[:, ::-1]], axis=1)[:, : separating.shape[1] + dims])
    chosen = chosen[:, :dims]
    factor = np.linalg.cholesky(chosen.T @ within @ chosen)
    read = np.linalg.solve(factor, chosen.T).T  # A^T S A = I
    return read, within @ read
