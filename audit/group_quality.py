"""Quality within groups of people: is each group's variety reached, how well is each drawn, how alike are those drawn in it.

Groups are what the classifier says, on generated and on reference images alike. Distances within a group are made at one n for
all groups and all generators of an audit, because they depend on it.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from audit.attributes import parts
from audit.estimates import NotMeasured
from audit.labels import cells
from audit.metrics.groups import group_coverage, identity_similarity
from audit.metrics.replicates import Replicated
from audit.metrics.shared import frechet_replicates, kernel_pulls
from audit.quality import FEW_FOLDS, FOLDS, LARGE, Quality

GROUPED = ("gender", "skin_tone")
"""Attributes whose classes are looked at one by one; of their intersections only the coverage is."""

LEAST_OF_GROUP = 200
"""Images of a group below which no distance is made for it: with fewer it says more of n than of the group."""

UNREAD = "the reference images were not labelled by the instrument that labelled the generated ones"


class GroupNumber(NamedTuple):
    """One number about one group: what a measure and a comparison need of it."""

    metric: str
    attribute: str | None
    group: str | None
    found: Replicated
    protocol: str


class GroupQuality:
    """Numbers of the groups of a run.

    Args:
        quality: the stored features.
    """

    def __init__(self, quality: Quality) -> None:
        self.quality = quality
        asked = [a for a in quality.spec.attributes if set(parts(a)) <= set(GROUPED)]
        self.singles = [a for a in asked if a in GROUPED]
        self.crossed = [a for a in asked if a not in GROUPED]
        self.reference = quality.group_reference()
        self._sizes: dict[str, int] = {}
        self._kept: dict[str, list[GroupNumber]] = {}

    def numbers(self, name: str, ids: np.ndarray | None = None) -> list[GroupNumber]:
        """Return the numbers of every group of one generator.

        Args:
            name: the generator.
            ids: images that count for the coverage, so that it can be paired with another generator's; None = all.
        """
        if name not in self._kept:
            self._kept[name] = [*self._distances(name), *self._identities(name)]
        return [*self._coverages(name, ids), *self._kept[name]]

    def _coverages(self, name: str, ids: np.ndarray | None) -> Iterator[GroupNumber]:
        if self.reference is None:
            return
        held = self.quality.against(name, self.reference, ids)
        other = f"reference-{self.reference}"
        for attribute in [*self.singles, *self.crossed]:
            said = self.quality.labels(other, attribute, self.quality.features(other)[1][: held.n], like=name)
            for at, group in enumerate(cells(attribute)):
                found: Replicated
                if said is None:
                    found = NotMeasured(UNREAD)
                elif held.neighbours is None:
                    few = held.numbers["coverage"]
                    found = NotMeasured(few.reason if isinstance(few, NotMeasured) else "", held.n)
                else:
                    found = group_coverage(held.neighbours, said == at)
                yield GroupNumber("group_coverage", attribute, group, found, f"{held.protocol}, balls of the images labelled so")

    def _distances(self, name: str) -> Iterator[GroupNumber]:
        if self.reference is None:
            return
        other = f"reference-{self.reference}"
        for attribute in self.singles:
            n = self._size(attribute)
            protocol = (f"{self.quality.spec.instruments.encoder} encoder, n={n} of each group, reference {self.reference}, "
                        "groups as the classifier labels both sides")  # fmt: skip
            for at, group in enumerate(cells(attribute)):
                sides = self._members(name, attribute, at, name), self._members(other, attribute, at, name)
                for metric, found in zip(("group_fid", "group_kid"), self._pair(*sides, n), strict=True):
                    yield GroupNumber(metric, attribute, group, found, protocol)

    def _pair(self, own: tuple | None, other: tuple | None, n: int) -> tuple[Replicated, Replicated]:
        if own is None or other is None:
            return (NotMeasured(UNREAD, unit="distance"),) * 2
        for (ids, _), where in ((own, ""), (other, " in the reference")):
            if len(ids) < LEAST_OF_GROUP:
                reason = f"{len(ids)} images of this group{where}; {LEAST_OF_GROUP} are needed"
                return (NotMeasured(reason, len(ids), "distance"),) * 2
        (ids, features), (other_ids, reference) = ((i[:n], f[:n]) for i, f in (own, other))
        groups = FEW_FOLDS if min(features.shape) > LARGE else FOLDS
        folds = (self.quality.folds(ids, "generated", groups), self.quality.folds(other_ids, "reference", groups))
        fid = frechet_replicates((features, folds[0]), (reference, folds[1]), groups=groups)
        return fid, kernel_pulls(features, reference, ids)

    def _identities(self, name: str) -> Iterator[GroupNumber]:
        encoder = self.quality.spec.instruments.identity
        if encoder is None:
            return
        features, ids = self.quality.features(name, "identity")
        length = np.linalg.norm(features, axis=1)
        features, ids = features[length > 0], ids[length > 0]
        protocol = f"{encoder} identity features, all pairs of images"
        yield GroupNumber("identity_similarity", None, None, identity_similarity(features, ids), protocol)
        for attribute in self.singles:
            said = self.quality.labels(name, attribute, ids)
            for at, group in enumerate(cells(attribute)):
                if said is None:
                    found: Replicated = NotMeasured("no instrument of this audit reads it", unit="ratio")
                else:
                    found = identity_similarity(features[said == at], ids[said == at])
                yield GroupNumber("identity_similarity", attribute, group, found, f"{protocol} labelled so")

    def _size(self, attribute: str) -> int:
        """Return the n at which all groups of an attribute, of all generators, are held against the reference."""
        if attribute not in self._sizes:
            counts = []
            for name in self.quality.spec.generators:
                for at in range(len(cells(attribute))):
                    sides = [self._members(who, attribute, at, name, features=False) for who in (name, f"reference-{self.reference}")]
                    if all(side is not None for side in sides):
                        counts.append(min(len(side[0]) for side in sides if side is not None))
            self._sizes[attribute] = min((c for c in counts if c >= LEAST_OF_GROUP), default=0)
        return self._sizes[attribute]

    def _members(self, name: str, attribute: str, at: int, like: str, *, features: bool = True) -> tuple | None:
        """Return (ids, features) of the images labelled as class ``at``; None where they were not labelled."""
        whole, ids = self.quality.features(name)
        said = self.quality.labels(name, attribute, ids, like=like)
        if said is None:
            return None
        mask = said == at
        return ids[mask], whole[mask] if features else None

