"""The built-in world as a source: portraits of a population, with the truth of each image in its record."""

import numpy as np

from audit.attributes import ATTRIBUTES
from audit.digests import digest
from audit.portraits import draw, population
from audit.sources.base import OK, Batch

RENDERER_VERSION = 1
"""Raised whenever a portrait of the same seed would look different."""


class PortraitsSource:
    """Draws portraits of a named population; see :class:`audit.sources.base.ImageSource`."""

    count = None
    caveats = ("drawn by the built-in renderer: nobody's face, and the truth of every image is known",)

    def __init__(self, name: str, population_name: str) -> None:
        self.name, self.population = name, population(population_name)
        self.digest = digest(["portraits", RENDERER_VERSION, population_name, self.population.table.round(12).tolist()])

    def draw(self, ids: np.ndarray, seeds: np.ndarray) -> Batch:
        truth = self.population.for_seeds(seeds)
        images = draw(truth, seeds)
        columns = {f"truth:{name}": truth[name].to_numpy() for name in (*ATTRIBUTES, "monk")}
        return Batch(ids, seeds, list(images), [OK] * len(ids), columns)
