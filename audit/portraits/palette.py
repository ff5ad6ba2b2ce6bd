"""Colours of the built-in world: skin, hair, eyes, clothes and backgrounds as sRGB in 0..1."""

import numpy as np

# Monk Skin Tone scale, tones 1 to 10 (Ellis Monk, 2019, https://skintone.google/the-scale).
MONK_HEX = (
    "#f6ede4", "#f3e7db", "#f7ead0", "#eadaba", "#d7bd96", "#a07e56", "#825c43", "#604134", "#3a312a", "#292420",
)  # fmt: skip


def hex_to_rgb(text: str) -> tuple[float, float, float]:
    """Return the sRGB triple in 0..1 of a ``#rrggbb`` string."""
    return tuple(int(text[i : i + 2], 16) / 255 for i in (1, 3, 5))  # type: ignore[return-value]


MONK_RGB = np.array([hex_to_rgb(h) for h in MONK_HEX])  # (10, 3)

HAIR_RGB = np.array([hex_to_rgb(h) for h in (
    "#17130f", "#241b15", "#3a2a1e", "#553a26", "#7a5230", "#a87f4d", "#c9a56b", "#8a3f22",
)])  # fmt: skip
GREY_HAIR_RGB = np.array([hex_to_rgb(h) for h in ("#a9a9a8", "#c9c8c4", "#e4e2dc")])
EYE_RGB = np.array([hex_to_rgb(h) for h in ("#3b2416", "#57371f", "#6f5a2e", "#4f6b45", "#4a6f8f")])
LIPSTICK_RGB = np.array([hex_to_rgb(h) for h in ("#a8323e", "#8c2a3c", "#b5485a", "#93384f")])
CLOTHES_RGB = np.array([hex_to_rgb(h) for h in (
    "#2f4b6e", "#7a2e3a", "#2e6157", "#d8d4cb", "#6a6f78", "#b58a3c", "#4a3a66", "#c56a4a", "#22303f", "#87a4b8",
)])  # fmt: skip
BACKGROUND_RGB = np.array([hex_to_rgb(h) for h in (
    "#9db4c0", "#b7c4a8", "#c9b8a6", "#a7a3b8", "#8fa69b", "#c2b1b8", "#b9bfc6", "#a8927e", "#7f97a8", "#d2c7a9",
)])  # fmt: skip
