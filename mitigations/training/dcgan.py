"""Adversarial training of a DCGAN.

Radford, Metz, Chintala 2016, arXiv 1511.06434: non-saturating loss, Adam with beta1 0.5, batch norm in both networks, weights from
N(0, 0.02). Departures: z is normal (the paper: uniform), and 32x32 images with few channels.
"""

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audit.generators.dcgan import DCGAN
from mitigations.training.critics import DCGANCritic
from mitigations.training.recipes import Recipe


def dcgan_shapes(z_dim: int, widths: list[int]) -> list[list[int]]:
    """Return the shapes that :class:`audit.generators.dcgan.DCGAN` is built from: 4x4 first, then doubling to three colours."""
    return [[a, b, 4, 4] for a, b in itertools.pairwise([z_dim, *widths, 3])]


class DCGANTrainer:
    """Networks and optimisers; one call of :meth:`step` is one batch. Written to be driven by :func:`mitigations.training.stylegan2.carry_on`.

    Args:
        recipe: ``network``: z_dim, widths from the 4x4 map on; ``options``: lr, beta1, batch.
        device: where to train.
    """

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.device = recipe, device
        net, options = recipe.network, recipe.options
        self.shapes = dcgan_shapes(net["z_dim"], net["widths"])
        self.generator = DCGAN(self.shapes).to(device)
        self.critic = DCGANCritic(net["widths"][::-1]).to(device)
        for network in (self.generator, self.critic):
            network.apply(_small)
            network.to(memory_format=torch.channels_last)
        betas = (options["beta1"], 0.999)
        self.g_optimiser = torch.optim.Adam(self.generator.parameters(), lr=options["lr"], betas=betas)
        self.d_optimiser = torch.optim.Adam(self.critic.parameters(), lr=options["lr"], betas=betas)
        self.images_seen, self.steps = 0, 0

    @property
    def average(self) -> nn.Module:
        """The model to keep: the generator itself, there is no running average in the paper."""
        return self.generator

    def step(self, real: Tensor, resolution: int, labels: Tensor | None = None) -> dict[str, float]:
        """Update both networks on one batch of real images (n, 3, r, r) in -1..1."""
        n = len(real)
        self.generator.train()
        fake = self.generator(torch.randn(n, self.generator.z_dim, device=self.device))
        d_loss = F.softplus(-self.critic(real)).mean() + F.softplus(self.critic(fake.detach())).mean()
        self.d_optimiser.zero_grad(set_to_none=True)
        d_loss.backward()
        self.d_optimiser.step()
        g_loss = F.softplus(-self.critic(fake)).mean()
        self.g_optimiser.zero_grad(set_to_none=True)
        g_loss.backward()
        self.g_optimiser.step()
        self.images_seen += n
        self.steps += 1
        return {"d_loss": d_loss.item(), "g_loss": g_loss.item()}

    def state(self) -> dict:
        """Return everything a resumed run needs."""
        return {"generator": self.generator.state_dict(), "critic": self.critic.state_dict(), "g_optimiser": self.g_optimiser.state_dict(),
                "d_optimiser": self.d_optimiser.state_dict(), "images_seen": self.images_seen, "steps": self.steps,
                "rng": torch.get_rng_state()}  # fmt: skip

    def load(self, state: dict) -> None:
        """Continue from :meth:`state`."""
        for name in ("generator", "critic", "g_optimiser", "d_optimiser"):
            getattr(self, name).load_state_dict(state[name])
        self.images_seen, self.steps = state["images_seen"], state["steps"]
        torch.set_rng_state(state["rng"].cpu())


def _small(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(layer.weight, 0.0, 0.02)
    elif isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1.0, 0.02)
