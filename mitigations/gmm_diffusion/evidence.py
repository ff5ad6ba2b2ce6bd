"""Why the cells need labels: what mixtures without labels find in the latents.

The starting noise of a diffusion, or the prior of a GAN, is N(0, I) exactly, whatever its images show. A mixture of several Gaussians has
nothing to find there, and its held-out log-likelihood says so: it falls with every component added. After some steps of denoising the
latents are no longer one Gaussian, and it may rise.
"""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from audit.errors import SourceError


class Evidence(NamedTuple):
    """What K Gaussians without labels explain.

    Attributes:
        components: K.
        held_out: mean log-likelihood, nats a latent, of the half that was not fitted.
        bic: Bayesian information criterion on the half that was; lower is better.
    """

    components: int
    held_out: float
    bic: float


def unsupervised_evidence(latents: np.ndarray, *, components: Sequence[int] = (1, 2, 4), dims: int = 64, seed: int = 0) -> list[Evidence]:
    """Return held-out log-likelihoods of diagonal mixtures of latents without labels.

    Args:
        latents: (n, width); the first half is fitted, the second judges.
        components: numbers of Gaussians to try.
        dims: the first so many coordinates are used.
        seed: of the clustering.

    Raises:
        SourceError: fewer than twice as many latents as components.
    """
    x = np.asarray(latents, dtype=np.float64)[:, :dims]
    half = len(x) // 2
    if half < max(components):
        raise SourceError(f"{len(x)} latents are too few to hold half out of a mixture of {max(components)}")
    found = []
    for k in components:
        mixture = GaussianMixture(k, covariance_type="diag", random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the held-out half judges it as it is
            mixture.fit(x[:half])
        found.append(Evidence(k, float(mixture.score(x[half:])), float(mixture.bic(x[:half]))))
    return found


def sentence(found: Sequence[Evidence], where: str) -> str:
    """Return what the evidence says, with its numbers."""
    best = max(found, key=lambda e: e.held_out).components
    numbers = ", ".join(f"K={e.components}: {e.held_out:.3f}" for e in found)
    return f"Held-out log-likelihood of mixtures without labels at {where}, nats a latent: {numbers}; best K = {best}"
