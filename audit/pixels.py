"""The only resize, crop and normalise of the project, so that every instrument sees the same picture of an image.

Resizing is antialiased and never goes back to 8 bits: Parmar, Zhang, Zhu 2022, "On Aliased Resizing and Surprising
Subtleties in GAN Evaluation" (arXiv 2104.11222) show that a resizer without an antialiasing filter, or a rounding step
after it, moves FID by several points. The filter is the one of Pillow's mode "F" (cubic, a = -0.5), to within 0.005 of
255.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from audit.errors import InstrumentError, SourceError

Filter = Literal["bicubic", "bilinear"]

FAR = 8.0
"""Float images may leave their nominal range by this many times its width before they are refused: untrained or
untruncated generators do overshoot -1..1 by a few units, and a wrong range overshoots by a hundred."""


def resize(images: Tensor | Sequence[Tensor], size: int | tuple[int, int], *, filter: Filter = "bicubic") -> Tensor:
    """Resize images with an antialiasing filter, in floating point.

    Args:
        images: (n, 3, h, w), or n tensors (3, h, w) whose sizes may differ; uint8 or float in 0..255.
        size: side, or (height, width), in pixels.
        filter: "bicubic" or "bilinear", as Pillow defines them.

    Returns:
        (n, 3, height, width) float32 in 0..255, clipped, not rounded.

    Raises:
        InstrumentError: the filter is unknown, or an image is not (3, h, w).

    Example:
        >>> resize(torch.full((2, 3, 8, 8), 7, dtype=torch.uint8), 4).round().unique().tolist()
        [7.0]
    """
    if filter not in ("bicubic", "bilinear"):
        raise InstrumentError(f"unknown resize filter {filter!r}; expected 'bicubic' or 'bilinear'")
    target = (size, size) if isinstance(size, int) else tuple(size)
    if isinstance(images, Tensor):
        return _resize_equal(images, target, filter)
    device = images[0].device if len(images) else None
    out = torch.empty((len(images), 3, *target), dtype=torch.float32, device=device)
    groups: dict[tuple[int, ...], list[int]] = {}
    for i, image in enumerate(images):
        groups.setdefault(tuple(image.shape), []).append(i)
    for members in groups.values():
        out[members] = _resize_equal(torch.stack([images[i] for i in members]), target, filter)
    return out


def to_device(images: Sequence[Tensor], device: str | torch.device) -> Tensor:
    """Return equal-sized images as one tensor on a device, (n, ...).

    On the way to a GPU they are put together in pinned memory, which the card copies by itself while this process goes on; torch keeps
    such buffers and hands them out again.

    Example:
        >>> to_device([torch.zeros(3, 2, 2), torch.ones(3, 2, 2)], "cpu").shape
        torch.Size([2, 3, 2, 2])
    """
    if torch.device(device).type != "cuda":
        return torch.stack(list(images)).to(device)
    buffer = torch.empty((len(images), *images[0].shape), dtype=images[0].dtype, pin_memory=True)
    torch.stack(list(images), out=buffer)
    return buffer.to(device, non_blocking=True)


def to_host(images: Tensor) -> Tensor:
    """Return images in this process's memory; from a GPU by way of pinned memory, which is twice as fast or more."""
    if images.device.type != "cuda":
        return images
    return torch.empty(images.shape, dtype=images.dtype, pin_memory=True).copy_(images)


def _resize_equal(images: Tensor, target: tuple[int, ...], filter: Filter) -> Tensor:
    if images.ndim != 4 or images.shape[1] != 3:
        raise InstrumentError(f"cannot resize images of shape {tuple(images.shape)}; expected (n, 3, height, width)")
    x = images.float()
    if tuple(x.shape[2:]) == target:
        return x.clamp(0, 255)
    return interpolate(x, size=target, mode=filter, antialias=True, align_corners=False).clamp_(0, 255)


def crop(image: Tensor, box: Sequence[float], *, margin: float = 0.0, square: bool = True) -> Tensor:
    """Cut a face out of an image; what lies outside the image repeats its edge.

    Args:
        image: (3, h, w).
        box: x0, y0, x1, y1 in pixels, x to the right and y downwards.
        margin: added on each of the four sides, as a share of the box's longer side.
        square: grow the shorter side to the longer one around the same centre, so that nothing is stretched.

    Returns:
        (3, height, width), same dtype, at least one pixel each way.

    Raises:
        InstrumentError: the box is empty, not finite, or lies wholly outside the image.
    """
    height, width = image.shape[-2:]
    x0, y0, x1, y1 = (float(v) for v in box)
    if not all(math.isfinite(v) for v in (x0, y0, x1, y1)) or x1 <= x0 or y1 <= y0:
        raise InstrumentError(f"cannot crop to box {[x0, y0, x1, y1]}; expected x0 < x1 and y0 < y1 in pixels")
    if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height:
        raise InstrumentError(f"box {[x0, y0, x1, y1]} lies outside the image of {width} x {height} pixels")
    across, down = x1 - x0, y1 - y0
    longer = max(across, down)
    across, down = (longer,) * 2 if square else (across, down)
    across, down = across + 2 * margin * longer, down + 2 * margin * longer
    # Whole sides first, then whole corners: a square box stays square to the pixel.
    columns, rows = max(round(across), 1), max(round(down), 1)
    left = math.floor((x0 + x1 - columns) / 2 + 0.5)
    top = math.floor((y0 + y1 - rows) / 2 + 0.5)
    return _window(image, left, top, columns, rows)


def _window(image: Tensor, left: int, top: int, columns: int, rows: int) -> Tensor:
    height, width = image.shape[-2:]
    first_row, first_column = min(max(top, 0), height - 1), min(max(left, 0), width - 1)
    inside = image[:, first_row : max(top + rows, 1), first_column : max(left + columns, 1)]
    before = (max(-left, 0), max(-top, 0))
    after = (columns - before[0] - inside.shape[2], rows - before[1] - inside.shape[1])
    if not any(before + after):
        return inside
    # Replicate padding is not defined for integers everywhere, so the cut goes through float and back without loss.
    spread = pad(inside[None].float(), (before[0], after[0], before[1], after[1]), mode="replicate")[0]
    return spread.to(image.dtype)


def normalise(
    images: Tensor, mean: Sequence[float] | None, std: Sequence[float] | None, *, low: float = 0.0, high: float = 1.0
) -> Tensor:
    """Turn pixels 0..255 into what a network expects.

    Args:
        images: (n, 3, h, w) float in 0..255.
        mean: one number a channel, subtracted after the change of range; None = nothing.
        std: one number a channel, divided by; None = nothing.
        low: where 0 goes.
        high: where 255 goes.

    Returns:
        (n, 3, h, w) float32.
    """
    x = images.float()
    if (low, high) != (0.0, 255.0):
        x = x * ((high - low) / 255.0) + low
    if mean is not None:
        x = x - torch.as_tensor(mean, dtype=x.dtype, device=x.device).view(1, -1, 1, 1)
    if std is not None:
        x = x / torch.as_tensor(std, dtype=x.dtype, device=x.device).view(1, -1, 1, 1)
    return x


def finite(images: Tensor) -> Tensor:
    """Return (n,) bool: which float images hold neither NaN nor infinity."""
    return torch.isfinite(images).flatten(1).all(dim=1)


def to_uint8(images: Tensor, *, low: float = -1.0, high: float = 1.0, source: str = "the generator") -> Tensor:
    """Round float images of a stated range to 8 bits.

    Args:
        images: (n, 3, h, w) float.
        low: the value that means black.
        high: the value that means full.
        source: who made them, for the error.

    Returns:
        (n, 3, h, w) uint8. Values outside the range are clipped, as every published generator expects.

    Raises:
        SourceError: a value is NaN or infinite (filter with :func:`finite` first), or the values cannot be of the
            stated range; the sentence names the range found.

    Example:
        >>> to_uint8(torch.tensor([-1.0, 0.0, 1.0]).view(1, 3, 1, 1)).flatten().tolist()
        [0, 128, 255]
    """
    if images.numel() == 0:
        return images.to(torch.uint8)
    if not images.is_floating_point():
        raise SourceError(f"{source} gave {images.dtype} images; expected floats in {low:g}..{high:g}")
    if not bool(torch.isfinite(images).all()):
        bad = int((~finite(images)).sum())
        raise SourceError(
            f"{source} gave {bad} of {len(images)} images with NaN or infinite values; "
            f"expected floats in {low:g}..{high:g}"
        )
    reason = _wrong_range(images, low, high)
    if reason:
        found = f"{float(images.min()):.4g}..{float(images.max()):.4g}"
        raise SourceError(
            f"{source} gave values in {found}, but states {low:g}..{high:g} ({reason}); state the range it really has"
        )
    scaled = (images.float() - low).mul_(255.0 / (high - low)).add_(0.5)
    return scaled.clamp_(0, 255).to(torch.uint8)


def _wrong_range(images: Tensor, low: float, high: float) -> str | None:
    span = high - low
    least, most = float(images.min()), float(images.max())
    if least < low - FAR * span or most > high + FAR * span:
        return "far outside it"
    if least == most:  # a flat image may have any value
        return None
    if span > 100 and least >= -1.5 and most <= 1.5:
        return "they look like 0..1 or -1..1"
    if low == 0.0 and float((images < -0.25 * span).float().mean()) > 0.05:
        return "they look centred on zero"
    if low < 0 and 0.0 <= least < 0.02 * span and most <= high and len(images) > 1:
        return "no value is negative"
    return None
