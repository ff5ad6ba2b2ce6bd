"""Counter-based random numbers: every draw is a pure function of (image seed, stream, position).

An image is its seed. Numbers for image 123 are bit-equal whatever the batch size, the worker count or what was drawn
before, and a whole batch is made at once with array arithmetic instead of one generator object an image. The mixing
function is SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators", figure 17).
"""

import hashlib

import numpy as np
from scipy.special import ndtri

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mix(x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # arithmetic modulo 2**64 is the point
        x = x + _GOLDEN
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def stream_key(name: str) -> np.uint64:
    """Return the 64-bit key of a named stream; equal on every machine and in every process."""
    return np.uint64(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))


def image_seeds(seed: int, ids: np.ndarray, *, stream: str = "image") -> np.ndarray:
    """Return the seeds of images ``ids`` in a run with ``seed``.

    Args:
        seed: the run's seed, any integer.
        ids: (n,) integers >= 0.
        stream: keeps sets that must not share images apart ("image", "reference", "train").

    Returns:
        (n,) uint64.

    Example:
        >>> image_seeds(7, np.arange(2)).tolist() == image_seeds(7, np.arange(5))[:2].tolist()
        True
    """
    base = _mix(np.asarray([seed % 2**64], dtype=np.uint64) ^ stream_key(stream))
    return _mix(np.asarray(ids).astype(np.uint64) ^ base)


def uniforms(seeds: np.ndarray, stream: str, count: int) -> np.ndarray:
    """Return (n, count) float64 in the open interval (0, 1), one row a seed."""
    base = _mix(np.asarray(seeds, dtype=np.uint64) ^ stream_key(stream))
    with np.errstate(over="ignore"):
        counters = np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN
        bits = _mix(base[:, None] + counters[None, :])
    return ((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def normals(seeds: np.ndarray, stream: str, count: int) -> np.ndarray:
    """Return (n, count) float64 standard normal numbers by inversion, one row a seed."""
    return ndtri(uniforms(seeds, stream, count))
