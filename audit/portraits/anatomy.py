"""From (attributes, seed) to the geometry and colours of one face: the causal model behind every portrait.

Lengths are in canvas units: the image spans -1..1 in both axes, x to the right and y downwards, and the head's centre
is the origin of the face's own frame. Every number is a float32 tensor of shape (n, 1, 1); colours are (n, 3, 1, 1).
Identity (bone structure, eye colour, hair colour) is drawn from the identity seed and everything that may change between two
pictures of the same person (hair style, light, pose, clothes, background, glasses) from the image seed.
"""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from audit.attributes import GENDER, SMILE
from audit.portraits.palette import (
    BACKGROUND_RGB,
    CLOTHES_RGB,
    EYE_RGB,
    GREY_HAIR_RGB,
    HAIR_RGB,
    LIPSTICK_RGB,
    MONK_RGB,
)
from audit.seeds import uniforms

# Hair styles: how far the hair falls (y of its lower end), how wide it stands off, how curly, and how often it is worn.
STYLES = {
    # name: (fall, volume, curl, fringe, share among feminine faces, share among masculine faces)
    "shaved": (-0.30, 1.02, 0.0, 0.00, 0.00, 0.16),
    "short": (-0.02, 1.07, 0.0, 0.10, 0.00, 0.50),
    "side": (0.00, 1.10, 0.1, 0.16, 0.00, 0.22),
    "curly": (0.05, 1.16, 1.0, 0.08, 0.05, 0.12),
    "bob": (0.50, 1.20, 0.1, 0.16, 0.27, 0.00),
    "long": (1.20, 1.22, 0.0, 0.12, 0.36, 0.00),
    "wavy": (1.10, 1.32, 0.8, 0.13, 0.22, 0.00),
    "updo": (0.02, 1.12, 0.2, 0.10, 0.10, 0.00),
}
_STYLE = np.array([v[:4] for v in STYLES.values()])
_STYLE_SHARE = np.array([v[4:] for v in STYLES.values()]).T  # (2, styles)


def parameters(attributes: pd.DataFrame, seeds: np.ndarray, identities: np.ndarray) -> dict[str, Tensor]:
    """Return the geometry and colours of ``n`` faces.

    Args:
        attributes: n rows with ``gender``, ``smile`` (class names), ``monk`` (1..10) and ``years``.
        seeds: (n,) uint64, everything that varies between pictures of one person.
        identities: (n,) uint64, bone structure, eye and hair colour.

    Returns:
        Named tensors, (n, 1, 1) for lengths and strengths, (n, 3, 1, 1) for sRGB colours in 0..1.
    """
    masculine = (attributes["gender"].to_numpy() == GENDER.classes[1]).astype(np.float64)
    smiling = (attributes["smile"].to_numpy() == SMILE.classes[1]).astype(np.float64)
    years = attributes["years"].to_numpy(dtype=np.float64)
    monk = attributes["monk"].to_numpy(dtype=np.int64)
    who = _Draws(identities, "identity", 24)
    shot = _Draws(seeds, "shot", 40)
    old = np.clip((years - 34) / 46, 0, 1)
    p: dict[str, np.ndarray] = {"masculine": masculine, "smiling": smiling, "old": old}
    _bones(p, who, masculine, smiling, old)
    _pose_and_light(p, shot)
    _hair_and_extras(p, who, shot, masculine, years)
    _colours(p, who, shot, masculine, years, monk)
    return {k: torch.from_numpy(np.ascontiguousarray(v, dtype=np.float32)).reshape(len(v), -1, 1, 1).squeeze(1)
            if v.ndim == 1 else torch.from_numpy(np.ascontiguousarray(v, dtype=np.float32))[:, :, None, None]
            for k, v in p.items()}  # fmt: skip


class _Draws:
    """Hands out independent uniform numbers of one named stream, a column at a time."""

    def __init__(self, seeds: np.ndarray, stream: str, count: int) -> None:
        self._u = uniforms(seeds, stream, count)
        self._next = 0

    def __call__(self, low: float = 0.0, high: float = 1.0) -> np.ndarray:
        column = self._u[:, self._next]
        self._next += 1
        return low + (high - low) * column

    def index(self, n: int) -> np.ndarray:
        return np.minimum((self() * n).astype(np.int64), n - 1)


def _bones(p: dict, who: _Draws, masculine: np.ndarray, smiling: np.ndarray, old: np.ndarray) -> None:
    p["face_w"] = who(0.40, 0.46) + 0.025 * masculine
    p["face_h"] = who(0.56, 0.63) + 0.02 * masculine
    p["jaw"] = who(0.86, 1.10) - 0.36 * masculine - 0.10 * old  # exponent of the jaw line: small is square
    p["eye_x"] = who(0.172, 0.212)
    p["eye_y"] = who(-0.10, -0.05)
    p["eye_w"] = who(0.088, 0.106) - 0.006 * masculine
    p["eye_h"] = (who(0.043, 0.055) - 0.009 * masculine - 0.008 * old) * (1 - 0.22 * smiling)
    p["iris"] = who(0.042, 0.049)
    p["brow_y"] = who(0.115, 0.145) - 0.025 * masculine
    p["brow_h"] = who(0.014, 0.021) + 0.020 * masculine
    p["brow_tilt"] = who(-0.10, 0.10) + 0.10 * (1 - masculine)
    p["nose_y"] = who(0.135, 0.185)
    p["nose_w"] = who(0.062, 0.092) + 0.014 * masculine
    p["mouth_y"] = who(0.335, 0.365)
    p["mouth_w"] = who(0.130, 0.158) * (1 + 0.30 * smiling)
    p["lip_h"] = who(0.026, 0.038) + 0.012 * (1 - masculine) - 0.010 * old
    p["ear"] = who(0.09, 0.13)
    p["neck_w"] = who(0.20, 0.24) + 0.07 * masculine
    p["shoulder_w"] = who(0.72, 0.84) + 0.16 * masculine


def _pose_and_light(p: dict, shot: _Draws) -> None:
    p["shift_x"], p["shift_y"] = shot(-0.06, 0.06), shot(-0.05, 0.05)
    p["zoom"] = shot(0.94, 1.06)
    p["roll"] = shot(-0.10, 0.10)  # radians
    p["yaw"], p["pitch"] = shot(-0.07, 0.07), shot(-0.03, 0.03)
    p["light_x"], p["light_y"] = shot(-0.13, 0.13), shot(-0.11, -0.01)
    p["exposure"] = shot(0.97, 1.03)
    p["warmth"] = shot(-0.015, 0.015)


def _hair_and_extras(p: dict, who: _Draws, shot: _Draws, masculine: np.ndarray, years: np.ndarray) -> None:
    cumulative = np.cumsum(_STYLE_SHARE, axis=1)[masculine.astype(int)]
    pick = (shot()[:, None] > cumulative / cumulative[:, -1:]).sum(axis=1)
    fall, volume, curl, fringe = _STYLE[pick].T
    names = np.array(list(STYLES))[pick]
    recede = np.clip((years - 38) / 40, 0, 1) * masculine * who(0.2, 1.0)
    p["hair_fall"] = fall + shot(-0.04, 0.04)
    p["hair_volume"] = volume + shot(-0.02, 0.03)
    p["hair_curl"] = curl
    p["hairline"] = shot(-0.37, -0.31) + 0.3 * fringe - 0.15 * recede
    p["hair_part"] = shot(-0.35, 0.35) * (names != "shaved")
    p["hair_bun"] = (names == "updo").astype(np.float64)
    p["hair_alpha"] = np.where(names == "shaved", 0.30, 1.0)
    p["beard"] = masculine * (shot() < 0.42) * shot(0.45, 0.92)
    p["moustache"] = np.maximum(p["beard"], masculine * (shot() < 0.12) * 0.85)
    p["stubble"] = masculine * shot(0.06, 0.20)
    p["lashes"] = (1 - masculine) * shot(0.75, 1.0)
    p["lipstick"] = (1 - masculine) * shot(0.45, 0.95)
    p["earrings"] = (1 - masculine) * (shot() < 0.5)
    p["glasses"] = (shot() < 0.12 + 0.12 * (years > 60)).astype(np.float64)
    p["collar"] = shot(0.10, 0.34)


def _colours(p: dict, who: _Draws, shot: _Draws, masculine: np.ndarray, years: np.ndarray, monk: np.ndarray) -> None:
    # Skin lies within a fifth of the way from its own swatch to a neighbour, so tones form a continuum.
    lean = shot(-0.20, 0.20)
    neighbour = np.clip(monk - 1 + np.sign(lean).astype(int), 0, 9)
    skin = MONK_RGB[monk - 1] + np.abs(lean)[:, None] * (MONK_RGB[neighbour] - MONK_RGB[monk - 1])
    depth = 1 - skin.mean(axis=1, keepdims=True)  # 0 light .. 1 dark
    p["skin"] = skin
    p["depth"] = depth[:, 0]
    # Lines and shadows: a warm, saturated darkening on light skin, a deep one on dark skin; highlights the other way.
    p["shade"] = skin * np.array([0.68, 0.57, 0.52]) * (1 - 0.32 * depth)
    p["shine"] = np.clip(skin + (0.08 + 0.27 * depth) * np.array([1.0, 0.90, 0.80]), 0, 1)
    p["blush"] = np.clip(skin * np.array([0.97, 0.80, 0.76]) + depth * np.array([0.10, 0.02, 0.02]), 0, 1)
    natural_lip = skin * np.array([0.84, 0.64, 0.62]) + np.array([0.30, 0.17, 0.15]) * depth
    lipstick = LIPSTICK_RGB[shot.index(len(LIPSTICK_RGB))] * (1 - 0.25 * depth)
    p["lip"] = np.clip(natural_lip + (p["lipstick"] * 0.6)[:, None] * (lipstick - natural_lip), 0, 1)
    # Darker skin goes with darker hair; grey comes with the years.
    reach = 1 + (1 - np.clip((monk - 3) / 4, 0, 1)) * (len(HAIR_RGB) - 3)
    hair = HAIR_RGB[(who() * (reach + 1)).astype(int)]
    grey = np.clip((years - 37) / 27, 0, 1) * who(0.65, 1.0) + 0.25 * (years > 60)
    p["hair"] = hair + np.clip(grey, 0, 1)[:, None] * (GREY_HAIR_RGB[who.index(3)] - hair)
    p["hair_shine"] = np.clip(p["hair"] + 0.13, 0, 1)
    p["brow"] = p["hair"] * 0.78
    p["eye"] = EYE_RGB[(who() * (1 + (1 - np.clip((monk - 4) / 3, 0, 1)) * (len(EYE_RGB) - 1))).astype(int)]
    p["clothes"] = CLOTHES_RGB[shot.index(len(CLOTHES_RGB))]
    tint = BACKGROUND_RGB[shot.index(len(BACKGROUND_RGB))] * shot(0.90, 1.08)[:, None]
    p["background"] = np.clip(tint, 0, 1)
