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


KINDS: dict[str, Callable[[dict], nn.Module]] = {"stylegan2": _stylegan2, "latent_diffusion": _latent_diffusion}
"""Builders of the project's own safetensors files, by the kind in their header."""


def load(path: str | Path, kind: str | None = None) -> nn.Module:
    """Load a generator from a safetensors file written by genbias.

    Args:
        path: the file, or the name of a shipped model ("stylegan2", "diffusion").
        kind: what it should be, one of :data:`KINDS`; None = what the file says.

    Returns:
        A module in evaluation mode: z (n, z_dim) -> (n, 3, h, w) float32, nominal range -1..1.

    Raises:
        ManifestError: unreadable file, unknown kind, or weights that do not fit the network (says which keys).
    """
    from audit.portraits.models import shipped

    path = Path(path) if Path(path).suffix else shipped(str(path))
    found, network, tensors = read_weights(path)
    if found not in KINDS or (kind is not None and kind != found):
        raise ManifestError(f"{path} holds a {found!r}; expected {kind or 'one of ' + ', '.join(KINDS)}")
    model = KINDS[found](network)
    missing, extra = model.load_state_dict(tensors, strict=False)
    if missing or extra:
        raise ManifestError(f"{path} does not fit its own {found} network: missing {missing[:3]}, not expected {extra[:3]}")
    return model.eval()
