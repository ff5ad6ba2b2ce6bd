"""Training of a CycleGAN between two populations of the built-in world: unpaired, adversarial, and back again.

Zhu, Park, Isola, Efros 2017, arXiv 1703.10593: least-squares adversarial loss (section 4), cycle weight 10, identity weight 5 (section
5.2), patches judged at 34 x 34 pixels of 64 (70 x 70 of 256 in the paper), a pool of 50 past images for the discriminators, Adam at
2e-4 an image with beta1 0.5, constant and then falling to 0. Departures, so that a core can do it in minutes: images of 64 x 64, few
channels, two halvings in the discriminator instead of three, pairs of images instead of single ones (and so twice the learning rate), a
hundredth of the paper's steps, endless fresh portraits instead of a fixed set, and no flips (a portrait is nearly its own mirror image).
Tried and left: generators that say by how much each pixel changes, and so start at the identity. With cycle weight 10 they stay there:
after 1,900 images the mean change was below a tenth of an 8-bit step.
"""

import itertools
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from audit.generators.cyclegan import CycleGANGenerator
from mitigations.training.data import PortraitStream, to_signed
from mitigations.training.recipes import Recipe, TrainingLog

APART = 50_000_000
"""First image of the second set: no portrait of it has the seed, and so the geometry, of one of the first."""


class PatchCritic(nn.Module):
    """(n, 3, h, w) in -1..1 -> (n, 1, h', w'): a number near 1 for each patch that looks real, near 0 otherwise."""

    def __init__(self, channels: tuple[int, ...] = (32, 64)) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, channels[0], 4, 2, 1)
        self.further = nn.ModuleList(nn.Conv2d(a, b, 4, 2, 1) for a, b in itertools.pairwise(channels))
        self.last = nn.Conv2d(channels[-1], channels[-1], 4, 1, 1)
        self.out = nn.Conv2d(channels[-1], 1, 4, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        x = F.leaky_relu(self.first(images), 0.2)
        for conv in (*self.further, self.last):
            x = F.leaky_relu(F.instance_norm(conv(x)), 0.2)
        return self.out(x)


class ImagePool:
    """The last images a generator made, some of which the discriminator sees again (Shrivastava et al. 2017, arXiv 1612.07828)."""

    def __init__(self, size: int) -> None:
        self.size, self.images = size, torch.zeros(0)

    def mixed(self, images: Tensor) -> Tensor:
        """Return ``images``, about half of them exchanged for older ones once the pool is full."""
        if len(self.images) < self.size:
            self.images = torch.cat([self.images, images])[: self.size] if len(self.images) else images.clone()
            return images
        given = images.clone()
        for i in torch.nonzero(torch.rand(len(images)) < 0.5).flatten().tolist():
            at = int(torch.randint(self.size, ()))
            given[i], self.images[at] = self.images[at].clone(), images[i]
        return given


class CycleGANTrainer:
    """Holds both generators, both discriminators and their optimisers; one call of :meth:`step` is one batch."""

    PARTS = ("forward", "backward", "critic_after", "critic_before", "g_optimiser", "d_optimiser")

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.device, options = recipe, device, recipe.options
        self.forward = CycleGANGenerator(**recipe.network).to(device)  # before -> after, the map that is audited
        self.backward = CycleGANGenerator(**recipe.network).to(device)
        self.critic_after = PatchCritic(tuple(options["critic_channels"])).to(device)
        self.critic_before = PatchCritic(tuple(options["critic_channels"])).to(device)
        for network in (self.forward, self.backward, self.critic_after, self.critic_before):
            network.apply(_initialise)
            network.to(memory_format=torch.channels_last)
        makers = [*self.forward.parameters(), *self.backward.parameters()]
        judges = [*self.critic_after.parameters(), *self.critic_before.parameters()]
        self.g_optimiser = torch.optim.Adam(makers, lr=options["lr"], betas=(0.5, 0.999))
        self.d_optimiser = torch.optim.Adam(judges, lr=options["lr"], betas=(0.5, 0.999))
        self.pools = {"after": ImagePool(options["pool"]), "before": ImagePool(options["pool"])}
        self.total = sum(images for _, images in recipe.schedule)
        self.images_seen, self.steps = 0, 0

    def step(self, before: Tensor, after: Tensor) -> dict[str, float]:
        """Update all four networks on a batch of each set, (n, 3, h, w) in -1..1 each, unpaired; return the losses."""
        options, n = self.recipe.options, len(before)
        self._pace()
        for critic in (self.critic_after, self.critic_before):
            critic.requires_grad_(False)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=options["precision"] == "bfloat16"):
            if options["identity_weight"]:
                # Instance norm makes images of a batch independent, so what one network is asked goes through it at once.
                made_after, kept_after = self.forward(torch.cat([before, after])).split(n)
                made_before, kept_before = self.backward(torch.cat([after, before])).split(n)
                identity = F.l1_loss(kept_after, after) + F.l1_loss(kept_before, before)
            else:
                made_after, made_before, identity = self.forward(before), self.backward(after), torch.zeros(())
            cycle = F.l1_loss(self.backward(made_after), before) + F.l1_loss(self.forward(made_before), after)
            fooled = _squares(self.critic_after(made_after), 1) + _squares(self.critic_before(made_before), 1)
        g_loss = fooled + options["cycle_weight"] * cycle + options["identity_weight"] * identity
        _update(self.g_optimiser, g_loss)
        for critic in (self.critic_after, self.critic_before):
            critic.requires_grad_(True)
        old_after = self.pools["after"].mixed(made_after.detach().float())
        old_before = self.pools["before"].mixed(made_before.detach().float())
        with torch.autocast(self.device.type, torch.bfloat16, enabled=options["precision"] == "bfloat16"):
            d_loss = self._judged(self.critic_after, after, old_after) + self._judged(self.critic_before, before, old_before)
        _update(self.d_optimiser, d_loss)
        self.images_seen += n
        self.steps += 1
        return {"g_loss": g_loss.item(), "d_loss": d_loss.item(), "cycle": cycle.item(), "identity": identity.item(),
                "moved": F.l1_loss(made_after.detach(), before).item()}  # fmt: skip

    @staticmethod
    def _judged(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        on_real, on_fake = critic(torch.cat([real, fake])).split(len(real))
        return (_squares(on_real, 1) + _squares(on_fake, 0)) / 2

    def _pace(self) -> None:
        falling = max(self.total - self.recipe.options["constant_images"], 1)
        left = min(1.0, max(self.total - self.images_seen, 0) / falling)
        for optimiser in (self.g_optimiser, self.d_optimiser):
            optimiser.param_groups[0]["lr"] = self.recipe.options["lr"] * left

    def state(self) -> dict:
        """Return everything a resumed run needs, as tensors and plain numbers."""
        return {**{name: getattr(self, name).state_dict() for name in self.PARTS}, "images_seen": self.images_seen, "steps": self.steps,
                "pools": {side: pool.images for side, pool in self.pools.items()}, "rng": torch.get_rng_state()}  # fmt: skip

    def load(self, state: dict) -> None:
        """Continue from :meth:`state`."""
        for name in self.PARTS:
            getattr(self, name).load_state_dict(state[name])
        for side, images in state["pools"].items():
            self.pools[side].images = images.clone()
        self.images_seen, self.steps = state["images_seen"], state["steps"]
        torch.set_rng_state(state["rng"].cpu())


def train_cyclegan(recipe: Recipe, out: Path, device: torch.device, *, sample: Callable[[nn.Module], None]) -> nn.Module:
    """Train by ``recipe`` (kind "cyclegan") and return the generator from its population to ``options.to``.

    Args:
        recipe: both populations, network and numbers.
        out: folder for the checkpoint (resumed from when there) and the log.
        device: where to train.
        sample: called with that generator every few minutes, to draw a strip.
    """
    size = recipe.schedule[0][0]
    befores, afters = PortraitStream(recipe.population, recipe.seed, size), PortraitStream(recipe.options["to"], recipe.seed, size)
    trainer, checkpoint, log = CycleGANTrainer(recipe, device), out / "checkpoint.pt", TrainingLog(out)
    if checkpoint.exists():
        trainer.load(torch.load(checkpoint, map_location=device, weights_only=True))
    n, chunk, saved = recipe.options["batch"], 32 * recipe.options["batch"], time.monotonic()
    with tqdm(total=trainer.total, initial=trainer.images_seen, unit="img", desc=recipe.name) as bar:
        first, held = -1, []
        while trainer.images_seen < trainer.total:
            at = trainer.images_seen % chunk
            if first != trainer.images_seen - at:  # the renderer is faster with many portraits at a time
                first = trainer.images_seen - at
                held = [to_signed(s.batch(first + off, chunk)[0]) for s, off in ((befores, 0), (afters, APART))]
            before, after = (x[at : at + n].to(device, memory_format=torch.channels_last) for x in held)
            losses = trainer.step(before, after)
            bar.update(n)
            if trainer.steps % 50 == 0:
                log.write(images=trainer.images_seen, **losses)
            if time.monotonic() - saved > 120:
                _save(trainer, checkpoint)
                sample(trainer.forward)
                saved = time.monotonic()
    _save(trainer, checkpoint)
    return trainer.forward.eval()


def strip(model: nn.Module, recipe: Recipe, device: torch.device, n: int = 36) -> Tensor:
    """Return (2 n, 3, s, s) in -1..1: rows of twelve portraits the training never saw, each above what the map makes of it."""
    size = recipe.schedule[0][0]
    before = to_signed(PortraitStream(recipe.population, recipe.seed, size).batch(2 * APART, n)[0])
    with torch.inference_mode():
        after = model(before.to(device)).cpu()
    return torch.stack([before.view(-1, 12, 3, size, size), after.view(-1, 12, 3, size, size)], dim=1).flatten(0, 2)


def _save(trainer: CycleGANTrainer, checkpoint: Path) -> None:
    temporary = checkpoint.with_suffix(".tmp")
    torch.save(trainer.state(), temporary)
    temporary.replace(checkpoint)


def _initialise(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(layer.weight, 0.0, 0.02)
        nn.init.zeros_(layer.bias)


def _squares(said: Tensor, wanted: float) -> Tensor:
    return (said.float() - wanted).square().mean()


def _update(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
