"""Continuous labels for free: how far an inverted code lies from an attribute's hyperplane, and which layers count.

Nitzan, Gal, Brenner and Cohen-Or 2022, "LARGE: Latent-Based Regression through GAN Semantics", arXiv 2107.11186: the signed
distance is taken layer by layer and summed with weights that say how strongly each layer carries the attribute. Departures,
both said where they happen: the step of a pair is counted in standard deviations of the codes along the normal, since a small
generator's W has another scale, and the intercept is kept.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from audit.errors import SourceError


def distance_labels(codes: np.ndarray, normals: np.ndarray, intercept: float = 0.0, layer_weights: np.ndarray | None = None) -> np.ndarray:
    """Return (n,) weighted signed distances: sum_l omega_l (<w_l, n_l> + b); the mean over layers without weights.

    Args:
        codes: (n, L, w), or (n, w) for one code that all layers share.
        normals: (w,) unit normal, or (L, w) one a layer.
        intercept: b; the hyperplane is <w, n> + b = 0.
        layer_weights: (L,) omega; None = 1 / L each.

    Raises:
        SourceError: the shapes do not fit each other.

    Example:
        >>> distance_labels(np.array([[3.0, 4.0]]), np.array([0.0, 1.0]), -1.0).tolist()
        [3.0]
    """
    codes = codes[:, None, :] if codes.ndim == 2 else codes
    normals = np.atleast_2d(normals)
    layers = max(codes.shape[1], len(normals), 1 if layer_weights is None else len(layer_weights))
    lengths = {codes.shape[1], len(normals)} | (set() if layer_weights is None else {len(layer_weights)})
    if normals.shape[1] != codes.shape[2] or not lengths <= {1, layers}:
        weights = "none" if layer_weights is None else len(layer_weights)
        raise SourceError(f"codes {codes.shape}, normals {normals.shape} and layer weights ({weights}) do not fit; "
                          "expected (n, L, w) or (n, w), (w,) or (L, w), and (L,)")  # fmt: skip
    omega = np.full(layers, 1 / layers) if layer_weights is None else np.asarray(layer_weights, dtype=np.float64)
    each = np.matmul(codes[:, :, None, :], normals[:, :, None])[:, :, 0, 0] + intercept  # (n, 1 or L)
    return np.broadcast_to(each, (len(codes), layers)) @ np.broadcast_to(omega, layers)


@dataclass(frozen=True)
class Percentiles:
    """Affine map of distances to 0..1 with clipping; fitted once and kept, since new images need the same map."""

    low: float
    high: float

    @classmethod
    def of(cls, distances: np.ndarray, low: float = 0.5, high: float = 99.5) -> "Percentiles":
        """Fit to the given percentiles (in percent) of ``distances`` (n,).

        Raises:
            SourceError: the two percentiles coincide, so that nothing can be told apart.
        """
        bottom, top = np.percentile(distances, [low, high])
        if not top > bottom:
            raise SourceError(
                f"all but the rarest of {len(distances)} distances equal {bottom:.4g}; the direction does not tell these images apart"
            )
        return cls(float(bottom), float(top))

    def __call__(self, distances: np.ndarray) -> np.ndarray:
        return np.clip((distances - self.low) / (self.high - self.low), 0.0, 1.0)


def layer_weights(draw: Callable[[Tensor], Tensor], codes: np.ndarray, normal: np.ndarray, intercept: float, num_ws: int, *,
                  rng: np.random.Generator, pairs: int = 100, step: tuple[float, float] = (2.5, 5.0), psi: float = 0.5,
                  batch: int = 20, device: str | torch.device = "cpu") -> np.ndarray:  # fmt: skip
    """Return (num_ws,) weights of the layers, sum num_ws: where a move along the normal shows more than any other change does.

    A code is projected on the hyperplane and moved by +s and -s along the normal; the size of the gradient of the two images' L1
    distance with respect to each layer's code is summed over pairs, divided elementwise by the same sum over random pairs, and
    averaged over channels.

    Args:
        draw: (n, num_ws, w) -> images (n, 3, h, w), differentiable.
        codes: (n, w) codes of the generator.
        normal: (w,) unit normal.
        intercept: b.
        num_ws: layers.
        rng: where pairs and steps come from.
        pairs: pairs of either kind.
        step: range of s. LARGE's numbers, here in standard deviations of <w, n> halved, so that the most distant pair lies as
            far apart as the tails of the codes whatever the scale of W.
        psi: truncation of both images towards the mean code.
        batch: pairs drawn at once.
        device: where to draw.

    Raises:
        SourceError: no layer reacts to the direction.
    """
    mean, spread = codes.mean(axis=0), float((codes @ normal).std()) / 2
    along, anyhow = np.zeros((num_ws, codes.shape[1])), np.zeros((num_ws, codes.shape[1]))
    for at in range(0, pairs, batch):
        n = min(batch, pairs - at)
        base = codes[rng.integers(len(codes), size=n)]
        base = base - (base @ normal + intercept)[:, None] * normal
        shift = rng.uniform(*step, size=(n, 1)) * spread * normal
        along += _reaction(draw, base + shift, base - shift, mean, psi, num_ws, device)
        first, second = codes[rng.integers(len(codes), size=n)], codes[rng.integers(len(codes), size=n)]
        anyhow += _reaction(draw, first, second, mean, psi, num_ws, device)
    ratio = np.divide(along, anyhow, out=np.zeros_like(along), where=anyhow > 1e-12 * max(anyhow.max(), 1e-300)).mean(axis=1)
    if not ratio.sum() > 0:
        raise SourceError("no layer of the generator reacts to the direction; it changes nothing one can see")
    return ratio * num_ws / ratio.sum()


def _reaction(draw: Callable[[Tensor], Tensor], first: np.ndarray, second: np.ndarray, mean: np.ndarray, psi: float,
              num_ws: int, device: str | torch.device) -> np.ndarray:  # fmt: skip
    both = torch.from_numpy(mean + psi * (np.concatenate([first, second]) - mean)).float().to(device)
    ws = both.unsqueeze(1).repeat(1, num_ws, 1).requires_grad_(True)
    one, other = draw(ws).chunk(2)
    (gradient,) = torch.autograd.grad((one - other).abs().mean(dim=[1, 2, 3]).sum(), ws)
    return gradient.abs().sum(dim=0).double().cpu().numpy()
