"""A mixture of generators, as AdaGAN ends with: the latent chooses the component, and then is its latent.

Tolstikhin et al. 2017, "AdaGAN: Boosting Generative Models", arXiv 1701.02386: sampling picks component t with probability alpha_t
(section 2). The choice is made from the last number of z, so that an image still depends on its latent alone.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from audit.errors import ManifestError
from audit.generators.dcgan import DCGAN


class DCGANMixture(nn.Module):
    """z (n, z_dim) -> image in -1..1; the last number of z is turned into a uniform one and picks the component.

    Args:
        shapes: of each component's transposed convolutions, as for :class:`audit.generators.dcgan.DCGAN`.
        weights: (T,) mixture weights that add to 1.

    Raises:
        ManifestError: the weights are no shares.
    """

    prior = "normal"

    def __init__(self, shapes: Sequence[Sequence[int]], weights: Sequence[float]) -> None:
        super().__init__()
        if not weights or min(weights) < 0 or abs(sum(weights) - 1) > 1e-6:
            raise ManifestError(f"mixture weights {list(weights)} are no shares; expected numbers >= 0 that add to 1")
        self.parts = nn.ModuleList(DCGAN(shapes) for _ in weights)
        self.z_dim = self.parts[0].z_dim + 1
        self.register_buffer("edges", torch.tensor(weights, dtype=torch.float64).cumsum(0), persistent=False)

    def component(self, z: Tensor) -> Tensor:
        """Return (n,) component numbers."""
        u = torch.special.ndtr(z[:, -1].double())
        return torch.bucketize(u, self.edges[:-1].contiguous(), right=True)

    def forward(self, z: Tensor) -> Tensor:
        """Return (n, 3, h, w) float32 in -1..1."""
        which, images = self.component(z), None
        for at, part in enumerate(self.parts):
            rows = (which == at).nonzero()[:, 0]
            if len(rows):
                drawn = part(z[rows, :-1])
                images = drawn.new_zeros(len(z), *drawn.shape[1:]) if images is None else images
                images[rows] = drawn
        return z.new_zeros(0, 3, 4, 4) if images is None else images
