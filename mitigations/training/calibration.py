"""Measures a portrait classifier's errors on held-out portraits, for the correction of shares."""

from pathlib import Path

import numpy as np
from tqdm import tqdm

from audit.attributes import ATTRIBUTES
from audit.calibrations import calibration_json
from audit.instruments.portraits import PortraitNetwork
from audit.labels import labels_from
from audit.records import write_whole
from audit.seeds import image_seeds
from audit.sources.portraits import PortraitsSource

HELD_OUT = 20_000
"""Portraits of the balanced population in a stream of seeds that no training and no audit uses."""


def calibrate(weights: Path, target: Path, *, images: int = HELD_OUT, batch: int = 256) -> Path:
    """Write the calibration of the classifier in ``weights`` to ``target`` and return it."""
    reader = PortraitNetwork("classifier", str(weights))
    source = PortraitsSource("held-out", "balanced")
    true: dict[str, list[np.ndarray]] = {a: [] for a in ATTRIBUTES}
    given: dict[str, list[np.ndarray]] = {a: [] for a in ATTRIBUTES}
    for first in tqdm(range(0, images, batch), unit="batch", desc=f"calibrating {weights.stem}"):
        ids = np.arange(first, min(first + batch, images))
        drawn = source.draw(ids, image_seeds(0, ids, stream="calibration"))
        said = reader.read(drawn)
        for name, attribute in ATTRIBUTES.items():
            order = {c: i for i, c in enumerate(attribute.classes)}
            true[name].append(np.array([order[v] for v in drawn.columns[f"truth:{name}"]]))
            given[name].append(labels_from(said, "classifier", name))
    text = calibration_json(weights.stem, "held-out balanced portraits", {a: np.concatenate(v) for a, v in true.items()},
                            {a: np.concatenate(v) for a, v in given.items()})  # fmt: skip
    write_whole(target, text.encode())
    return target
