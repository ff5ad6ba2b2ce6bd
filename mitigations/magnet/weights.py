"""From singular values to the chance of each latent, and what is lost on the way.

The volume a generator G opens around z is sigma(z), the product of the singular values of its Jacobian, so the push-forward
density at G(z) is p(z) / sigma(z), and proposals from p drawn again with weights proportional to sigma(z) / p(z) are
uniform on the manifold (MaGNET, arXiv 2110.08009, theorem 1). Where only the direction of z matters and p is isotropic,
p is constant and sigma alone is right. The exponent rho is polarity (arXiv 2203.01993): 0 the base distribution, 1 uniform
on the manifold, negative towards modes, larger towards anti-modes.

Departures from the released code: all in log space instead of clipping sigma to 1e-200..1e200, which ties the extremes.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from audit.errors import MetricError

FLOOR = 1e-7
"""Singular values below this part of their row's largest are rounding: they are raised to it, and the row counted."""


@dataclass(frozen=True)
class Diagnostics:
    """What resampling costs in variety.

    Attributes:
        latents: how many there are to choose from.
        dropped: how many of them can never be drawn.
        ess: Kish's effective sample size, (sum w)^2 / sum w^2.
        max_weight: share of images the most frequent latent gets.
        perplexity: exp of the entropy of the weights.
        draws: number of draws that ``unique_share`` is about.
        unique_share: expected number of different latents among them, divided by ``draws``.
    """

    latents: int
    dropped: int
    ess: float
    max_weight: float
    perplexity: float
    draws: int
    unique_share: float


def log_volumes(singular_values: np.ndarray, *, top_k: int) -> np.ndarray:
    """Return (n,) sums of the logarithms of the ``top_k`` largest singular values, -inf where all of them are 0.

    The top k instead of all: the last values are rounding (a generator that normalises z has rank d - 1), and weights
    degenerate quickly with their number (methods of arXiv 2110.08009 use 10 to 30).

    Args:
        singular_values: (n, m), descending along rows.
        top_k: how many of them count, 1..m.

    Raises:
        MetricError: not finite, negative, not descending, or fewer columns than ``top_k``.
    """
    s = np.asarray(singular_values, dtype=np.float64)
    if s.ndim != 2 or not len(s):
        raise MetricError(f"singular values have shape {s.shape}; expected (n, m) with at least one row")
    if not 1 <= top_k <= s.shape[1]:
        raise MetricError(f"top_k is {top_k}, and there are {s.shape[1]} singular values a latent; choose 1..{s.shape[1]}")
    bad = int((~np.isfinite(s)).any(axis=1).sum())
    if bad:
        raise MetricError(f"the singular values of {bad} of {len(s)} latents are not finite; the generator overflows there, draw in float32 "
                          "or leave those latents out")  # fmt: skip
    if (s < 0).any() or (np.diff(s, axis=1) > 0).any():
        raise MetricError("singular values must be >= 0 and descend along each row; pass what volume_scalars returned")
    top = s[:, :1]
    with np.errstate(divide="ignore"):
        return np.log(np.maximum(s[:, :top_k], FLOOR * top)).sum(axis=1)


def floored(singular_values: np.ndarray, *, top_k: int) -> int:
    """Return how many latents have rank below ``top_k``: a value within the top k raised to :data:`FLOOR`."""
    s = np.asarray(singular_values, dtype=np.float64)
    return int((s[:, :top_k] < FLOOR * s[:, :1]).any(axis=1).sum())


def weights(singular_values: np.ndarray, *, top_k: int, rho: float = 1.0, log_prior: np.ndarray | None = None) -> np.ndarray:
    """Return (n,) weights proportional to sigma^rho / p, adding up to 1.

    Args:
        singular_values: (n, m) of :func:`mitigations.magnet.volumes.volume_scalars`.
        top_k: how many of them make the volume.
        rho: 0 leaves the base distribution, 1 is uniform on the manifold.
        log_prior: (n,) log p(z) up to a constant, divided out; None = constant. +inf leaves a latent out.

    Returns:
        Weights; exactly 1 / n for rho = 0 without a prior; 0 where all singular values are 0 (unless rho is 0).

    Raises:
        MetricError: see :func:`log_volumes`; ``rho`` or the prior is not a number; or no latent is left.
    """
    volumes = log_volumes(singular_values, top_k=top_k)
    if not np.isfinite(rho):
        raise MetricError(f"rho is {rho}; expected a finite number (0 the base distribution, 1 uniform on the manifold)")
    log_w = np.zeros(len(volumes)) if rho == 0 else np.where(np.isneginf(volumes), -np.inf, rho * volumes)
    if log_prior is not None:
        log_prior = np.asarray(log_prior, dtype=np.float64)
        if log_prior.shape != log_w.shape or np.isnan(log_prior).any() or np.isneginf(log_prior).any():
            raise MetricError(
                f"log_prior has shape {log_prior.shape}, or holds NaN or -inf; expected a number for each of {len(log_w)} latents"
            )
        log_w = log_w - log_prior
    elif rho == 0:
        return np.full(len(volumes), 1 / len(volumes))
    total = logsumexp(log_w)
    if np.isneginf(total):
        raise MetricError(f"all singular values of all {len(volumes)} latents are 0: the images do not depend on the latent, so there is "
                          "no volume to weigh by")  # fmt: skip
    return np.exp(log_w - total)


def resample(weights: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
    """Return (n,) indices drawn with replacement, by inverting the cumulative weights; draw i depends on number i alone.

    With replacement, unlike the released demonstrations: without it, draws are not independent and the last ones are
    what the weights wanted least.

    Args:
        weights: (m,) weights >= 0.
        uniforms: (n,) numbers in (0, 1).
    """
    edges = np.cumsum(np.asarray(weights, dtype=np.float64))
    return np.searchsorted(edges, np.asarray(uniforms) * edges[-1], side="right").clip(max=int(np.flatnonzero(weights)[-1]))


def diagnostics(weights: np.ndarray, *, draws: int) -> Diagnostics:
    """Return what ``draws`` draws with these weights (adding up to 1) can show; see :class:`Diagnostics`."""
    w = np.asarray(weights, dtype=np.float64)
    drawn = w[w > 0]
    unique = float(-np.expm1(draws * np.log1p(-drawn.clip(max=1 - 1e-16))).sum())
    return Diagnostics(latents=len(w), dropped=int((w == 0).sum()), ess=float(w.sum() ** 2 / np.square(w).sum()), max_weight=float(w.max()),
                       perplexity=float(np.exp(-(drawn * np.log(drawn)).sum())), draws=draws, unique_share=unique / draws)  # fmt: skip
