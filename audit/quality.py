"""Stored features against the references, worked out once for the measures and for the comparisons.

Distances between ten thousand images and ten thousand others are what an audit spends its arithmetic on. Each generator is
held against each reference once; the numbers come back with their pulls or halves, from which a measure takes its interval and a
comparison the interval of a difference.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from audit.attributes import parts
from audit.estimates import NotMeasured
from audit.fixed_references import hold_fixed, is_fixed, open_fixed
from audit.labels import MISSING, labels, role_of
from audit.metrics import shared
from audit.metrics.frechet_pulls import SPLITS, cloud
from audit.metrics.replicates import Replicated
from audit.metrics.resampling import one_unit
from audit.protocols import protocol as protocol_of
from audit.records import Run
from audit.spec import ReferenceSpec, Spec

HALVES = 40
LEAST = 2 * shared.K_DC + 2
"""Images below which half a set has no neighbour number :data:`audit.metrics.shared.K_DC`."""

UNIT = "unit"
"""Column of what an image belongs to (latent of a bank, prompt, lineage); null or a negative number = to itself alone."""


def reference_name(reference: ReferenceSpec, at: int) -> str:
    """Return the folder under ``samples/`` of a reference, and what rows call it after "reference:"."""
    if reference.role != "reference":
        return reference.role
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", Path(reference.path).stem) if reference.path else ""
    return stem or f"set{at + 1}"


@dataclass(frozen=True, eq=False)
class Against:
    """One generator, or the part of it that it shares with another, held against one reference.

    Attributes:
        numbers: fid, kid, precision, recall, density, coverage.
        neighbours: for the coverage of groups; None where nothing was measured.
        n: images on each side.
        protocol: what makes the numbers comparable.
        pairs: images on each side of which all pairs are compared, where they are fewer; None = n.
    """

    numbers: dict[str, Replicated]
    neighbours: shared.Neighbours | None
    n: int
    protocol: str
    pairs: int | None = None

    def protocol_for(self, metric: str) -> str:
        """Return what makes one of the numbers comparable."""
        return self.protocol if self.pairs is None or metric == "fid" else f"{self.protocol}, pairs of the first {self.pairs}"


class Quality:
    """The features of a run, asked by generator and reference; what was worked out is kept.

    Args:
        run: collected records.
        spec: what was asked for.
        rng: deals the halves that all generators share.
    """

    def __init__(self, run: Run, spec: Spec, *, rng: np.random.Generator) -> None:
        self.run, self.spec = run, spec
        self.references = {reference_name(r, at): r for at, r in enumerate(spec.references)} if spec.instruments.encoder else {}
        self._frames: dict[str, pd.DataFrame] = {}
        self._features: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]] = {}
        self._sets: dict[tuple, shared.Set] = {}
        self._found: dict[tuple, Against] = {}
        self.fixed = {label: open_fixed(r, spec) for label, r in self.references.items() if is_fixed(r)}
        names = [*spec.generators, *(f"reference-{label}" for label in self.references if label not in self.fixed)]
        most = max((int(self.frame(name)["id"].max()) + 1 for name in names if len(self.frame(name))), default=0)
        self._luck = {side: rng.random((HALVES, most)) for side in ("generated", "reference")}
        self._labels = np.array(sorted({u for name in names for u in self._units_of(name).unique()}), dtype=str)
        self._unit_luck = {side: rng.random((HALVES, len(self._labels))) for side in ("generated", "reference")}

    def frame(self, name: str) -> pd.DataFrame:
        """Return the rows of a generator or, as "reference-LABEL", of a reference."""
        if name not in self._frames:
            self._frames[name] = self.run.frame(name)
        return self._frames[name]

    def features(self, name: str, role: str = "encoder") -> tuple[np.ndarray, np.ndarray]:
        """Return (n, d) finite features and the (n,) ids they belong to."""
        at = (name, role)
        if at not in self._features:
            whole, ids = self.run.features(name, role), self.frame(name)["id"].to_numpy()
            if len(self._features) > 2 * len(self.references) + 4:  # features of one generator after another, not of all at once
                self._features = {k: v for k, v in self._features.items() if k[0].startswith("reference-")}
            readable = np.isfinite(whole).all(axis=1)
            self._features[at] = (whole[readable], ids[readable]) if not readable.all() else (whole, ids)
        return self._features[at]

    def labels(self, name: str, attribute: str, ids: np.ndarray, *, like: str | None = None) -> np.ndarray | None:
        """Return the classifier's labels of images ``ids`` of a generator or reference; None where it was not read.

        Args:
            name: whose.
            attribute: an attribute or an intersection.
            ids: (n,) which images.
            like: a generator whose instrument is to be used, so that both sides are read by the same one.
        """
        frame, mine = self.frame(name), self.frame(like or name)
        roles = [role_of(mine.columns, part) for part in parts(attribute)]
        if None in roles or roles != [role_of(frame.columns, part) for part in parts(attribute)]:
            return None
        said = labels(frame, attribute)
        whole = np.full(int(frame["id"].max()) + 1, MISSING)
        whole[frame["id"].to_numpy()] = MISSING if said is None else said
        return whole[ids]

    def group_reference(self) -> str | None:
        """Return the label of the reference that groups are held against: the balanced one, else the first."""
        shown = {label: r for label, r in self.references.items() if label not in self.fixed}
        return next((label for label, r in shown.items() if r.role == "balanced"), next(iter(shown), None))

    def has_units(self, name: str) -> bool:
        """Return whether several images of this generator may belong to one unit."""
        return len(self._units_of(name)) > 0

    def paired_units(self, one: str, other: str) -> dict[str, str]:
        """Return for each side of a pair whose units deal its images: its own where both have them, else those of the one that has."""
        have = [name for name in (one, other) if self.has_units(name)]
        return {one: one, other: other} if len(have) == 2 else {name: have[0] for name in (one, other) if have}

    def units(self, name: str, ids: np.ndarray) -> np.ndarray | None:
        """Return (n,) codes of what images belong to: equal for one unit, -1 - id for an image by itself; None without units."""
        if not self.has_units(name):
            return None
        whole = -1 - np.arange(max(int(self.frame(name)["id"].max()), int(ids.max(initial=0))) + 1)
        known = self._units_of(name)
        whole[self.frame(name)["id"].to_numpy()[known.index]] = np.searchsorted(self._labels, known.to_numpy(dtype=str))
        return whole[ids]

    def _units_of(self, name: str) -> pd.Series:
        """Return the units of the images that share one, as text, by row of the frame."""
        frame = self.frame(name).reset_index(drop=True)
        if UNIT not in frame:
            return pd.Series(dtype=str)
        known = frame[UNIT].dropna()
        if pd.api.types.is_numeric_dtype(known):  # whole numbers read beside nulls come as 7.0
            known = known[known >= 0].astype(np.int64)
        return known.astype(str)

    def common(self, one: str, other: str) -> np.ndarray:
        """Return the ids with features on both sides."""
        return np.intersect1d(self.features(one)[1], self.features(other)[1])

    def against(self, name: str, label: str, ids: np.ndarray | None = None, *, units_of: str | None = None) -> Against:
        """Hold a generator against a reference.

        Args:
            name: the generator.
            label: the reference, as in :attr:`references`.
            ids: which of its images; None = all with features. As many are used as the reference has.
            units_of: the generator whose units say which ids belong together, so that both sides of a pair are dealt alike; None =
                its own.
        """
        own = self.features(name)[1] if ids is None else ids
        other = f"reference-{label}"
        n = len(own) if label in self.fixed else min(len(own), len(self.features(other)[1]))
        grouped = name if units_of is None or not self.has_units(units_of) else units_of
        key = (name, label, n, own[:n].tobytes(), grouped)
        if key not in self._found:
            self._found[key] = self._hold(name, label, own[:n], n, grouped)
        return self._found[key]

    def _hold(self, name: str, label: str, ids: np.ndarray, n: int, units_of: str) -> Against:
        population = self.references[label].population
        fixed = label in self.fixed
        protocol = protocol_of(self.spec.instruments.encoder, n=n, reference=label, population=population, fixed=fixed)
        if fixed:
            features, known = self.features(name)
            units = self.units(units_of, ids)
            chosen = features if len(ids) == len(known) else features[np.searchsorted(known, ids)]
            numbers = hold_fixed(chosen, self.fixed[label], ids, self.halves(ids, "generated", units), units=units)
            return Against(numbers, None, n, protocol)
        if n < LEAST:
            few = NotMeasured(f"{n} images with features on one side; at least {LEAST} are needed", n, "distance")
            return Against(dict.fromkeys(("fid", "kid", *shared.NEIGHBOURS), few), None, n, protocol)
        other = f"reference-{label}"
        reference_ids = self.features(other)[1][:n]
        for units in (self.units(units_of, ids), self.units(other, reference_ids)):
            largest = 1 if units is None else int(np.unique(units, return_counts=True)[1].max())
            if n - largest < LEAST:
                few = one_unit(n, "distance") if largest == n else NotMeasured(
                    f"{largest} of {n} images are of one unit; an interval needs {LEAST} of others", n, "distance")  # fmt: skip
                return Against(dict.fromkeys(("fid", "kid", *shared.NEIGHBOURS), few), None, n, protocol)
        pairs = self.spec.pairwise
        if pairs is not None and pairs < n:
            part = self._hold(name, label, ids[:pairs], pairs, units_of)
            clouds, units = self._clouds(name, ids, units_of, other, reference_ids)
            return Against({**part.numbers, "fid": shared.frechet_replicates(*clouds, ids, **units)}, part.neighbours, n, protocol, pairs)
        reference = self._set(other, reference_ids, "reference", other)
        generated = self._set(name, ids, "generated", units_of)
        both = {"units": generated.units, "reference_units": reference.units}
        kid = shared.kernel_pulls(generated.features, reference.features, ids, within=generated.within, within_reference=reference.within,
                                  **both)  # fmt: skip
        near = shared.neighbour_replicates(generated, reference)
        numbers: dict[str, Replicated] = {"fid": shared.frechet_replicates(generated.cloud, reference.cloud, ids, **both), "kid": kid}
        numbers |= {metric: getattr(near, metric) for metric in shared.NEIGHBOURS}
        return Against(numbers, near, n, protocol)

    def _set(self, name: str, ids: np.ndarray, side: str, units_of: str) -> shared.Set:
        key = (name, ids.tobytes(), units_of)
        if key not in self._sets:
            if side == "generated":  # its distances to all references come first, so one generator at a time is enough
                self._sets = {k: v for k, v in self._sets.items() if k[0].startswith("reference-")}
            features, known = self.features(name)
            chosen = features if len(ids) == len(known) else features[np.searchsorted(known, ids)]
            units = self.units(units_of, ids)
            self._sets[key] = shared.prepare(chosen, ids, self.halves(ids, side, units), units=units)
        return self._sets[key]

    def _clouds(self, name: str, ids: np.ndarray, units_of: str, other: str, other_ids: np.ndarray) -> tuple[list, dict]:
        """Return both sides as the Frechet distance alone wants them, and what their images belong to."""
        clouds, units = [], {}
        sides = ((name, ids, "generated", units_of, "units"), (other, other_ids, "reference", other, "reference_units"))
        for who, chosen, side, dealt, key in sides:
            features, known = self.features(who)
            units[key] = self.units(dealt, chosen)
            rows = features[: len(chosen)] if np.array_equal(chosen, known[: len(chosen)]) else features[np.searchsorted(known, chosen)]
            clouds.append(cloud(rows, self.halves(chosen, side, units[key])[1 : 1 + SPLITS]))
        return clouds, units

    def halves(self, ids: np.ndarray, side: str, units: np.ndarray | None = None) -> np.ndarray:
        """Return (HALVES + 1, n) flags: everyone, then the halves, the same for every generator that has these images or units.

        Args:
            ids: (n,) images.
            side: "generated" or "reference".
            units: (n,) as :meth:`units`; a unit is in a half whole, and the half is as near half of the images as that allows.
        """
        n = len(ids)
        keep = np.zeros((HALVES + 1, n), dtype=bool)
        keep[0] = True
        if units is None:
            chosen = np.argpartition(self._luck[side][:, ids], n // 2, axis=1)[:, : n // 2]
            np.put_along_axis(keep[1:], chosen, True, axis=1)
            return keep
        labels, codes, sizes = np.unique(units, return_inverse=True, return_counts=True)
        alone = labels < 0
        for row, luck, unit_luck in zip(keep[1:], self._luck[side], self._unit_luck[side], strict=True):
            drawn = np.empty(len(labels))
            drawn[alone], drawn[~alone] = luck[-1 - labels[alone]], unit_luck[labels[~alone]]
            order = np.argsort(drawn)
            last = int(np.abs(sizes[order].cumsum()[:-1] - n / 2).argmin())
            row[np.isin(codes, order[: last + 1])] = True
        return keep
