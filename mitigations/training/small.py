"""Training of the small families: DCGAN, AdaGAN, progressive GAN and VAE, each by its recipe on the built-in world."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from audit.generators.weights import save_weights
from audit.seeds import normals
from mitigations.training.data import PortraitStream, to_signed
from mitigations.training.recipes import Recipe
from mitigations.training.stylegan2 import carry_on


def train_small(recipe: Recipe, out: Path, device: torch.device) -> Path:
    """Train a recipe of kind "dcgan", "adagan", "progan" or "vae" and return the path of its weights, float16.

    Args:
        recipe: ``options`` hold ``size`` (side of the drawn portraits), ``distinct`` (images of the training set; absent = endless) and
            the numbers of the family's trainer.
        out: folder for weights, log, checkpoint and a grid of samples.
        device: where to train.
    """
    if recipe.kind == "adagan":
        from mitigations.training.adagan import train_adagan

        model, network = train_adagan(recipe, out, device, sample=lambda m, r: _grid(m, out, device))
        return _save(model, "mixture", network, recipe, out, device)
    options = recipe.options
    stream = PortraitStream(recipe.population, recipe.seed, options["size"], options.get("distinct"))

    def batch(first: int, n: int, resolution: int) -> tuple[torch.Tensor, None]:
        return to_signed(stream.batch(first, n)[0], resolution), None

    if recipe.kind == "progan":
        from mitigations.training.progan import ProGANTrainer

        trainer = ProGANTrainer(recipe, device)
        carry_on(trainer, batch, out, sample=lambda m, r: None)
        plain = trainer.average.plain()
        return _save(plain, "progan", plain.network, recipe, out, device)
    if recipe.kind == "vae":
        from mitigations.training.vae import VAETrainer

        trainer = VAETrainer(recipe, device)
        carry_on(trainer, batch, out, sample=lambda m, r: _grid(m, out, device))
        return _save(trainer.average, "vae", recipe.network, recipe, out, device)
    from mitigations.training.dcgan import DCGANTrainer

    trainer = DCGANTrainer(recipe, device)
    carry_on(trainer, batch, out, sample=lambda m, r: _grid(m, out, device))
    return _save(trainer.average, "dcgan", {"shapes": trainer.shapes}, recipe, out, device)


def _save(model: nn.Module, kind: str, network: dict, recipe: Recipe, out: Path, device: torch.device) -> Path:
    model = model.to(device).eval()
    _grid(model, out, device)
    path = out / f"{recipe.name}.safetensors"
    save_weights(model, path, kind=kind, network=network, dtype="float16", recipe=recipe.name, seed=str(recipe.seed), population=recipe.population)
    return path


def _grid(model: nn.Module, out: Path, device: torch.device) -> None:
    from mitigations.training.train import write_grid

    model.eval()
    z = torch.from_numpy(normals(np.arange(64, dtype=np.uint64), "z", model.z_dim)).float().to(device)
    with torch.inference_mode():
        write_grid(model(z).cpu(), out / "samples.png")
