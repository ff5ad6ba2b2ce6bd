"""Reading images on the way: the classifier a mitigation may use, and pools of latents it has labelled.

The classifier that mitigates must not be the one that judges (methods of Jain et al. 2023 scored themselves); specs name
the judge under ``instruments.classifier`` and mitigations default to the other one.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from tqdm import tqdm

from audit.attributes import ATTRIBUTES, parts
from audit.errors import InstrumentError
from audit.instruments import open_instruments
from audit.labels import cells
from audit.seeds import image_seeds
from audit.sources.base import OK, Batch
from audit.sources.latent import LatentSource
from audit.spec import InstrumentsSpec

DEFAULT = "portraits_b"
"""Classifier a mitigation uses unless told otherwise; the embedded benchmark judges with portraits_a."""


class Labeller:
    """Reads the joint attribute a mitigation works on.

    Args:
        attribute: one attribute or an intersection ("gender*skin_tone").
        classifier: a built-in classifier or a data manifest.
        device: where it runs.
        assets: folders where files named by manifests are looked for.

    Raises:
        InstrumentError: the classifier does not read that attribute.
    """

    def __init__(self, attribute: str, classifier: str = DEFAULT, *, device: str = "cpu", assets: tuple[str, ...] = ()) -> None:
        for part in parts(attribute):
            if part not in ATTRIBUTES:
                raise InstrumentError(f"there is no attribute {part!r}; there are {', '.join(ATTRIBUTES)}")
        (self.instrument,) = open_instruments(InstrumentsSpec(second_rater=classifier), device=device, assets=assets)
        self.attribute, self.classifier, self.cells = attribute, classifier, cells(attribute)
        heads = getattr(self.instrument, "heads", None)
        read = set(ATTRIBUTES) if heads is None else {h.attribute for h in heads}
        for part in parts(attribute):
            if part not in read:
                raise InstrumentError(f"{classifier!r} does not read {part!r}, it reads {', '.join(sorted(read))}; "
                                      "name a classifier that does, or another attribute")  # fmt: skip

    @property
    def digest(self) -> str:
        """Changes whenever its readings could."""
        return self.instrument.digest

    def probabilities(self, batch: Batch) -> np.ndarray:
        """Return (n, K) joint cell probabilities, products over the attributes; NaN where an image was not read.

        Attributes are taken as independent given the image: the label is the most probable class of each.
        """
        columns = pd.DataFrame(self.instrument.read(batch))
        joint = np.ones((len(columns), 1))
        for part in parts(self.attribute):
            said = columns[[f"{self.instrument.role}:{part}:{c}" for c in ATTRIBUTES[part].classes]].to_numpy(dtype=np.float64)
            joint = (joint[:, :, None] * said[:, None, :]).reshape(len(columns), -1)
        return joint

    def labels(self, batch: Batch) -> np.ndarray:
        """Return (n,) cell indices, -1 where an image was not read."""
        return most_probable(self.probabilities(batch))


def most_probable(probabilities: np.ndarray) -> np.ndarray:
    """Return (n,) indices of the largest entry of each row, -1 for rows with NaN."""
    blank = np.isnan(probabilities).any(axis=1)
    return np.where(blank, -1, np.where(blank[:, None], 0.0, probabilities).argmax(axis=1))


@dataclass(frozen=True)
class Pool:
    """Latents drawn from a source's own prior, with what a classifier said of their images.

    Attributes:
        seeds: (n,) uint64.
        latents: (n, z_dim) float32.
        probabilities: (n, K) joint cell probabilities, NaN rows where an image was not readable.
    """

    seeds: np.ndarray
    latents: np.ndarray
    probabilities: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        """(n,) cell indices, -1 where unread."""
        return most_probable(self.probabilities)

    def counts(self) -> np.ndarray:
        """(K,) images labelled each cell."""
        said = self.labels
        return np.bincount(said[said >= 0], minlength=self.probabilities.shape[1])


def draw_pool(source: LatentSource, labeller: Labeller, n: int, *, seed: int, batch: int = 64) -> Pool:
    """Draw and label ``n`` images of ``source``; deterministic in ``seed``, apart from every audit's images.

    Args:
        source: where to draw.
        labeller: what reads them.
        n: how many.
        seed: seed of the pool (stream "mitigation").
        batch: images at once; the result does not depend on it.
    """
    seeds = image_seeds(seed, np.arange(n), stream="mitigation")
    latents, read = [], []
    for at in tqdm(range(0, n, batch), unit="batch", desc=f"{source.name}: labelled pool"):
        part = seeds[at : at + batch]
        drawn = source.draw(np.arange(at, at + len(part)), part)
        latents.append(source.latents(part).astype(np.float32))
        probabilities = labeller.probabilities(drawn)
        probabilities[[s != OK for s in drawn.status]] = np.nan
        read.append(probabilities)
    return Pool(seeds, np.concatenate(latents), np.concatenate(read))
