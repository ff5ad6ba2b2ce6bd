"""A reference that is a published mean and covariance: it has a name and a digest, and no image to draw."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from audit.digests import file_digest
from audit.errors import SourceError
from audit.reference_statistics import find_statistics, read_statistics
from audit.sources.base import Batch


class StatisticsSource:
    """Published statistics in the place of reference images; ``reference: {source: statistics, path: NAME}``.

    Args:
        name: what the run calls it.
        statistics: a name as :func:`audit.reference_statistics.find_statistics` takes it.
        search: folders to look in.

    Raises:
        ManifestError: there are none of that name, or the file is not what it should be.
    """

    count = 0

    def __init__(self, name: str, statistics: str, *, search: Sequence[str | Path] = ()) -> None:
        path = find_statistics(statistics, search=search)
        self.name, self.moments = name, read_statistics(path)
        self.digest = file_digest(path)
        self.caveats = (f"{statistics}: a mean and a covariance only, taken for the truth; intervals count the generated images",)

    def draw(self, ids: np.ndarray, seeds: np.ndarray) -> Batch:
        raise SourceError(f"{self.name} is published statistics and has no images to draw; audit a generator, or give a folder of images")
