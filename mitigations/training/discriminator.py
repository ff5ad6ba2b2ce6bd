"""Residual StyleGAN2 discriminator with minibatch standard deviation, usable at every size of a growing run.

Karras et al. 2020, arXiv 1912.04958, section 4.1 (residual discriminator); minibatch standard deviation from
Karras et al. 2018, arXiv 1710.10196, section 3. Departures: every size also enters directly (the input skips of the 2020
paper's section 4.1), and what a size adds to the next is scaled by a learned gain that starts at zero when the size is new, so that
growing does not blind the discriminator; 2x2 averaging, and before the second convolution of a block
instead of after it, which is a quarter of that layer's work.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audit.generators.stylegan2 import FullyConnected


class EqualisedConv(nn.Module):
    """Convolution with equalised learning rate and an optional leaky ReLU of gain sqrt(2)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, activate: bool = True, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.gain, self.pad, self.activate = 1 / math.sqrt(inputs * kernel * kernel), kernel // 2, activate

    def forward(self, x: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias.to(x.dtype)
        x = F.conv2d(x, (self.weight * self.gain).to(x.dtype), bias, padding=self.pad)
        return F.leaky_relu(x, 0.2) * math.sqrt(2) if self.activate else x


class ResidualBlock(nn.Module):
    """Two convolutions and a halving, beside a halved 1x1 path."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv0 = EqualisedConv(inputs, inputs, 3)
        self.conv1 = EqualisedConv(inputs, outputs, 3)
        self.skip = EqualisedConv(inputs, outputs, 1, activate=False, bias=False)

    def forward(self, x: Tensor) -> Tensor:  # (n, inputs, h, w) -> (n, outputs, h/2, w/2)
        straight = self.skip(F.avg_pool2d(x, 2))
        x = self.conv1(F.avg_pool2d(self.conv0(x), 2))
        return (x + straight) * math.sqrt(0.5)


class Discriminator(nn.Module):
    """(n, 3, r, r) in -1..1 -> (n,) logits, for any r up to ``resolution``.

    Args:
        resolution: largest image side.
        channels: feature maps at each resolution, as in the generator.
        group: images that share one minibatch standard deviation.
    """

    def __init__(self, resolution: int, channels: dict[int, int], group: int = 8) -> None:
        super().__init__()
        channels = {int(k): v for k, v in channels.items()}
        self.group = group
        self.sizes = [2**i for i in range(int(math.log2(resolution)), 2, -1)]
        for r in self.sizes:
            setattr(self, f"from_rgb{r}", EqualisedConv(3, channels[r], 1))
            setattr(self, f"block{r}", ResidualBlock(channels[r], channels[r // 2]))
            setattr(self, f"detail{r}", nn.Parameter(torch.zeros([]) if r > 8 else torch.ones([])))
        self.conv = EqualisedConv(channels[4] + 1, channels[4], 3)
        self.hidden = FullyConnected(channels[4] * 16, channels[4], activate=True)
        self.out = FullyConnected(channels[4], 1)

    def features(self, images: Tensor, precision: torch.dtype = torch.float32) -> Tensor:
        """Return the (n, channels) activations before the last layer; auxiliary heads read these."""
        images = images.to(precision)
        x = getattr(self, f"from_rgb{images.shape[-1]}")(images)
        for r in self.sizes:
            if r > images.shape[-1]:
                continue
            x = getattr(self, f"block{r}")(x) * getattr(self, f"detail{r}").to(x.dtype)
            if r > 8:
                images = F.avg_pool2d(images, 2)
                x = x + getattr(self, f"from_rgb{r // 2}")(images)
        x = x.float()
        x = self.conv(torch.cat([x, _minibatch_deviation(x, self.group)], dim=1))
        return self.hidden(x.flatten(1))

    def forward(self, images: Tensor, precision: torch.dtype = torch.float32) -> Tensor:
        return self.out(self.features(images, precision)).squeeze(1)


def _minibatch_deviation(x: Tensor, group: int) -> Tensor:
    n, c, h, w = x.shape
    g = min(group, n)
    while n % g:
        g -= 1
    y = x.view(g, n // g, c, h, w)
    y = (y.var(dim=0, unbiased=False) + 1e-8).sqrt().mean(dim=[1, 2, 3])  # (n / g)
    return y.repeat(g).view(n, 1, 1, 1).expand(n, 1, h, w)
