"""A full audit against the script that people write: images as PNG files, features and classes read from them, a package a metric.

Both use the same networks, generator, reference and number of images. The script draws in batches of 64, writes PNG files, reads them
again for the encoder in batches of 32 (clean-fid's default) and for the classifier one by one, and calls clean-fid's Frechet and kernel
distance with their defaults and prdc. It has no intervals, no correction of the classifier's errors and no resume; the audit has them.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from audit.audits import run
from audit.bench.clock import Took, one_thread, timed
from audit.bench.rivals import WORKS, clean_fid
from audit.instruments.portraits import PortraitNetwork
from audit.seeds import image_seeds
from audit.sources import ImageSource, open_source
from audit.spec import Spec

CLASSIFIER_BATCHES = (1, 8)
"""Images at once in the script's classifier loop: what is written most often, and what a careful author writes."""


def script_spec(images: int) -> Spec:
    """Return the audit of both sides: FID, KID, precision and recall against a balanced reference, and four attributes."""
    return Spec.model_validate({
        "name": "against a script", "seed": 20261122, "samples": images, "attributes": ["gender", "skin_tone", "age", "smile"],
        "instruments": {"classifier": "portraits_a", "encoder": "portraits"},
        "reference": {"source": "portraits", "population": "balanced", "role": "balanced"},
        "generators": {"stylegan2": {"source": "stylegan2", "weights": "portraits/stylegan2", "noise": "none"}},
    })  # fmt: skip


def against_a_script(images: int) -> list[dict]:
    """Return a row for the audit and one for each script, with ``seconds`` (processor time), ``wall`` and ``ratio`` over the audit's.

    Args:
        images: of the generator and of the reference each.
    """
    spec, rows = script_spec(images), []
    with TemporaryDirectory() as folder, one_thread():
        audit_script(spec, 16, Path(folder) / "warm", 8)  # imports and first allocations
        ours, result = timed(lambda: run(spec, out=Path(folder) / "run", device="cpu"))
        rows.append(_row("genbias run", images, ours, ours, {m.metric: m.value for m in result.measures if m.metric in ("fid", "precision")}))
        for batch in CLASSIFIER_BATCHES:
            theirs, found = timed(lambda batch=batch: audit_script(spec, images, Path(folder) / f"script-{batch}", batch))  # type: ignore[misc]
            rows.append(_row(f"script, classifier in batches of {batch}", images, theirs, ours, found))
    return rows


def audit_script(spec: Spec, images: int, folder: Path, classifier_batch: int) -> dict[str, float]:
    """Do by hand what ``genbias run`` does for the same numbers; return the Frechet distance, precision and shares."""
    classifier, encoder = PortraitNetwork("classifier", "portraits_a").model, PortraitNetwork("encoder", "encoder").model
    sides = {"generated": open_source("stylegan2", spec.generators["stylegan2"]), "reference": open_source("reference", spec.references[0])}
    features = {}
    for name, source in sides.items():
        _write(source, images, folder / name, spec.seed, "image" if name == "generated" else "reference")
        features[name] = _read(encoder, sorted((folder / name).glob("*.png")), 32)
    scores = _read(classifier, sorted((folder / "generated").glob("*.png")), classifier_batch)
    pair = features["generated"], features["reference"]
    fid = WORKS["frechet_clean_fid"](*pair)
    with clean_fid() as theirs:
        kid = float(theirs.kernel_distance(*pair))
    precision, *_ = WORKS["neighbours_prdc"](*pair)
    return {"fid": fid, "kid": kid, "precision": precision, "share": float((scores[:, 0] > scores[:, 1]).mean())}


def _write(source: ImageSource, images: int, folder: Path, seed: int, stream: str) -> None:
    folder.mkdir(parents=True)
    for first in range(0, images, 64):
        ids = np.arange(first, min(first + 64, images))
        for i, image in zip(ids.tolist(), source.draw(ids, image_seeds(seed, ids, stream=stream)).images, strict=True):
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{i:06d}.png")


def _read(network: torch.nn.Module, files: list[Path], batch: int) -> NDArray[np.float32]:
    with torch.inference_mode():
        return np.concatenate([network(part).numpy() for part in _batches(files, batch)])


def _batches(files: list[Path], batch: int) -> Iterator[torch.Tensor]:
    for first in range(0, len(files), batch):
        pixels = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files[first : first + batch]])
        yield torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1


def _row(what: str, images: int, took: Took, ours: Took, found: dict[str, Any]) -> dict:
    return {"what": what, "images": images, "seconds": took.cpu, "wall": took.wall, "ratio": took.cpu / max(ours.cpu, 1e-9), **found}
