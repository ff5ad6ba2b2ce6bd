"""Stored features against the references, worked out once for the measures and for the comparisons.

Distances between ten thousand images and ten thousand others are what an audit spends its arithmetic on. Each generator is
held against each reference once; the numbers come back with their leave-outs, from which a measure takes its interval and a
comparison the interval of a difference.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from audit.attributes import parts
from audit.estimates import NotMeasured
from audit.labels import MISSING, labels, role_of
from audit.metrics import shared
from audit.metrics.replicates import Replicated
from audit.records import Run
from audit.spec import ReferenceSpec, Spec

FOLDS, FEW_FOLDS, LARGE = 20, 8, 512
"""Groups left out for the Frechet distance; fewer where images and dimensions both exceed LARGE and each costs seconds."""

HALVES = 40
LEAST = 2 * shared.K_DC + 2
"""Images below which half a set has no neighbour number :data:`audit.metrics.shared.K_DC`."""


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
    """

    numbers: dict[str, Replicated]
    neighbours: shared.Neighbours | None
    n: int
    protocol: str


class Quality:
    """The features of a run, asked by generator and reference; what was worked out is kept.

    Args:
        run: collected records.
        spec: what was asked for.
        rng: deals the folds and halves that all generators share.
    """

    def __init__(self, run: Run, spec: Spec, *, rng: np.random.Generator) -> None:
        self.run, self.spec = run, spec
        self.references = {reference_name(r, at): r for at, r in enumerate(spec.references)} if spec.instruments.encoder else {}
        self._frames: dict[str, pd.DataFrame] = {}
        self._features: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]] = {}
        self._sets: dict[tuple, shared.Set] = {}
        self._found: dict[tuple, Against] = {}
        names = [*spec.generators, *(f"reference-{label}" for label in self.references)]
        most = max((int(self.frame(name)["id"].max()) + 1 for name in names if len(self.frame(name))), default=0)
        self._order = {side: rng.permutation(most) for side in ("generated", "reference")}
        self._luck = {side: rng.random((HALVES, most)) for side in ("generated", "reference")}

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
        return next((label for label, r in self.references.items() if r.role == "balanced"), next(iter(self.references), None))

    def folds(self, ids: np.ndarray, side: str, groups: int) -> np.ndarray:
        """Return the fold of each id, the same for every generator."""
        return self._order[side][ids] % groups

    def common(self, one: str, other: str) -> np.ndarray:
        """Return the ids with features on both sides."""
        return np.intersect1d(self.features(one)[1], self.features(other)[1])

    def against(self, name: str, label: str, ids: np.ndarray | None = None) -> Against:
        """Hold a generator against a reference.

        Args:
            name: the generator.
            label: the reference, as in :attr:`references`.
            ids: which of its images; None = all with features. As many are used as the reference has.
        """
        own = self.features(name)[1] if ids is None else ids
        other = f"reference-{label}"
        n = min(len(own), len(self.features(other)[1]))
        key = (name, label, n, own[:n].tobytes())
        if key not in self._found:
            self._found[key] = self._hold(name, label, own[:n], n)
        return self._found[key]

    def _hold(self, name: str, label: str, ids: np.ndarray, n: int) -> Against:
        population = self.references[label].population
        protocol = f"{self.spec.instruments.encoder} encoder, n={n}, reference {label}" + (f" ({population})" if population else "")
        if n < LEAST:
            few = NotMeasured(f"{n} images with features on one side; at least {LEAST} are needed", n, "distance")
            return Against(dict.fromkeys(("fid", "kid", *shared.NEIGHBOURS), few), None, n, protocol)
        reference = self._set(f"reference-{label}", self.features(f"reference-{label}")[1][:n], "reference")
        generated = self._set(name, ids, "generated")
        groups = FEW_FOLDS if min(generated.features.shape) > LARGE else FOLDS
        kid = shared.kernel_pulls(generated.features, reference.features, ids, within=generated.within, within_reference=reference.within)
        near = shared.neighbour_replicates(generated, reference)
        numbers: dict[str, Replicated] = {"fid": shared.frechet_replicates(generated, reference, groups=groups), "kid": kid}
        numbers |= {metric: getattr(near, metric) for metric in shared.NEIGHBOURS}
        return Against(numbers, near, n, protocol)

    def _set(self, name: str, ids: np.ndarray, side: str) -> shared.Set:
        key = (name, ids.tobytes())
        if key not in self._sets:
            if side == "generated":  # its distances to all references come first, so one generator at a time is enough
                self._sets = {k: v for k, v in self._sets.items() if k[0].startswith("reference-")}
            features, known = self.features(name)
            chosen = features if len(ids) == len(known) else features[np.searchsorted(known, ids)]
            groups = FEW_FOLDS if min(chosen.shape) > LARGE else FOLDS
            folds = self.folds(ids, side, groups)
            self._sets[key] = shared.prepare(chosen, ids, folds, self._halves(len(ids), side))
        return self._sets[key]

    def _halves(self, n: int, side: str) -> np.ndarray:
        """Return (HALVES + 1, n) flags: everyone, then the halves; the same for every generator with as many images."""
        keep = np.zeros((HALVES + 1, n), dtype=bool)
        keep[0] = True
        chosen = np.argpartition(self._luck[side][:, :n], n // 2, axis=1)[:, : n // 2]
        np.put_along_axis(keep[1:], chosen, True, axis=1)
        return keep

