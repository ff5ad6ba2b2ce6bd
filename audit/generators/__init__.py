"""Networks that draw images, and the one function that loads them."""

from collections.abc import Callable
from pathlib import Path

from torch import nn

from audit.errors import ManifestError
from audit.generators.weights import read_weights

__all__ = ["KINDS", "load"]


def _stylegan2(network: dict) -> nn.Module:
    from audit.generators.stylegan2 import StyleGAN2

    return StyleGAN2(**network)


def _latent_diffusion(network: dict) -> nn.Module:
    from audit.generators.latent_diffusion import LatentDiffusion

    return LatentDiffusion(**network)


def _self_conditioned(network: dict) -> nn.Module:
    from audit.generators.self_conditioned import SelfConditionedStyleGAN2

    return SelfConditionedStyleGAN2(**network)


KINDS: dict[str, Callable[[dict], nn.Module]] = {
    "stylegan2": _stylegan2,
    "self_conditioned": _self_conditioned,
    "latent_diffusion": _latent_diffusion,
}
"""Builders of the project's own safetensors files, by the kind in their header."""


def load(path: str | Path, kind: str | tuple[str, ...] | None = None) -> nn.Module:
    """Load a generator from a safetensors file written by genbias.

    Args:
        path: the file, or the name of a shipped model ("stylegan2", "diffusion").
        kind: what it should be, one of :data:`KINDS` or several that would do; None = what the file says.

    Returns:
        A module in evaluation mode: z (n, z_dim) -> (n, 3, h, w) float32, nominal range -1..1.

    Raises:
        ManifestError: unreadable file, unknown kind, or weights that do not fit the network (says which keys).
    """
    from audit.portraits.models import shipped

    path = Path(path) if Path(path).suffix else shipped(str(path))
    found, network, tensors = read_weights(path)
    wanted = tuple(KINDS) if kind is None else (kind,) if isinstance(kind, str) else kind
    if found not in KINDS or found not in wanted:
        raise ManifestError(f"{path} holds a {found!r}; expected {' or '.join(wanted)}")
    model = KINDS[found](network)
    missing, extra = model.load_state_dict(tensors, strict=False)
    if missing or extra:
        raise ManifestError(f"{path} does not fit its own {found} network: missing {missing[:3]}, not expected {extra[:3]}")
    return model.eval()
