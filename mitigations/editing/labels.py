"""Self-conditioned edits: one label is asked for anew, the others are kept, and beyond 0..1 the end anchors are extrapolated.

Liu et al. 2022, arXiv 2202.04040: an image is edited by changing one label t and nothing else; image 0 of their evaluation has t = 1/2,
the middle anchor, at which the pretrained function acts alone. Strength s here asks for t = (1 + s) / 2: 0 is the middle,
-1 and 1 are the ends of what the generator was trained on. Beyond the ends the published hat weights are clamped; the architecture adds
up anchors, so their weights can go on: at s = 2 the upper anchor counts twice. That extrapolation is a departure, made to look beyond
the training core.
"""

import torch
from torch import Tensor

from audit.errors import SourceError
from audit.generators.self_conditioned import SelfConditionedStyleGAN2
from audit.generators.stylegan2 import NoiseMode


def extrapolated_weights(t: Tensor) -> Tensor:
    """Return (n, 3A) anchor weights of labels t (n, A), middle ones zero: those of training in 0..1, going on straight outside.

    Example:
        >>> extrapolated_weights(torch.tensor([[1.0], [1.5], [-0.5]])).tolist()
        [[0.0, 0.0, 1.0], [0.0, 0.0, 2.0], [2.0, 0.0, 0.0]]
    """
    low, high = (1 - 2 * t).clamp(min=0), (2 * t - 1).clamp(min=0)
    return torch.stack([low, torch.zeros_like(low), high], dim=-1).flatten(1)


def asked_labels(module: SelfConditionedStyleGAN2, z: Tensor, attribute: str, strength: float) -> Tensor:
    """Return (n, A) labels: those of the latents, the one of ``attribute`` at (1 + strength) / 2.

    Raises:
        SourceError: the generator has no label of that name.
    """
    if attribute not in module.attributes:
        raise SourceError(f"this generator is not asked for {attribute!r}; it has labels for {', '.join(module.attributes)}")
    t = module.labels(z).clone()
    t[:, module.attributes.index(attribute)] = (1 + strength) / 2
    return t


def moved_codes(module: SelfConditionedStyleGAN2, ws: Tensor, weights: Tensor) -> Tensor:
    """Return (n, num_ws, w_dim) codes as the synthesis sees them: with what the labels add to the styles."""
    return ws if module.label_styles is None else ws + torch.einsum("nj,jlc->nlc", weights, module.label_styles)


def draw_labelled(module: SelfConditionedStyleGAN2, ws: Tensor, weights: Tensor, *, noise: NoiseMode) -> Tensor:
    """Return images (n, 3, r, r) of moved codes; ``weights`` (n, 3A) mix the input constants."""
    const = module.synthesis.b4.const.unsqueeze(0).expand(len(ws), -1, -1, -1)
    if module.label_consts is not None:
        const = const + torch.einsum("nj,jchw->nchw", weights, module.label_consts)
    return module.synthesis(ws, noise=noise, start=const)
