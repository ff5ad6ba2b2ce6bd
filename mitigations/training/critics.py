"""Discriminators of the small GANs: a DCGAN's with batch norm, and a progressive one that looks at any size.

Radford, Metz, Chintala 2016, arXiv 1511.06434; Karras et al. 2018, arXiv 1710.10196 (equalised learning rate, fading in, minibatch
standard deviation).
"""

import itertools
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mitigations.training.discriminator import EqualisedConv


class DCGANCritic(nn.Module):
    """(n, 3, r, r) in -1..1 -> (n,) logits: 4x4 convolutions of stride 2, batch norm on all but the first, leaky ReLU 0.2.

    Args:
        widths: channels from the largest map (side r/2) to the smallest (side 4), the mirror image of the generator's.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, widths[0], 4, 2, 1), nn.LeakyReLU(0.2)]
        for a, b in itertools.pairwise(widths):
            layers += [nn.Conv2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b), nn.LeakyReLU(0.2)]
        self.body, self.out = nn.Sequential(*layers), nn.Conv2d(widths[-1], 1, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.out(self.body(images)).flatten()


class ProgressiveCritic(nn.Module):
    """(n, 3, r, r) -> (n,) scores for r in 4, 8, ..., with the newest size faded in.

    Args:
        widths: channels of the maps of side 4, 8, ..., as in the generator.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.from_rgb = nn.ModuleList(EqualisedConv(3, w, 1) for w in widths)
        self.blocks = nn.ModuleList(
            nn.Sequential(EqualisedConv(a, a, 3), EqualisedConv(a, b, 3), nn.AvgPool2d(2))
            for b, a in itertools.pairwise(widths))  # fmt: skip
        self.conv = EqualisedConv(widths[0] + 1, widths[0], 3)
        self.hidden = EqualisedConv(widths[0], widths[0], 4)
        self.out = EqualisedConv(widths[0], 1, 1, activate=False)

    def forward(self, images: Tensor, alpha: float = 0.0) -> Tensor:
        """``alpha`` is the share of the lower size, 1 when the newest has just been added."""
        level = int(math.log2(images.shape[-1])) - 2
        x = self.from_rgb[level](images)
        for at in range(level, 0, -1):
            x = self.blocks[at - 1](x)
            if at == level and alpha > 0:
                x = alpha * self.from_rgb[at - 1](F.avg_pool2d(images, 2)) + (1 - alpha) * x
        deviation = (x.var(dim=0, unbiased=False) + 1e-8).sqrt().mean().expand(len(x), 1, 4, 4)
        x = self.conv(torch.cat([x, deviation], dim=1))
        x = F.conv2d(x, self.hidden.weight * self.hidden.gain, self.hidden.bias)
        return self.out(F.leaky_relu(x, 0.2) * math.sqrt(2)).flatten()
