"""From the bytes of an image file to sRGB pixels, or to the reason why there are none.

Nothing in a file can stop a run: whatever is wrong with it becomes its row's status. What was done to a readable image
(alpha composited, first frame taken, ...) becomes a note, so that it can be counted.
"""

import io
import re
import threading
import warnings
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageCms, UnidentifiedImageError
from torch import Tensor

from audit.sources.base import OK

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "BMP", "GIF", "TIFF", "PPM", "JPEG2000", "TGA")
"""Formats that are opened. Formats that hand the bytes to another program (EPS) are not among them."""

EXTENSIONS = (
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".png",
    ".webp",
    ".avif",
    ".bmp",
    ".gif",
    ".tif",
    ".tiff",
    ".ppm",
    ".pgm",
    ".jp2",
    ".tga",
)

MEGAPIXELS = 100
"""Images with more million pixels than this are not opened: a small file can claim a size that fills the memory."""

LARGE = 4096
"""Images with a longer side than this are reduced by a whole number while they are read."""

SMALL = 16
"""Images with a shorter side than this many pixels are noted: hardly any attribute can be read from them."""

STAND_IN = 64
"""Side of the black picture that stands for an image that is not there."""

NOTES = {
    "lossy": "are compressed with loss (JPEG and the like), which moves colours and FID a little",
    "alpha": "have transparency and were laid on white",
    "animated": "are animations, of which the first frame was taken",
    "reduced": f"have a side of more than {LARGE} pixels and were reduced on reading",
    "small": f"have a side of less than {SMALL} pixels",
    "profile": "carry a colour profile that could not be applied and was ignored",
    "grey": "are grey: they hold no colour, so no skin tone",
    "16 bit": "have 16 bits a channel and were rounded to 8",
}
"""What the notes mean, as the end of a sentence that begins with a count."""

_MAGIC = {
    "JPEG": b"\xff\xd8\xff",
    "PNG": b"\x89PNG\r\n\x1a\n",
    "WEBP": b"RIFF",
    "GIF": b"GIF8",
    "BMP": b"BM",
    "JPEG2000": b"\x00\x00\x00\x0cjP",
    "TIFF": (b"II*\0", b"MM\0*"),
}
_HEADER_LOCK = threading.Lock()
_TURNS = {
    2: (Image.Transpose.FLIP_LEFT_RIGHT,),
    3: (Image.Transpose.ROTATE_180,),
    4: (Image.Transpose.FLIP_TOP_BOTTOM,),
    5: (Image.Transpose.TRANSPOSE,),
    6: (Image.Transpose.ROTATE_270,),
    7: (Image.Transpose.TRANSVERSE,),
    8: (Image.Transpose.ROTATE_90,),
}  # EXIF 2.32, tag 0x0112
_SRGB = ImageCms.createProfile("sRGB")


class Decoded(NamedTuple):
    """One image, or the reason why there is none.

    Attributes:
        image: (3, h, w) uint8, sRGB; black where there is no image.
        status: "ok", or "unreadable: ..." with the reason.
        notes: what was done to it, keys of :data:`NOTES`.
    """

    image: Tensor
    status: str
    notes: tuple[str, ...]


def decode(data: bytes) -> Decoded:
    """Decode one image file.

    Args:
        data: the bytes of the file, in one of :data:`FORMATS`.

    Returns:
        The image in sRGB with its EXIF orientation applied, or the reason why it cannot be read. Never raises for
        anything in the data.

    Example:
        >>> decode(b"").status
        'unreadable: empty file'
    """
    if not data:
        return unreadable("empty file")
    kind = _kind(data)
    try:
        picture = _open(data)
        width, height = picture.size
        if width * height > MEGAPIXELS * 10**6:
            return unreadable(f"{width} x {height} pixels, more than the limit of {MEGAPIXELS} megapixels")
        notes: list[str] = []
        if kind in ("JPEG", "WEBP", "AVIF", "JPEG2000"):
            notes.append("lossy")
        if any(";16" in str(tile[3]) for tile in picture.tile):
            notes.append("16 bit")
        picture = _to_rgb(_reduced(picture, notes), notes)
        pixels = np.array(picture)  # a copy: the tensor must own its memory
    except Exception as problem:  # decoders raise almost anything; none of it may end a run of thousands of images
        return unreadable(_reason(problem, kind, data))
    if min(width, height) < SMALL:
        notes.append("small")
    return Decoded(torch.from_numpy(pixels).permute(2, 0, 1).contiguous(), OK, tuple(sorted(set(notes))))


def unreadable(reason: str) -> Decoded:
    """Return the row of an image that is not there."""
    return Decoded(torch.zeros((3, STAND_IN, STAND_IN), dtype=torch.uint8), f"unreadable: {reason}", ())


@cache
def _formats() -> tuple[str, ...]:
    Image.init()  # an older Pillow knows no AVIF, and opens nothing at all when asked for a format it does not know
    return tuple(f for f in FORMATS if f in Image.OPEN)


def _open(data: bytes) -> Image.Image:
    # Filters of warnings belong to the whole process, hence the lock; only the header is read under it.
    with _HEADER_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if data.startswith(_MAGIC["PNG"]):
            Image.open(io.BytesIO(data), formats=("PNG",)).verify()  # Pillow compares checksums only when asked to
        picture = Image.open(io.BytesIO(data), formats=_formats())
        picture.info["animated"] = picture.format != "MPO" and getattr(picture, "n_frames", 1) > 1
        return picture


def _orientation(picture: Image.Image) -> int:
    with _HEADER_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return int(picture.getexif().get(0x0112, 1))
        except Exception:  # broken EXIF data is no reason to lose the image
            return 1


def _reduced(picture: Image.Image, notes: list[str]) -> Image.Image:
    info = picture.info
    if info.get("animated"):
        notes.append("animated")
    factor = -(-max(picture.size) // LARGE)
    if factor > 1:
        notes.append("reduced")
        # A JPEG can leave out the fine scales while it is decoded; what remains is averaged down.
        picture.draft(None, (picture.size[0] // factor, picture.size[1] // factor))
        picture.load()
        turn = _orientation(picture)  # after the pixels: in a PNG the tag may follow them
        factor = -(-max(picture.size) // LARGE)
        if factor > 1:
            picture = _plain(picture, notes).reduce(factor)
    else:
        picture.load()
        turn = _orientation(picture)
    picture.info.update(info)
    for step in _TURNS.get(turn, ()):
        picture = picture.transpose(step)
    return picture


def _plain(picture: Image.Image, notes: list[str]) -> Image.Image:
    """Return the picture in a mode whose numbers can be averaged."""
    if picture.mode == "1":
        return picture.convert("L")
    if picture.mode in ("P", "PA"):
        return picture.convert("RGBA" if picture.mode == "PA" or "transparency" in picture.info else "RGB")
    if picture.mode.startswith("I") or picture.mode == "F":
        return _from_numbers(picture, notes)
    return picture


def _from_numbers(picture: Image.Image, notes: list[str]) -> Image.Image:
    values = np.asarray(picture).astype(np.float64)
    if picture.mode == "F":
        low, high = float(values.min()), float(values.max())
        if not (low >= 0 and high <= 255):
            raise ValueError(f"floating-point values in {low:.3g}..{high:.3g}")
        scale = 255.0 if high <= 1 else 1.0
    else:
        notes.append("16 bit")
        if values.min() < 0 or values.max() > 65535:
            raise ValueError(f"whole numbers in {values.min():.0f}..{values.max():.0f}")
        scale = 255.0 / 65535.0
    return Image.fromarray((values * scale + 0.5).astype(np.uint8))


def _to_rgb(picture: Image.Image, notes: list[str]) -> Image.Image:
    profile = picture.info.get("icc_profile")
    picture = _plain(picture, notes)
    if picture.mode in ("L", "LA", "La"):
        notes.append("grey")
    alpha = picture.mode in ("RGBA", "LA", "RGBa", "La") or "transparency" in picture.info
    if alpha:
        if picture.mode in ("RGBa", "La"):
            picture = picture.convert("RGBA" if picture.mode == "RGBa" else "LA")
        picture = picture.convert("RGBA")
        opacity = picture.getchannel("A")
        picture = _to_srgb(picture.convert("RGB"), profile, notes)
        if opacity.getextrema() != (255, 255):
            notes.append("alpha")
            white = Image.new("RGB", picture.size, (255, 255, 255))
            white.paste(picture, mask=opacity)
            picture = white
        return picture
    return _to_srgb(picture, profile, notes).convert("RGB")


def _to_srgb(picture: Image.Image, profile: bytes | None, notes: list[str]) -> Image.Image:
    if not profile or picture.mode not in ("RGB", "CMYK"):
        return picture
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if picture.mode == "RGB" and "srgb" in ImageCms.getProfileDescription(source).lower():
            return picture
        return ImageCms.profileToProfile(picture, source, _SRGB, outputMode="RGB") or picture
    except (ImageCms.PyCMSError, OSError, ValueError):
        notes.append("profile")
        return picture


def _reason(problem: Exception, kind: str, data: bytes) -> str:
    text = " ".join(str(problem).split())
    if isinstance(problem, Image.DecompressionBombError):
        pixels = re.search(r"\d+", text)
        size = f"{int(pixels.group()) / 1e6:,.0f} megapixels" if pixels else "too many pixels"
        return f"{size}, more than the limit of {MEGAPIXELS}"
    if isinstance(problem, MemoryError):
        return "it does not fit into memory"
    if kind == "image" and isinstance(problem, UnidentifiedImageError):
        return "text, not an image" if _is_text(data[:512]) else "not an image"
    if kind == "WEBP" and int.from_bytes(data[4:8], "little") + 8 > len(data):
        return "truncated WEBP"
    if re.search("truncat|unexpected end|data stream|too short|not enough|bytes but only got", text, re.IGNORECASE):
        return f"truncated {kind}"
    if isinstance(problem, UnidentifiedImageError):
        return f"truncated or corrupt {kind}"
    return f"corrupt {kind} ({text[:80]})" if text else f"corrupt {kind}"


def _kind(data: bytes) -> str:
    for name, magic in _MAGIC.items():
        if data.startswith(magic) and (name != "WEBP" or data[8:12] == b"WEBP"):
            return name
    return "AVIF" if data[4:12] in (b"ftypavif", b"ftypavis") else "image"


def _is_text(head: bytes) -> bool:
    try:
        return head.decode("utf-8").isprintable() or not set(head) & set(range(9))
    except UnicodeDecodeError:
        return False
