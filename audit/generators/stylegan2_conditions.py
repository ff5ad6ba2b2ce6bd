"""A conditional StyleGAN2 as a plain map from latent to image: the condition is one more entry of the latent."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audit.errors import SourceError
from audit.generators.stylegan2 import StyleGAN2


class ConditionedStyleGAN2(nn.Module):
    """Draws each image for a class of its own, or all of them for one class.

    The last entry of the latent, a standard normal number, becomes the class through the normal distribution function: every class
    is as likely as any other. The first ``z_dim`` entries are the latent of the network itself.

    Args:
        network: a StyleGAN2 with ``c_dim`` classes, given to it as one-hot conditions.
        label: draw this class only, 0-based; None = every class equally often.
    """

    def __init__(self, network: StyleGAN2, label: int | None = None) -> None:
        super().__init__()
        if not network.c_dim:
            raise SourceError("a condition was asked of a generator without one; leave the label out")
        if label is not None and not 0 <= label < network.c_dim:
            raise SourceError(f"there is no class {label}; this generator has {network.c_dim}, the first is 0")
        self.inner, self.label = network, label
        self.z_dim, self.resolution = network.z_dim + 1, network.resolution

    def labels(self, z: Tensor) -> Tensor:
        """Return the classes (n,) that latents (n, z_dim) ask for."""
        if self.label is not None:
            return torch.full((len(z),), self.label, dtype=torch.int64, device=z.device)
        classes = self.inner.c_dim
        return (torch.special.ndtr(z[:, -1].double()) * classes).long().clamp(0, classes - 1)

    def forward(self, z: Tensor, **call: object) -> Tensor:
        """Return (n, 3, h, w) float32, nominal range -1..1; ``call`` is that of :meth:`StyleGAN2.forward`."""
        condition = F.one_hot(self.labels(z), self.inner.c_dim).float()
        return self.inner(z[:, :-1], condition, **call)
