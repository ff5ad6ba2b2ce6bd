"""Training of a convolutional variational autoencoder whose decoder is the generator.

Kingma, Welling 2014, arXiv 1312.6114, equation 10: squared error of pixels under a Gaussian of fixed variance, plus the KL term in
closed form. ``beta`` weighs the KL term per image against the summed squared error in units of 1/2 (beta 1 = unit variance).
"""

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audit.generators.vae import VAEDecoder
from mitigations.training.recipes import Recipe


class VAEEncoder(nn.Module):
    """(n, 3, r, r) -> mean and log-variance (n, z_dim) each.

    Args:
        z_dim: width of the latent.
        widths: channels from the largest map (side r/2) down to side 2, the mirror image of the decoder's.
    """

    def __init__(self, z_dim: int, widths: list[int]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for a, b in itertools.pairwise([3, *widths]):
            layers += [nn.Conv2d(a, b, 3, 2, 1), nn.BatchNorm2d(b), nn.LeakyReLU()]
        self.body, self.out = nn.Sequential(*layers), nn.Linear(widths[-1] * 4, 2 * z_dim)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.out(self.body(images).flatten(1)).chunk(2, dim=1)
        return mean, log_variance.clamp(-10, 10)


class VAETrainer:
    """Both networks and their optimiser; driven by :func:`mitigations.training.stylegan2.carry_on`.

    Args:
        recipe: ``network``: z_dim, widths (2x2 map first), side; ``options``: lr, beta, batch.
        device: where to train.
    """

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.device = recipe, device
        net = recipe.network
        self.generator = VAEDecoder(**net).to(device, memory_format=torch.channels_last)
        self.encoder = VAEEncoder(net["z_dim"], [*net["widths"][::-1]]).to(device, memory_format=torch.channels_last)
        self.optimiser = torch.optim.Adam([*self.generator.parameters(), *self.encoder.parameters()], lr=recipe.options["lr"])
        self.images_seen, self.steps = 0, 0

    @property
    def average(self) -> nn.Module:
        """The model to keep."""
        return self.generator

    def step(self, real: Tensor, resolution: int, labels: Tensor | None = None) -> dict[str, float]:
        """Update on one batch of images (n, 3, r, r) in -1..1."""
        self.generator.train()
        mean, log_variance = self.encoder(real)
        z = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        error = 0.5 * F.mse_loss(self.generator(z), real, reduction="sum") / len(real)
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum() / len(real)
        self.optimiser.zero_grad(set_to_none=True)
        (error + self.recipe.options["beta"] * kl).backward()
        self.optimiser.step()
        self.images_seen += len(real)
        self.steps += 1
        return {"error": error.item(), "kl": kl.item()}

    def state(self) -> dict:
        """Return everything a resumed run needs."""
        return {"generator": self.generator.state_dict(), "encoder": self.encoder.state_dict(), "optimiser": self.optimiser.state_dict(),
                "images_seen": self.images_seen, "steps": self.steps, "rng": torch.get_rng_state()}  # fmt: skip

    def load(self, state: dict) -> None:
        """Continue from :meth:`state`."""
        for name in ("generator", "encoder", "optimiser"):
            getattr(self, name).load_state_dict(state[name])
        self.images_seen, self.steps = state["images_seen"], state["steps"]
        torch.set_rng_state(state["rng"].cpu())
