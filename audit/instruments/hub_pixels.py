"""What ``preprocessor_config.json`` of a Hugging Face directory does to pixels, as an input contract."""

from collections.abc import Mapping
from typing import Any

from audit.errors import InstrumentError
from audit.manifests import Crop, ImageInput

_FILTERS = {2: "bilinear", 3: "bicubic"}  # Pillow's numbers
_EIGHTH = 224 / 256
"""The share that ConvNext's processor keeps of the image where it says nothing."""


def input_contract(said: Mapping[str, Any], name: str) -> ImageInput:
    """Return the contract that does the same to the whole image, or to the face where a face finder runs.

    Args:
        said: the file's content.
        name: of the manifest, for sentences.

    Raises:
        InstrumentError: it does what a contract cannot say; the manifest then states its own input.

    Example:
        >>> told = {"size": 224, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "resample": 2}
        >>> input_contract(told, "m").size, input_contract(told, "m").filter
        (224, 'bilinear')
    """
    if not said.get("do_resize", True):
        raise _refused(name, "do_resize is false, so that no size is known")
    side, square = _side(said, name)
    filter = _FILTERS.get(said.get("resample", 2))
    if filter is None:
        raise _refused(name, f"resample is {said['resample']!r}, which is neither bilinear (2) nor bicubic (3)")
    if said.get("rescale_offset"):
        raise _refused(name, "rescale_offset is set")
    top = 255 * float(said.get("rescale_factor", 1 / 255)) if said.get("do_rescale", True) else 255.0
    mean, std = said.get("image_mean"), said.get("image_std")
    if not said.get("do_normalize", True):
        mean = std = None
    elif not _triple(mean) or not _triple(std):
        raise _refused(name, f"it normalises with image_mean {mean!r} and image_std {std!r} in the place of three numbers each")
    whole = round(top, 9)  # 255 times 1 / 255 as JSON writes it
    return ImageInput(size=side, range=(0.0, whole), mean=mean, std=std, crop=Crop(square=square), filter=filter)


def _side(said: Mapping[str, Any], name: str) -> tuple[int, bool]:
    """Return the side, and whether the middle square is taken (else the image is squeezed into one)."""
    size, centre = said.get("size", 224), said.get("do_center_crop", False)
    kind = str(said.get("image_processor_type") or said.get("feature_extractor_type") or "")
    shortest = size if isinstance(size, int) else size.get("shortest_edge")
    if "ConvNext" in kind or "crop_pct" in said:
        kept = said.get("crop_pct") or _EIGHTH
        if shortest is None or (shortest < 384 and kept != 1):
            raise _refused(name, f"it resizes to a size of {size} and keeps the middle {kept:g} of the image")
        return int(shortest), shortest < 384
    if isinstance(size, Mapping) and size.get("height") and size.get("height") == size.get("width"):
        across, square = size["height"], False
    elif isinstance(size, int):
        across, square = size, False
    elif shortest and centre:
        across, square = shortest, True
    else:
        raise _refused(name, f"it resizes to {size}, which is no square")
    cut = said.get("crop_size", across)
    cut = cut.get("height") if isinstance(cut, Mapping) else cut
    if centre and cut != across:
        raise _refused(name, f"it resizes to {across} and keeps the middle {cut}")
    return int(across), square


def _triple(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(isinstance(v, int | float) for v in value)


def _refused(name: str, found: str) -> InstrumentError:
    return InstrumentError(
        f"manifest {name!r}: preprocessor_config.json cannot become an input contract, since {found}; state contract.input in the manifest, such as "
        "{size: 224, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]}"
    )
