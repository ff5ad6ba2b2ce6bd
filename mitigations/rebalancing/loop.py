"""The whole of a rebalancing: search a balanced set, draw it, train the generator again, say what was done.

Every step is kept in the working folder, so the same call continues where the last one stopped.
"""

import json
from pathlib import Path

import numpy as np
import torch
from torch import nn

from audit.digests import file_digest
from audit.errors import RecordError, SourceError, SpecError
from audit.generators import load
from audit.generators.weights import read_weights, save_weights
from audit.portraits.models import FOLDER, shipped
from audit.portraits.population import POPULATIONS
from audit.seeds import normals
from audit.sources import open_source
from audit.sources.latent import LatentSource
from audit.spec import SourceSpec
from mitigations.labelling import Labeller
from mitigations.rebalancing.balanced import BalancedSet, balanced_set
from mitigations.rebalancing.data import BalancedBatches, Shelf, draw_shelf, real_shelf
from mitigations.rebalancing.losses import BiasLoss, released_weights
from mitigations.rebalancing.plan import Plan, plan_digest, plan_of
from mitigations.rebalancing.reading import SoftReader
from mitigations.rebalancing.report import Done, identity_spread, method_report
from mitigations.rebalancing.scan import PriorScan
from mitigations.rebalancing.trainer import RebalancingTrainer
from mitigations.training.data import PortraitStream
from mitigations.training.images import Stream, stream_of
from mitigations.training.recipes import Recipe, TrainingLog
from mitigations.training.stylegan2 import carry_on


def train_rebalancing(recipe: Recipe, out: Path, device: torch.device, *, source: LatentSource | None = None) -> Path:
    """Carry out a recipe of kind "rebalancing" and return the path of its weights.

    Args:
        recipe: see :class:`Plan` for its options.
        out: working folder; one begun with another recipe is refused.
        device: where to draw and train.
        source: the baseline as an audit draws it; None = ``start`` of the recipe with its ``noise``.

    Returns:
        ``out/NAME.safetensors``; beside it ``NAME.method.json``, the searched set and the log.

    Raises:
        SpecError, RecordError: the recipe, or the folder, does not fit.
        SourceError: the weights are not StyleGAN2's, or a group never occurs.
        InstrumentError: the classifier does not read the attribute, or lacks the gradient a bias loss needs.
    """
    plan, start = plan_of(recipe), weights_of(plan_of(recipe).start)
    if source is None:
        source = open_source("stylegan2", SourceSpec(source="stylegan2", weights=str(start), noise=plan.noise), device=str(device))
    _claim(out, plan_digest(recipe, source.digest))
    labeller = Labeller(plan.attribute, plan.classifier, device=str(device))
    stream = _real_stream(plan, recipe)
    chosen = searched(plan, recipe, source, labeller, out) if plan.data != "unbalanced" else None
    log, real = TrainingLog(out), stream
    synthetic = draw_shelf(source, chosen, out) if chosen is not None else None
    if stream is not None and plan.data == "mix" and plan.balance_real:
        real = real_shelf(stream, labeller, plan.real_draws, plan.quota, out)
    trainer, fresh_critic = _trainer(recipe, plan, start, source, labeller, device, chosen, out)
    batches = BalancedBatches(synthetic, real, mix=plan.mix, cells=len(labeller.cells), seed=recipe.seed)
    carry_on(trainer, batches, out, sample=lambda generator, resolution: _sample(generator, resolution, out))
    if not (out / f"{recipe.name}.safetensors").is_file():
        log.write(images=trainer.images_seen, finished=1)  # its seconds are what this process took, drawing included
    _sample(trainer.average, recipe.network["resolution"], out)
    return _finish(recipe, plan, source, labeller, trainer, chosen, synthetic, real, fresh_critic, out)


def weights_of(start: str) -> Path:
    """Return the StyleGAN2 weights to start from.

    Raises:
        SourceError: there are none, or they are another kind of network.
    """
    path = shipped(start) if start.startswith("portraits/") else Path(start)
    if not path.is_file():
        raise SourceError(f"no weights at {path}; rebalancing trains a StyleGAN2 again: give portraits/NAME or its .safetensors file")
    kind = read_weights(path)[0]
    if kind != "stylegan2":
        raise SourceError(f"{path.name} holds a {kind}; rebalancing trains a plain StyleGAN2 again, whose kind is 'stylegan2'")
    return path


def searched(plan: Plan, recipe: Recipe, source: LatentSource, labeller: Labeller, out: Path) -> BalancedSet:
    """Return the balanced set of a plan, from ``out/balanced.npz`` where it is finished."""
    path = out / "balanced.npz"
    if path.is_file():
        return BalancedSet.load(path)
    made = balanced_set(source, labeller, plan.quota, seed=recipe.seed, folder=out / "search", **{"method": "mixed", **plan.search})
    made.save(path)
    return made


def _real_stream(plan: Plan, recipe: Recipe) -> Stream | None:
    if plan.data == "synthetic":
        return None
    if plan.images is not None:
        return stream_of(recipe)
    if recipe.population not in POPULATIONS:
        raise SpecError(f"data {plan.data!r} needs the images the generator was trained on, and {recipe.population!r} is no population of the "
                        f"built-in world ({', '.join(POPULATIONS)}); use data 'synthetic', which needs none")  # fmt: skip
    return PortraitStream(recipe.population, recipe.seed, size=max(recipe.network["resolution"], 64))


def _trainer(recipe: Recipe, plan: Plan, start: Path, source: LatentSource, labeller: Labeller, device: torch.device,
             chosen: BalancedSet | None, out: Path) -> tuple[RebalancingTrainer, bool]:  # fmt: skip
    _, network, tensors = read_weights(start)
    if json.loads(json.dumps(network)) != json.loads(json.dumps(recipe.network)):
        raise SpecError(
            f"recipe {recipe.name!r} describes the network {recipe.network}, and {start.name} holds {network}; they must be the same"
        )
    kind = "l2" if plan.bias_kind == "none" else plan.bias_kind
    reader = None
    if plan.bias_kind != "none" or hasattr(labeller.instrument, "model"):
        reader = SoftReader(labeller, plan.bias_loss.get("temperature", 1.0))
    weights = None
    if kind in ("hinge", "released"):
        weights = released_weights(_shares(source, labeller, plan, chosen, recipe.seed, out))
    bias = BiasLoss(kind, weights, plan.bias_loss.get("ema", 0.9), k=len(labeller.cells))
    trainer = RebalancingTrainer(recipe, device, reader=reader, bias=bias, weight=plan.bias_weight)
    critic = _critic(plan, start, recipe.network)
    trainer.start_from(tensors, critic)
    if critic is None and not (out / "log.jsonl").exists():
        TrainingLog(out).write(note=f"no discriminator of {start.stem} was found; a fresh one begins")
    return trainer, critic is None


def _shares(source: LatentSource, labeller: Labeller, plan: Plan, chosen: BalancedSet | None, seed: int, out: Path) -> list[float]:
    if chosen is not None:
        return chosen.shares.tolist()
    scan = PriorScan(source, labeller, seed=seed, file=out / "search" / "scan.npz")
    scan.reach(plan.read)
    scan.save()
    return (scan.counts() / len(scan)).tolist()


def _critic(plan: Plan, start: Path, network: dict) -> dict[str, torch.Tensor] | None:
    if plan.critic is None:
        path = start.with_name(f"{start.stem}_critic.safetensors")
    else:
        path = (
            FOLDER / f"{plan.critic.removeprefix('portraits/')}.safetensors" if plan.critic.startswith("portraits/") else Path(plan.critic)
        )
    if not path.is_file():
        return None
    kind, said, tensors = read_weights(path)
    fits = {k: json.loads(json.dumps(network))[k] for k in ("resolution", "channels")}
    if kind != "critic" or said != fits:
        raise SpecError(f"{path.name} holds a {kind} of {said}; expected the discriminator of {start.name}, a critic of {fits}")
    return tensors


def _claim(out: Path, key: str) -> None:
    """Refuse a working folder that another recipe began."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "plan.txt"
    if path.is_file() and path.read_text(encoding="utf-8").strip() != key:
        raise RecordError(f"{out} holds a rebalancing with other options or of another generator; give another folder, or remove it")
    path.write_text(key + "\n", encoding="utf-8")


def _sample(generator: nn.Module, resolution: int, out: Path) -> None:
    from mitigations.training.train import write_grid

    z = torch.from_numpy(normals(np.arange(64, dtype=np.uint64), "z", generator.z_dim)).float()
    with torch.no_grad():
        images = generator.synthesis(generator.mapping(z.to(next(generator.parameters()).device)), resolution=resolution)
    write_grid(images.cpu(), out / "samples.png")


def _finish(recipe: Recipe, plan: Plan, source: LatentSource, labeller: Labeller, trainer: RebalancingTrainer, chosen: BalancedSet | None,
            synthetic: Shelf | None, real: Shelf | Stream | None, fresh_critic: bool, out: Path) -> Path:  # fmt: skip
    path = out / f"{recipe.name}.safetensors"
    save_weights(trainer.average, path, kind="stylegan2", network=recipe.network, recipe=recipe.name, seed=str(recipe.seed))
    after = LatentSource(
        recipe.name, load(path, "stylegan2"), z_dim=source.z_dim, digest=file_digest(path), device=source.device, call=source.call
    )
    read = PriorScan(after, labeller, seed=recipe.seed)
    read.reach(plan.read)
    spread = (
        identity_spread(synthetic, chosen, source.device) if synthetic is not None and plan.classifier.startswith("portraits_") else None
    )
    done = Done(recipe, plan, labeller.cells, chosen, real.labels if isinstance(real, Shelf) else None, read.counts() / plan.read,
                trainer.images_seen, fresh_critic, spread)  # fmt: skip
    said = json.dumps(method_report(done, out / "log.jsonl").as_dict(), indent=1)
    temporary = path.with_suffix(".method.tmp")
    temporary.write_text(said + "\n", encoding="utf-8")
    temporary.replace(path.with_suffix(".method.json"))
    return path
