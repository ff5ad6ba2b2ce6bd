"""What an instrument is: something that looks at a batch and fills columns of the record, a row an image."""

from typing import Protocol

import numpy as np

from audit.sources.base import Batch


class Instrument(Protocol):
    """Reads images.

    Attributes:
        role: the key under ``instruments`` in the spec ("classifier", "second_rater", "encoder", ...). Its columns
            begin with ``role:``.
        digest: hex string that changes whenever its readings could (weights, contract, code version).
        caveats: sentences the report prints.
    """

    role: str
    digest: str
    caveats: tuple[str, ...]

    def read(self, batch: Batch) -> dict[str, np.ndarray]:
        """Return columns for the n images of ``batch``.

        A (n,) array becomes a column of the record: ``classifier:gender:feminine`` is a probability,
        ``skin_tone:monk`` a tone. A (n, d) float32 array becomes features, stored apart. Rows whose status is not ok, or
        that have no face box where a face finder ran, hold NaN (floats) or -1 (integers): missing, never a guess.
        """
        ...
