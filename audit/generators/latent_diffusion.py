"""Latent diffusion from diffusers parts: a KL autoencoder, a UNet in its latent space, deterministic DDIM sampling.

Rombach et al. 2022, arXiv 2112.10752 (latent diffusion); Song et al. 2021, arXiv 2010.02502, equation 12 with eta = 0
(DDIM); v-prediction after Salimans and Ho 2022, arXiv 2202.00512. With eta = 0 the starting noise x_T is the only
randomness, so the model is a plain map from latent to image like any other generator here.
"""

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution


class LatentDiffusion(nn.Module):
    """x_T -> image.

    Args:
        autoencoder: keyword arguments of ``diffusers.AutoencoderKL``.
        unet: keyword arguments of ``diffusers.UNet2DModel``.
        scheduler: keyword arguments of ``diffusers.DDIMScheduler``.
        steps: DDIM steps at sampling time.
        patch: pixels are folded into channels in squares of this side before the autoencoder, which keeps its costly
            full-size layers small; 1 = none.
        calibrated: whether drawn latents are brought to the mean and spread of the training latents, number by number. A network that
            predicts means, and few steps, draw them too narrow; what it takes is measured after training and part of the weights.
    """

    def __init__(self, *, autoencoder: dict, unet: dict, scheduler: dict, steps: int = 20, patch: int = 1,
                 calibrated: bool = False) -> None:  # fmt: skip
        super().__init__()
        from diffusers import AutoencoderKL, DDIMScheduler, UNet2DModel

        self.autoencoder = AutoencoderKL(**autoencoder)
        self.unet = UNet2DModel(**unet)
        self.scheduler = DDIMScheduler(**scheduler)
        self.steps, self.patch = steps, patch
        channels, side = unet["in_channels"], unet["sample_size"]
        self.latent_shape = (channels, side, side)
        self.z_dim = channels * side * side
        # Latents are standardised per channel before diffusion: the statistics are part of the weights.
        self.register_buffer("latent_mean", torch.zeros(1, channels, 1, 1))
        self.register_buffer("latent_scale", torch.ones(1, channels, 1, 1))
        self.calibrated = calibrated
        if calibrated:
            self.register_buffer("draw_scale", torch.ones(1, *self.latent_shape))
            self.register_buffer("draw_shift", torch.zeros(1, *self.latent_shape))

    def encode(self, images: Tensor) -> Tensor:
        """Return standardised latents (n, c, s, s) of images in -1..1."""
        return (self.posterior(images).mean - self.latent_mean) / self.latent_scale

    def posterior(self, images: Tensor) -> "DiagonalGaussianDistribution":
        """Return the autoencoder's distribution over raw latents of images in -1..1."""
        return self.autoencoder.encode(F.pixel_unshuffle(images, self.patch)).latent_dist

    def restore(self, raw: Tensor) -> Tensor:
        """Return images of raw (not standardised) latents."""
        return F.pixel_shuffle(self.autoencoder.decode(raw).sample, self.patch)

    def decode(self, latents: Tensor) -> Tensor:
        """Return images, nominal range -1..1, of standardised latents."""
        return self.restore(latents * self.latent_scale + self.latent_mean)

    def denoise(self, x: Tensor, *, start: int = 0) -> Tensor:
        """Run DDIM from x_T (or from step index ``start``) to a clean standardised latent."""
        self.scheduler.set_timesteps(self.steps)
        for t in self.scheduler.timesteps[start:]:
            x = self.scheduler.step(self.unet(x, t).sample, t, x, eta=0.0).prev_sample
        return x * self.draw_scale + self.draw_shift if self.calibrated else x

    def forward(self, z: Tensor) -> Tensor:
        """Return (n, 3, h, w) float32, nominal range -1..1, from x_T given as (n, z_dim) standard normal numbers."""
        return self.decode(self.denoise(z.view(-1, *self.latent_shape)))
