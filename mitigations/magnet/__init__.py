"""MaGNET: latents drawn in proportion to the volume they open in image space; no labels, no training.

Humayun, Balestriero, Baraniuk 2022, arXiv 2110.08009; polarity after Humayun et al. 2022, arXiv 2203.01993.
"""

from mitigations.magnet.sampler import sampler
from mitigations.magnet.volumes import volume_scalars
from mitigations.magnet.weights import diagnostics, resample, weights

__all__ = ["diagnostics", "resample", "sampler", "volume_scalars", "weights"]
