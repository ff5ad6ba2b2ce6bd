"""Adversarial training of StyleGAN2, growing from small to full size so that two processor cores are enough.

Losses: non-saturating logistic with lazy R1 (Mescheder et al. 2018, arXiv 1801.04406) and lazy path-length
regularisation (Karras et al. 2020, arXiv 1912.04958, section 3.2), Adam with the lazy-regularisation correction, and an
exponential moving average of the generator (Karras et al. 2018, arXiv 1710.10196). Departure: the size grows in steps,
which the paper does without; new output layers start at zero, so an image is at first its own enlargement.
"""

import copy
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from audit.generators.stylegan2 import StyleGAN2
from mitigations.training.data import PortraitStream, to_signed
from mitigations.training.discriminator import Discriminator
from mitigations.training.recipes import Recipe, TrainingLog


class StyleGAN2Trainer:
    """Holds networks, optimisers and the running averages; one call of :meth:`step` is one batch."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        torch.manual_seed(recipe.seed)
        net = recipe.network
        self.recipe, self.device = recipe, device
        self.generator = StyleGAN2(**net).to(device)
        self.discriminator = Discriminator(net["resolution"], net["channels"]).to(device)
        for network in (self.generator, self.discriminator):
            network.to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.generator).eval().requires_grad_(False)
        options = recipe.options
        self.r1_every, self.path_every = options["r1_every"], options["path_every"]
        self.g_optimiser = _adam(self.generator, options["lr"], self.path_every)
        self.d_optimiser = _adam(self.discriminator, options["lr"], self.r1_every)
        self.path_mean = torch.zeros([], device=device)
        self.images_seen, self.steps = 0, 0

    def step(self, real: Tensor, resolution: int) -> dict[str, float]:
        """Update both networks on one batch of real images, (n, 3, resolution, resolution) in -1..1."""
        n, options = real.shape[0], self.recipe.options
        self._train(self.discriminator, self.generator)
        with torch.no_grad():
            fake, _ = self._generate(n, resolution)
        d_fake, d_real = self.discriminator(fake), self.discriminator(real)
        d_loss = F.softplus(d_fake).mean() + F.softplus(-d_real).mean()
        self._update(self.d_optimiser, d_loss)
        if self.steps % self.r1_every == 0:
            real = real.detach().requires_grad_(True)
            (gradient,) = torch.autograd.grad(self.discriminator(real).sum(), real, create_graph=True)
            penalty = gradient.square().sum(dim=[1, 2, 3]).mean() * (options["r1_gamma"][str(resolution)] / 2)
            self._update(self.d_optimiser, penalty * self.r1_every)
        self._train(self.generator, self.discriminator)
        fake, _ = self._generate(n, resolution)
        g_loss = F.softplus(-self.discriminator(fake)).mean()
        self._update(self.g_optimiser, g_loss)
        if self.steps % self.path_every == 0:
            self._update(self.g_optimiser, self._path_length(max(n // 2, 1), resolution) * self.path_every)
        self._average(n)
        self.images_seen += n
        self.steps += 1
        return {"d_loss": d_loss.item(), "g_loss": g_loss.item(), "d_real": d_real.mean().item(), "d_fake": d_fake.mean().item()}

    def grow(self, resolution: int) -> None:
        """Prepare the layers of a new size: their colour output starts at zero."""
        for network in (self.generator, self.average):
            rgb = getattr(network.synthesis, f"b{resolution}").torgb
            nn.init.zeros_(rgb.weight)
            nn.init.zeros_(rgb.bias)

    def _generate(self, n: int, resolution: int) -> tuple[Tensor, Tensor]:
        z = torch.randn(n, self.generator.z_dim, device=self.device)
        ws = self.generator.mapping(z)
        with torch.no_grad():
            self.generator.mapping.w_avg.lerp_(ws[:, 0].mean(dim=0), 0.005)
        return self.generator.synthesis(ws, noise="random", resolution=resolution), ws

    def _path_length(self, n: int, resolution: int) -> Tensor:
        images, ws = self._generate(n, resolution)
        noise = torch.randn_like(images) / images.shape[-1]
        (gradient,) = torch.autograd.grad((images * noise).sum(), ws, create_graph=True)
        lengths = gradient.square().sum(dim=2).mean(dim=1).sqrt()
        self.path_mean.lerp_(lengths.detach().mean(), 0.01)
        return (lengths - self.path_mean).square().mean() * self.recipe.options["path_weight"]

    def _average(self, n: int) -> None:
        half_life = min(self.recipe.options["ema_images"], 0.1 * self.images_seen + 1)
        decay = 0.5 ** (n / half_life)
        with torch.no_grad():
            for slow, fast in zip(self.average.parameters(), self.generator.parameters(), strict=True):
                slow.lerp_(fast, 1 - decay)
            for slow, fast in zip(self.average.buffers(), self.generator.buffers(), strict=True):
                slow.copy_(fast)

    @staticmethod
    def _train(active: nn.Module, frozen: nn.Module) -> None:
        active.requires_grad_(True)
        frozen.requires_grad_(False)

    @staticmethod
    def _update(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    def state(self) -> dict:
        """Return everything a resumed run needs, as tensors and plain numbers."""
        return {"generator": self.generator.state_dict(), "discriminator": self.discriminator.state_dict(),
                "average": self.average.state_dict(), "g_optimiser": self.g_optimiser.state_dict(),
                "d_optimiser": self.d_optimiser.state_dict(), "path_mean": self.path_mean,
                "images_seen": self.images_seen, "steps": self.steps, "rng": torch.get_rng_state()}  # fmt: skip

    def load(self, state: dict) -> None:
        """Continue from :meth:`state`."""
        for name in ("generator", "discriminator", "average", "g_optimiser", "d_optimiser"):
            getattr(self, name).load_state_dict(state[name])
        self.path_mean.copy_(state["path_mean"])
        self.images_seen, self.steps = state["images_seen"], state["steps"]
        torch.set_rng_state(state["rng"].cpu())


def train_stylegan2(recipe: Recipe, out: Path, device: torch.device, *, sample: Callable[[nn.Module, int], None]) -> nn.Module:
    """Train by ``recipe`` and return the averaged generator.

    Args:
        recipe: kind "stylegan2".
        out: folder for the checkpoint (resumed from when there) and the log.
        device: where to train.
        sample: called with the averaged generator and the current size every few minutes, to draw a grid.
    """
    trainer = StyleGAN2Trainer(recipe, device)
    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists():
        trainer.load(torch.load(checkpoint, map_location=device, weights_only=True))
    stream = PortraitStream(recipe.population, recipe.seed)
    batch, total, log = recipe.options["batch"], sum(n for _, n in recipe.schedule), TrainingLog(out)
    saved = time.monotonic()
    with tqdm(total=total, initial=trainer.images_seen, unit="img", desc=recipe.name) as bar:
        while trainer.images_seen < total:
            resolution, begins = recipe.stage(trainer.images_seen)
            if begins and resolution != recipe.schedule[0][0]:
                trainer.grow(resolution)
            images, _ = stream.batch(trainer.images_seen, batch)
            losses = trainer.step(to_signed(images, resolution).to(device, memory_format=torch.channels_last), resolution)
            bar.update(batch)
            if trainer.steps % 50 == 0:
                log.write(images=trainer.images_seen, resolution=resolution, **losses)
            if time.monotonic() - saved > 120:
                torch.save(trainer.state(), checkpoint)
                sample(trainer.average, resolution)
                saved = time.monotonic()
    torch.save(trainer.state(), checkpoint)
    return trainer.average


def _adam(network: nn.Module, lr: float, regularised_every: int) -> torch.optim.Adam:
    ratio = regularised_every / (regularised_every + 1)  # keeps the pace when regularisation is lazy
    return torch.optim.Adam(network.parameters(), lr=lr * ratio, betas=(0.0, 0.99**ratio), eps=1e-8)
