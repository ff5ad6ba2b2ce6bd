"""The built-in world as a source: portraits of a population, with the truth of each image in its record."""

import numpy as np

from audit.attributes import ATTRIBUTES
from audit.digests import digest
from audit.portraits import SIZE, draw, population
from audit.sources.base import OK, Batch

RENDERER_VERSION = 1
"""Raised whenever a portrait of the same seed would look different."""


class PortraitsSource:
    """Draws portraits of a named population; see :class:`audit.sources.base.ImageSource`.

    Args:
        name: what the run calls it.
        population_name: as for :func:`audit.portraits.population`.
        size: image side in pixels; None = the renderer's own, 64.
    """

    count = None
    caveats = ("drawn by the built-in renderer: nobody's face, and the truth of every image is known",)

    def __init__(self, name: str, population_name: str, size: int | None = None) -> None:
        self.name, self.population, self.size = name, population(population_name), size or SIZE
        marks = ["portraits", RENDERER_VERSION, population_name, self.population.table.round(12).tolist()]
        self.digest = digest(marks if self.size == SIZE else [*marks, self.size])

    def draw(self, ids: np.ndarray, seeds: np.ndarray) -> Batch:
        truth = self.population.for_seeds(seeds)
        images = draw(truth, seeds, size=self.size)
        columns = {f"truth:{name}": truth[name].to_numpy() for name in (*ATTRIBUTES, "monk")}
        return Batch(ids, seeds, list(images), [OK] * len(ids), columns)
