"""Training of the instruments that read the built-in world: attribute classifiers, feature encoder, identity encoder."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from audit.attributes import ATTRIBUTES
from audit.instruments.portrait_networks import build_network, unit
from audit.portraits import draw
from audit.portraits.anatomy import parameters
from audit.seeds import image_seeds, stream_key
from mitigations.training.data import PortraitStream, to_signed
from mitigations.training.recipes import Recipe, TrainingLog

Loss = Callable[[Tensor, pd.DataFrame, Tensor], Tensor]
"""Outputs of the network, true attributes, degradation strengths -> loss."""

SCENE = ("face_w", "face_h", "jaw", "eye_x", "eye_y", "eye_w", "nose_y", "nose_w", "mouth_y", "lip_h", "brow_y", "brow_tilt",
         "shift_x", "shift_y", "zoom", "roll", "yaw", "pitch", "light_x", "light_y", "exposure", "hair_fall", "hair_volume",
         "hair_curl", "hairline", "hair_part", "beard", "lashes", "lipstick", "glasses", "earrings", "collar", "masculine",
         "smiling", "old", "skin", "hair", "eye", "clothes", "background")  # fmt: skip
"""Scene parameters the feature encoder learns to read: 4 of the 40 are audited attributes."""


def train_attribute_classifier(recipe: Recipe, out: Path, device: torch.device) -> nn.Module:
    """Train a classifier of all four attributes with cross-entropy on fresh portraits, some of them degraded."""
    heads = list(ATTRIBUTES.values())

    def loss(outputs: Tensor, truth: pd.DataFrame, _: Tensor) -> Tensor:
        total, at = outputs.new_zeros(()), 0
        for head in heads:
            target = torch.tensor([head.classes.index(v) for v in truth[head.name]], device=device)
            total = total + F.cross_entropy(outputs[:, at : at + head.k], target)
            at += head.k
        return total

    return _fit(recipe, out, device, loss)


def train_encoder(recipe: Recipe, out: Path, device: torch.device) -> nn.Module:
    """Train the feature encoder: a linear read-out of its features must give every scene parameter and the degradation."""
    stream = PortraitStream(recipe.population, recipe.seed)
    seeds = image_seeds(recipe.seed, np.arange(4096), stream="train")
    sample = _scene(stream.population.for_seeds(seeds), seeds)
    mean, scale = sample.mean(dim=0), sample.std(dim=0).clamp(min=1e-3)
    read_out = nn.Linear(recipe.network["outputs"], len(mean) + 3).to(device)

    def loss(outputs: Tensor, truth: pd.DataFrame, degradation: Tensor) -> Tensor:
        target = (_scene(truth, truth["seed"].to_numpy()) - mean) / scale
        target = torch.cat([target, degradation * 2], dim=1).to(device)
        return F.smooth_l1_loss(read_out(outputs), target) * 4

    return _fit(recipe, out, device, loss, extra=read_out)


def train_identity(recipe: Recipe, out: Path, device: torch.device) -> nn.Module:
    """Train the identity encoder with the supervised contrastive loss (Khosla et al. 2020, arXiv 2004.11362, equation 2).

    Each batch shows every person twice, with another smile, pose, light, hair style and background.
    """
    temperature = recipe.options["temperature"]

    def loss(outputs: Tensor, truth: pd.DataFrame, _: Tensor) -> Tensor:
        features = unit(outputs)
        similarity = features @ features.t() / temperature
        similarity.fill_diagonal_(-1e9)
        partner = torch.arange(len(features), device=device).roll(len(features) // 2)
        return F.cross_entropy(similarity, partner)

    return _fit(recipe, out, device, loss, pairs=True)


def _scene(truth: pd.DataFrame, seeds: np.ndarray) -> Tensor:
    values = parameters(truth, seeds, seeds ^ stream_key("identity"))
    return torch.cat([values[name].flatten(1) for name in SCENE], dim=1)


def _fit(recipe: Recipe, out: Path, device: torch.device, loss: Loss, *, extra: nn.Module | None = None, pairs: bool = False) -> nn.Module:
    options = dict(recipe.options)
    torch.manual_seed(recipe.seed)
    network = dict(recipe.network)
    model = build_network(network.pop("design"), **network).to(device, memory_format=torch.channels_last)
    trained = [model] if extra is None else [model, extra]
    weights = [p for m in trained for p in m.parameters()]
    optimiser = torch.optim.AdamW(weights, lr=options["lr"], weight_decay=options["weight_decay"])
    size, total = recipe.schedule[0]
    steps = total // options["batch"]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, options["lr"], total_steps=steps, pct_start=0.15)
    stream, log, rng = PortraitStream(recipe.population, recipe.seed, size), TrainingLog(out), np.random.default_rng(recipe.seed)
    for step in tqdm(range(steps), unit="batch", desc=recipe.name):
        images, truth = _pairs(stream, step, options["batch"]) if pairs else _singles(stream, step, options["batch"])
        x, degradation = degrade(to_signed(images), options["degrade"], rng=rng)
        value = loss(model(x.to(device, memory_format=torch.channels_last)), truth, degradation)
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        optimiser.step()
        schedule.step()
        if step % 50 == 0:
            log.write(images=(step + 1) * options["batch"], loss=value.item())
    return model.eval()


def _singles(stream: PortraitStream, step: int, batch: int) -> tuple[Tensor, pd.DataFrame]:
    images, truth = stream.batch(step * batch, batch)
    truth["seed"] = image_seeds(stream.seed, np.arange(step * batch, (step + 1) * batch), stream="train")
    return images, truth


def _pairs(stream: PortraitStream, step: int, batch: int) -> tuple[Tensor, pd.DataFrame]:
    people = image_seeds(stream.seed, np.arange(step * batch // 2, (step + 1) * batch // 2), stream="people")
    truth = stream.population.for_seeds(people)
    other = truth.copy()
    other["smile"] = stream.population.for_seeds(people ^ stream_key("other smile"))["smile"]
    both = pd.concat([truth, other], ignore_index=True)
    seeds = np.concatenate([people ^ stream_key("first shot"), people ^ stream_key("second shot")])
    return draw(both, seeds, identities=np.concatenate([people, people]), size=stream.size), both


def degrade(x: Tensor, share: float, *, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Blur, coarsen or add noise to a ``share`` of images, as imperfect generators do.

    Args:
        x: (n, 3, h, w) in -1..1.
        share: share of images degraded, 0..1.
        rng: where the choice comes from.

    Returns:
        The images, and (n, 3) strengths in 0..1 of blur, coarseness and noise.
    """
    n = x.shape[0]
    strengths = torch.from_numpy(rng.random((n, 3)) * (rng.random((n, 1)) < share)).float()
    strengths = strengths * torch.from_numpy(rng.random((n, 3)) < 0.6).float()
    s = strengths[:, :, None, None]
    soft = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
    x = x + s[:, 0:1] * (soft - x)
    coarse = F.interpolate(F.avg_pool2d(x, 2), scale_factor=2, mode="bilinear", align_corners=False)
    x = x + s[:, 1:2] * (coarse - x)
    noise = torch.from_numpy(rng.standard_normal(tuple(x.shape), dtype=np.float32))
    return x + s[:, 2:3] * 0.12 * noise, strengths
