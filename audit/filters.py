"""Image filters whose effect is known: what an audit of image-to-image maps is tried on, and what stands beside it as control.

Colours are changed in CIELAB (D65) and brought back to 8 bits with a fixed dither, because flat skin would round all one way and miss the
amount by a tenth. ``where: image`` changes every pixel; ``where: skin`` the skin region of
an aligned portrait alone (:func:`audit.instruments.skin_tone.skin_region`). Amounts and what an unclipped pixel shows:

- ``identity``: nothing at all, bit for bit.
- ``lighten``: L* rises by ``amount``; a* and b* stay.
- ``warm``: hue turns by ``amount`` degrees towards yellow (from 50 to 50 + amount); L* and chroma stay.
- ``blur``: a Gaussian of ``amount`` pixels, on the sRGB values, edges reflected; skin keeps its colour, features soften.
- ``jitter``: a shift of L*, a*, b* drawn anew for each image, normal with mean 0; ``amount`` is the root mean square of its length, so
  on average nothing is lighter, darker, redder or yellower.

Colours beyond what sRGB shows are clipped to it, so the lightest skin cannot become lighter by the whole amount: what is clipped is counted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from audit.digests import digest
from audit.errors import SpecError
from audit.instruments.colour import lab_to_srgb, srgb_to_lab
from audit.instruments.skin_tone import skin_region
from audit.seeds import normals, uniforms

VERSION = 1
"""Raised whenever a filter would give other pixels."""

Where = Literal["image", "skin"]

LARGEST = {"lighten": 100.0, "warm": 180.0, "blur": 50.0, "jitter": 100.0, "identity": 0.0}
"""Filters by name, and the largest amount that means something; only ``lighten`` and ``warm`` have a direction and may be negative."""

SIGNED = ("lighten", "warm")

AT_ONCE = 2**20
"""Pixels whose colours are changed at once, so that photographs do not fill the memory."""


@dataclass(frozen=True)
class Filter:
    """A filter of the list above.

    Attributes:
        name: which.
        amount: in the filter's own unit.
        where: which pixels change.

    Raises:
        SpecError: no such filter, or an amount outside its range.
    """

    name: str
    amount: float = 0.0
    where: Where = "image"

    def __post_init__(self) -> None:
        if self.name not in LARGEST:
            raise SpecError(f"there is no filter {self.name!r}; there are: {', '.join(sorted(LARGEST))}")
        least = -LARGEST[self.name] if self.name in SIGNED else 0.0
        if not least <= self.amount <= LARGEST[self.name]:
            raise SpecError(f"filter {self.name}: amount {self.amount:g}; expected {least:g} to {LARGEST[self.name]:g}")
        if self.where not in ("image", "skin"):
            raise SpecError(f"filter {self.name}: where is {self.where!r}; expected 'image' or 'skin'")
        if self.name == "blur" and self.where == "skin":
            raise SpecError("filter blur: where is 'skin'; a blur takes the whole image, so leave it out")

    @property
    def digest(self) -> str:
        """Changes whenever the pixels would."""
        return digest(["filter", VERSION, self.name, self.amount, self.where])

    @property
    def planted(self) -> dict[str, float]:
        """What the mean change of unclipped skin is by construction: "L" in L*, "hue" in degrees; empty where it is not known."""
        known = {"identity": {"L": 0.0, "hue": 0.0}, "jitter": {"L": 0.0}}
        return {"lighten": {"L": self.amount}, "warm": {"L": 0.0, "hue": self.amount}}.get(self.name, known.get(self.name, {}))

    def __call__(self, images: Tensor, seeds: np.ndarray) -> Tensor:
        """Return filtered images.

        Args:
            images: (n, 3, h, w) uint8, sRGB.
            seeds: (n,) uint64; only ``jitter`` depends on them.

        Returns:
            (n, 3, h, w) uint8.
        """
        if self.name == "identity" or not len(images):
            return images.clone()
        if self.name == "blur":
            return _blurred(images, self.amount)
        pixels = images.permute(0, 2, 3, 1).contiguous().numpy()
        few = max(1, AT_ONCE // (pixels.shape[1] * pixels.shape[2]))
        parts = [self._changed(pixels[at : at + few], seeds[at : at + few]) for at in range(0, len(pixels), few)]
        return torch.from_numpy(np.concatenate(parts)).permute(0, 3, 1, 2).contiguous()

    def _changed(self, pixels: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        changed = _dithered(lab_to_srgb(_CHANGES[self.name](srgb_to_lab(pixels).astype(np.float64), self.amount, seeds)))
        return np.where(skin_region(*pixels.shape[1:3])[None, :, :, None], changed, pixels) if self.where == "skin" else changed


def _lighten(lab: np.ndarray, amount: float, seeds: np.ndarray) -> np.ndarray:
    lab[..., 0] += amount
    return lab


def _warm(lab: np.ndarray, amount: float, seeds: np.ndarray) -> np.ndarray:
    turn = np.radians(amount)
    a, b = lab[..., 1].copy(), lab[..., 2].copy()
    lab[..., 1], lab[..., 2] = a * np.cos(turn) - b * np.sin(turn), a * np.sin(turn) + b * np.cos(turn)
    return lab


def _jitter(lab: np.ndarray, amount: float, seeds: np.ndarray) -> np.ndarray:
    return lab + (normals(seeds, "jitter", 3) * amount / np.sqrt(3))[:, None, None, :]


_CHANGES: dict[str, Callable[[np.ndarray, float, np.ndarray], np.ndarray]] = {"lighten": _lighten, "warm": _warm, "jitter": _jitter}


def _dithered(rgb: np.ndarray) -> np.ndarray:
    """Return (n, h, w, 3) uint8: rounded up or down by a fixed pattern, on average to the number itself; whole numbers stay."""
    height, width = rgb.shape[1:3]
    pattern = uniforms(np.zeros(1, dtype=np.uint64), f"dither {height} {width}", height * width * 3).reshape(1, height, width, 3)
    return np.floor(rgb * 255 + 0.01 + 0.98 * pattern).clip(0, 255).astype(np.uint8)


def _blurred(images: Tensor, sigma: float) -> Tensor:
    if sigma == 0:
        return images.clone()
    x = images.numpy().astype(np.float32)
    for axis in (2, 3):
        x = gaussian_filter1d(x, sigma, axis=axis, mode="mirror", truncate=3.0)
    return torch.from_numpy((x + 0.5).clip(0, 255).astype(np.uint8))
