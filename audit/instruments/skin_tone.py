"""Reads skin tone as colour: CIELAB of the skin of a face, hue, ITA and the nearest tone of the Monk scale.

Chain: skin region (forehead, bridge of the nose, upper cheeks; eyes, brows, lips and beard left out by position) ->
sRGB decoded -> XYZ, D65 -> CIELAB -> pixels far from the region's median left out -> median. The pair L* and hue is the
reading (Thong, Joniak, Xiang 2023, "Beyond Skin Tone", arXiv 2309.05148); ITA and the Monk tone are derived from it.

The Monk tone is the swatch with the smallest CIEDE2000 difference at k_L = 2: light falls unevenly on a face, so
lightness counts half. With k_L = 1 four of the twenty swatches made 5 % lighter or darker land on a neighbour; with 2
none does.

What it cannot see: lighting, make-up and white balance. A tone is a colour in an image, not a person's, and not race.
"""

import hashlib

import numpy as np
import torch

from audit.attributes import SKIN_TONE
from audit.errors import InstrumentError
from audit.instruments.colour import delta_e_2000, hue_degrees, ita_degrees, srgb_to_lab
from audit.instruments.network import readable_rows
from audit.pixels import crop, resize
from audit.portraits.palette import MONK_HEX, MONK_RGB
from audit.portraits.population import MONK_OF_GROUP
from audit.sources.base import Batch

VERSION = "1"

FACE = (0.2625, 0.255, 0.7375, 0.7875)
"""Where the face lies in an aligned image, as shares of its width and height: the built-in portraits."""

K_L = 2.0
"""Parametric factor of lightness in CIEDE2000."""

TRIM = 2.0
"""Pixels further from the region's median than this many median distances are left out: shine, hair, glasses."""

GRID = 64
"""Larger images are brought to this side before the skin is read."""

LEAST_CHROMA = 0.5
"""Below this chroma a colour is grey and has no hue."""

MONK_LAB = srgb_to_lab(MONK_RGB)  # (10, 3)
_GROUP_OF_MONK = np.array([[m in MONK_OF_GROUP[g] for g in SKIN_TONE.classes] for m in range(1, 11)], dtype=np.float32)


def skin_region(height: int, width: int, face: tuple[float, float, float, float] = FACE) -> np.ndarray:
    """Return (height, width) bool: where skin shows on a face seen from the front.

    The shape was tuned on built-in portraits with seeds below 2,000.

    Args:
        height: of the image, in pixels.
        width: of the image, in pixels.
        face: x0, y0, x1, y1 of the face as shares of width and height, as a face finder would draw it: from the
            middle of the forehead to the chin.
    """
    x0, y0, x1, y1 = face
    u = np.abs(((np.arange(width) + 0.5) / width - x0) / (x1 - x0) - 0.5)[None, :]  # from the middle of the face
    v = (((np.arange(height) + 0.5) / height - y0) / (y1 - y0))[:, None]
    forehead = (u < 0.10) & (v > 0.19) & (v < 0.28)
    bridge = (u < 0.08) & (v >= 0.28) & (v < 0.50)
    cheeks = ((u - 0.18) / 0.20) ** 2 + ((v - 0.53) / 0.06) ** 2 < 1
    return forehead | bridge | cheeks


def monk_tones(lab: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the nearest Monk tone of colours, the second nearest, and the difference to the nearest.

    Args:
        lab: (n, 3).

    Returns:
        (n,) tones 1..10, (n,) tones 1..10, (n,) CIEDE2000 at k_L = 2.

    Example:
        >>> monk_tones(MONK_LAB)[0].tolist()
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    """
    apart = delta_e_2000(np.asarray(lab)[:, None], MONK_LAB[None], k_l=K_L)  # (n, 10)
    order = np.argsort(apart, axis=1, kind="stable")
    return order[:, 0] + 1, order[:, 1] + 1, apart[np.arange(len(apart)), order[:, 0]]


class SkinTone:
    """Reads the colour of the skin, one reading an image.

    Columns: ``role:L`` (0..100), ``role:hue`` (degrees), ``role:ita`` (degrees, NaN where b* is too small) with
    ``role:ita_valid`` (1, 0), ``role:monk`` and ``role:monk_second`` (1..10), ``role:delta_e`` (to the nearest tone),
    ``role:mask_share`` (share of the region's pixels that agree on the colour) and ``role:skin_tone:light`` ...
    ``dark`` (1 or 0). Rows without a readable image or without a box hold NaN and -1.

    Args:
        role: the key under ``instruments`` in the spec.
        face: where the face lies in images without a box, as shares of width and height.

    Raises:
        InstrumentError: ``face`` is not a box inside the image.
    """

    licence = "MIT, part of genbias"
    caveats = (
        "Skin tone is the colour of skin in an image: light, make-up and white balance move it, and it is not race.",
        "Photographs rarely reach Monk tones 1-3 and 9-10; calibrate on annotated images before comparing with people.",
    )

    def __init__(self, role: str = "skin_tone", *, face: tuple[float, float, float, float] = FACE) -> None:
        if not (0 <= face[0] < face[2] <= 1 and 0 <= face[1] < face[3] <= 1):
            raise InstrumentError(f"the face of {role!r} is {face}; expected x0 < x1 and y0 < y1 as shares in 0..1")
        self.role, self.face = role, tuple(face)
        facts = (VERSION, self.face, K_L, TRIM, GRID, MONK_HEX)
        self.digest = hashlib.sha256(repr(facts).encode()).hexdigest()
        self._regions: dict[tuple, np.ndarray] = {}

    def read(self, batch: Batch) -> dict[str, np.ndarray]:
        """Return the columns of the batch; see the class for their names."""
        rows = readable_rows(batch)
        lab = np.full((len(batch.ids), 3), np.nan)
        share = np.full(len(batch.ids), np.nan, dtype=np.float32)
        for members, pixels, face in self._alike(batch, rows):
            lab[members], share[members] = _settled(pixels[:, self._region(pixels.shape[1:3], face)])
        return self._columns(lab, share, rows)

    def _alike(self, batch: Batch, rows: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, tuple]]:
        """Return groups of equal size: positions, (n, h, w, 3) pixels, and where the face lies in them."""
        if batch.boxes is not None and len(rows):
            cuts = [crop(batch.images[i], batch.boxes[i], square=False) for i in rows]
            pixels = resize(cuts, GRID).cpu().numpy() / 255.0
            return [(rows, pixels.transpose(0, 2, 3, 1), (0.0, 0.0, 1.0, 1.0))]
        sizes: dict[tuple, list[int]] = {}
        for i in rows:
            sizes.setdefault(tuple(batch.images[i].shape[1:]), []).append(int(i))
        groups = []
        for size, members in sizes.items():
            images = torch.stack([batch.images[i] for i in members])
            large = max(size) > 1.5 * GRID
            pixels = resize(images, GRID).cpu().numpy() / 255.0 if large else images.cpu().numpy()
            groups.append((np.array(members), pixels.transpose(0, 2, 3, 1), self.face))
        return groups

    def _region(self, size: tuple[int, ...], face: tuple) -> np.ndarray:
        if (size, face) not in self._regions:
            region = skin_region(*size, face)
            if not region.any():  # a picture of a few pixels: take its middle one
                region[size[0] // 2, size[1] // 2] = True
            self._regions[(size, face)] = region
        return self._regions[(size, face)]

    def _columns(self, lab: np.ndarray, share: np.ndarray, rows: np.ndarray) -> dict[str, np.ndarray]:
        n = len(lab)
        whole = {k: np.full(n, -1, dtype=np.int8) for k in ("ita_valid", "monk", "monk_second")}
        real = {k: np.full(n, np.nan, dtype=np.float32) for k in ("L", "hue", "ita", "delta_e")}
        groups = np.full((n, SKIN_TONE.k), np.nan, dtype=np.float32)
        if len(rows):
            seen = lab[rows]
            real["L"][rows] = seen[:, 0]
            real["hue"][rows] = np.where(np.hypot(seen[:, 1], seen[:, 2]) < LEAST_CHROMA, np.nan, hue_degrees(seen))
            real["ita"][rows] = ita_degrees(seen)
            whole["ita_valid"][rows] = np.isfinite(real["ita"][rows])
            whole["monk"][rows], whole["monk_second"][rows], real["delta_e"][rows] = monk_tones(seen)
            groups[rows] = _GROUP_OF_MONK[whole["monk"][rows] - 1]
        columns = {**real, **whole, "mask_share": share}
        columns |= {f"{SKIN_TONE.name}:{c}": groups[:, i] for i, c in enumerate(SKIN_TONE.classes)}
        return {f"{self.role}:{k}": v for k, v in columns.items()}


def _settled(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the colour most pixels agree on: (n, m, 3) sRGB -> (n, 3) Lab and the share (n,) of agreeing pixels."""
    lab = srgb_to_lab(rgb).astype(np.float32)
    away = np.sqrt(((lab - np.median(lab, axis=1, keepdims=True)) ** 2).sum(axis=2))
    agreeing = away <= TRIM * np.maximum(np.median(away, axis=1, keepdims=True), 1.0)  # (n, m)
    count = agreeing.sum(axis=1)
    ranked = np.sort(np.where(agreeing[:, :, None], lab, np.inf), axis=1)  # those left out come last
    middle = np.stack([(count - 1) // 2, count // 2], axis=1)[:, :, None]  # of an even number, the two in the middle
    return np.take_along_axis(ranked, middle, axis=1).mean(axis=1), (count / lab.shape[1]).astype(np.float32)
