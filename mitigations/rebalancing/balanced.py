"""A balanced set: as many latents of every group, with their labels and lineages, and what they cost.

A searched set is worth fewer independent images than it holds, since relatives look alike: the effective number of
lineages, (sum n)^2 / sum n^2 over the images n of each root (Kish 1965), stands beside the count. Bootstrap by root.
"""

import json
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from audit.digests import digest
from audit.errors import SpecError
from audit.sources.latent import LatentSource
from mitigations.labelling import Labeller
from mitigations.rebalancing.scan import PriorScan
from mitigations.rebalancing.search import Kept, evolve, rejection

Method = Literal["search", "rejection", "mixed"]

METHODS = ("search", "rejection", "mixed")
"""How a set is filled: by :func:`evolve`; by :func:`rejection`; or with every hit among the first ``prior_draws`` draws of the
prior, searching from those only for what is missing ("mixed": far more lineages for the same calls)."""


@dataclass(frozen=True)
class CellReport:
    """What the images of one group are worth.

    Attributes:
        cell: its name.
        kept: images.
        roots: lineages among them.
        effective: effective number of lineages, Kish.
        largest: images of the largest lineage.
        tries_per_kept: generator calls an image, had this group been searched alone.
        failures: draws labelled otherwise.
        spread: mean distance between the directions of two latents, relative to two independent draws (1).
    """

    cell: str
    kept: int
    roots: int
    effective: float
    largest: int
    tries_per_kept: float
    failures: int
    spread: float


@dataclass(frozen=True)
class BalancedSet:
    """Latents of every group.

    Attributes:
        attribute: what was balanced.
        latents: (n, z_dim) float32, groups one after the other.
        labels: (n,) int64 cell index.
        roots: (n,) int64 lineage id, unique over the groups.
        generations: (n,) int64.
        cells: what each group cost.
        shares: (K,) shares of the groups among the draws of the prior.
        calls: generator calls for all groups together; draws of the prior serve all of them.
        seconds: wall time.
    """

    attribute: str
    latents: np.ndarray
    labels: np.ndarray
    roots: np.ndarray
    generations: np.ndarray
    cells: list[CellReport]
    shares: np.ndarray
    calls: int
    seconds: float

    @property
    def calls_per_kept(self) -> float:
        """Generator calls for each image of the set."""
        return self.calls / len(self.labels)

    def save(self, path: Path) -> None:
        """Write a .npz of plain arrays, whole or not at all."""
        _write(path, latents=self.latents, labels=self.labels, roots=self.roots, generations=self.generations, shares=self.shares,
               about=json.dumps({"attribute": self.attribute, "cells": [asdict(c) for c in self.cells], "calls": self.calls,
                                 "seconds": self.seconds}))  # fmt: skip

    @classmethod
    def load(cls, path: Path) -> "BalancedSet":
        """Read what :meth:`save` wrote."""
        with np.load(path, allow_pickle=False) as kept:
            about = json.loads(str(kept["about"]))
            about["cells"] = [CellReport(**c) for c in about["cells"]]
            return cls(**{k: kept[k] for k in ("latents", "labels", "roots", "generations", "shares")}, **about)


def balanced_set(source: LatentSource, labeller: Labeller, quota_per_cell: int, method: Method = "search", *, seed: int,
                 prior_draws: int | None = None, budget: int = 200_000, batch: int = 64, folder: Path | None = None,
                 **search: float) -> BalancedSet:  # fmt: skip
    """Return ``quota_per_cell`` latents of every cell of ``labeller.attribute``.

    Args:
        source: the generator.
        labeller: what reads its images.
        quota_per_cell: images of each group.
        method: one of :data:`METHODS`.
        seed: seed of everything.
        prior_draws: with "mixed", how many draws of the prior are used as they are; None = twice the size of the set.
        budget: draws a group may take.
        batch: images at once.
        folder: where finished groups are kept, so that the same call continues an interrupted one; None = nowhere.
        search: further arguments of :func:`evolve`.

    Raises:
        SpecError: an unknown method.
        SourceError: a group never occurs within the budget.
    """
    if method not in METHODS:
        raise SpecError(f"there is no search method {method!r}; there are {', '.join(METHODS)}")
    k, began = len(labeller.cells), time.monotonic()
    scan = PriorScan(source, labeller, seed=seed, batch=batch, file=None if folder is None else folder / "scan.npz")
    kept_file = None if folder is None else folder / f"{method}.npz"
    first = 0 if method != "mixed" else min(prior_draws or 2 * k * quota_per_cell, budget)
    key = digest([scan.key, method, quota_per_cell, first, budget, batch, search])
    done, seconds = _finished(kept_file, key)
    for cell in range(len(done), k):
        if method == "rejection":
            found = rejection(source, labeller, cell, quota_per_cell, seed=seed, budget=budget, batch=batch, scan=scan)
        else:
            walk = partial(evolve, seed=seed, budget=budget, batch=batch, prior_first=first, scan=scan)
            found = walk(source, labeller, cell, quota_per_cell, **search)
        done.append(found)
        scan.save()
        if kept_file is not None:
            _keep(kept_file, key, done, seconds + time.monotonic() - began)
    labels = np.repeat(np.arange(k), quota_per_cell)
    return BalancedSet(
        labeller.attribute, np.concatenate([f.latents for f in done]), labels, np.concatenate([f.roots for f in done]),
        np.concatenate([f.generations for f in done]), [_report(f, labeller.cells[f.cell], seed) for f in done],
        scan.counts() / max(len(scan), 1), len(scan) + sum(f.children for f in done), seconds + time.monotonic() - began)  # fmt: skip


def effective_lineages(roots: np.ndarray) -> float:
    """Return the effective number of lineages among images with these lineage ids; 0 for none.

    Example:
        >>> effective_lineages(np.array([1, 1, 2, 2])), effective_lineages(np.array([1, 1, 1, 2]))
        (2.0, 1.6)
    """
    sizes = np.unique(roots, return_counts=True)[1].astype(float)
    return float(sizes.sum() ** 2 / (sizes**2).sum()) if len(sizes) else 0.0


def latent_spread(latents: np.ndarray, *, rng: np.random.Generator, most: int = 1000) -> float:
    """Return the mean distance between directions of latents over that of independent ones, sqrt(2); NaN for fewer than two.

    Args:
        latents: (n, z_dim).
        rng: chooses ``most`` of them where there are more.
        most: rows compared with each other.
    """
    if len(latents) < 2:
        return float("nan")
    if len(latents) > most:
        latents = latents[rng.choice(len(latents), most, replace=False)]
    unit = latents / np.linalg.norm(latents, axis=1, keepdims=True)
    above = np.triu_indices(len(unit), 1)
    return float(np.sqrt(np.maximum(2 - 2 * (unit @ unit.T)[above], 0)).mean() / np.sqrt(2))


def _report(found: Kept, cell: str, seed: int) -> CellReport:
    sizes = np.unique(found.roots, return_counts=True)[1]
    return CellReport(cell, len(found.roots), len(sizes), effective_lineages(found.roots), int(sizes.max()), found.tries / len(found.roots),
                      found.failures, latent_spread(found.latents, rng=np.random.default_rng(seed)))  # fmt: skip


def _keep(file: Path, key: str, done: list[Kept], seconds: float) -> None:
    arrays = {f"{name}_{f.cell}": getattr(f, name) for f in done for name in ("latents", "roots", "generations")}
    numbers = np.array([[f.cell, f.scanned, f.children, f.failures] for f in done])
    _write(file, key=key, seconds=seconds, numbers=numbers, **arrays)


def _finished(file: Path | None, key: str) -> tuple[list[Kept], float]:
    if file is None or not file.is_file():
        return [], 0.0
    with np.load(file, allow_pickle=False) as kept:
        if str(kept["key"]) != key:
            return [], 0.0
        return [Kept(int(cell), kept[f"latents_{cell}"], kept[f"roots_{cell}"], kept[f"generations_{cell}"], *map(int, counts))
                for cell, *counts in kept["numbers"]], float(kept["seconds"])  # fmt: skip


def _write(path: Path, **arrays: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp.npz")
    np.savez(temporary, **arrays)
    temporary.replace(path)
