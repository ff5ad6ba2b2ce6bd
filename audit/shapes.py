"""Names for the arrays that pass between the parts, and the one check that images are what they claim to be."""

from typing import TYPE_CHECKING

from audit.errors import SourceError

if TYPE_CHECKING:
    from torch import Tensor


def check_images(images: "Tensor", *, source: str) -> "Tensor":
    """Return ``images`` if they are (n, 3, h, w) uint8, sRGB 0..255.

    Raises:
        SourceError: they are not; the sentence names the source and what it gave.
    """
    import torch

    if images.ndim != 4 or images.shape[1] != 3:
        raise SourceError(f"source {source!r} gave images of shape {tuple(images.shape)}; expected (n, 3, height, width)")
    if images.dtype != torch.uint8:
        raise SourceError(f"source {source!r} gave {images.dtype} images; expected uint8 in 0..255")
    return images
