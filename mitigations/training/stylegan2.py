"""Adversarial training of StyleGAN2, growing from small to full size so that two processor cores are enough.

Losses: non-saturating logistic with lazy R1 (Mescheder et al. 2018, arXiv 1801.04406) and lazy path-length
regularisation (Karras et al. 2020, arXiv 1912.04958, section 3.2), Adam with the lazy-regularisation correction, and an
exponential moving average of the generator (Karras et al. 2018, arXiv 1710.10196). Departure: the size grows in steps,
which the paper does without; new output layers start at zero, so an image is at first its own enlargement.
"""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from audit.errors import ManifestError
from audit.generators.stylegan2 import StyleGAN2
from mitigations.training.data import to_signed
from mitigations.training.discriminator import Discriminator
from mitigations.training.images import stream_of
from mitigations.training.recipes import Recipe, TrainingLog

Batches = Callable[[int, int, int], tuple[Tensor, Tensor | None]]
"""(first image, n, resolution) -> real images in -1..1 and their labels."""


@dataclass
class Drawn:
    """A batch the generator drew while training.

    Attributes:
        images: (n, 3, r, r).
        ws: (n, num_ws, w_dim), with gradient.
        labels: what the generator was asked for, where it can be asked.
    """

    images: Tensor
    ws: Tensor
    labels: Tensor | None = None


class StyleGAN2Trainer:
    """Holds networks, optimisers and the running averages; one call of :meth:`step` is one batch."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        torch.manual_seed(recipe.seed)
        net = recipe.network
        self.recipe, self.device = recipe, device
        self.generator = self.build_generator(net).to(device)
        self.discriminator = self.build_discriminator(net).to(device)
        for network in (self.generator, self.discriminator):
            network.to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.generator).eval().requires_grad_(False)
        options = recipe.options
        self.precision = getattr(torch, options.get("precision", "float32"))
        self.r1_every, self.path_every = options["r1_every"], options["path_every"]
        self.g_optimiser = _adam(self.generator, options["lr"], self.path_every)
        self.d_optimiser = _adam(self.discriminator, options["lr"], self.r1_every)
        self.path_mean = torch.zeros([], device=device)
        self.images_seen, self.steps = 0, 0

    def build_generator(self, network: dict) -> nn.Module:
        """Return a fresh generator; mitigations build theirs here."""
        return StyleGAN2(**network)

    def build_discriminator(self, network: dict) -> nn.Module:
        """Return a fresh discriminator."""
        return Discriminator(network["resolution"], network["channels"])

    def step(self, real: Tensor, resolution: int, labels: Tensor | None = None) -> dict[str, float]:
        """Update both networks on one batch.

        Args:
            real: (n, 3, resolution, resolution) in -1..1.
            resolution: a size of the schedule.
            labels: what is known of each real image, for trainers that use it; (n, ...).
        """
        n, options = real.shape[0], self.recipe.options
        self._train(self.discriminator, self.generator)
        with torch.no_grad():
            fake = self.generate(n, resolution)
        d_loss, said = self.discriminator_loss(real, labels, fake)
        self._update(self.d_optimiser, d_loss)
        if self.steps % self.r1_every == 0:
            real = real.detach().requires_grad_(True)
            (gradient,) = torch.autograd.grad(self.judge(real).sum(), real, create_graph=True)
            penalty = gradient.square().sum(dim=[1, 2, 3]).mean() * (options["r1_gamma"][str(resolution)] / 2)
            self._update(self.d_optimiser, penalty * self.r1_every)
        self._train(self.generator, self.discriminator)
        g_loss, also_said = self.generator_loss(self.generate(n, resolution))
        self._update(self.g_optimiser, g_loss)
        if self.steps % self.path_every == 0:
            self._update(self.g_optimiser, self._path_length(max(n // 2, 1), resolution) * self.path_every)
        self._average(n)
        self.images_seen += n
        self.steps += 1
        return {"d_loss": d_loss.item(), "g_loss": g_loss.item(), **said, **also_said}

    def discriminator_loss(self, real: Tensor, labels: Tensor | None, fake: Drawn) -> tuple[Tensor, dict[str, float]]:
        """Return the discriminator's loss and what to log; mitigations add terms."""
        d_fake, d_real = self.judge(fake.images), self.judge(real)
        return F.softplus(d_fake).mean() + F.softplus(-d_real).mean(), {"d_real": d_real.mean().item(), "d_fake": d_fake.mean().item()}

    def generator_loss(self, fake: Drawn) -> tuple[Tensor, dict[str, float]]:
        """Return the generator's loss and what to log; mitigations add terms."""
        return F.softplus(-self.judge(fake.images)).mean(), {}

    def grow(self, resolution: int) -> None:
        """Prepare the layers of a new size: colour output and the discriminator's attention to it start at zero."""
        for network in (self.generator, self.average):
            rgb = getattr(network.synthesis, f"b{resolution}").torgb
            nn.init.zeros_(rgb.weight)
            nn.init.zeros_(rgb.bias)
        nn.init.zeros_(getattr(self.discriminator, f"detail{resolution}"))

    def generate(self, n: int, resolution: int) -> Drawn:
        """Draw ``n`` images from fresh latents, with noise, at this size."""
        z = torch.randn(n, self.generator.z_dim, device=self.device)
        ws = self.mapped(z)
        return Drawn(self.generator.synthesis(ws, noise="random", resolution=resolution, precision=self.precision), ws)

    def mapped(self, z: Tensor) -> Tensor:
        """Return (n, num_ws, w_dim) and follow the average w."""
        ws = self.generator.mapping(z)
        with torch.no_grad():
            self.generator.mapping.w_avg.lerp_(ws[:, 0].mean(dim=0), 0.005)
        return ws

    def judge(self, images: Tensor) -> Tensor:
        """Return the discriminator's logits (n,)."""
        return self.discriminator(images, self.precision)

    def start_from(self, generator: dict[str, Tensor], critic: dict[str, Tensor] | None = None) -> None:
        """Begin with trained weights instead of random ones: fine-tuning.

        Args:
            generator: state of a generator with the same layers; further layers of this one keep their fresh values.
            critic: state of its discriminator; None = a fresh one.
        """
        for network in (self.generator, self.average):
            _, unknown = network.load_state_dict(generator, strict=False)
            if unknown:
                raise ManifestError(f"the weights to start from hold {unknown[:3]}, which this generator lacks; give weights of its own family")
        if critic is not None:
            self.discriminator.load_state_dict(critic, strict=False)

    def _path_length(self, n: int, resolution: int) -> Tensor:
        fake = self.generate(n, resolution)
        noise = torch.randn_like(fake.images) / fake.images.shape[-1]
        (gradient,) = torch.autograd.grad((fake.images * noise).sum(), fake.ws, create_graph=True)
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


def train_stylegan2(recipe: Recipe, out: Path, device: torch.device, *, sample: Callable[[nn.Module, int], None]) -> StyleGAN2Trainer:
    """Train by ``recipe``, on the built-in world or on the images it names, and return the trainer; its ``average`` is the model.

    Args:
        recipe: kind "stylegan2".
        out: folder for the checkpoint (resumed from when there) and the log.
        device: where to train.
        sample: called with the averaged generator and the current size every few minutes, to draw a grid.
    """
    stream = stream_of(recipe)

    def batch(first: int, n: int, resolution: int) -> tuple[Tensor, None]:
        return to_signed(stream.batch(first, n)[0], resolution), None

    trainer = StyleGAN2Trainer(recipe, device)
    carry_on(trainer, batch, out, sample=sample)
    return trainer


def carry_on(trainer: StyleGAN2Trainer, batch: Batches, out: Path, *, sample: Callable[[nn.Module, int], None]) -> None:
    """Train to the end of the trainer's schedule, from its checkpoint in ``out`` where there is one.

    Args:
        trainer: networks and losses.
        batch: (first image, n, resolution) -> real images (n, 3, r, r) in -1..1 and their labels, or None.
        out: folder of ``checkpoint.pt`` and ``log.jsonl``.
        sample: called with the averaged generator and the current size every few minutes.
    """
    recipe, checkpoint = trainer.recipe, out / "checkpoint.pt"
    if checkpoint.exists():
        trainer.load(torch.load(checkpoint, map_location=trainer.device, weights_only=True))
    n, total, log = recipe.options["batch"], sum(images for _, images in recipe.schedule), TrainingLog(out)
    saved = time.monotonic()
    with tqdm(total=total, initial=trainer.images_seen, unit="img", desc=recipe.name) as bar:
        while trainer.images_seen < total:
            resolution = recipe.stage(trainer.images_seen)
            if trainer.images_seen and recipe.stage(max(trainer.images_seen - n, 0)) != resolution:
                trainer.grow(resolution)
            images, labels = batch(trainer.images_seen, n, resolution)
            images = images.to(trainer.device, memory_format=torch.channels_last)
            losses = trainer.step(images, resolution, None if labels is None else labels.to(trainer.device))
            bar.update(n)
            if trainer.steps % 50 == 0 or trainer.images_seen >= total:
                log.write(images=trainer.images_seen, resolution=resolution, **losses)
            if time.monotonic() - saved > 120:
                _save(trainer, checkpoint)
                sample(trainer.average, resolution)
                saved = time.monotonic()
    _save(trainer, checkpoint)


def _save(trainer: StyleGAN2Trainer, checkpoint: Path) -> None:
    temporary = checkpoint.with_suffix(".tmp")
    torch.save(trainer.state(), temporary)
    temporary.replace(checkpoint)


def _adam(network: nn.Module, lr: float, regularised_every: int) -> torch.optim.Adam:
    ratio = regularised_every / (regularised_every + 1)  # keeps the pace when regularisation is lazy
    return torch.optim.Adam(network.parameters(), lr=lr * ratio, betas=(0.0, 0.99**ratio), eps=1e-8)
