"""Pixels as an encoder's manifest wants them, with clean-fid's resize computed on the device where it is the same.

clean-fid (Parmar, Zhang, Zhu 2022, arXiv 2104.11222) resizes each channel with Pillow in mode "F": bicubic, antialiased, clipped to
0..255, never rounded. :func:`audit.pixels.resize` is that filter in torch. For every input size that turns up the two are held
against each other on one picture of noise, edges and a ramp; where they differ by more than :data:`AGREE`, or the device cannot
do it at all, Pillow does the work and a note says so.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from audit.manifests import ImageInput
from audit.pixels import normalise, resize, to_device

AGREE = 1e-4
"""Largest difference between device and Pillow, as a share of the range 0..255."""

_VALUES = {"cpu": 1 << 18, "other": 1 << 26}
"""Pixel values turned into floats at once: what fits into the cache of a processor (1.6 times as fast), 256 MiB elsewhere."""


def pillow_resize(image: Tensor, size: int) -> Tensor:
    """Return (3, size, size) float32 in 0..255 of a (3, h, w) image: clean-fid's definition, on the CPU.

    Example:
        >>> pillow_resize(torch.full((3, 8, 8), 7, dtype=torch.uint8), 4).unique().tolist()
        [7.0]
    """
    planes = [Image.fromarray(plane.astype(np.float32)).resize((size, size), Image.Resampling.BICUBIC) for plane in image.cpu().numpy()]
    return torch.from_numpy(np.stack([np.asarray(plane) for plane in planes])).clamp_(0, 255)


class EncoderInput:
    """Prepares images for an encoder.

    Args:
        contract: size, range, mean, deviation and ``resize``: "antialiased" (the project's own), "clean" (clean-fid's), "legacy_pytorch"
            (bilinear without a filter, as pytorch-fid and clean-fid under that name), "inside" (left to the network, as clean-fid's
            legacy_tensorflow).
        device: where the pixels go.

    Attributes:
        notes: sentences about sizes that Pillow had to resize.
    """

    def __init__(self, contract: ImageInput, device: str | torch.device = "cpu") -> None:
        self._contract, self._device = contract, device
        self._equal: dict[tuple[int, int], bool] = {}
        self.notes: list[str] = []

    def portions(self, images: Sequence[Tensor]) -> Iterator[tuple[list[int], Tensor]]:
        """Yield positions and their (k, 3, size, size) pixels; where the network resizes, one portion for each input size."""
        shapes: dict[tuple[int, ...], list[int]] = {}
        for at, image in enumerate(images):
            shapes.setdefault(tuple(image.shape), []).append(at)
        if self._contract.resize == "inside":
            for members in shapes.values():
                yield members, self._finish(torch.stack([images[at].to(self._device) for at in members]).float())
            return
        size = self._contract.size
        out = torch.empty((len(images), 3, size, size), device=self._device)
        for shape, members in shapes.items():
            step = max(_VALUES["cpu" if torch.device(self._device).type == "cpu" else "other"] // int(np.prod(shape)), 1)
            for first in range(0, len(members), step):
                part = members[first : first + step]
                out[part] = self._resized([images[at] for at in part])
        yield list(range(len(images))), self._finish(out)

    def _resized(self, images: list[Tensor]) -> Tensor:
        """Return equal-sized images at the contract's size, 0..255."""
        size, mode = self._contract.size, self._contract.resize
        if mode == "clean" and not self._agrees(tuple(images[0].shape[1:])):
            return torch.stack([pillow_resize(image, size) for image in images]).to(self._device)
        stacked = to_device(images, self._device)
        if mode == "legacy_pytorch":
            return interpolate(stacked.float(), size=(size, size), mode="bilinear", align_corners=False).clamp_(0, 255)
        return resize(stacked, size, filter=self._contract.filter)

    def _finish(self, pixels: Tensor) -> Tensor:
        contract = self._contract
        if contract.channels == "BGR":
            pixels = pixels.flip(1)
        return normalise(pixels, contract.mean, contract.std, low=contract.range[0], high=contract.range[1])

    def _agrees(self, shape: tuple[int, int]) -> bool:
        if shape not in self._equal:
            self._equal[shape] = resize_agrees(shape, self._contract.size, device=self._device)
            if not self._equal[shape]:
                self.notes.append(
                    f"images of {shape[1]} x {shape[0]} pixels were resized by Pillow, since the resize of {self._device} is not equal "
                    f"to clean-fid's there within {AGREE:g}"
                )
        return self._equal[shape]


def resize_agrees(shape: tuple[int, int], size: int, *, device: str | torch.device = "cpu") -> bool:
    """Return whether the device resizes images of (height, width) as Pillow does, within :data:`AGREE` of the range.

    Example:
        >>> resize_agrees((64, 48), 32)
        True
    """
    picture = _picture(*shape)
    try:
        ours = resize(picture[None].to(device), size)[0].cpu()
    except RuntimeError:  # some devices lack the filter, or the memory for strong shrinking
        return False
    return bool((ours - pillow_resize(picture, size)).abs().max() <= AGREE * 255)


def _picture(height: int, width: int) -> Tensor:
    """Noise, black and white squares, and a ramp: (3, height, width) uint8."""
    rows, columns = np.mgrid[:height, :width]
    noise = (rows * 40503 + columns * 30011 + rows * columns * 7919) % 65521 % 256  # fixed, and needs no random generator
    squares = (rows // 3 + columns // 5) % 2 * 255
    ramp = (rows + columns) * 255 // max(height + width - 2, 1)
    return torch.from_numpy(np.stack([noise, squares, ramp]).astype(np.uint8))
