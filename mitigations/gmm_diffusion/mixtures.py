"""Gaussian mixtures of the labelled latents of each cell, with covariances shrunk to what all cells share.

Every cell is modelled after the covariance inside the cells has been divided out, so the shrinkage of Ledoit and Wolf 2004 (J. Multivar.
Anal. 88), whose target is a multiple of the identity, pulls a cell with few examples towards the shape of all cells, about its own mean.
The number of components is the smallest whose held-out log-likelihood is within one standard error of the best.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp
from sklearn.covariance import ledoit_wolf, ledoit_wolf_shrinkage
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from audit.errors import SourceError

PER_COMPONENT = 20
"""Examples a component needs before one more is tried."""

_BLOCK = 128


@dataclass(frozen=True)
class Mixture:
    """A Gaussian mixture.

    Attributes:
        shares: (C,) weights that sum to 1.
        means: (C, d).
        factors: (C, d, d) with covariance F F^T.
    """

    shares: np.ndarray
    means: np.ndarray
    factors: np.ndarray

    def log_density(self, y: np.ndarray) -> np.ndarray:
        """Return (n,) log densities, nats, of points (n, d)."""
        each = []
        for share, mean, factor in zip(self.shares, self.means, self.factors, strict=True):
            white = np.linalg.solve(factor, (y - mean).T)
            volume = np.linalg.slogdet(factor)[1] + 0.5 * len(mean) * np.log(2 * np.pi)
            each.append(np.log(share) - volume - 0.5 * (white**2).sum(axis=0))
        return logsumexp(each, axis=0)

    def draw(self, u: np.ndarray, e: np.ndarray, *, tau: float = 1.0) -> np.ndarray:
        """Return (n, d) points; row i depends on ``u[i]`` and ``e[i]`` alone, bit for bit.

        Args:
            u: (n,) uniform numbers in (0, 1) that choose the component.
            e: (n, d) standard normal numbers.
            tau: factor on the standard deviations; below 1 draws nearer the means and less varied.
        """
        component = np.minimum(np.searchsorted(np.cumsum(self.shares), u, side="right"), len(self.shares) - 1)
        made = np.empty_like(e)
        for at in range(0, len(e), _BLOCK):  # products by rows: a matrix product may round differently for another batch
            c = component[at : at + _BLOCK]
            made[at : at + _BLOCK] = self.means[c] + tau * (self.factors[c] * e[at : at + _BLOCK, None, :]).sum(axis=-1)
        return made


def fit_cells(y: np.ndarray, labels: np.ndarray, names: Sequence[str], *, components: int | Sequence[int] = (1, 2, 3, 4),
              covariance: str = "full", seed: int = 0) -> list[Mixture]:  # fmt: skip
    """Return one mixture a cell.

    Args:
        y: (n, d) coordinates.
        labels: (n,) cell indices.
        names: the cells, K of them.
        components: how many components every cell has, or the numbers to choose from.
        covariance: "full" or "diagonal".
        seed: of the clustering that components start from.

    Raises:
        SourceError: a cell without examples, with fewer than its components, or coordinates that do not vary.
    """
    counts = np.bincount(labels, minlength=len(names))
    for name, count in zip(names, counts, strict=True):
        if count == 0:
            raise SourceError(f"no labelled latent of {name!r} among {len(labels):,}; a mixture needs examples: draw a larger pool")
        if isinstance(components, int) and count < components:
            raise SourceError(f"{name!r} has {count} labelled latents and components is {components}; draw a larger pool, or ask for fewer")
    shape = _shared_factor(y, labels)
    white = np.linalg.solve(shape, y.T).T
    found = []
    for k in range(len(names)):
        mixture = fit_mixture(white[labels == k], components=components, covariance=covariance, seed=seed)
        found.append(Mixture(mixture.shares, mixture.means @ shape.T, shape @ mixture.factors))
    return found


def fit_mixture(y: np.ndarray, *, components: int | Sequence[int] = (1, 2, 3, 4), covariance: str = "full", seed: int = 0) -> Mixture:
    """Return a mixture of (n, d) points whose covariances are shrunk towards multiples of the identity.

    Args:
        y: n >= 1 points.
        components: a number, or several to choose from by held-out log-likelihood; numbers too large for n are left out.
        covariance: "full" or "diagonal".
        seed: of the clustering that components start from.
    """
    if isinstance(components, int):
        return _fit(y, components, covariance, seed)
    tried = [c for c in sorted(set(components)) if c == min(components) or c * PER_COMPONENT <= len(y)]
    if len(tried) == 1:
        return _fit(y, tried[0], covariance, seed)
    held = held_out(y, tried, covariance=covariance, seed=seed)
    best = max(held, key=lambda c: held[c].mean())
    for c in tried:
        lost = held[best] - held[c]
        if lost.mean() <= lost.std() / np.sqrt(len(lost)):
            return _fit(y, c, covariance, seed)
    return _fit(y, best, covariance, seed)


def held_out(y: np.ndarray, components: Sequence[int], *, covariance: str = "full", seed: int = 0) -> dict[int, np.ndarray]:
    """Return (n,) log-likelihoods of every point under mixtures fitted to the other half, by number of components."""
    halves = np.arange(len(y)) % 2
    said = {c: np.empty(len(y)) for c in components}
    for c in components:
        for half in (0, 1):
            said[c][halves == half] = _fit(y[halves != half], c, covariance, seed).log_density(y[halves == half])
    return said


def _shared_factor(y: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the Cholesky factor of the covariance inside the cells."""
    means = np.stack([y[labels == k].mean(axis=0) if (labels == k).any() else np.zeros(y.shape[1]) for k in range(labels.max() + 1)])
    inside = y - means[labels]
    scale = np.sqrt((inside**2).mean(axis=0))
    if not scale.max() > 1e-6 * max(1.0, np.abs(y).max()):
        raise SourceError(f"the {len(y):,} labelled latents do not vary inside their cells, so their covariance is singular; "
                          "expected different latents for different images")  # fmt: skip
    scale = np.maximum(scale, 1e-3 * scale.max())
    within, _ = ledoit_wolf(inside / scale, assume_centered=True)  # of standardised coordinates: their scales are not for shrinking
    return scale[:, None] * np.linalg.cholesky(within + 1e-6 * np.eye(len(within)))


def _fit(y: np.ndarray, components: int, covariance: str, seed: int) -> Mixture:
    n, d = y.shape
    if components == 1:
        belongs = np.ones((n, 1))
    else:
        kind = "full" if covariance == "full" and n >= 4 * components * d else "diag"
        mixture = GaussianMixture(components, covariance_type=kind, random_state=seed, max_iter=200, reg_covar=1e-4)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the held-out likelihood judges it as it is
            belongs = mixture.fit(y).predict_proba(y)
    shares = np.maximum(belongs.sum(axis=0), 1e-9)
    means = (belongs.T @ y) / shares[:, None]
    factors = []
    for c in range(components):
        apart = y - means[c]
        members = apart[belongs.argmax(axis=1) == c]
        if shares[c] < 1.5 or len(members) < 2:
            cov = np.eye(d)  # one example says nothing of its spread: that of all cells stands in
        else:
            cov = (belongs[:, c, None] * apart).T @ apart / (shares[c] - 1)
            a = ledoit_wolf_shrinkage(members) if d > 1 else 0.0
            cov = (1 - a) * cov + a * np.trace(cov) / d * np.eye(d)
        cov = np.diag(np.diag(cov)) if covariance == "diagonal" else cov
        factors.append(np.linalg.cholesky(cov + 1e-6 * np.eye(d)))
    return Mixture(shares / shares.sum(), means, np.stack(factors))
