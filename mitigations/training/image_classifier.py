"""Trains a small classifier of one attribute on labelled images, and leaves it as an instrument: weights, manifest and calibration.

The network is one of :mod:`audit.instruments.portrait_networks` (a residual network after He et al. 2016, arXiv 1512.03385, or a mixer),
trained with cross-entropy on images that are mirrored and shifted by a few pixels. Its errors are counted on images it has not seen, in
the calibration that corrects shares.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
import yaml
from torch import Tensor, nn
from tqdm import tqdm

from audit.attributes import ATTRIBUTES, Attribute
from audit.errors import SpecError
from audit.generators.weights import save_weights
from audit.instruments.attribute_classifier import AttributeClassifier
from audit.instruments.portrait_networks import build_network
from audit.labelled.calibrating import calibrate
from audit.labelled.columns import TRUTH
from audit.manifests import checksum, load_manifest
from audit.records import write_whole
from audit.sources.base import ImageSource
from mitigations.training.data import to_signed
from mitigations.training.images import SourceStream, open_images, stream_of
from mitigations.training.recipes import Recipe, TrainingLog

KIND = "image_classifier"


def train_image_classifier(recipe: Recipe, out: Path, device: torch.device) -> Path:
    """Train by a recipe of kind "image_classifier" and return the path of its weights.

    Args:
        recipe: options ``images`` and ``held_out`` (sources with a known truth), ``attribute``, ``batch``, ``lr``, ``weight_decay``,
            ``shift`` (pixels), ``mirror``.
        out: gets NAME.safetensors, NAME.yaml (a manifest, which a spec names as classifier), NAME.calibration.json and the log.
        device: where to train.

    Raises:
        SpecError: the attribute is not known, or the images do not say theirs.
        SourceError: images cannot be opened, or a class is missing among those held out.
    """
    options, name = recipe.options, recipe.options["attribute"]
    if name not in ATTRIBUTES:
        raise SpecError(f"recipe {recipe.name!r}: {name!r} is not an attribute; there are {', '.join(ATTRIBUTES.known())}")
    attribute = ATTRIBUTES[name]
    stream, held_out = stream_of(recipe), open_images(recipe, {**options["images"], "imbalance": None, **options["held_out"]})
    if not isinstance(stream, SourceStream) or name not in stream.truth:
        raise SpecError(f"recipe {recipe.name!r}: nothing says {name} of the training images; expected a source that knows it, such as cifar10")
    model = _fit(recipe, stream, attribute, out, device)
    weights = out / f"{recipe.name}.safetensors"
    save_weights(model, weights, kind=KIND, network=recipe.network, recipe=recipe.name, seed=str(recipe.seed))
    manifest = _manifest(recipe, weights, attribute, stream.size)
    _calibrate(recipe, manifest, held_out, attribute, device)
    return weights


def _fit(recipe: Recipe, stream: SourceStream, attribute: Attribute, out: Path, device: torch.device) -> nn.Module:
    options, network = recipe.options, dict(recipe.network)
    torch.manual_seed(recipe.seed)
    model = build_network(network.pop("design"), **network).to(device, memory_format=torch.channels_last)
    steps = max(sum(images for _, images in recipe.schedule) // options["batch"], 2)
    optimiser = torch.optim.AdamW(model.parameters(), lr=options["lr"], weight_decay=options["weight_decay"])
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, options["lr"], total_steps=steps, pct_start=0.15)
    log, rng = TrainingLog(out), np.random.default_rng(recipe.seed)
    for step in tqdm(range(steps), unit="batch", desc=recipe.name):
        images, truth = stream.batch(step * options["batch"], options["batch"])
        target = torch.tensor([attribute.classes.index(v) for v in truth[attribute.name]], device=device)
        x = moved(to_signed(images), options.get("shift", 0), mirror=options.get("mirror", False), rng=rng)
        loss = F.cross_entropy(model(x.to(device, memory_format=torch.channels_last)), target)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 50 == 0 or step == steps - 1:
            log.write(images=(step + 1) * options["batch"], loss=loss.item())
    return model.eval()


def moved(x: Tensor, shift: int, *, mirror: bool, rng: np.random.Generator) -> Tensor:
    """Return images each shifted by up to ``shift`` pixels, edges repeated, and half of them mirrored.

    Args:
        x: (n, 3, h, w).
        shift: pixels, 0 = none.
        mirror: whether left and right may be exchanged.
        rng: where the choice comes from.
    """
    n, _, h, w = x.shape
    if shift:
        padded = F.pad(x, (shift,) * 4, mode="replicate")
        corners = rng.integers(0, 2 * shift + 1, (n, 2))
        x = torch.stack([p[:, r : r + h, c : c + w] for p, (r, c) in zip(padded, corners.tolist(), strict=True)])
    if mirror:
        flipped = torch.from_numpy(rng.random(n) < 0.5)
        x = torch.where(flipped[:, None, None, None], x.flip(3), x)
    return x


def _manifest(recipe: Recipe, weights: Path, attribute: Attribute, size: int) -> Path:
    content = {
        "name": recipe.name.lower(),
        "kind": "classifier",
        "title": f"{attribute.title}, {recipe.network['design']} network trained by the recipe {recipe.name}",
        "format": "safetensors",
        "architecture": "genbias",
        "files": [{"name": weights.name, "path": weights.name, "bytes": weights.stat().st_size, "sha256": checksum(weights)}],
        "licence": "yours; see that of the training images",
        "caveats": [f"Trained by yourself (seed {recipe.seed}); its errors on images it had not seen are in {weights.stem}.calibration.json, and "
                    f"hold for images like those: generated ones are another domain."],
        "contract": {
            "input": {"layout": "nchw", "size": size, "channels": "RGB", "range": [0.0, 1.0], "mean": [0.5] * 3, "std": [0.5] * 3,
                      "crop": {"from": "image", "margin": 0.0, "square": False}},
            "output": {"heads": [{"attribute": attribute.name, "kind": "logits", "columns": list(range(attribute.k)),
                                  "classes": {c: i for i, c in enumerate(attribute.classes)}}]},
        },
    }  # fmt: skip
    path = weights.with_suffix(".yaml")
    write_whole(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120).encode())
    return path


def _calibrate(recipe: Recipe, manifest: Path, held_out: ImageSource, attribute: Attribute, device: torch.device) -> None:
    """Count the errors on images held out, with the instrument as an audit will open it."""
    described = load_manifest(manifest)
    reader, rows = AttributeClassifier("classifier", described, device=device), []
    for first in range(0, held_out.count or 0, 256):
        ids = np.arange(first, min(first + 256, held_out.count))
        batch = held_out.draw(ids, ids.astype(np.uint64))
        said = {k.removeprefix("classifier:"): v for k, v in reader.read(batch).items()}
        rows.append(pd.DataFrame({f"{attribute.name}:{TRUTH}": batch.columns[f"truth:{attribute.name}"], **said}))
    found = calibrate(pd.concat(rows, ignore_index=True), name=recipe.name, domain=f"held-out images of {recipe.population}",
                      attributes=[attribute.name], classes={attribute.name: attribute.classes})  # fmt: skip
    found.write(manifest.with_name(f"{recipe.name}.calibration.json"))
