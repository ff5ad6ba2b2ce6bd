"""Tangents of StyleGAN2's synthesis network, pushed forward by hand: what happens to the image when w moves a little.

For one image everything but the tangents is fixed: styles, demodulation, feature maps and the side of each leaky ReLU. So
they are worked out once, and a tangent then costs one convolution a layer and three cheap passes, in the memory layout that
convolutions like best and in pieces small enough for the processor's cache. The values are those of ``torch.func.jvp`` (a
test holds them together).
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audit.generators.stylegan2 import Synthesis, SynthesisLayer, upsample

CACHE_BYTES = 8 << 20
"""Feature maps pushed at once stay below this on a processor; measured, and flat between 4 and 8 MiB."""

GPU_BYTES = 512 << 20
"""The same bound on a GPU."""


@dataclass
class _Layer:
    """One modulated convolution at one image; derivatives of leaky ReLU, style and demodulation as plain numbers."""

    inputs: Tensor  # (1, c_in, h, w) feature maps that come in
    style: Tensor  # (1, c_in, 1, 1)
    to_style: Tensor  # (w_dim, c_in): dstyle = dw @ to_style
    to_demodulation: Tensor  # (w_dim, c_out): dlog(demodulate) = dw @ to_demodulation
    weight: Tensor  # (c_out, c_in, 3, 3), demodulated
    before: Tensor  # (1, c_out, h, w) demodulated convolution, before noise and bias
    slope: Tensor  # (1, c_out, h, w) gain times 1 or 0.2
    taps: Tensor | None  # resampling filter where the layer doubles the size

    def push(self, tangents: Tensor | None, dw: Tensor) -> Tensor:
        """Return (m, c_out, h, w) tangents after the layer; None comes in where the input does not depend on w."""
        dstyle = (dw @ self.to_style)[:, :, None, None]
        moved = self.inputs * dstyle if tangents is None else (tangents * self.style).addcmul_(self.inputs, dstyle)
        out = _convolve(moved, self.weight, self.taps)
        return out.addcmul_(self.before, (dw @ self.to_demodulation)[:, :, None, None]).mul_(self.slope)


@dataclass
class _Colour:
    """A 1x1 convolution to colour at one image, followed by the projection of what it adds to the output."""

    weight: Tensor  # (c, 3), style included
    to_style: Tensor  # (w_dim, c)
    by_style: Tensor  # (c, h * w * 3): what a moved style does to the colours
    projection: Tensor  # (h * w * 3, k)

    def push(self, tangents: Tensor, dw: Tensor) -> Tensor:
        """Return (m, k)."""
        flat = tangents.permute(0, 2, 3, 1).reshape(-1, tangents.shape[1])
        colours = (flat @ self.weight).view(len(dw), -1)
        return colours.addmm_(dw @ self.to_style, self.by_style) @ self.projection


class SynthesisTangents:
    """Jacobian products of ``projection @ synthesis(ws)`` at one image, where each layer's w moves with a factor of its own.

    Args:
        synthesis: the network.
        ws: (1, num_ws, w_dim), after truncation.
        factors: (num_ws,) d ws[layer] / d w: the truncation psi of each layer, 1 without truncation.
        projections: see :func:`projections_by_size`.
        noise: "const" or "none".
    """

    def __init__(self, synthesis: Synthesis, ws: Tensor, factors: Tensor, projections: list[Tensor], *, noise: str) -> None:
        self.blocks: list[tuple[list[_Layer], _Colour]] = []
        x, at = None, 0
        for r, projection in zip(synthesis.resolutions, projections, strict=True):
            block = getattr(synthesis, f"b{r}")
            x = block.const[None] if block.first else x
            layers = []
            for layer in [block.conv1] if block.first else [block.conv0, block.conv1]:
                made, x = _at_image(layer, x, ws[:, at], factors[at], noise)
                layers.append(made)
                at += 1
            self.blocks.append((layers, _colour_at_image(block.torgb, x, ws[:, at], factors[at], projection)))
        self.bytes = CACHE_BYTES if ws.device.type == "cpu" else GPU_BYTES

    def __call__(self, dw: Tensor) -> Tensor:
        """Return (m, k): the projected image tangents of dw (m, w_dim)."""
        return self._from(0, None, dw)

    def _from(self, first: int, x: Tensor | None, dw: Tensor) -> Tensor:
        total = 0
        for i in range(first, len(self.blocks)):
            layers, colour = self.blocks[i]
            rows = max(1, self.bytes // layers[-1].slope.nbytes)
            if len(dw) > rows:  # the larger the feature maps, the fewer tangents at once
                pieces = range(0, len(dw), rows)
                return total + torch.cat([self._from(i, None if x is None else x[j : j + rows], dw[j : j + rows]) for j in pieces])
            for layer in layers:
                x = layer.push(x, dw)
            total = total + colour.push(x, dw)
        return total


def projections_by_size(synthesis: Synthesis, projection: Tensor) -> list[Tensor]:
    """Return, for the colours added at each size, the projection of what they become in the full image.

    Skip outputs are summed after linear upsampling, so the projection can be moved in front of it once for all images.

    Args:
        synthesis: the network.
        projection: (k, 3 * side * side).

    Returns:
        One (r * r * 3, k) for each resolution r, rows in the order height, width, colour.
    """
    side, found = synthesis.resolutions[-1], []
    rows = projection.view(-1, 3, side, side)
    for r in reversed(synthesis.resolutions):
        found.append(rows.permute(2, 3, 1, 0).reshape(r * r * 3, -1).contiguous())
        if r > synthesis.resolutions[0]:
            taps = getattr(synthesis, f"b{r}").resample_filter
            _, adjoint = torch.func.vjp(lambda image, taps=taps: upsample(image, taps), rows.new_zeros(len(rows), 3, r // 2, r // 2))
            (rows,) = adjoint(rows)
    return found[::-1]


def _at_image(layer: SynthesisLayer, x: Tensor, w: Tensor, factor: Tensor, noise: str) -> tuple[_Layer, Tensor]:
    """Return the layer fixed at one image, and the feature maps that leave it.

    The feature maps are worked out step by step as in ``SynthesisLayer.forward``: rounded differently, a unit within 1e-6
    of its kink would fall on the other side, which moves singular values by up to 1e-3 of their size.
    """
    style = layer.affine(w)  # (1, c_in)
    energy = layer.weight.square().sum(dim=[2, 3])
    demodulate = (style.square() @ energy.t() + 1e-8).rsqrt()  # (1, c_out)
    taps = layer.resample_filter if layer.up == 2 else None
    before = _convolve(x * style[:, :, None, None], layer.weight, taps, pad_apart=True) * demodulate[:, :, None, None]
    after = before + layer.noise_const * layer.noise_strength if noise == "const" else before
    after = after + layer.bias[None, :, None, None]
    slope = torch.where(after > 0, 1.0, 0.2) * math.sqrt(2)
    to_style = (layer.affine.weight * layer.affine.weight_gain).t() * factor
    # d (s^2 E + eps)^(-1/2) = -(s ds E) (s^2 E + eps)^(-3/2), here divided by the demodulation itself.
    to_demodulation = -(to_style * style) @ energy.t() * demodulate.square()
    weight = _channels_last(layer.weight * demodulate[0, :, None, None, None])
    made = _Layer(_channels_last(x), style[:, :, None, None], to_style, to_demodulation, weight, _channels_last(before),
                  _channels_last(slope), taps)  # fmt: skip
    return made, F.leaky_relu(after, 0.2) * math.sqrt(2)


def _colour_at_image(torgb: nn.Module, x: Tensor, w: Tensor, factor: Tensor, projection: Tensor) -> _Colour:
    style = torgb.affine(w) * torgb.weight_gain
    mix = torgb.weight[:, :, 0, 0]  # (3, c)
    to_style = (torgb.affine.weight * torgb.affine.weight_gain).t() * (factor * torgb.weight_gain)
    by_style = torch.einsum("oc,chw->chwo", mix, x[0]).flatten(1)
    return _Colour((mix * style).t(), to_style, by_style, projection)


def _convolve(x: Tensor, weight: Tensor, taps: Tensor | None, *, pad_apart: bool = False) -> Tensor:
    """Return the convolution, at twice the size where there are ``taps``; ``pad_apart`` rounds as the generator does."""
    if taps is None:
        return F.conv2d(x, weight, padding=1)
    x = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
    filters = (taps * 4).expand(x.shape[1], 1, 4, 4)
    return F.conv2d(F.pad(x, (1, 1, 1, 1)), filters, groups=x.shape[1]) if pad_apart else F.conv2d(x, filters, padding=1, groups=x.shape[1])


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)
