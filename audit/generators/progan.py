"""Progressive GAN generators in the layouts of two public PyTorch zoos.

Karras et al. 2018, "Progressive Growing of GANs for Improved Quality, Stability, and Variation", arXiv 1710.10196: pixel norm
(section 4.2), equalised learning rate (4.1), fading in of the last resolution (figure 2). Layouts, known by their tensors:

- ``formatLayer.module.weight``, ``groupScale0.0...``, ``scaleLayers.N.{0,1}...``, ``toRGBLayers.N...`` (with or without
  ".module"): the GAN zoo of facebookresearch, alone or in a checkpoint with "avgG", "netG" and "config", which gives alpha;
- ``noise2feat.linear.weight_orig``, ``conv_blocks.N.conv.weight_orig``, ``torgb_layers.N.conv.weight_orig``: MMGeneration, under
  "generator_ema." or "generator."; its images are BGR.

The constants of the equalised learning rate are multiplied into the weights when they are read, so one plain network serves both.
The zoo multiplies the bias too, MMGeneration does not and counts the fan of its fused transposed convolutions over the outputs.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audit.errors import ManifestError
from audit.generators.gan_zoo import LINEAR_LOSSES, network_of
from audit.generators.state_dicts import State, check_keys, fit, tensors

SLOPE = 0.2

Norm = Literal["pixel", "root", "none"]


def _identity(x: Tensor) -> Tensor:
    return x


def _pixel_norm(x: Tensor) -> Tensor:
    return x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()


def _root_norm(x: Tensor) -> Tensor:
    return x / (x.square().mean(dim=1, keepdim=True).sqrt() + 1e-6)


NORMS: dict[str, Callable[[Tensor], Tensor]] = {"pixel": _pixel_norm, "root": _root_norm, "none": _identity}
"""What follows each layer, by the word a file's header uses."""


class Plain(NamedTuple):
    """A generator's tensors under the names of :class:`ProGAN`, and how it differs from another."""

    state: State
    alpha: float = 0.0
    slope: float = SLOPE
    norm: Norm = "none"
    tanh: bool = False
    bgr: bool = False

    @property
    def network(self) -> dict[str, Any]:
        """The arguments of :class:`ProGAN`, as the shapes of the tensors say."""
        count = sum(k.startswith("convs.") and k.endswith(".weight") for k in self.state)
        widths = [self.state[f"convs.{at}.bias"].numel() for at in range(0, count, 2)]
        transposed = any(k.startswith("convs.") and v.ndim == 4 and v.shape[-1] == 4 for k, v in self.state.items())
        return {"z_dim": int(self.state["format.weight"].shape[1]), "widths": widths, "transposed": transposed, "alpha": self.alpha,
                "slope": self.slope, "norm": self.norm, "tanh": self.tanh, "bgr": self.bgr}  # fmt: skip


class ProGAN(nn.Module):
    """z -> image, nominal range -1..1, of 4 * 2 ** (len(widths) - 1) pixels a side.

    Args:
        z_dim: width of the latent.
        widths: channels at each resolution, from 4 x 4 on.
        transposed: the size is doubled by 4x4 transposed convolutions, not by nearest neighbours and a 3x3 convolution.
        alpha: share of the lower resolution that is still faded in, 0 when grown; above 0 there is a second layer to RGB.
        slope: of the leaky ReLUs.
        norm: of the channels of each pixel: "pixel" (the paper's), "root" (MMGeneration's, its epsilon outside the root) or "none".
        tanh: whether the images pass through it.
        bgr: the images come out as BGR and are turned into RGB.

    Attributes:
        network: these arguments, for JSON.
        resolution: pixels a side.

    Raises:
        ManifestError: no such norm, or a fade without a lower resolution.
    """

    prior = "normal"

    def __init__(self, z_dim: int, widths: Sequence[int], *, transposed: bool = False, alpha: float = 0.0, slope: float = SLOPE,
                 norm: Norm = "pixel", tanh: bool = False, bgr: bool = False) -> None:  # fmt: skip
        super().__init__()
        if norm not in NORMS or (alpha > 0 and len(widths) < 2):
            raise ManifestError(f"a progressive GAN of norm {norm!r}, {len(widths)} widths and alpha {alpha:g}; expected a norm of "
                                f"{', '.join(NORMS)}, and a lower resolution where one is faded in")  # fmt: skip
        self.network = {"z_dim": int(z_dim), "widths": list(map(int, widths)), "transposed": transposed, "alpha": float(alpha),
                        "slope": float(slope), "norm": norm, "tanh": tanh, "bgr": bgr}  # fmt: skip
        self.z_dim, self.alpha, self.slope, self.norm, self.tanh, self.bgr = z_dim, alpha, slope, NORMS[norm], tanh, bgr
        self.format = nn.Linear(z_dim, 16 * widths[0])
        self.convs = nn.ModuleList([nn.Conv2d(widths[0], widths[0], 3, padding=1)])
        for inputs, outputs in itertools.pairwise(widths):
            up = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1) if transposed else nn.Conv2d(inputs, outputs, 3, padding=1)
            self.convs.extend([up, nn.Conv2d(outputs, outputs, 3, padding=1)])
        self.to_rgb = nn.ModuleDict({"last": nn.Conv2d(widths[-1], 3, 1)} | ({"lower": nn.Conv2d(widths[-2], 3, 1)} if alpha > 0 else {}))
        self.resolution = 4 * 2 ** (len(widths) - 1)

    def forward(self, z: Tensor) -> Tensor:
        """Return (n, 3, h, h) float32 for z (n, z_dim)."""
        x = self._after(self.format(self.norm(z)).view(len(z), -1, 4, 4))
        x = self._after(self.convs[0](x))
        lower = None
        for at in range(1, len(self.convs), 2):
            if at == len(self.convs) - 2 and self.alpha > 0:
                lower = self.to_rgb["lower"](x)
            if not isinstance(self.convs[at], nn.ConvTranspose2d):
                x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = self._after(self.convs[at](x))
            x = self._after(self.convs[at + 1](x))
        images = self.to_rgb["last"](x)
        if lower is not None:
            images = self.alpha * F.interpolate(lower, scale_factor=2, mode="nearest") + (1 - self.alpha) * images
        images = torch.tanh(images) if self.tanh else images
        return images.flip(1) if self.bgr else images

    def _after(self, x: Tensor) -> Tensor:
        return self.norm(F.leaky_relu(x, self.slope))


def load_progan(path: str | Path, *, network: str | None = None, fused: bool = True) -> ProGAN:
    """Load a progressive GAN from a file in one of the layouts above.

    Args:
        path: the file.
        network: "avgG" or "netG" of a GAN zoo checkpoint; None = the average where there is one.
        fused: whether MMGeneration's doubling convolutions are fused (its default); read from the shapes where they tell.

    Raises:
        ManifestError: no such layout, missing or unexpected keys, other shapes, a conditional network, other than 3 channels.
    """
    content, config = network_of(path, network=network)
    state = tensors(content, path, prefixes=("generator_ema.", "generator."))
    state = {k.replace(".module.", "."): v for k, v in state.items() if k != "_curr_transition_weight"}
    if "formatLayer.weight" in state:
        plain = _from_zoo(state, config, path)
    elif "noise2feat.linear.weight_orig" in state:
        plain = _from_mmgeneration(state, path, fused)
    else:
        found = ", ".join(sorted(state)[:4])
        raise ManifestError(f"{path} is no progressive GAN that is known here: it holds {found}, ...; expected "
                            f"formatLayer.module.weight (GAN zoo) or noise2feat.linear.weight_orig (MMGeneration)")  # fmt: skip
    channels = plain.state["to_rgb.last.weight"].shape[0]
    if channels != 3:
        raise ManifestError(f"{path} draws images of {channels} channels; expected 3 (red, green, blue)")
    model = ProGAN(**plain.network)
    fit(model, plain.state, path, f"a progressive GAN of {model.resolution} px")
    return model


def _from_zoo(state: State, config: dict[str, Any], path: str | Path) -> Plain:
    if config.get("categoryVectorDim"):
        raise ManifestError(f"{path} is a conditional progressive GAN (categories of {config['categoryVectorDim']} numbers beside "
                            f"the latent); expected one without")  # fmt: skip
    scales = len({k.split(".")[1] for k in state if k.startswith("scaleLayers.")})
    owners = ["formatLayer", "groupScale0.0", *(f"scaleLayers.{s}.{i}" for s in range(scales) for i in (0, 1)),
              *(f"toRGBLayers.{s}" for s in range(scales + 1))]  # fmt: skip
    check_keys(state, {f"{o}.{kind}" for o in owners for kind in ("weight", "bias")}, path, f"the GAN zoo's PGAN of {4 * 2**scales} px")
    equalised = config.get("equalizedlR", True)
    plain: State = {}

    def take(owner: str, name: str) -> None:
        weight = state[f"{owner}.weight"].float()
        gain = math.sqrt(2 / math.prod(weight.shape[1:])) if equalised else 1.0
        plain[f"{name}.weight"], plain[f"{name}.bias"] = weight * gain, state[f"{owner}.bias"].float() * gain

    take("formatLayer", "format")
    for at, owner in enumerate(owners[1 : 2 + 2 * scales]):
        take(owner, f"convs.{at}")
    take(f"toRGBLayers.{scales}", "to_rgb.last")
    alpha = float(config.get("alpha", 0)) if scales else 0.0
    if alpha > 0:
        take(f"toRGBLayers.{scales - 1}", "to_rgb.lower")
    normalised = config.get("perChannelNormalization", True)
    return Plain(plain, alpha, float(config.get("leakyReluLeak", SLOPE)), "pixel" if normalised else "none",
                 tanh=config.get("lossCriterion", "WGANGP") not in LINEAR_LOSSES)  # fmt: skip


def _from_mmgeneration(state: State, path: str | Path, fused: bool) -> Plain:
    blocks = len({k.split(".")[1] for k in state if k.startswith("conv_blocks.")})
    scales = (blocks - 1) // 2
    wanted = {"noise2feat.linear.weight_orig", "noise2feat.bias"}
    for part, count in (("conv_blocks", 2 * scales + 1), ("torgb_layers", scales + 1)):
        wanted |= {f"{part}.{i}.conv.{kind}" for i in range(count) for kind in ("weight_orig", "bias")}
    check_keys(state, wanted, path, f"MMGeneration's PGGAN of {4 * 2**scales} px")
    first = state["noise2feat.linear.weight_orig"].float()
    plain = {"format.weight": first * (math.sqrt(2) / 4 / math.sqrt(first.shape[1])),
             "format.bias": state["noise2feat.bias"].float().flatten().repeat_interleave(16)}  # fmt: skip
    for at in range(1, blocks, 2):  # a fused weight is (inputs, outputs, 3, 3); the shapes tell where the widths differ
        inputs, outputs = state[f"conv_blocks.{at - 1}.conv.bias"].numel(), state[f"conv_blocks.{at}.conv.bias"].numel()
        if inputs != outputs:
            fused = tuple(state[f"conv_blocks.{at}.conv.weight_orig"].shape[:2]) == (inputs, outputs)
            break
    for at in range(blocks):
        weight = state[f"conv_blocks.{at}.conv.weight_orig"].float()
        weight = weight * math.sqrt(2 / math.prod(weight.shape[1:]))
        plain[f"convs.{at}.weight"] = _doubling(weight) if fused and at % 2 else weight
        plain[f"convs.{at}.bias"] = state[f"conv_blocks.{at}.conv.bias"]
    last = state[f"torgb_layers.{scales}.conv.weight_orig"].float()
    plain |= {"to_rgb.last.weight": last / math.sqrt(math.prod(last.shape[1:])), "to_rgb.last.bias": state[f"torgb_layers.{scales}.conv.bias"]}
    return Plain(plain, norm="root", bgr=True)


def _doubling(weight: Tensor) -> Tensor:
    """Return the 4x4 kernel that doubles the size by nearest neighbours and convolves with a 3x3 one, in one step."""
    padded = F.pad(weight, (1, 1, 1, 1))
    return padded[..., 1:, 1:] + padded[..., 1:, :-1] + padded[..., :-1, 1:] + padded[..., :-1, :-1]
