"""What a source of images is: something that draws the same picture for the same seed, however it is asked."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from torch import Tensor

OK = "ok"
"""Status of an image that was drawn or read. Any other status is a short reason and the image is a black stand-in."""

REFUSED = "refused"
"""Status of an image that a generator would not draw: its safety checker blocked it, or it raised for the prompt."""


@dataclass
class Batch:
    """Images on their way past the instruments.

    Attributes:
        ids: (n,) int64, position of each image in its run.
        seeds: (n,) uint64.
        images: n tensors (3, h, w) uint8, sRGB 0..255; sizes may differ between photographs.
        status: n strings, :data:`OK` or the reason there is no image ("unreadable", "not finite", ...).
        columns: further record columns the source knows, each (n,): "file", "truth:gender", "prompt", ...
        boxes: set by a face finder: n rows x0, y0, x1, y1 in pixels, NaN where no single face was chosen; None = the
            whole image is the face.
        landmarks: set by a face finder with the boxes: (n, 5, 2) eyes, nose and corners of the mouth, x and y in pixels.
    """

    ids: np.ndarray
    seeds: np.ndarray
    images: list[Tensor]
    status: list[str]
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    boxes: np.ndarray | None = None
    landmarks: np.ndarray | None = None
    prepared: dict[tuple, Tensor] = field(default_factory=dict, repr=False)  # cuts that several instruments read alike


class ImageSource(Protocol):
    """Draws images by id and seed.

    Attributes:
        name: what the run calls it.
        digest: hex string that changes whenever the images could (weights, sampler, population, file list).
        count: how many images exist, None = as many as are asked for.
        caveats: sentences the report prints beside it (licence, terms, departures).

    A source that a mitigation made also has ``method``, plain values that say what was done and what it cost.
    """

    name: str
    digest: str
    count: int | None
    caveats: tuple[str, ...]

    def draw(self, ids: np.ndarray, seeds: np.ndarray) -> Batch:
        """Return the images of ``ids``; image i depends on ``(self.digest, seeds[i], ids[i])`` alone."""
        ...
