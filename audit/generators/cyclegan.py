"""The CycleGAN generator: a network from images to images that was trained on two unpaired sets.

Zhu, Park, Isola, Efros 2017, "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks", arXiv 1703.10593,
section 4 and appendix 7.2: downward convolutions, residual blocks, upward convolutions, instance norm, ReLU, reflection at the edges,
tanh. Departures, so that a processor core can train it in minutes: few channels and few residual blocks, both arguments; and instead of
7x7 convolutions over all pixels the outermost layers are 3x3 convolutions over blocks of 2x2 pixels. The norm has no learned gain, as in
the authors' code.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from audit.errors import ManifestError
from audit.generators.fitting import fitted
from audit.generators.pickles import shown
from audit.generators.weights import read_weights

KIND = "cyclegan"
"""Kind in the header of its weights. It is not among the generators that draw from a latent: it needs an image."""


class Convolution(nn.Module):
    """Convolution, instance norm and ReLU; a stride of 2 halves the size, of -2 doubles it."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, *, activate: bool = True) -> None:
        super().__init__()
        up = stride < 0
        self.pad, self.activate = (kernel // 2 if stride == 1 else 0), activate
        self.conv = (nn.ConvTranspose2d(inputs, outputs, kernel, 2, padding=1, output_padding=1) if up else
                     nn.Conv2d(inputs, outputs, kernel, stride, padding=0 if stride == 1 else kernel // 2))  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        x = F.instance_norm(self.conv(F.pad(x, (self.pad,) * 4, mode="reflect") if self.pad else x))
        return F.relu(x) if self.activate else x


class Residual(nn.Module):
    """Two convolutions beside the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = Convolution(channels, channels), Convolution(channels, channels, activate=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(self.first(x))


class CycleGANGenerator(nn.Module):
    """(n, 3, h, w) in -1..1 -> the same shape and range; sides are multiples of 2 ** len(channels), at least twice that.

    Args:
        channels: feature maps at half of the size, at a quarter, and so on.
        residual_layers: residual blocks at the smallest size.
    """

    def __init__(self, channels: Sequence[int] = (32, 48), residual_layers: int = 4) -> None:
        super().__init__()
        self.multiple = 2 ** len(channels)
        pairs = list(itertools.pairwise(channels))
        down, up = [Convolution(a, b, stride=2) for a, b in pairs], [Convolution(b, a, stride=-2) for a, b in reversed(pairs)]
        self.body = nn.Sequential(Convolution(12, channels[0]), *down, *(Residual(channels[-1]) for _ in range(residual_layers)), *up)
        self.out = nn.Conv2d(channels[0], 12, 3)

    def forward(self, images: Tensor) -> Tensor:
        blocks = self.body(F.pixel_unshuffle(images, 2))  # (n, 12, h/2, w/2): the four pixels of a block side by side
        return F.pixel_shuffle(self.out(F.pad(blocks, (1,) * 4, mode="reflect")), 2).tanh()


def load_cyclegan(path: str | Path) -> CycleGANGenerator:
    """Return the generator in a safetensors file that ``genbias train cyclegan`` wrote, for evaluation.

    Raises:
        ManifestError: another kind of file, or weights that do not fit.
    """
    kind, network, tensors = read_weights(Path(path))
    if kind != KIND:
        raise ManifestError(f"{path} holds a {shown(kind)!r}, which maps no image to an image; expected the weights of a {KIND}")

    def make(network: dict[str, Any]) -> nn.Module:
        return CycleGANGenerator(**network)

    return fitted(make, KIND, network, tensors, Path(path))  # type: ignore[return-value]
