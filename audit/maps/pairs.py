"""Rows of the record before and after a map, in one order, and the strata that the images before fall into."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from audit.attributes import ATTRIBUTES
from audit.labels import MISSING, labels, role_of
from audit.metrics.paired_maps import tertiles
from audit.sources.base import OK

THIRDS = ("darkest third", "middle third", "lightest third")


@dataclass(frozen=True)
class Strata:
    """A division of the pairs.

    Attributes:
        by: what they are divided by: "all", "input_tone", "input_L", "mean_L", "true_tone", "input_gender", "true_gender", "unclipped".
        names: of the strata.
        codes: (n,) which stratum, negative = none.
    """

    by: str
    names: tuple[str, ...]
    codes: np.ndarray


@dataclass(frozen=True)
class Pairs:
    """A row a pair on both sides.

    Attributes:
        before: rows of the record of the baseline.
        after: rows of the record of the map, the same ids in the same order.
        identity_before: (n, d) embeddings, None where nobody read them.
        identity_after: the same.
    """

    before: pd.DataFrame
    after: pd.DataFrame
    identity_before: np.ndarray | None = None
    identity_after: np.ndarray | None = None

    def missing(self) -> dict[str, int]:
        """Return how many images could not be read, and how many faces were found on one side only."""
        found = {f"unreadable_{side}": int((frame["status"] != OK).sum()) for side, frame in (("before", self.before), ("after", self.after))}
        if "face_finder:face" in self.before:
            none = [(frame["face_finder:face"] == "no_face").to_numpy() for frame in (self.before, self.after)]
            found |= {"no_face_before": int(none[0].sum()), "no_face_after": int(none[1].sum()), "faces_lost": int((~none[0] & none[1]).sum()),
                      "faces_gained": int((none[0] & ~none[1]).sum())}  # fmt: skip
        return found

    def reading(self, side: str, column: str) -> np.ndarray:
        """Return (n,) float64 of a column of the skin-tone instrument, NaN where it was not read."""
        values = getattr(self, side)[f"skin_tone:{column}"].to_numpy(dtype=np.float64, copy=True)
        if column == "monk":
            values[values < 1] = np.nan
        return values

    def truth(self, attribute: str) -> np.ndarray | None:
        """Return (n,) class indices of the true attribute before the map, None where it is not known."""
        column = f"truth:{attribute}"
        if column not in self.before:
            return None
        classes = {c: i for i, c in enumerate(ATTRIBUTES[attribute].classes)}
        return self.before[column].map(classes).fillna(MISSING).to_numpy(dtype=np.int64)

    def strata(self, attributes: list[str]) -> Iterator[Strata]:
        """Yield the divisions under which changes are reported; those by a true attribute only where it is known."""
        yield Strata("all", ("all pairs",), np.zeros(len(self.before), dtype=np.int64))
        tones = ATTRIBUTES["skin_tone"].classes
        read = labels(self.before, "skin_tone", role="skin_tone")
        if read is not None:
            lightness = [self.reading(side, "L") for side in ("before", "after")]
            yield Strata("input_tone", tones, read)
            yield Strata("input_L", THIRDS, tertiles(lightness[0]))
            yield Strata("mean_L", THIRDS, tertiles((lightness[0] + lightness[1]) / 2))
        true_tone, true_gender = self.truth("skin_tone"), self.truth("gender")
        if true_tone is not None:
            yield Strata("true_tone", tones, true_tone)
        genders = ATTRIBUTES["gender"].classes
        if true_gender is not None:
            yield Strata("true_gender", genders, true_gender)
        elif "gender" in attributes and role_of(self.before.columns, "gender") is not None:
            said = labels(self.before, "gender")
            yield Strata("input_gender", genders, np.full(len(self.before), MISSING) if said is None else said)
        clipped = self.clipped()
        if clipped is not None:
            yield Strata("unclipped", ("no pixel newly at 0 or 255",), np.where(clipped == 0, 0, MISSING))

    def clipped(self) -> np.ndarray | None:
        """Return (n,) share of pixels that reached 0 or 255: of the skin of aligned portraits, else of the image; None where unknown."""
        column = "map:saturated" if "face_finder:face" in self.before else "map:saturated_skin"
        return self.after[column].to_numpy(dtype=np.float64) if column in self.after else None
