"""The loop of recipes of kind "self_conditioning": prepare, fine-tune, describe; every stage can be taken up again."""

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from audit.attributes import ATTRIBUTES
from audit.digests import digest, file_digest
from audit.errors import ManifestError, SourceError, SpecError
from audit.generators import load
from audit.generators.stylegan2 import StyleGAN2
from audit.generators.weights import read_weights, save_weights
from audit.portraits.models import FOLDER, shipped
from audit.seeds import normals
from mitigations.labelling import Labeller
from mitigations.self_conditioning.editing import write_strips
from mitigations.self_conditioning.images import FolderImages, PortraitImages, TrainingImages
from mitigations.self_conditioning.preparation import prepare
from mitigations.self_conditioning.report import check_labels, method_report
from mitigations.self_conditioning.trainer import SelfConditioningTrainer, resampled_batches
from mitigations.training.recipes import Recipe, TrainingLog
from mitigations.training.stylegan2 import carry_on
from mitigations.training.train import write_grid

KIND = "self_conditioned"
OPTIONS = {"baseline", "critic", "classifier", "data", "real_images", "scored_images", "calibration_images", "checked_images", "encoder",
           "directions", "resampling", "label_weight_d", "label_weight_g", "batch", "lr", "r1_every", "r1_gamma", "path_every",
           "path_weight", "ema_images", "precision"}  # fmt: skip


def train_self_conditioned(recipe: Recipe, out: Path, device: torch.device) -> Path:
    """Make a self-conditioned generator from a baseline and return the path of its weights; ``.method.json`` lies beside them.

    Raises:
        SpecError: the recipe lacks an option, or ``out`` holds the work of another recipe.
        ManifestError: the baseline is no StyleGAN2, or not the network the recipe describes.
        SourceError, InstrumentError: see :mod:`mitigations.self_conditioning.preparation`.
    """
    options = recipe.options
    if set(options) != OPTIONS:
        found = sorted(set(options) ^ OPTIONS)
        raise SpecError(f"recipe {recipe.name!r}: the options {found} are missing or unknown; expected {sorted(OPTIONS)}")
    baseline = shipped(options["baseline"])
    module = open_baseline(baseline, recipe.network).to(device)
    attributes = tuple(recipe.network["attributes"])
    labeller = Labeller("*".join(attributes), options["classifier"], device=str(device))
    images = _training_images(recipe, out)
    out.mkdir(parents=True, exist_ok=True)
    _claim(out, digest([vars(recipe), file_digest(baseline), labeller.digest, images.digest]))
    prepared = prepare(recipe, module, images, labeller, out, device)
    trainer = SelfConditioningTrainer(recipe, device)
    trainer.start_from(read_weights(baseline)[2], _critic(options["critic"], recipe.network, TrainingLog(out)))
    z = torch.from_numpy(normals(np.arange(64, dtype=np.uint64), "z", trainer.average.z_dim)).float().to(device)

    def sample(generator: nn.Module, resolution: int) -> None:
        with torch.no_grad():
            write_grid(generator(z, noise="none").cpu(), out / "samples.png")

    carry_on(trainer, resampled_batches(images, prepared.indices, prepared.labels, recipe.seed), out, sample=sample)
    made = trainer.average
    sample(made, made.resolution)
    write_strips(made, z[:4], out / "strips.png")
    cuts = [
        warp.cuts if warp.boundaries else np.arange(1, k) / k
        for warp, k in zip(prepared.warps, (ATTRIBUTES[a].k for a in attributes), strict=True)
    ]
    checked = check_labels(made, labeller, attributes, n=options["checked_images"], seed=recipe.seed, cuts=cuts)
    path = out / f"{recipe.name}.safetensors"
    save_weights(made, path, kind=KIND, network=recipe.network, recipe=recipe.name, seed=str(recipe.seed))
    report = method_report(recipe, prepared, checked, images, out / "log.jsonl")
    temporary = path.with_suffix(".method.tmp")
    temporary.write_text(json.dumps(report.as_dict(), indent=1) + "\n", encoding="utf-8")
    temporary.replace(path.with_suffix(".method.json"))
    return path


def open_baseline(path: Path, network: dict | None = None) -> StyleGAN2:
    """Return the StyleGAN2 at ``path``, with gradients off.

    Args:
        path: weights written by genbias.
        network: what a recipe says it is; None = whatever it is.

    Raises:
        ManifestError: it is another network than the recipe's.
        SourceError: it has no mapping network, or needs a class as well.
    """
    module = load(path)
    if type(module) is not StyleGAN2 or module.c_dim:
        what = "a StyleGAN2 that needs classes" if type(module) is StyleGAN2 else f"a {type(module).__name__}"
        raise SourceError(f"{path.name} is {what}; self-conditioning starts from a plain StyleGAN2, whose mapping network gives the codes "
                          "that are labelled")  # fmt: skip
    wanted = None if network is None else _plain(network)
    found = _plain(read_weights(path)[1])
    if wanted is not None and wanted != found:
        raise ManifestError(f"{path.name} is a network {found}, the recipe describes {wanted}; give the baseline's own numbers")
    return module.requires_grad_(False)


def _plain(network: dict) -> dict:
    numbers = {k: network.get(k, default) for k, default in (("z_dim", 512), ("w_dim", 512), ("resolution", None), ("mapping_layers", 8))}
    return numbers | {"channels": {int(k): v for k, v in network["channels"].items()}}


def _training_images(recipe: Recipe, out: Path) -> TrainingImages:
    size, count = recipe.network["resolution"], recipe.options["real_images"]
    if recipe.options["data"] is not None:
        return FolderImages(recipe.options["data"], count, size, out / "images.npy")
    return PortraitImages(recipe.population, recipe.seed, count, size)


def _claim(out: Path, mark: str) -> None:
    """Hold the folder for one piece of work: stages of another recipe must not be taken up."""
    plan = out / "work.json"
    if plan.is_file():
        if json.loads(plan.read_text())["digest"] != mark:
            raise SpecError(f"{out} holds the work of another recipe, baseline or set of images; give another folder, or remove that one")
        return
    temporary = plan.with_suffix(".tmp")
    temporary.write_text(json.dumps({"digest": mark}) + "\n", encoding="utf-8")
    temporary.replace(plan)


def _critic(name: str | None, network: dict, log: TrainingLog) -> dict[str, Tensor] | None:
    """Return the state of the baseline's discriminator, None (and a line in the log) where it was not kept."""
    path = (
        None if name is None else Path(name) if name.endswith(".safetensors") else FOLDER / f"{name.removeprefix('portraits/')}.safetensors"
    )
    if path is None or not path.is_file():
        log.write(
            stage="critic",
            note=f"no discriminator {name!r}: fine-tuning begins with a fresh one, which costs images until it has caught up",
        )
        return None
    kind, found, tensors = read_weights(path)
    channels = {int(k): v for k, v in found.get("channels", {}).items()}
    if kind != "critic" or (found["resolution"], channels) != (network["resolution"], {int(k): v for k, v in network["channels"].items()}):
        raise ManifestError(f"{path.name} holds a {kind!r} of another size than the generator; give the critic saved beside the baseline")
    log.write(stage="critic", note="fine-tuning begins with the baseline's discriminator")
    return tensors
