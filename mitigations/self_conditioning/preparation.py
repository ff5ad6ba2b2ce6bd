"""From a trained generator to labelled, evenly resampled training images: encoder, directions, distances, resampling.

Each stage leaves a file in the output folder and is read from there when the work is taken up again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from audit.attributes import ATTRIBUTES
from audit.generators.stylegan2 import StyleGAN2
from audit.sources.latent import LatentSource
from mitigations.labelling import Labeller, draw_pool, most_probable
from mitigations.self_conditioning.calibrating import Warp, class_warp, even_warps
from mitigations.self_conditioning.directions import Direction, fit_direction
from mitigations.self_conditioning.distances import Percentiles, distance_labels, layer_weights
from mitigations.self_conditioning.encoder import Encoder, fit_encoder, inversion_quality, invert
from mitigations.self_conditioning.images import TrainingImages, as_batch
from mitigations.self_conditioning.resampling import Resampled, uniform_resample
from mitigations.training.recipes import Recipe, TrainingLog

BATCH = 64


@dataclass(frozen=True)
class Prepared:
    """What fine-tuning needs, and what the report says of it.

    Attributes:
        indices: (m,) training image of each draw, with repeats.
        labels: (N, A) labels t in 0..1 of all N training images.
        inversion: see :func:`mitigations.self_conditioning.encoder.inversion_quality`.
        directions: one an attribute.
        layer_weights: (A, num_ws).
        percentiles: the map from distance to score, one an attribute.
        warps: the map from score to label, one an attribute; the identity where ``calibrate`` is off.
        resampled: what resampling did.
        said: {attribute: (n, K) probabilities} of the drawn pool: the generator before.
        read: {attribute: (m', K) probabilities} of the first training images.
    """

    indices: np.ndarray
    labels: np.ndarray
    inversion: dict[str, float]
    directions: list[Direction]
    layer_weights: np.ndarray
    percentiles: list[Percentiles]
    warps: list[Warp]
    resampled: Resampled
    said: dict[str, np.ndarray]
    read: dict[str, np.ndarray]


def marginals(joint: np.ndarray, attributes: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Return {attribute: (n, K)} from the joint cell probabilities (n, cells) of :class:`mitigations.labelling.Labeller`."""
    table = joint.reshape(len(joint), *(ATTRIBUTES[a].k for a in attributes))
    axes = range(1, table.ndim)
    return {a: table.sum(axis=tuple(x for x in axes if x != i + 1)) for i, a in enumerate(attributes)}


def prepare(recipe: Recipe, module: StyleGAN2, images: TrainingImages, labeller: Labeller, out: Path, device: torch.device) -> Prepared:
    """Run the stages before fine-tuning.

    Args:
        recipe: kind "self_conditioning".
        module: the baseline, on ``device``.
        images: what it was trained on.
        labeller: reads the joint attribute of ``recipe.network["attributes"]``.
        out: folder of the stages' files.
        device: where networks run.
    """
    options, attributes, log = recipe.options, tuple(recipe.network["attributes"]), TrainingLog(out)
    rng = np.random.default_rng([recipe.seed, 1])
    scored = _stage(out / "scored.npz", lambda: _score(module, labeller, recipe, device))
    codes, said = scored["codes"], marginals(scored["joint"], attributes)
    fit = {k: options["directions"][k] for k in ("share", "at_least", "c")}
    directions = [fit_direction(codes, said[a], a, ATTRIBUTES[a].classes, rng=rng, **fit) for a in attributes]
    log.write(stage="directions", **{f"held_out_{d.attribute}": d.accuracy for d in directions})
    normals = np.stack([d.normal for d in directions])
    encoder = fit_encoder(module, images, options["encoder"], along=normals, seed=recipe.seed, out=out, log=log, device=device)
    quality = _stage(out / "inversion.npz", lambda: {k: np.array(v) for k, v in
                                                   inversion_quality(encoder, module, images, seed=recipe.seed).items()})  # fmt: skip
    weights = _stage(out / "layers.npz", lambda: {"weights": _layers(module, codes, directions, options, rng, device)})["weights"]
    far = _stage(out / "distances.npz", lambda: {"distances": _distances(encoder, images, directions, weights)})["distances"]
    read = _stage(out / "read.npz", lambda: {"joint": _read(images, labeller, options["calibration_images"])})["joint"]
    read = marginals(read, attributes)
    percentiles = [Percentiles.of(column) for column in far.T]
    scores = np.stack([p(column) for p, column in zip(percentiles, far.T, strict=True)], axis=1)
    how, classes = options["resampling"], np.stack([most_probable(read[a]) for a in attributes], axis=1)

    def resample(labels: np.ndarray) -> tuple[np.ndarray, Resampled]:
        return uniform_resample(labels, how["queries"], k=how["neighbours"], cap=how["cap"], rng=np.random.default_rng([recipe.seed, 2]))

    warps = [Warp() for _ in attributes]
    if how["calibrate"]:
        warps = [class_warp(scores[: len(classes), i], classes[:, i], ATTRIBUTES[a].classes) for i, a in enumerate(attributes)]
        warps = even_warps(scores, classes, warps, how["rounds"], lambda labels: resample(labels)[0])
    labels = np.stack([w(column) for w, column in zip(warps, scores.T, strict=True)], axis=1)
    indices, report = resample(labels)
    log.write(stage="resampled", effective=report.effective, unique=report.unique, max_repeats=report.max_repeats, placed=report.placed)
    inversion = {k: float(v) for k, v in quality.items()}
    return Prepared(indices, labels, inversion, directions, weights, percentiles, warps, report, said, read)


def _stage(path: Path, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    if not path.is_file():
        temporary = path.with_suffix(".tmp.npz")
        np.savez(temporary, **make())
        temporary.replace(path)
    with np.load(path, allow_pickle=False) as stored:
        return dict(stored)


def _score(module: StyleGAN2, labeller: Labeller, recipe: Recipe, device: torch.device) -> dict[str, np.ndarray]:
    source = LatentSource("baseline", module, z_dim=module.z_dim, digest="", device=str(device), call={"noise": "none"})
    pool = draw_pool(source, labeller, recipe.options["scored_images"], seed=recipe.seed)
    with torch.no_grad():
        codes = [module.mapping(z.to(device))[:, 0].cpu().numpy() for z in torch.from_numpy(pool.latents).split(1024)]
    return {"codes": np.concatenate(codes), "joint": pool.probabilities.astype(np.float32)}


def _layers(module: StyleGAN2, codes: np.ndarray, directions: list[Direction], options: dict, rng: np.random.Generator,
            device: torch.device) -> np.ndarray:  # fmt: skip
    def draw(ws: torch.Tensor) -> torch.Tensor:
        return module.synthesis(ws, noise="none")

    pairs = options["directions"]["layer_pairs"]
    return np.stack(
        [layer_weights(draw, codes, d.normal, d.intercept, module.num_ws, pairs=pairs, rng=rng, device=device) for d in directions]
    )


def _distances(encoder: Encoder, images: TrainingImages, directions: list[Direction], weights: np.ndarray) -> np.ndarray:
    rows = []
    for at in tqdm(range(0, images.count, BATCH), unit="batch", desc="inverted training images"):
        codes = invert(encoder, images.take(np.arange(at, min(at + BATCH, images.count)))).cpu().numpy()
        rows.append(np.stack([distance_labels(codes, d.normal, d.intercept, w) for d, w in zip(directions, weights, strict=True)], axis=1))
    return np.concatenate(rows)


def _read(images: TrainingImages, labeller: Labeller, n: int) -> np.ndarray:
    n = min(n, images.count)
    said = [labeller.probabilities(as_batch(images.take(np.arange(at, min(at + BATCH, n))))) for at in range(0, n, BATCH)]
    return np.concatenate(said).astype(np.float32)
