"""Colour as people see it: sRGB to CIELAB and back, hue, ITA and the CIEDE2000 difference, on whole arrays.

Sources: IEC 61966-2-1 (sRGB, D65 white); CIE 15:2004 (CIELAB, with the exact fractions 216/24389 and 24389/27); Sharma,
Wu, Dalal 2005, "The CIEDE2000 color-difference formula: implementation notes, supplementary test data, and mathematical
observations", Color Research and Application 30(1), equations 2 to 22.
"""

import numpy as np

_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = _TO_XYZ.sum(axis=1)  # D65 as these primaries give it, so that sRGB white has a* = b* = 0 exactly
_EPSILON, _KAPPA = 216 / 24389, 24389 / 27
_25_TO_7 = 25.0**7

ITA_LEAST_B = 1.0
"""ITA divides by b*; below this value it says nothing about skin but only that the white balance is off."""


def _decoded(encoded: np.ndarray) -> np.ndarray:
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


_LINEAR = _decoded(np.arange(256) / 255.0).astype(np.float32)  # one entry for each 8-bit value


def srgb_to_lab(rgb: np.ndarray) -> np.ndarray:
    """Convert sRGB to CIELAB (D65, 2 degrees).

    Args:
        rgb: (..., 3), uint8 in 0..255 or float in 0..1.

    Returns:
        (..., 3): L* in 0..100, a*, b*; float32 for 8-bit input, else float64.

    Example:
        >>> srgb_to_lab(np.array([1.0, 1.0, 1.0])).round(6).tolist()
        [100.0, 0.0, 0.0]
    """
    rgb = np.asarray(rgb)
    linear = _LINEAR[rgb] if rgb.dtype == np.uint8 else _decoded(rgb.astype(np.float64))
    xyz = linear @ (_TO_XYZ / _WHITE[:, None]).T.astype(linear.dtype)
    f = np.where(xyz > _EPSILON, np.cbrt(xyz), (_KAPPA * xyz + 16) / 116).astype(linear.dtype)
    lab = np.empty_like(f)
    lab[..., 0] = 116 * f[..., 1] - 16
    lab[..., 1] = 500 * (f[..., 0] - f[..., 1])
    lab[..., 2] = 200 * (f[..., 1] - f[..., 2])
    return lab


def lab_to_srgb(lab: np.ndarray) -> np.ndarray:
    """Convert CIELAB to sRGB floats; values outside 0..1 are colours that sRGB cannot show.

    Args:
        lab: (..., 3).

    Returns:
        (..., 3) float64, not clipped.
    """
    lab = np.asarray(lab, dtype=np.float64)
    fy = (lab[..., 0] + 16) / 116
    f = np.stack([fy + lab[..., 1] / 500, fy, fy - lab[..., 2] / 200], axis=-1)
    xyz = np.where(f**3 > _EPSILON, f**3, (116 * f - 16) / _KAPPA) * _WHITE
    linear = xyz @ np.linalg.inv(_TO_XYZ).T
    bright = 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055
    return np.where(linear <= 0.0031308, linear * 12.92, bright)


def hue_degrees(lab: np.ndarray) -> np.ndarray:
    """Return the hue angle atan2(b*, a*) in degrees, 0 to 360; skin lies near 40 to 90."""
    lab = np.asarray(lab)
    return np.degrees(np.arctan2(lab[..., 2], lab[..., 1])) % 360


def ita_degrees(lab: np.ndarray) -> np.ndarray:
    """Return the individual typology angle arctan((L* - 50) / b*) in degrees, NaN where b* < :data:`ITA_LEAST_B`.

    Chardon, Cretois, Hourseau 1991. A small or negative b* makes the angle jump to the other end of the scale, so such
    an image is flagged and left out instead.
    """
    lab = np.asarray(lab, dtype=np.float64)
    yellow = lab[..., 2]
    ok = yellow >= ITA_LEAST_B
    return np.where(ok, np.degrees(np.arctan((lab[..., 0] - 50) / np.where(ok, yellow, 1.0))), np.nan)


def delta_e_2000(
    first: np.ndarray, second: np.ndarray, *, k_l: float = 1.0, k_c: float = 1.0, k_h: float = 1.0
) -> np.ndarray:
    """Return the CIEDE2000 difference of Lab colours; leading axes broadcast.

    Args:
        first: (..., 3).
        second: (..., 3).
        k_l: parametric factor of lightness; 2 halves its weight, for surfaces under uneven light.
        k_c: parametric factor of chroma.
        k_h: parametric factor of hue.

    Returns:
        (...) differences; 1 is about what can just be seen.
    """
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    l1, a1, b1 = np.moveaxis(first, -1, 0)
    l2, a2, b2 = np.moveaxis(second, -1, 0)
    mean_c7 = ((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2) ** 7
    stretch = 1.5 - 0.5 * np.sqrt(mean_c7 / (mean_c7 + _25_TO_7))  # equations 4 and 5
    c1, c2 = np.hypot(stretch * a1, b1), np.hypot(stretch * a2, b2)
    h1 = np.degrees(np.arctan2(b1, stretch * a1)) % 360
    h2 = np.degrees(np.arctan2(b2, stretch * a2)) % 360
    grey = c1 * c2 == 0  # hue means nothing then
    turn = (h2 - h1 + 180) % 360 - 180
    turn = np.where(h2 - h1 == 180, 180.0, turn)
    d_l, d_c = l2 - l1, c2 - c1
    d_h = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn) / 2)  # equation 11; 0 for greys whatever their hue
    mean_l, mean_c = (l1 + l2) / 2, (c1 + c2) / 2
    apart = np.abs(h1 - h2) > 180
    mean_h = np.where(apart, (h1 + h2 + np.where(h1 + h2 < 360, 360, -360)) / 2, (h1 + h2) / 2)
    mean_h = np.where(grey, h1 + h2, mean_h)  # equation 14
    t = (
        1
        - 0.17 * _cos(mean_h - 30)
        + 0.24 * _cos(2 * mean_h)
        + 0.32 * _cos(3 * mean_h + 6)
        - 0.20 * _cos(4 * mean_h - 63)
    )
    s_l = 1 + 0.015 * (mean_l - 50) ** 2 / np.sqrt(20 + (mean_l - 50) ** 2)
    s_c = 1 + 0.045 * mean_c
    s_h = 1 + 0.015 * mean_c * t
    twist = (
        2 * np.sqrt(mean_c**7 / (mean_c**7 + _25_TO_7)) * np.sin(np.radians(60 * np.exp(-(((mean_h - 275) / 25) ** 2))))
    )
    light, chroma, hue = d_l / (k_l * s_l), d_c / (k_c * s_c), d_h / (k_h * s_h)
    return np.sqrt(light**2 + chroma**2 + hue**2 - twist * chroma * hue)


def _cos(degrees: np.ndarray) -> np.ndarray:
    return np.cos(np.radians(degrees))
