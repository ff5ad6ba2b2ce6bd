"""StyleGAN2 in the layout of rosinality's PyTorch port: a checkpoint with ``g_ema`` and ``latent_avg``.

The function is that of :class:`audit.generators.stylegan2.StyleGAN2`; only the names differ, and the weights of the 3x3
convolutions, which that port scales when it draws. They are scaled here once, so that the small constant inside the demodulation
weighs the same. A checkpoint without ``latent_avg`` gets the average of 10,000 latents from a fixed seed, one without stored
noise images gets images from a fixed seed.
"""

import math
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audit.errors import ManifestError
from audit.generators.pickles import shown
from audit.generators.pickles_tensors import StoredTensor

AVERAGED = 10_000
"""Latents behind an average that the file does not state."""

_WRAPPERS = ("g_ema", "g")


def is_rosinality(content: Any) -> bool:
    """Return whether ``content`` is a checkpoint, or a state dict, in this layout."""
    state = _state(content)
    return "input.input" in state and "conv1.conv.modulation.weight" in state


def read_rosinality(content: dict[str, Any], path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return (network arguments, tensors) of a checkpoint read by :func:`audit.generators.pickles_archives.read_torch`.

    Raises:
        ManifestError: tensors are missing, not expected, or of a shape the layout does not have.
    """
    state = {k: v for k, v in _state(content).items() if isinstance(v, StoredTensor)}
    try:
        found, unknown = _renamed(state)
        network = _network(found)
    except (KeyError, IndexError, ValueError, RuntimeError) as problem:
        raise ManifestError(f"{path} lacks {problem} or has it in another shape; expected a StyleGAN2 in rosinality's layout") from None
    if unknown:
        raise ManifestError(f"{path} does not fit a StyleGAN2 in rosinality's layout: not expected {', '.join(shown(k) for k in sorted(unknown)[:5])}")
    average = content.get("latent_avg")
    if isinstance(average, StoredTensor) and average.numel == network["w_dim"]:
        found["mapping.w_avg"] = average.read().float().flatten()
    else:
        found["mapping.w_avg"] = _average(found, network)
    return network, found


def _state(content: Any) -> dict[str, Any]:
    if not isinstance(content, dict):
        return {}
    for key in _WRAPPERS:
        if isinstance(content.get(key), dict):
            return content[key]
    return content


_LAYER = {"conv.modulation.weight": "affine.weight", "conv.modulation.bias": "affine.bias", "conv.weight": "weight",
          "noise.weight": "noise_strength", "activate.bias": "bias", "bias": "bias"}  # fmt: skip


def _renamed(state: dict[str, StoredTensor]) -> tuple[dict[str, Tensor], set[str]]:
    """Return the tensors under our names, in our shapes, and the names nobody knows."""
    found: dict[str, Tensor] = {}
    unknown: set[str] = set()
    for name, stored in state.items():
        if name.endswith("kernel"):
            if not _usual(stored.read()):
                raise ValueError(f"the filter {name}")
            continue
        place = _place(name)
        if place is None:
            unknown.add(name)
            continue
        found[place] = _shaped(place, stored.read().float())
    for place in [p for p in found if p.endswith(".noise_strength")]:
        layer = place.removesuffix("noise_strength")
        size = int(re.findall(r"\.b(\d+)\.", layer)[0])
        if f"{layer}noise_const" not in found:
            found[f"{layer}noise_const"] = torch.randn(size, size, generator=torch.Generator().manual_seed(size))
        found[f"{layer}resample_filter"] = _filter()
    for size in {k.split(".")[1] for k in found if k.startswith("synthesis.")}:
        found[f"synthesis.{size}.resample_filter"] = _filter()
    return found, unknown


def _place(name: str) -> str | None:
    first, _, rest = name.partition(".")
    number, _, inner = rest.partition(".")
    if first == "style" and number.isdecimal() and inner in ("weight", "bias"):
        return f"mapping.fc{int(number) - 1}.{inner}"  # style.0 normalises and has no weights
    if name == "input.input":
        return "synthesis.b4.const"
    if first in ("conv1", "to_rgb1") and rest in _LAYER:
        return f"synthesis.b4.{'conv1' if first == 'conv1' else 'torgb'}.{_LAYER[rest]}"
    if first == "convs" and number.isdecimal() and inner in _LAYER:
        return f"synthesis.b{8 << int(number) // 2}.conv{int(number) % 2}.{_LAYER[inner]}" if int(number) < 20 else None
    if first == "to_rgbs" and number.isdecimal() and inner in _LAYER:
        return f"synthesis.b{8 << int(number)}.torgb.{_LAYER[inner]}" if int(number) < 10 else None
    if first == "noises" and rest.removeprefix("noise_").isdecimal():
        i = int(rest.removeprefix("noise_"))
        return "synthesis.b4.conv1.noise_const" if i == 0 else f"synthesis.b{8 << (i - 1) // 2}.conv{(i - 1) % 2}.noise_const" if i < 20 else None
    return None


def _shaped(place: str, value: Tensor) -> Tensor:
    if place.endswith(".const"):
        return value.squeeze(0)
    if place.endswith("noise_const"):
        return value.reshape(value.shape[-2:])
    if place.endswith("noise_strength"):
        return value.reshape([])
    if place.endswith("torgb.bias"):
        return value.flatten()
    if re.search(r"(conv\d|torgb)\.weight$", place):
        value = value.squeeze(0)
        return value if "torgb" in place else value / math.sqrt(value[0].numel())
    return value


def _network(found: dict[str, Tensor]) -> dict[str, Any]:
    sizes = sorted({int(k.split(".")[1][1:]) for k in found if k.startswith("synthesis.")})
    if sizes != [4 << i for i in range(len(sizes))]:
        raise ValueError(f"layers of some size (it has {sizes})")
    depth = sum(bool(re.fullmatch(r"mapping\.fc\d+\.weight", k)) for k in found)
    w_dim, z_dim = found["mapping.fc0.weight"].shape
    return {"z_dim": z_dim, "w_dim": w_dim, "resolution": sizes[-1], "mapping_layers": depth,
            "channels": {r: found[f"synthesis.b{r}.conv1.weight"].shape[0] for r in sizes}}  # fmt: skip


def _average(found: dict[str, Tensor], network: dict[str, Any]) -> Tensor:
    from audit.generators.stylegan2 import Mapping

    mapping = Mapping(network["z_dim"], 0, network["w_dim"], 1, network["mapping_layers"])
    own = {k.removeprefix("mapping."): v for k, v in found.items() if k.startswith("mapping.")}
    mapping.load_state_dict({**own, "w_avg": torch.zeros(network["w_dim"])})
    z = torch.randn(AVERAGED, network["z_dim"], generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return mapping(z)[:, 0].mean(dim=0).clone()


def _filter() -> Tensor:
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    return torch.outer(taps, taps)


def _usual(kernel: Tensor) -> bool:
    # Stored times 4 where it follows a doubling.
    return kernel.shape == (4, 4) and bool(torch.allclose(kernel / kernel.sum(), _filter(), atol=1e-6))
