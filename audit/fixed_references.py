"""Generated images held against published statistics: FID and its interval; what needs the reference's images is not measured."""

import numpy as np
from numpy.typing import NDArray

from audit.errors import SpecError
from audit.estimates import NotMeasured
from audit.manifests import load_manifest
from audit.metrics.frechet import Moments
from audit.metrics.frechet_fixed import statistics_replicates
from audit.metrics.frechet_pulls import SPLITS
from audit.metrics.replicates import Replicated
from audit.metrics.resampling import Codes
from audit.metrics.shared import NEIGHBOURS
from audit.reference_statistics import find_statistics, read_statistics, require_same_mode
from audit.spec import ReferenceSpec, Spec

SOURCE = "statistics"
"""The ``source`` of a reference that is published statistics; its ``path`` is their name, or the path of an .npz file."""


def is_fixed(reference: ReferenceSpec) -> bool:
    """Return whether a reference is published statistics and has no images."""
    return reference.source == SOURCE


def open_fixed(reference: ReferenceSpec, spec: Spec) -> Moments:
    """Return the statistics of a reference after comparing their mode with the encoder's.

    Args:
        reference: with ``source: statistics``.
        spec: names the encoder, and the folder of assets.

    Raises:
        SpecError: no name is given, or the statistics are of another network or resize than the encoder's.
        ManifestError: there are none of that name.
    """
    name, encoder = reference.path, spec.instruments.encoder
    if name is None:
        raise SpecError("reference: source 'statistics' needs the key 'path': a name such as ffhq_clean_trainval70k_256, or an .npz file")
    if encoder is not None:
        if encoder.startswith("portraits"):
            raise SpecError(f"reference: the statistics {name!r} are of another network than the built-in encoder; take inception_2015_12_05")
        require_same_mode(name, load_manifest(encoder))
    return read_statistics(find_statistics(name, search=(spec.assets,) if spec.assets else ()))


def hold_fixed(features: NDArray, reference: Moments, ids: NDArray[np.int64], halves: NDArray[np.bool_], *,
               units: Codes | None = None) -> dict[str, Replicated]:  # fmt: skip
    """Return fid, and for kid and the neighbour metrics why they were not measured.

    Args:
        features: (n, d) of the generated images.
        reference: published mean and covariance.
        ids: (n,) ids of the images.
        halves: (R, n) flags, the first row everyone, as :meth:`audit.quality.Quality.halves` deals them.
        units: (n,) what the images belong to; None = each is independent.

    Example:
        >>> found = hold_fixed(np.eye(6), Moments(np.zeros(6), np.eye(6), 0), np.arange(6), np.ones((1, 6), dtype=bool))
        >>> found["kid"].reason
        'the reference is published statistics, a mean and a covariance; kid needs its images'
    """
    why = "the reference is published statistics, a mean and a covariance; {} needs its images"
    numbers: dict[str, Replicated] = {"fid": statistics_replicates(features, reference, halves[1 : 1 + SPLITS], ids, units=units)}
    return numbers | {metric: NotMeasured(why.format(metric), len(features), "distance" if metric == "kid" else "share")
                      for metric in ("kid", *NEIGHBOURS)}  # fmt: skip
