"""Inception-v3 as FID knows it: torchvision's network with the pooling of the 2015-12-05 graph.

The weights of that graph were published as a state dict by pytorch-fid. They fit torchvision's Inception-v3 with 1008 classes, but
the graph averages without counting the padding, and pools by maximum, not by mean, in the last block. Held against clean-fid's copy
of pytorch-fid's network in the tests. Szegedy et al. 2016 (arXiv 1512.00567); Heusel et al. 2017 (arXiv 1706.08500).
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, max_pool2d
from torchvision.models.inception import Inception3, InceptionA, InceptionC, InceptionE

_STEM = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "maxpool1", "Conv2d_3b_1x1", "Conv2d_4a_3x3", "maxpool2")
_BLOCKS = ("Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e", "Mixed_7a", "Mixed_7b", "Mixed_7c")


class InceptionFid(Inception3):
    """(n, 3, 299, 299) in -1..1 -> (n, 2048), the third pooling layer."""

    def __init__(self) -> None:
        super().__init__(num_classes=1008, aux_logits=False, init_weights=False)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = _A(192, 32), _A(256, 64), _A(288, 64)
        self.Mixed_6b, self.Mixed_6c = _C(768, 128), _C(768, 160)
        self.Mixed_6d, self.Mixed_6e = _C(768, 160), _C(768, 192)
        self.Mixed_7b, self.Mixed_7c = _E(1280), _E(2048)
        self.Mixed_7c.last = True

    def forward(self, x: Tensor) -> Tensor:
        for name in (*_STEM, *_BLOCKS):
            x = getattr(self, name)(x)
        return x.mean(dim=(2, 3))


def _mean(x: Tensor) -> Tensor:
    return avg_pool2d(x, kernel_size=3, stride=1, padding=1, count_include_pad=False)


class _A(InceptionA):
    def forward(self, x: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), self.branch5x5_2(self.branch5x5_1(x)), double, self.branch_pool(_mean(x))], dim=1)


class _C(InceptionC):
    def forward(self, x: Tensor) -> Tensor:
        single = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = x
        for at in range(1, 6):
            double = getattr(self, f"branch7x7dbl_{at}")(double)
        return torch.cat([self.branch1x1(x), single, double, self.branch_pool(_mean(x))], dim=1)


class _E(InceptionE):
    last = False

    def forward(self, x: Tensor) -> Tensor:
        single = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        pooled = max_pool2d(x, kernel_size=3, stride=1, padding=1) if self.last else _mean(x)
        split = [self.branch3x3_2a(single), self.branch3x3_2b(single), self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double)]
        return torch.cat([self.branch1x1(x), *split, self.branch_pool(pooled)], dim=1)


def inception_fid() -> nn.Module:
    """Return the network without weights, in evaluation mode."""
    return InceptionFid().eval()
