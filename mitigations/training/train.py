"""Run one training recipe: networks from a fixed seed, weights as safetensors, the log beside them."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from audit.engines import Choice
from audit.errors import SpecError
from audit.generators.weights import read_weights, save_weights
from audit.seeds import normals
from mitigations.training.recipes import Recipe, load_recipe


def train(name: str, out: Path, *, device: str = "cpu", seed: int | None = None, changes: dict[str, Any] | None = None,
          choice: Choice | None = None) -> Path:  # fmt: skip
    """Train a recipe and return the path of its weights, of a grid the folder that holds them.

    Args:
        name: a shipped recipe's name, or the path of a YAML file.
        out: folder for weights, log, checkpoint and sample grids; an interrupted run continues from its checkpoint.
        device: "cpu" or "cuda".
        changes: keys of the recipe to set, with dots, e.g. ``{"options.batch": 16}``.
        seed: another seed than the recipe's, for measuring how much a training run varies; the model is called NAME_seedN.
        choice: the engine of a grid, whose members are trained by its workers; None = here.

    Raises:
        SpecError: no such recipe, or several workers for a single training.
    """
    torch.set_flush_denormal(True)  # small networks slow to half speed on denormals late in training
    recipe, where = load_recipe(name, changes), torch.device(device)
    if seed is not None:
        recipe = replace(recipe, name=f"{recipe.name}_seed{seed}", seed=seed)
    if choice is not None and not choice.alone and recipe.kind != "grid":
        raise SpecError(f"recipe {name!r} is a single training, which one worker does; --workers and --engine are for a grid such as professors")
    out = Path(out) / recipe.name
    out.mkdir(parents=True, exist_ok=True)
    if recipe.kind not in LOOPS:
        raise SpecError(f"recipe {name!r} is of kind {recipe.kind!r}; there are loops for {', '.join(sorted(LOOPS))}")
    return _grid(recipe, out, where, choice) if recipe.kind == "grid" else LOOPS[recipe.kind](recipe, out, where)


def _stylegan2(recipe: Recipe, out: Path, device: torch.device) -> Path:
    from mitigations.training.stylegan2 import train_stylegan2

    def sample(generator: nn.Module, resolution: int) -> None:
        z = torch.from_numpy(normals(np.arange(64, dtype=np.uint64), "z", generator.z_dim)).float().to(device)
        with torch.no_grad():
            images = generator.synthesis(generator.mapping(z), resolution=resolution)
        write_grid(images.cpu(), out / "samples.png")

    trainer = train_stylegan2(recipe, out, device, sample=sample)
    sample(trainer.average, trainer.average.resolution)
    # Fine-tuning starts from both networks, so the discriminator is kept as well.
    critic = {"resolution": recipe.network["resolution"], "channels": recipe.network["channels"]}
    save_weights(trainer.discriminator, out / f"{recipe.name}_critic.safetensors", kind="critic", network=critic, dtype="float16")
    return _finish(trainer.average, recipe, out, "stylegan2")


def _diffusion(recipe: Recipe, out: Path, device: torch.device) -> Path:
    from mitigations.training.diffusion import train_diffusion

    def sample(model: nn.Module) -> None:
        z = torch.from_numpy(normals(np.arange(64, dtype=np.uint64), "z", model.z_dim)).float().to(device)
        with torch.inference_mode():
            write_grid(model(z).cpu(), out / "samples.png")

    model = train_diffusion(recipe, out, device, sample=sample)
    sample(model)
    return _finish(model, recipe, out, "latent_diffusion", dtype="float16")


def _small(recipe: Recipe, out: Path, device: torch.device) -> Path:
    """Train one of the small families of the study of amplification."""
    from mitigations.training.small import train_small

    return train_small(recipe, out, device)


def _grid(recipe: Recipe, out: Path, device: torch.device, choice: Choice | None = None) -> Path:
    from mitigations.training.grid import train_grid

    return train_grid(recipe, out, device, choice)


def _instrument(recipe: Recipe, out: Path, device: torch.device) -> Path:
    from mitigations.training import instruments

    model = getattr(instruments, f"train_{recipe.kind}")(recipe, out, device)
    return _finish(model, recipe, out, recipe.kind)


def _image_classifier(recipe: Recipe, out: Path, device: torch.device) -> Path:
    from mitigations.training.image_classifier import train_image_classifier

    return train_image_classifier(recipe, out, device)


def _finish(model: nn.Module, recipe: Recipe, out: Path, kind: str, dtype: str = "float32", **facts: str) -> Path:
    path = out / f"{recipe.name}.safetensors"
    save_weights(model, path, kind=kind, network=recipe.network, dtype=dtype, recipe=recipe.name, seed=str(recipe.seed), **facts)
    return path


def write_grid(images: Tensor, path: Path, columns: int = 8) -> None:
    """Write (n, 3, h, w) images in -1..1 as one picture."""
    n, _, h, w = images.shape
    rows = -(-n // columns)
    sheet = np.zeros((rows * h, columns * w, 3), dtype=np.uint8)
    pixels = ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    for i, picture in enumerate(pixels):
        r, c = divmod(i, columns)
        sheet[r * h : (r + 1) * h, c * w : (c + 1) * w] = picture
    temporary = path.with_suffix(".tmp.png")
    Image.fromarray(sheet).resize((columns * 128, rows * 128), Image.Resampling.NEAREST).save(temporary)
    temporary.replace(path)


def install(weights: Path, models: Path) -> list[Path]:
    """Copy trained weights and their log to where the package keeps its models; classifiers are calibrated as well.

    Args:
        weights: a file, or the folder of a grid: its members go to a folder of the grid's name, without their discriminators.
        models: where to.
    """
    if weights.is_dir():
        into = models / weights.name
        into.mkdir(exist_ok=True)
        members = [path for path in sorted(weights.glob("*/*.safetensors")) if path.stem == path.parent.name]
        return [target for member in members for target in (shutil.copyfile(member, into / member.name),
                shutil.copyfile(member.with_name("log.jsonl"), into / f"{member.stem}.log.jsonl"))]  # fmt: skip
    made = [models / weights.name, models / f"{weights.stem}.log.jsonl"]
    shutil.copyfile(weights, made[0])
    shutil.copyfile(weights.with_name("log.jsonl"), made[1])
    for beside in (f"{weights.stem}_critic.safetensors", f"{weights.stem}.method.json"):
        if weights.with_name(beside).is_file():
            made.append(models / beside)
            shutil.copyfile(weights.with_name(beside), made[-1])
    if read_weights(weights)[0] == "attribute_classifier":
        from mitigations.training.calibration import calibrate

        made.append(calibrate(made[0], models / f"{weights.stem}.calibration.json"))
    return made


def _self_conditioning(recipe: Recipe, out: Path, device: torch.device) -> Path:
    from mitigations.self_conditioning.loop import train_self_conditioned

    return train_self_conditioned(recipe, out, device)


def _rebalancing(recipe: Recipe, out: Path, device: torch.device) -> Path:
    from mitigations.rebalancing.loop import train_rebalancing

    return train_rebalancing(recipe, out, device)


def _cyclegan(recipe: Recipe, out: Path, device: torch.device) -> Path:
    from mitigations.training.cyclegan import strip, train_cyclegan

    def sample(model: nn.Module) -> None:
        write_grid(strip(model, recipe, device), out / "samples.png", columns=12)

    model = train_cyclegan(recipe, out, device, sample=sample)
    sample(model)
    return _finish(model, recipe, out, "cyclegan", dtype="float16", trained_from=recipe.population, trained_to=recipe.options["to"])


LOOPS: dict[str, Callable[[Recipe, Path, torch.device], Path]] = {
    "stylegan2": _stylegan2,
    "diffusion": _diffusion,
    "attribute_classifier": _instrument,
    "dcgan": _small,
    "adagan": _small,
    "progan": _small,
    "vae": _small,
    "grid": _grid,
    "image_classifier": _image_classifier,
    "encoder": _instrument,
    "identity": _instrument,
    "self_conditioning": _self_conditioning,
    "rebalancing": _rebalancing,
    "cyclegan": _cyclegan,
}
"""Training loops by recipe kind."""
