"""Progressive training of a GAN with the Wasserstein loss and gradient penalty.

Karras et al. 2018, arXiv 1710.10196: growing from 4x4 with each new size faded in, equalised learning rate, pixel norm, minibatch
standard deviation, WGAN-GP (Gulrajani et al. 2017, arXiv 1704.00028) with penalty weight 10 and drift 0.001, Adam (0, 0.99), running
average 0.999 of the generator. Departure: few channels, a short schedule, and one penalty in ``gp_every`` batches, weighted up by as
much (lazy, as Karras et al. 2020 do for R1).
"""

import copy
import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audit.generators.progan import ProGAN
from mitigations.training.critics import ProgressiveCritic
from mitigations.training.discriminator import EqualisedConv
from mitigations.training.recipes import Recipe


class GrowingGenerator(nn.Module):
    """z -> image of any size up to the full one; :meth:`plain` gives the network that ships.

    Args:
        z_dim: width of the latent.
        widths: channels of the maps of side 4, 8, ...
    """

    def __init__(self, z_dim: int, widths: list[int]) -> None:
        super().__init__()
        self.z_dim, self.widths = z_dim, list(widths)
        self.format = EqualisedConv(z_dim, 16 * widths[0], 1, activate=False)
        self.convs = nn.ModuleList([EqualisedConv(widths[0], widths[0], 3, activate=False)])
        for a, b in itertools.pairwise(widths):
            self.convs.extend([EqualisedConv(a, b, 3, activate=False), EqualisedConv(b, b, 3, activate=False)])
        self.to_rgb = nn.ModuleList(EqualisedConv(w, 3, 1, activate=False) for w in widths)

    def forward(self, z: Tensor, resolution: int | None = None, alpha: float = 0.0) -> Tensor:
        """Return (n, 3, resolution, resolution); ``alpha`` is the share of the lower size."""
        level = len(self.widths) - 1 if resolution is None else int(math.log2(resolution)) - 2
        x = _after(self.format(_pixel_norm(z)[:, :, None, None]).view(len(z), -1, 4, 4))
        x, lower = _after(self.convs[0](x)), None
        for at in range(1, level + 1):
            lower = x
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = _after(self.convs[2 * at](_after(self.convs[2 * at - 1](x))))
        images = self.to_rgb[level](x)
        if alpha > 0 and lower is not None:
            images = alpha * F.interpolate(self.to_rgb[level - 1](lower), scale_factor=2, mode="nearest") + (1 - alpha) * images
        return images

    def plain(self) -> ProGAN:
        """Return the full-size network with the constants of the equalised learning rate multiplied into its weights.

        The leaky ReLU's gain of sqrt(2) goes where the ReLU is followed by a pixel norm, which takes any gain away: nowhere.
        """
        model = ProGAN(self.z_dim, self.widths)
        state = {"format.weight": (self.format.weight * self.format.gain)[:, :, 0, 0], "format.bias": self.format.bias}
        for at, layer in enumerate(self.convs):
            state |= {f"convs.{at}.weight": layer.weight * layer.gain, f"convs.{at}.bias": layer.bias}
        last = self.to_rgb[-1]
        state |= {"to_rgb.last.weight": last.weight * last.gain, "to_rgb.last.bias": last.bias}
        model.load_state_dict({k: v.detach().clone() for k, v in state.items()})
        return model.eval()


def _pixel_norm(x: Tensor) -> Tensor:
    return x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()


def _after(x: Tensor) -> Tensor:
    return _pixel_norm(F.leaky_relu(x, 0.2))


class ProGANTrainer:
    """Networks, optimisers and the running average; driven by :func:`mitigations.training.stylegan2.carry_on`.

    Args:
        recipe: ``network``: z_dim, widths; ``schedule``: sizes; ``options``: lr, fade (share of a stage), gp_every, batch.
        device: where to train.
    """

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.device = recipe, device
        self.generator = GrowingGenerator(**recipe.network).to(device, memory_format=torch.channels_last)
        self.critic = ProgressiveCritic(recipe.network["widths"]).to(device, memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        options = recipe.options
        self.g_optimiser = torch.optim.Adam(self.generator.parameters(), lr=options["lr"], betas=(0.0, 0.99))
        self.d_optimiser = torch.optim.Adam(self.critic.parameters(), lr=options["lr"], betas=(0.0, 0.99))
        self.images_seen, self.steps = 0, 0

    def alpha(self) -> float:
        """Return the share of the lower size: from 1 at the start of a stage to 0 after its ``fade``."""
        start = 0
        for size, images in self.recipe.schedule:
            if self.images_seen < start + images or size == self.recipe.schedule[-1][0]:
                if size == self.recipe.schedule[0][0]:
                    return 0.0
                return max(0.0, 1 - (self.images_seen - start) / (self.recipe.options["fade"] * images))
            start += images
        return 0.0

    def step(self, real: Tensor, resolution: int, labels: Tensor | None = None) -> dict[str, float]:
        """Update both networks on one batch of real images (n, 3, resolution, resolution) in -1..1."""
        n, alpha, options = len(real), self.alpha(), self.recipe.options
        fake = self.generator(torch.randn(n, self.generator.z_dim, device=self.device), resolution, alpha)
        d_real, d_fake = self.critic(real, alpha), self.critic(fake.detach(), alpha)
        d_loss = d_fake.mean() - d_real.mean() + 0.001 * d_real.square().mean()
        loss = d_loss
        if self.steps % options["gp_every"] == 0:
            mix = torch.rand(n, 1, 1, 1, device=self.device)
            between = (mix * real + (1 - mix) * fake.detach()).requires_grad_(True)
            (slope,) = torch.autograd.grad(self.critic(between, alpha).sum(), between, create_graph=True)
            loss = loss + 10.0 * options["gp_every"] * (slope.flatten(1).norm(dim=1) - 1).square().mean()
        self.d_optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.d_optimiser.step()
        g_loss = -self.critic(fake, alpha).mean()
        self.g_optimiser.zero_grad(set_to_none=True)
        g_loss.backward()
        self.g_optimiser.step()
        decay = min(0.999, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            for slow, fast in zip(self.average.parameters(), self.generator.parameters(), strict=True):
                slow.lerp_(fast, 1 - decay)
        self.images_seen += n
        self.steps += 1
        return {"d_loss": d_loss.item(), "g_loss": g_loss.item(), "alpha": alpha}

    def grow(self, resolution: int) -> None:
        """Nothing to prepare: the new size is faded in."""

    def state(self) -> dict:
        """Return everything a resumed run needs."""
        return {"generator": self.generator.state_dict(), "critic": self.critic.state_dict(), "average": self.average.state_dict(),
                "g_optimiser": self.g_optimiser.state_dict(), "d_optimiser": self.d_optimiser.state_dict(),
                "images_seen": self.images_seen, "steps": self.steps, "rng": torch.get_rng_state()}  # fmt: skip

    def load(self, state: dict) -> None:
        """Continue from :meth:`state`."""
        for name in ("generator", "critic", "average", "g_optimiser", "d_optimiser"):
            getattr(self, name).load_state_dict(state[name])
        self.images_seen, self.steps = state["images_seen"], state["steps"]
        torch.set_rng_state(state["rng"].cpu())
