"""The second rater, whose scores the edits are made from.

The judge of the run takes no part in making edits: a direction fitted to one classifier moves that classifier more than the image.
"""

import numpy as np
import pandas as pd
from torch import Tensor

from audit.attributes import ATTRIBUTES
from audit.instruments import open_instruments
from audit.sources.base import OK, Batch
from audit.spec import InstrumentsSpec
from mitigations.labelling import DEFAULT


class Rater:
    """A classifier of the attributes.

    Args:
        classifier: a built-in classifier or a data manifest.
        device: where it runs.
        assets: folders where files named by manifests are looked for.
    """

    def __init__(self, classifier: str = DEFAULT, *, device: str = "cpu", assets: tuple[str, ...] = ()) -> None:
        (self.instrument,) = open_instruments(InstrumentsSpec(second_rater=classifier), device=device, assets=assets)
        self.name, self.digest = classifier, self.instrument.digest
        heads = getattr(self.instrument, "heads", None)
        self.attributes = tuple(ATTRIBUTES) if heads is None else tuple(h.attribute for h in heads)

    def scores(self, images: list[Tensor]) -> dict[str, np.ndarray]:
        """Return {attribute: (n, K) probabilities} of uint8 images; NaN rows where it could not read."""
        ids = np.arange(len(images))
        columns = pd.DataFrame(self.instrument.read(Batch(ids, ids.astype(np.uint64), images, [OK] * len(images))))
        return {
            a: columns[[f"{self.instrument.role}:{a}:{c}" for c in ATTRIBUTES[a].classes]].to_numpy(dtype=np.float64)
            for a in self.attributes
        }
