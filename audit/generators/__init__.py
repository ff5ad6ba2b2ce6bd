"""Networks that draw images, and the one function that loads them from whatever layout their weights have."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from audit.errors import ManifestError
from audit.generators.fitting import fitted
from audit.generators.pickles import shown
from audit.generators.weights import kind_of, names_in, read_weights

__all__ = ["KINDS", "Opened", "load", "open_weights"]

Opened = tuple[str, dict[str, Any], dict[str, Tensor]]
"""What a weights file holds: kind, network arguments, tensors."""


def _stylegan2(network: dict) -> nn.Module:
    from audit.generators.stylegan2 import StyleGAN2

    return StyleGAN2(**network)


def _latent_diffusion(network: dict) -> nn.Module:
    from audit.generators.latent_diffusion import LatentDiffusion

    return LatentDiffusion(**network)


def _self_conditioned(network: dict) -> nn.Module:
    from audit.generators.self_conditioned import SelfConditionedStyleGAN2

    return SelfConditionedStyleGAN2(**network)


def _dcgan32(network: dict) -> nn.Module:
    from audit.generators.dcgan32 import DCGAN32

    return DCGAN32(**network)


def _dcgan(network: dict) -> nn.Module:
    from audit.generators.dcgan import DCGAN

    return DCGAN(**network)


def _progan(network: dict) -> nn.Module:
    from audit.generators.progan import ProGAN

    return ProGAN(**network)


def _vae(network: dict) -> nn.Module:
    from audit.generators.vae import VAEDecoder

    return VAEDecoder(**network)


def _mixture(network: dict) -> nn.Module:
    from audit.generators.mixture import DCGANMixture

    return DCGANMixture(**network)


KINDS: dict[str, Callable[[dict], nn.Module]] = {
    "stylegan2": _stylegan2,
    "self_conditioned": _self_conditioned,
    "latent_diffusion": _latent_diffusion,
    "dcgan32": _dcgan32,
    "dcgan": _dcgan,
    "progan": _progan,
    "vae": _vae,
    "mixture": _mixture,
}
"""Builders of the networks, by the kind in the header of the project's own safetensors files."""


def load(path: str | Path, kind: str | tuple[str, ...] | None = None) -> nn.Module:
    """Load a generator; the file's layout is told from its content, and nothing in the file is ever executed.

    Args:
        path: safetensors written by genbias, a pickle of the public StyleGAN2 implementation, a checkpoint of torch.save in
            rosinality's layout or in a public one of DCGAN, progressive GAN or VAE; or the name of a shipped model ("stylegan2").
        kind: what it should be, one of :data:`KINDS` or several that would do; None = what the file says.

    Returns:
        A module in evaluation mode: z (n, z_dim) -> (n, 3, h, w) float32, nominal range -1..1.

    Raises:
        ManifestError: unreadable or unsafe file, unknown kind, weights that do not fit the network (says which keys) or are not finite.
    """
    path = _found(path)
    found, network, tensors = open_weights(path)
    wanted = tuple(KINDS) if kind is None else (kind,) if isinstance(kind, str) else kind
    if found not in KINDS or found not in wanted:
        raise ManifestError(f"{path} holds a {shown(found)!r}; expected {' or '.join(wanted)}")
    return fitted(KINDS[found], found, network, tensors, path)


def open_weights(path: str | Path, *, parameters: dict[str, Any] | None = None, bgr: bool | None = None) -> Opened:
    """Return (kind, network arguments, tensors) of a weights file, as data.

    Args:
        path: as for :func:`load`.
        parameters: what a manifest says of a progressive GAN in a public layout, see :func:`audit.generators.layouts.read_layout`.
        bgr: whether the images of a DCGAN in a public layout are BGR; None = as its framework does it.

    Raises:
        ManifestError: it cannot be read safely, or is in no known layout; the sentence says what it looks like.
    """
    from audit.generators.recognise import format_of

    path = _found(path)
    layout = format_of(path)
    if layout == "safetensors" and kind_of(path) is not None:
        return read_weights(path)
    if layout == "pickle":
        from audit.generators.stylegan2_files import read_stylegan2

        return "stylegan2", *read_stylegan2(path)
    if layout in ("torch", "safetensors"):
        return _state_dict(path, layout, parameters, bgr)
    raise ManifestError(f"{path} is a {'TorchScript' if layout == 'torchscript' else 'torch.export'} file, which is a program and not "
                        f"weights; use it with `source: {layout}`")  # fmt: skip


def _state_dict(path: Path, layout: str, parameters: dict[str, Any] | None, bgr: bool | None) -> Opened:
    from audit.generators.layouts import kind_in, read_layout
    from audit.generators.pickles_archives import read_torch
    from audit.generators.pickles_tensors import StoredTensor
    from audit.generators.rosinality import is_rosinality, read_rosinality

    content = read_torch(path) if layout == "torch" else dict.fromkeys(names_in(path))
    if layout == "torch" and is_rosinality(content):
        return "stylegan2", *read_rosinality(content, path)
    public = kind_in(content)
    if public is not None:
        return public, *read_layout(path, public, parameters=parameters, bgr=bgr)
    if layout == "safetensors":
        return read_weights(path)  # which says what is missing in its header
    if not isinstance(content, dict):
        raise ManifestError(f"{path} holds a {type(content).__name__}; expected a state dict of named tensors")
    state = {str(k): v for k, v in content.items() if isinstance(v, StoredTensor)}
    if any(k.startswith("generator_deconv.") for k in state):
        return "dcgan32", {}, {k: v.read() for k, v in state.items()}
    keys = ", ".join(shown(k) for k in list(content)[:4]) or "nothing"
    raise ManifestError(f"{path} is a state dict of another architecture: its keys begin with {keys}; this reader knows StyleGAN2 in "
                        f"rosinality's layout (style.1.weight ...), DCGAN (main.0.weight ...), progressive GAN (formatLayer.weight, groupScale0.0.weight "
                        f"...), VAE (decoder_input.weight ...) and DCGAN32 (generator_deconv.0.0.weight ...)")  # fmt: skip


def _found(path: str | Path) -> Path:
    from audit.portraits.models import shipped

    return Path(path) if Path(path).suffix or Path(path).exists() else shipped(str(path))
