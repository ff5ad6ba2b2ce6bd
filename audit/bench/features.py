"""Simulated features on which metrics are timed: what matters is n, d and a spectrum that falls slowly, as an encoder's does."""

import numpy as np
from numpy.typing import NDArray


def simulated(n: int, d: int, *, rng: np.random.Generator, shift: float = 0.0) -> NDArray[np.float32]:
    """Return (n, d) float32 features; the standard deviation of direction i is 1 / sqrt(i).

    Args:
        n: images.
        d: dimensions.
        rng: draws them.
        shift: added to every number, in units of its standard deviation.
    """
    spread = np.arange(1, d + 1, dtype=np.float32) ** -0.5
    found = rng.standard_normal((n, d), dtype=np.float32)
    found += np.float32(shift)
    found *= spread
    return found


def pair(n: int, d: int, *, seed: int = 20261122) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return generated and reference features, the same for a seed on every call."""
    rng = np.random.default_rng(seed)
    return simulated(n, d, rng=rng, shift=0.1), simulated(n, d, rng=rng)
