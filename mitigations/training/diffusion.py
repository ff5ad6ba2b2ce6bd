"""Training of the latent diffusion model: the autoencoder, the UNet on its cached latents, and a last pass over the decoder.

Noise is predicted as v (Salimans and Ho 2022, arXiv 2202.00512) with the min-SNR weight, gamma 5 (Hang et al. 2023,
arXiv 2303.09556). The autoencoder is fitted with absolute errors of pixels and of their differences, a term for colour and a small KL term; there is no perceptual or
adversarial loss, so that no network that later judges the images takes part in making them.
"""

import copy
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from audit.generators.latent_diffusion import LatentDiffusion
from mitigations.training.data import PortraitStream, to_signed
from mitigations.training.recipes import Recipe, TrainingLog


def train_diffusion(recipe: Recipe, out: Path, device: torch.device, *, sample: Callable[[nn.Module], None]) -> nn.Module:
    """Train by ``recipe`` (kind "diffusion") and return the model with averaged UNet weights.

    Both stages write checkpoints into ``out`` and continue from them.
    """
    torch.manual_seed(recipe.seed)
    model = LatentDiffusion(**recipe.network).to(device, memory_format=torch.channels_last)
    stream = PortraitStream(recipe.population, recipe.seed, recipe.options.get("size", 64), recipe.options.get("distinct"))
    log = TrainingLog(out)
    saved = out / "autoencoder.pt"
    if saved.exists():
        model.load_state_dict(torch.load(saved, map_location=device, weights_only=True))
    else:
        _fit_autoencoder(model, stream, recipe.options, log)
        torch.save(model.state_dict(), saved)
    latents = _cache_latents(model, stream, recipe.options, out)
    for stage in ("unet", "refine"):
        _fit_unet(model, latents, recipe.options, log, out, sample, stage)
    rounds = recipe.options["decoder_images"]
    for again, images in enumerate(rounds if isinstance(rounds, list) else [rounds]):
        _sharpen_decoder(model, stream, recipe.options, log, out, again=again, images=images)
    if model.calibrated:
        _calibrate(model, latents, stream, recipe, log)
    return model


def _fit_autoencoder(model: LatentDiffusion, stream: PortraitStream, options: dict, log: TrainingLog) -> None:
    network, batch = model.autoencoder.train(), options["autoencoder_batch"]
    device = model.latent_mean.device
    steps = options["autoencoder_images"] // batch
    optimiser = torch.optim.AdamW(network.parameters(), lr=options["autoencoder_lr"], weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, options["autoencoder_lr"], total_steps=steps, pct_start=0.1)
    for step in tqdm(range(steps), unit="batch", desc="autoencoder"):
        x = to_signed(stream.batch(step * batch, batch)[0]).to(device, memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=options["precision"] == "bfloat16"):
            posterior = model.posterior(x)
            restored = model.restore(posterior.sample())
        restored = restored.float()
        # Most variance is lightness; without a term of its own, colour is learned last.
        colour = F.mse_loss(_opponents(restored), _opponents(x))
        error = F.l1_loss(restored, x) + _edges(restored, x) + options["colour_weight"] * colour
        loss = error + options["kl_weight"] * posterior.kl().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 50 == 0:
            log.write(stage="autoencoder", images=(step + 1) * batch, mse=F.mse_loss(restored, x).item(), loss=loss.item())
    network.eval()


def _sharpen_decoder(model: LatentDiffusion, stream: PortraitStream, options: dict, log: TrainingLog, out: Path, *, again: int,
                     images: int) -> None:  # fmt: skip
    """Fit the decoder alone with absolute errors of pixels and of their differences: the latents stay what the UNet knows."""
    network, batch, saved = model.autoencoder, options["decoder_batch"], out / (f"decoder_{again}.pt" if again else "decoder.pt")
    parts = nn.ModuleDict({"decoder": network.decoder, "post_quant_conv": network.post_quant_conv})
    if saved.exists():
        parts.load_state_dict(torch.load(saved, map_location=model.latent_mean.device, weights_only=True))
        return
    steps, first = images // batch, 20_000_000 + 1_000_000 * again
    optimiser = torch.optim.AdamW(parts.parameters(), lr=options["decoder_lr"], weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, options["decoder_lr"], total_steps=steps, pct_start=0.1)
    for step in tqdm(range(steps), unit="batch", desc="decoder"):
        x = to_signed(stream.batch(first + step * batch, batch)[0]).to(model.latent_mean.device, memory_format=torch.channels_last)
        with torch.no_grad():
            raw = model.posterior(x).mean
            raw = raw + 0.05 * model.latent_scale * torch.randn_like(raw)  # sampled latents are not exact either
        restored = model.restore(raw)
        loss = F.l1_loss(restored, x) + _edges(restored, x)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parts.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 50 == 0:
            log.write(stage="decoder", images=(step + 1) * batch, mse=F.mse_loss(restored, x).item(), loss=loss.item())
    torch.save(parts.state_dict(), saved)


def _calibrate(model: LatentDiffusion, latents: Tensor, stream: PortraitStream, recipe: Recipe, log: TrainingLog) -> None:
    """Bring drawn latents to the mean and spread of the training latents, and then decoded pixels to the variance of training pixels.

    Neither looks at labels or at features. The second is one factor: a decoder answers latents that are not quite those of images with
    images that are a little too alike.
    """
    draws, some, device = recipe.options["calibration_draws"], min(recipe.options["calibration_draws"], 2000), model.latent_mean.device
    model.draw_scale.fill_(1)
    model.draw_shift.zero_()
    noise = torch.randn((draws, *model.latent_shape), generator=torch.Generator().manual_seed(recipe.seed))
    with torch.inference_mode():
        parts = [model.denoise(part.to(device, memory_format=torch.channels_last)).cpu() for part in tqdm(noise.split(250), unit="batch", desc="calibration")]
        drawn = torch.cat(parts)
        spread = drawn.std(dim=0, keepdim=True).clamp(min=1e-3)
        wanted, centre = latents.mean(dim=0, keepdim=True), drawn.mean(dim=0, keepdim=True)
        matched = latents.std(dim=0, keepdim=True) / spread
        real = _pixel_variance(to_signed(stream.batch(30_000_000 + a, min(500, some - a))[0]) for a in range(0, some, 500))
        made = {}
        for gain in (1.0, 1.05):
            moved = (drawn[:some] - centre) * (matched * gain) + wanted
            made[gain] = _pixel_variance(model.decode(part.to(device)).clamp(-1, 1).cpu() for part in moved.split(250))
    slope = (made[1.05] - made[1.0]) / 0.05
    gain = min(max(1 + (real - made[1.0]) / slope, 0.9), 1.2) if slope > 0 else 1.0
    model.draw_scale.copy_(matched * gain)
    model.draw_shift.copy_(wanted - centre * matched * gain)
    log.write(stage="calibration", images=draws, spread=float(drawn.std() / latents.std()), pixel_variance=made[1.0], wanted=real, gain=gain)


def _pixel_variance(parts: Iterable[Tensor]) -> float:
    """Return the variance over images, averaged over pixels and colours."""
    n, total, squares = 0, 0.0, 0.0
    for images in parts:
        n, total, squares = n + len(images), total + images.double().sum(dim=0), squares + images.double().square().sum(dim=0)
    return float((squares / n - (total / n) ** 2).mean())


def _edges(restored: Tensor, x: Tensor) -> Tensor:
    """Return the mean absolute error of differences between neighbouring pixels: thin dark lines are most of a drawn face."""
    return sum((restored.diff(dim=d) - x.diff(dim=d)).abs().mean() for d in (2, 3))


def _opponents(x: Tensor) -> Tensor:
    """Return (n, 2, h, w): green against magenta, and blue against yellow."""
    r, g, b = x.unbind(dim=1)
    return torch.stack([g - (r + b) / 2, b - (r + g) / 2], dim=1)


def _cache_latents(model: LatentDiffusion, stream: PortraitStream, options: dict, out: Path) -> Tensor:
    saved, device = out / "latents.pt", model.latent_mean.device
    if saved.exists():
        cached = torch.load(saved, map_location="cpu", weights_only=True)
    else:
        parts = []
        with torch.inference_mode():
            for first in tqdm(range(0, options["latents"], 256), unit="batch", desc="latents"):
                x = to_signed(stream.batch(10_000_000 + first, 256)[0]).to(device, memory_format=torch.channels_last)
                parts.append(model.posterior(x).mean.cpu())
        cached = torch.cat(parts).clone()
        torch.save(cached, saved)
    model.latent_mean.copy_(cached.mean(dim=[0, 2, 3], keepdim=True))
    model.latent_scale.copy_(cached.std(dim=[0, 2, 3], keepdim=True))
    return (cached - model.latent_mean.cpu()) / model.latent_scale.cpu()


def _fit_unet(model: LatentDiffusion, latents: Tensor, options: dict, log: TrainingLog, out: Path,
              sample: Callable[[nn.Module], None], stage: str) -> None:  # fmt: skip
    """Leave the averaged UNet of one stage in ``model``.

    "unet" weighs errors by min-SNR, which learns detail early and neglects the noisiest steps; "refine" weighs all steps alike, for
    the variety that those steps decide.
    """
    begin, saved = ("", out / "checkpoint.pt") if stage == "unet" else ("refine_", out / "refine.pt")
    device, batch, lr = model.latent_mean.device, options["batch"], options[f"{begin}lr"]
    steps = options[f"{begin}images"] // batch
    unet = model.unet.requires_grad_(True).train()
    average = copy.deepcopy(unet).eval().requires_grad_(False)
    optimiser = torch.optim.AdamW(unet.parameters(), lr=lr, betas=(0.9, 0.99), weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, lr, total_steps=steps, pct_start=0.05)
    first, checkpoint = 0, saved
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        for part, name in ((unet, "unet"), (average, "average"), (optimiser, "optimiser"), (schedule, "schedule")):
            part.load_state_dict(state[name])
        first = state["step"]
    generator = torch.Generator().manual_seed(first + 1)
    alphas = model.scheduler.alphas_cumprod
    model.unet, written = average, time.monotonic()

    def save(step: int) -> None:
        torch.save({"unet": unet.state_dict(), "average": average.state_dict(), "optimiser": optimiser.state_dict(),
                    "schedule": schedule.state_dict(), "step": step}, checkpoint)  # fmt: skip

    for step in tqdm(range(first, steps), initial=first, total=steps, unit="batch", desc=stage):
        clean = latents[torch.randint(len(latents), (batch,), generator=generator)]
        t = torch.randint(len(alphas), (batch,), generator=generator)
        noise = torch.randn(clean.shape, generator=generator)
        signal, sigma = alphas[t].sqrt().view(-1, 1, 1, 1), (1 - alphas[t]).sqrt().view(-1, 1, 1, 1)
        snr = (alphas[t] / (1 - alphas[t])).clamp(min=1e-8)
        weight = snr.clamp(max=5.0) / (snr + 1) if stage == "unet" else torch.ones_like(snr)  # min-SNR weight for v-prediction
        predicted = unet((signal * clean + sigma * noise).to(device, memory_format=torch.channels_last), t.to(device)).sample
        error = (predicted - (signal * noise - sigma * clean).to(device)).square().mean(dim=[1, 2, 3])
        loss = (weight.to(device) * error).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        decay = min(0.999, (1 + step) / (10 + step))
        with torch.no_grad():
            for slow, fast in zip(average.parameters(), unet.parameters(), strict=True):
                slow.lerp_(fast, 1 - decay)
        if step % 100 == 0:
            log.write(stage=stage, images=(step + 1) * batch, loss=loss.item(), error=error.mean().item())
        if time.monotonic() - written > 180:
            save(step + 1)
            sample(model)
            written = time.monotonic()
    save(steps)
    model.eval()
