"""Endless training images from the built-in world: batch b of a recipe is the same on every machine."""

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from audit.portraits import draw, population
from audit.seeds import image_seeds


class PortraitStream:
    """Draws portraits of one population: fresh ones without end, or a fixed set of them again and again.

    Args:
        population_name: as for :func:`audit.portraits.population`.
        seed: the recipe's seed; the training stream is apart from every audit's and reference's.
        size: image side drawn by the renderer.
        distinct: images of the training set, shown in a new order each epoch; None = no image is shown twice.
    """

    def __init__(self, population_name: str, seed: int, size: int = 64, distinct: int | None = None) -> None:
        self.population, self.seed, self.size, self.distinct = population(population_name), seed, size, distinct
        self._drawn: tuple[Tensor, pd.DataFrame] | None = None

    def batch(self, first: int, n: int) -> tuple[Tensor, pd.DataFrame]:
        """Return images ``first`` .. ``first + n - 1``: (n, 3, size, size) uint8, and their true attributes."""
        if self.distinct is None:
            return self._draw(np.arange(first, first + n))
        images, truth = self.whole()
        at = self.order(first, n)
        return images[torch.from_numpy(at)], truth.iloc[at].reset_index(drop=True)

    def order(self, first: int, n: int) -> np.ndarray:
        """Return which images of the fixed set are shown at places ``first`` .. ``first + n - 1``: each once an epoch."""
        epochs = np.arange(first, first + n) // self.distinct
        places = {e: np.random.default_rng([self.seed, int(e)]).permutation(self.distinct) for e in np.unique(epochs)}
        return np.array([places[e][i % self.distinct] for e, i in zip(epochs, range(first, first + n), strict=True)])

    def whole(self) -> tuple[Tensor, pd.DataFrame]:
        """Return the fixed set: (distinct, 3, size, size) uint8 and true attributes."""
        if self._drawn is None:
            parts = [self._draw(np.arange(a, min(a + 500, self.distinct))) for a in range(0, self.distinct, 500)]
            self._drawn = torch.cat([p[0] for p in parts]), pd.concat([p[1] for p in parts], ignore_index=True)
        return self._drawn

    def _draw(self, at: np.ndarray) -> tuple[Tensor, pd.DataFrame]:
        seeds = image_seeds(self.seed, at, stream="train")
        truth = self.population.for_seeds(seeds)
        return draw(truth, seeds, size=self.size), truth


def to_signed(images: Tensor, resolution: int | None = None) -> Tensor:
    """Return uint8 images as float32 in -1..1, averaged down to ``resolution`` if that is smaller."""
    x = images.to(torch.float32) / 127.5 - 1
    if resolution is not None and resolution < x.shape[-1]:
        x = F.avg_pool2d(x, x.shape[-1] // resolution)
    return x
