"""Inversion by one network: image -> code of the generator, learned from the generator's own images and from real ones.

On drawn images the code is known and squared error on the standardised code is the loss; on drawn and real ones alike the
picture that the frozen generator makes of the code is compared with the image, at full and at a quarter of the size. Tov et al.
2021, "Designing an Encoder for StyleGAN Image Manipulation" (e4e), arXiv 2102.02766, predicts one code and small offsets for the
layers, held down by an L2 term; so does this one. Departures: no identity, LPIPS or latent-discriminator loss, so that no
network that judges images takes part; the body is a small residual network; and the error along the attribute directions,
which is all that the labels are read from, counts once more on drawn images, in units of the codes' spread along each.
"""

import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from audit.errors import SpecError
from audit.generators.stylegan2 import StyleGAN2
from audit.instruments.portrait_networks import ResidualNet
from audit.pixels import to_uint8
from audit.seeds import image_seeds, normals
from mitigations.self_conditioning.images import TrainingImages
from mitigations.training.data import to_signed
from mitigations.training.recipes import TrainingLog

SAVE_EVERY_S = 60.0


class Encoder(nn.Module):
    """(n, 3, r, r) in -1..1 -> codes (n, num_ws, w_dim).

    Args:
        w_dim: width of a code.
        num_ws: layers of the generator.
        widths: feature maps of the body, see :class:`audit.instruments.portrait_networks.ResidualNet`.
        space: "w_plus" gives every layer an offset of its own, "w" gives all layers one code.
    """

    def __init__(self, w_dim: int, num_ws: int, widths: list[int], space: str = "w_plus") -> None:
        super().__init__()
        if space not in ("w", "w_plus"):
            raise SpecError(f"the encoder's space is {space!r}; expected w or w_plus")
        self.w_dim, self.num_ws, self.plus = w_dim, num_ws, space == "w_plus"
        self.body = ResidualNet(widths, w_dim * (1 + num_ws) if self.plus else w_dim)
        with torch.no_grad():
            self.body.head.weight[w_dim:].zero_()
            self.body.head.bias[w_dim:].zero_()
        self.register_buffer("mean", torch.zeros(w_dim))
        self.register_buffer("scale", torch.ones(w_dim))

    def parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the standardised code (n, w_dim) and the layers' offsets (n, num_ws, w_dim), in the same units."""
        out = self.body(x)
        offsets = (
            out[:, self.w_dim :].unflatten(1, (self.num_ws, self.w_dim)) if self.plus else out.new_zeros(len(out), self.num_ws, self.w_dim)
        )
        return out[:, : self.w_dim], offsets

    def codes(self, code: Tensor, offsets: Tensor) -> Tensor:
        """Return codes (n, num_ws, w_dim) in the generator's units."""
        return self.mean + self.scale * (code.unsqueeze(1) + offsets)

    def forward(self, x: Tensor) -> Tensor:
        return self.codes(*self.parts(x))


def fit_encoder(module: StyleGAN2, images: TrainingImages, options: dict, *, along: np.ndarray, seed: int, out: Path, log: TrainingLog,
                device: torch.device) -> Encoder:  # fmt: skip
    """Train the encoder of a frozen generator, continuing from ``out/encoder.pt`` where that exists.

    Args:
        module: generator with a mapping network, on ``device``.
        images: the real ones.
        options: ``widths``, ``space``, ``images`` (drawn images shown), ``batch``, ``lr``, ``restore_every`` (batches between
            two comparisons of pictures), ``pixel_weight``, ``offset_weight``, ``direction_weight``, ``precision`` of the generator.
        along: (A, w_dim) unit normals of the attributes.
        seed: of weights and latents.
        out: folder of the checkpoint.
        log: where losses go.
        device: where to train.
    """
    torch.manual_seed(seed)
    encoder = Encoder(module.w_dim, module.num_ws, options["widths"], options["space"])
    encoder = encoder.to(device, memory_format=torch.channels_last).train()
    module.requires_grad_(False)
    sample = _mapped(module, seed, np.arange(4096), device)
    encoder.mean.copy_(sample.mean(dim=0))
    encoder.scale.copy_(sample.std(dim=0).clamp(min=1e-4))
    focus = torch.from_numpy(along / (sample.cpu().numpy() @ along.T).std(axis=0)[:, None]).float().to(device)
    steps, batch = max(options["images"] // options["batch"], 2), options["batch"]
    optimiser = torch.optim.AdamW(encoder.parameters(), lr=options["lr"], weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, options["lr"], total_steps=steps, pct_start=0.15)
    parts, checkpoint, done = {"encoder": encoder, "optimiser": optimiser, "schedule": schedule}, out / "encoder.pt", 0
    if checkpoint.is_file():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        done = state.pop("step")
        for name, part in parts.items():
            part.load_state_dict(state[name])
    saved = time.monotonic()
    for step in tqdm(range(done, steps), initial=done, total=steps, unit="batch", desc="encoder"):
        losses = _step(encoder, module, images, focus, options, seed, step)
        optimiser.zero_grad(set_to_none=True)
        losses["loss"].backward()
        nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 50 == 0:
            log.write(stage="encoder", images=(step + 1) * batch, **{k: v.item() for k, v in losses.items()})
        if time.monotonic() - saved > SAVE_EVERY_S or step == steps - 1:
            _save({name: part.state_dict() for name, part in parts.items()} | {"step": step + 1}, checkpoint)
            saved = time.monotonic()
    return encoder.eval()


def _step(
    encoder: Encoder, module: StyleGAN2, images: TrainingImages, focus: Tensor, options: dict, seed: int, step: int
) -> dict[str, Tensor]:
    device, batch, precision = encoder.mean.device, options["batch"], getattr(torch, options["precision"])
    with torch.no_grad():
        w = _mapped(module, seed, np.arange(step * batch, (step + 1) * batch) + 10_000, device)
        drawn = module.synthesis(w.unsqueeze(1).repeat(1, module.num_ws, 1), noise="none", precision=precision).clamp(-1, 1)
    if step % options["restore_every"]:
        code, offsets = encoder.parts(drawn.contiguous(memory_format=torch.channels_last))
        shown = None
    else:
        turn = step // options["restore_every"]
        real = to_signed(images.take((turn * batch + np.arange(batch)) % images.count)).to(device)
        code, offsets = encoder.parts(torch.cat([drawn, real]).contiguous(memory_format=torch.channels_last))
        half = slice(batch - batch // 2, batch + batch - batch // 2)  # the last drawn images and the first real ones
        shown = torch.cat([drawn, real])[half]
        restored = module.synthesis(encoder.codes(code[half], offsets[half]), noise="none", precision=precision)
    wrong = F.mse_loss(code[:batch], (w - encoder.mean) / encoder.scale)
    missed = ((encoder.codes(code[:batch], offsets[:batch]).mean(dim=1) - w) @ focus.t()).square().mean()
    loss = wrong + options["direction_weight"] * missed + options["offset_weight"] * offsets.square().mean()
    losses = {"code": wrong, "along": missed}
    if shown is not None:
        picture = F.mse_loss(restored, shown) + F.mse_loss(F.avg_pool2d(restored, 4), F.avg_pool2d(shown, 4))
        loss = loss + options["pixel_weight"] * picture
        losses["picture"] = picture
    return {"loss": loss, **losses}


@torch.no_grad()
def _mapped(module: StyleGAN2, seed: int, ids: np.ndarray, device: torch.device) -> Tensor:
    z = normals(image_seeds(seed, ids, stream="encoder"), "z", module.z_dim)
    return module.mapping(torch.from_numpy(z).float().to(device))[:, 0]


def _save(state: dict, checkpoint: Path) -> None:
    temporary = checkpoint.with_suffix(".tmp")
    torch.save(state, temporary)
    temporary.replace(checkpoint)


@torch.no_grad()
def invert(encoder: Encoder, images: Tensor) -> Tensor:
    """Return codes (n, num_ws, w_dim) of uint8 images (n, 3, r, r), on the encoder's device."""
    return encoder(to_signed(images).to(encoder.mean.device, memory_format=torch.channels_last))


@torch.no_grad()
def inversion_quality(encoder: Encoder, module: StyleGAN2, images: TrainingImages, *, seed: int, n: int = 512) -> dict[str, float]:
    """Return how well codes and pictures come back.

    Args:
        encoder: a trained encoder.
        module: the generator it inverts.
        images: real images; the last ``n`` are read.
        seed: of latents the encoder has not seen.
        n: images of either kind.

    Returns:
        ``code_r2``: share of the variance of held-out codes that is recovered, at most 1; ``drawn_error`` and ``real_error``:
        root mean squared error of the picture in 8-bit levels; ``real_spread``: the same for the mean image, as a yardstick.
    """
    device = encoder.mean.device
    w = _mapped(module, seed, np.arange(n) + 2**40, device)
    drawn = _draw(module, w.unsqueeze(1).repeat(1, module.num_ws, 1))
    real = torch.cat([images.take(part) for part in np.array_split(np.arange(max(images.count - n, 0), images.count), 8) if len(part)])
    code = torch.cat([encoder.mean + encoder.scale * encoder.parts(to_signed(x).to(device))[0] for x in drawn.split(64)])
    r2 = 1 - (code - w).square().sum() / (w - w.mean(dim=0)).square().sum()
    errors = [_rms(torch.cat([_draw(module, invert(encoder, x)) for x in shown.split(64)]), shown) for shown in (drawn, real)]
    return {"code_r2": float(r2), "drawn_error": errors[0], "real_error": errors[1], "real_spread": _rms(real.float().mean(dim=0), real)}


def _draw(module: StyleGAN2, ws: Tensor) -> Tensor:
    return torch.cat([to_uint8(module.synthesis(part, noise="none")).cpu() for part in ws.split(64)])


def _rms(one: Tensor, other: Tensor) -> float:
    return float((one.float() - other.float()).square().mean().sqrt())
