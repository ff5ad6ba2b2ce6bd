"""Training images from anywhere an audit can look: a source with a fixed number of images, gone through in a new order each time round."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from audit.errors import SourceError, SpecError
from audit.sources import open_source
from audit.sources.base import OK, ImageSource
from audit.spec import SourceSpec
from mitigations.training.data import PortraitStream
from mitigations.training.recipes import Recipe


class SourceStream:
    """Shows the images of a source again and again; batch b is the same on every machine.

    Args:
        source: has a fixed number of images, all readable and of one size.
        seed: of the orders.

    Attributes:
        population: what the images are called, under ``name``.
        size: pixels a side.
        distinct: how many images there are.

    Raises:
        SourceError: a source without an end, images that cannot be read, or of several sizes or not square.
    """

    def __init__(self, source: ImageSource, seed: int) -> None:
        if source.count is None:
            raise SourceError(f"training images come from {source.name!r}, which draws without end; give images that exist: cifar10 or a folder")
        ids = np.arange(source.count)
        batch = source.draw(ids, ids.astype(np.uint64))
        bad = [i for i, s in enumerate(batch.status) if s != OK]
        shapes = {tuple(image.shape) for image in batch.images}
        if bad or len(shapes) != 1 or len({*next(iter(shapes))[1:]}) != 1:
            what = f"image {bad[0]} is {batch.status[bad[0]]}" if bad else f"they have the shapes {', '.join(map(str, sorted(shapes)[:3]))}"
            raise SourceError(f"training images from {source.name!r}: {what}; expected readable square images of one size")
        self.images, self.seed, self.distinct = torch.stack(batch.images), seed, source.count
        self.truth = pd.DataFrame({k.removeprefix("truth:"): v for k, v in batch.columns.items() if k.startswith("truth:")}, index=ids)
        self.size, self.population = self.images.shape[-1], SimpleNamespace(name=f"{source.name} {source.digest[:12]}")
        self._orders: dict[int, np.ndarray] = {}

    def batch(self, first: int, n: int) -> tuple[Tensor, pd.DataFrame]:
        """Return images ``first`` .. ``first + n - 1``: (n, 3, size, size) uint8, and what is known of them, a column an attribute."""
        at = np.array([self._order(i // self.distinct)[i % self.distinct] for i in range(first, first + n)], dtype=np.int64)
        return self.images[torch.from_numpy(at)], self.truth.iloc[at].reset_index(drop=True)

    def _order(self, epoch: int) -> np.ndarray:
        if epoch not in self._orders:
            self._orders = {e: o for e, o in self._orders.items() if e == epoch - 1}
            self._orders[epoch] = np.random.default_rng([self.seed, epoch]).permutation(self.distinct)
        return self._orders[epoch]


Stream = PortraitStream | SourceStream


def stream_of(recipe: Recipe) -> Stream:
    """Return the training images of a recipe: those of its ``options.images``, a source as in a spec, else the built-in world's."""
    given = recipe.options.get("images")
    if given is None:
        return PortraitStream(recipe.population, recipe.seed, recipe.options.get("size", 64), recipe.options.get("distinct"))
    return SourceStream(open_images(recipe, given), recipe.seed)


def open_images(recipe: Recipe, given: object) -> ImageSource:
    """Return the source that a recipe's options describe.

    Raises:
        SpecError: they describe none.
        SourceError: it cannot be opened.
    """
    try:
        return open_source(recipe.population, SourceSpec.model_validate(given))
    except ValueError as problem:
        said = " ".join(str(problem).split())[:200]
        raise SpecError(f"recipe {recipe.name!r}, images: {said}; expected a source, e.g. {{source: cifar10, path: FOLDER}}") from None
