"""The small networks that read the built-in world: two classifiers of different design, and an encoder body.

``ResidualNet`` is a residual convolutional network (He et al. 2016, arXiv 1512.03385). ``MixerNet`` cuts the image into
4x4 patches and alternates depthwise and pointwise convolutions (ConvMixer: Trockman and Kolter 2022, arXiv 2201.09792).
They share neither architecture nor training images, so that one can question the other.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm0 = nn.BatchNorm2d(outputs)
        self.conv1 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.skip = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if stride > 1 or inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm0(self.conv0(x)))
        return F.relu(self.norm1(self.conv1(y)) + self.skip(x))


class ResidualNet(nn.Module):
    """(n, 3, 64, 64) in -1..1 -> (n, outputs).

    Args:
        widths: feature maps at 32, 16, 8 and 4 pixels.
        outputs: number of outputs of the last linear layer.
    """

    def __init__(self, widths: list[int], outputs: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, widths[0], 3, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(widths[0])
        stages = [_Residual(widths[0], widths[0], 1)]
        stages += [_Residual(a, b, 2) for a, b in pairwise(widths)]
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(widths[-1], outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages(F.relu(self.norm(self.stem(x))))
        return self.head(x.mean(dim=[2, 3]))


class MixerNet(nn.Module):
    """(n, 3, 64, 64) in -1..1 -> (n, outputs), by patches of 4x4 and depthwise mixing.

    Args:
        width: channels of every layer.
        depth: number of mixing blocks.
        outputs: number of outputs of the last linear layer.
    """

    def __init__(self, width: int, depth: int, outputs: int) -> None:
        super().__init__()
        self.patches = nn.Sequential(nn.Conv2d(3, width, 4, 4), nn.GELU(), nn.BatchNorm2d(width))
        self.mix = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 5, padding=2, groups=width), nn.GELU(), nn.BatchNorm2d(width))
            for _ in range(depth)
        )
        self.blend = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 1), nn.GELU(), nn.BatchNorm2d(width)) for _ in range(depth)
        )
        self.head = nn.Linear(width * 4, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x)
        for mix, blend in zip(self.mix, self.blend, strict=True):
            x = blend(x + mix(x))
        return self.head(F.adaptive_avg_pool2d(x, 2).flatten(1))  # quadrants: where things are matters


NETWORKS = {"residual": ResidualNet, "mixer": MixerNet}
"""Network classes by the ``design`` of a recipe."""


def build_network(design: str, **network: object) -> nn.Module:
    """Return an untrained network of this design."""
    return NETWORKS[design](**network)


def unit(x: Tensor) -> Tensor:
    """Return rows scaled to length 1: identity embeddings are compared by cosine."""
    return x / torch.linalg.vector_norm(x, dim=1, keepdim=True).clamp(min=1e-12)
