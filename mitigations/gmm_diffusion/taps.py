"""Where on the way from noise to image a latent is taken, and how another is put in its place.

Three taps of methods.md, section 4, step 5:

- ``x_T``: the starting noise. Works for any generator drawn from N(0, I).
- ``x_t``: the state after ``start`` DDIM steps; sampling continues from there (Song et al. 2021, arXiv 2010.02502, eta = 0).
- ``h``: the activation of the UNet's middle block at step ``start`` (Kwon et al. 2023, arXiv 2210.10960, call it h-space). The shift
  (target - current) found there is added at every step from ``start`` to ``stop`` by a forward hook.

Departure for ``h``: Asyrp shifts only the predicted clean image and pays a second UNet call a step for it; here the shift acts on the
whole prediction, at no cost.

At each tap a *move* is a function from latents (n, width) to latents (n, width); the identity gives the generator's own images, bit for bit.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from audit.errors import SourceError, SpecError
from audit.generators.latent_diffusion import LatentDiffusion
from audit.sources.latent import LatentSource

Move = Callable[[Tensor], Tensor]


class NoiseTap(nn.Module):
    """x_T: the latent a generator starts from.

    Args:
        model: z (n, z_dim) -> images.
        z_dim: width of z.
    """

    def __init__(self, model: nn.Module, z_dim: int) -> None:
        super().__init__()
        self.model, self.width = model, z_dim
        self.cost_resumed = 1.0

    def forward(self, z: Tensor, move: Move, **call: Any) -> tuple[Tensor, Tensor]:
        """Return (latents at the tap before the move, (n, width), and the images after it, (n, 3, h, w))."""
        return z, self.resume(move(z), **call)

    def resume(self, latents: Tensor, **call: Any) -> Tensor:
        """Return the images of latents at the tap."""
        return self.model(latents, **call)


class StepTap(nn.Module):
    """x_t: the state after ``start`` of the sampling steps, flattened.

    Args:
        model: the latent diffusion.
        start: steps before the tap.
    """

    def __init__(self, model: LatentDiffusion, start: int) -> None:
        super().__init__()
        self.model, self.start, self.width = model, start, model.z_dim
        self.cost_resumed = (model.steps - start) / model.steps

    def forward(self, z: Tensor, move: Move) -> tuple[Tensor, Tensor]:
        """Return (latents at the tap before the move, (n, width), and the images after it, (n, 3, h, w))."""
        before = _noisy(self.model, z.view(-1, *self.model.latent_shape), self.start).flatten(1)
        return before, self.resume(move(before))

    def resume(self, latents: Tensor) -> Tensor:
        """Return the images of latents at the tap, with ``start`` steps fewer than the whole way."""
        x = latents.reshape(-1, *self.model.latent_shape)
        return self.model.decode(self.model.denoise(x, start=self.start))


class MiddleTap(nn.Module):
    """h: the activation of the UNet's middle block at step ``start``, flattened.

    Args:
        model: the latent diffusion.
        start: index of the first step that is shifted, where the latent is read.
        stop: index of the first step that is not.
    """

    def __init__(self, model: LatentDiffusion, start: int, stop: int) -> None:
        super().__init__()
        self.model, self.start, self.stop = model, start, stop
        self.cost_resumed = 1.0
        with torch.inference_mode():
            where = next(model.parameters())
            seen, _ = self(torch.zeros(1, model.z_dim, device=where.device), lambda h: h)
        self.width = seen.shape[1]

    def forward(self, z: Tensor, move: Move) -> tuple[Tensor, Tensor]:
        """Return (activations before the move, (n, width), and the images after it, (n, 3, h, w))."""
        at, before, shift = 0, z[:0], z[:0]

        def hook(module: nn.Module, given: tuple, h: Tensor) -> Tensor:
            nonlocal at, before, shift
            if at == self.start:
                before = h.flatten(1)
                shift = (move(before) - before).view_as(h)
            inside = self.start <= at < self.stop
            at += 1
            return h + shift if inside else h

        handle = self.model.unet.mid_block.register_forward_hook(hook)
        try:
            images = self.model(z)
        finally:
            handle.remove()
        return before, images


def _noisy(model: LatentDiffusion, x: Tensor, steps: int) -> Tensor:
    """Run the first ``steps`` DDIM steps, as :meth:`LatentDiffusion.denoise` runs the others."""
    model.scheduler.set_timesteps(model.steps)
    for t in model.scheduler.timesteps[:steps]:
        x = model.scheduler.step(model.unet(x, t).sample, t, x, eta=0.0).prev_sample
    return x


def open_tap(source: LatentSource, tap: str, start: int, stop: int) -> NoiseTap | StepTap | MiddleTap:
    """Return the tap of a source.

    Args:
        source: whose latents.
        tap: "x_T", "x_t" or "h".
        start: DDIM step of the tap; not used by x_T.
        stop: end of the interval of steps that h is shifted in.

    Raises:
        SourceError: no such place in this generator.
        SpecError: no such step.
    """
    if tap == "x_T":
        if source.prior != "normal":
            raise SourceError(f"tap x_T mixes Gaussians in a normal prior; {source.name!r} starts from a {source.prior} one")
        return NoiseTap(source.module, source.z_dim)
    if not isinstance(source.module, LatentDiffusion):
        raise SourceError(
            f"tap {tap} is a step of a latent diffusion, and {source.name!r} is a {type(source.module).__name__}; use tap: x_T"
        )
    steps = source.module.steps
    if tap == "x_t" and not 1 <= start < steps:
        raise SpecError(f"tap x_t: start is {start}; expected a step from 1 to {steps - 1} of the {steps} of {source.name!r}")
    if tap == "h" and not 0 <= start < stop <= steps:
        raise SpecError(
            f"tap h: the interval is start {start} to stop {stop}; expected 0 <= start < stop <= {steps}, the steps of {source.name!r}"
        )
    return StepTap(source.module, start) if tap == "x_t" else MiddleTap(source.module, start, stop)
