"""Endless training images from the built-in world: batch b of a recipe is the same on every machine."""

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from audit.portraits import draw, population
from audit.seeds import image_seeds


class PortraitStream:
    """Draws fresh portraits of one population, never the same image twice.

    Args:
        population_name: "balanced", "celeb_like" or "professors".
        seed: the recipe's seed; the training stream is apart from every audit's and reference's.
        size: image side drawn by the renderer.
    """

    def __init__(self, population_name: str, seed: int, size: int = 64) -> None:
        self.population, self.seed, self.size = population(population_name), seed, size

    def batch(self, first: int, n: int) -> tuple[Tensor, pd.DataFrame]:
        """Return images ``first`` .. ``first + n - 1``: (n, 3, size, size) uint8, and their true attributes."""
        seeds = image_seeds(self.seed, np.arange(first, first + n), stream="train")
        truth = self.population.for_seeds(seeds)
        return draw(truth, seeds, size=self.size), truth


def to_signed(images: Tensor, resolution: int | None = None) -> Tensor:
    """Return uint8 images as float32 in -1..1, averaged down to ``resolution`` if that is smaller."""
    x = images.to(torch.float32) / 127.5 - 1
    if resolution is not None and resolution < x.shape[-1]:
        x = F.avg_pool2d(x, x.shape[-1] // resolution)
    return x
