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
from audit.metrics.frechet_pulls import SPLITS, cloud
from audit.metrics.groups import group_coverage, identity_similarity
from audit.metrics.replicates import Replicated
from audit.metrics.shared import frechet_replicates, kernel_pulls
from audit.protocols import encoder_protocol
from audit.quality import Quality

GROUPED = ("gender", "skin_tone")
"""Attributes whose classes are looked at one by one; of their intersections only the coverage is."""

LEAST_OF_GROUP = 200
"""Images of a group below which no distance is made for it: with fewer it says more of n than of the group."""

LEAST_UNITS = 10
"""Independent units of a group (latents of a bank, prompts) below which halves of them say nothing."""

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

    def numbers(self, name: str, ids: np.ndarray | None = None, *, units_of: str | None = None) -> list[GroupNumber]:
        """Return the numbers of every group of one generator.

        Args:
            name: the generator.
            ids: images that count for the coverage, so that it can be paired with another generator's; None = all.
            units_of: as in :meth:`audit.quality.Quality.against`.
        """
        if name not in self._kept:
            self._kept[name] = [*self._distances(name), *self._identities(name)]
        return [*self._coverages(name, ids, units_of), *self._kept[name]]

    def _coverages(self, name: str, ids: np.ndarray | None, units_of: str | None) -> Iterator[GroupNumber]:
        if self.reference is None:
            return
        held = self.quality.against(name, self.reference, ids, units_of=units_of)
        other = f"reference-{self.reference}"
        for attribute in [*self.singles, *self.crossed]:
            said = self.quality.labels(other, attribute, self.quality.features(other)[1][: held.pairs or held.n], like=name)
            for at, group in enumerate(cells(attribute)):
                found: Replicated
                if said is None:
                    found = NotMeasured(UNREAD)
                elif held.neighbours is None:
                    few = held.numbers["coverage"]
                    found = NotMeasured(few.reason if isinstance(few, NotMeasured) else "", held.n)
                else:
                    found = group_coverage(held.neighbours, said == at)
                yield GroupNumber("group_coverage", attribute, group, found, f"{held.protocol_for('coverage')}, balls of the images labelled so")

    def _distances(self, name: str) -> Iterator[GroupNumber]:
        if self.reference is None:
            return
        other = f"reference-{self.reference}"
        for attribute in self.singles:
            n = self._size(attribute)
            protocol = (f"{encoder_protocol(self.quality.spec.instruments.encoder)}, n={n} of each group, reference {self.reference}, "
                        "groups as the classifier labels both sides")  # fmt: skip
            for at, group in enumerate(cells(attribute)):
                sides = self._members(name, attribute, at, name), self._members(other, attribute, at, name)
                for metric, found in zip(("group_fid", "group_kid"), self._pair(name, *sides, n), strict=True):
                    yield GroupNumber(metric, attribute, group, found, protocol)

    def _pair(self, name: str, own: tuple | None, other: tuple | None, n: int) -> tuple[Replicated, Replicated]:
        if own is None or other is None:
            return (NotMeasured(UNREAD, unit="distance"),) * 2
        for (ids, _), where in ((own, ""), (other, " in the reference")):
            if len(ids) < LEAST_OF_GROUP:
                reason = f"{len(ids)} images of this group{where}; {LEAST_OF_GROUP} are needed"
                return (NotMeasured(reason, len(ids), "distance"),) * 2
        (ids, features), (other_ids, reference) = ((i[:n], f[:n]) for i, f in (own, other))
        found = {"units": self.quality.units(name, ids), "reference_units": self.quality.units(f"reference-{self.reference}", other_ids)}
        for units in found.values():
            if units is not None and len(np.unique(units)) < LEAST_UNITS:
                reason = f"{len(np.unique(units))} units in this group; {LEAST_UNITS} are needed"
                return (NotMeasured(reason, len(units), "distance"),) * 2
        clouds = [cloud(x, self.quality.halves(at, side, units)[1 : 1 + SPLITS]) for x, at, side, units in zip(
            (features, reference), (ids, other_ids), ("generated", "reference"), found.values(), strict=True)]  # fmt: skip
        return frechet_replicates(*clouds, ids, **found), kernel_pulls(features, reference, ids, **found)

    def _identities(self, name: str) -> Iterator[GroupNumber]:
        encoder = self.quality.spec.instruments.identity
        if encoder is None:
            return
        features, ids = self.quality.features(name, "identity")
        length = np.linalg.norm(features, axis=1)
        features, ids = features[length > 0], ids[length > 0]
        protocol = f"{encoder} identity features, all pairs of images"
        whole = identity_similarity(features, ids, units=self.quality.units(name, ids))
        yield GroupNumber("identity_similarity", None, None, whole, protocol)
        for attribute in self.singles:
            said = self.quality.labels(name, attribute, ids)
            for at, group in enumerate(cells(attribute)):
                if said is None:
                    found: Replicated = NotMeasured("no instrument of this audit reads it", unit="ratio")
                else:
                    chosen = ids[said == at]
                    found = identity_similarity(features[said == at], chosen, units=self.quality.units(name, chosen))
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

