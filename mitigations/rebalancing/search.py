"""Finds images of one group by walking through latent space from roots that already belong to it.

Jain, Memon, Togelius 2023, "Fair GANs through model rebalancing", arXiv 2308.08638; the search is the one of the authors'
code (youneednodataset, ``balanced_set.py``): scan the prior until an image is labelled with the group, queue the root's
children z + N(0, sigma^2), keep what is still labelled so and queue its children in turn.

Departures, each an argument: lineages grow side by side instead of one after the other, so that the generator is asked for
whole batches; a lineage keeps at most ``max_per_root`` images (released: no limit, and with three children and more than a
third kept one root fills the quota alone); a root has ``children`` children, not twice as many; truncation is the source's
own setting, not 0.7.

Two things to know. The rule that a child must lie further from the root than its parent is kept and does nothing: in 128
dimensions or more a random step leads away with probability 1 to any accuracy. And a child is longer than its parent
(E|z|^2 grows by sigma^2 a coordinate): latents are *not* put back on the shell, which StyleGAN2 does itself by normalising
z, so generation k sits at cosine 1 / sqrt(1 + sigma^2 k) to its root. For a generator that does not normalise, give
``keep_prior``: the step is then divided by sqrt(1 + sigma^2), and a Gaussian stays that Gaussian.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from audit.errors import SourceError
from audit.seeds import image_seeds, normals
from audit.sources.latent import LatentSource
from mitigations.labelling import Labeller
from mitigations.rebalancing.scan import PriorScan, images_of


@dataclass(frozen=True)
class Kept:
    """Latents of one group and where they came from.

    Attributes:
        cell: index of the group.
        latents: (n, z_dim) float32.
        roots: (n,) int64 lineage ids: which draw of the prior each descends from.
        generations: (n,) int64, 0 for a root.
        scanned: draws of the prior that were looked at; up to the last one kept where no descendant was drawn.
        children: descendants that were drawn.
        failures: how many of both were labelled something else, or not read.
    """

    cell: int
    latents: np.ndarray
    roots: np.ndarray
    generations: np.ndarray
    scanned: int
    children: int
    failures: int

    @property
    def tries(self) -> int:
        """Generator calls, had this group been searched alone."""
        return self.scanned + self.children


def evolve(source: LatentSource, labeller: Labeller, target_cell: int, quota: int, *, seed: int, sigma: float = 0.5, children: int = 3,
           max_per_root: int | None = 16, max_failures: int = 20, max_pops: int | None = None, budget: int = 200_000, batch: int = 64,
           keep_prior: bool = False, prior_first: int = 0, scan: PriorScan | None = None) -> Kept:  # fmt: skip
    """Search latents whose images are labelled ``target_cell``; deterministic in ``seed`` and ``batch``.

    Args:
        source: a generator with a Gaussian latent; its ``call`` says how it draws (truncation, noise).
        labeller: what reads the images; not the classifier that judges.
        target_cell: index into ``labeller.cells``.
        quota: images to keep.
        seed: seed of roots and steps.
        sigma: standard deviation of a step, per coordinate.
        children: steps tried from every kept image.
        max_per_root: images a lineage may keep, itself included; None = no limit, as released.
        max_failures: a lineage with more failures than this ends.
        max_pops: after so many tries a lineage has no more children; None = no limit.
        budget: draws to try before giving up.
        batch: queue entries drawn at once.
        keep_prior: divide each step by sqrt(1 + sigma^2); see the module.
        prior_first: draws of the prior to look at before any child; their hits are all roots.
        scan: labelled draws shared between groups; None = a fresh one.

    Raises:
        SourceError: the group never occurs, or not often enough, within the budget; or the latent is not Gaussian.
    """
    _check(source, labeller, target_cell, quota)
    if source.prior != "normal":
        raise SourceError(f"the search adds Gaussian steps, and {source.name!r} draws {source.prior} latents; use method 'rejection'")
    scan = PriorScan(source, labeller, seed=seed, batch=batch) if scan is None else scan
    tree = _Tree(target_cell, quota, seed, sigma, children, max_per_root or quota, max_failures, max_pops or 2**62, keep_prior)
    position, drawn, failures = 0, 0, 0
    with tqdm(total=quota, unit="img", desc=f"{source.name}: {labeller.cells[target_cell]}", mininterval=0.5) as bar:
        while len(tree.kept) < quota:
            z, slots, generations = tree.pop(min(batch, budget - position - drawn))
            if len(z):
                hit = labeller.labels(images_of(source, z)) == target_cell
                drawn, failures = drawn + len(z), failures + int((~hit).sum())
                tree.take(z, slots, generations, hit)
            else:
                found, looked = _roots(scan, target_cell, position, tree.roots_wanted(batch), budget - drawn, prior_first)
                position, failures = position + looked, failures + looked - len(found)
                if not looked:
                    raise _short(source, labeller, target_cell, quota, len(tree.kept), position + drawn)
                tree.plant(scan.latents(found), found)
            bar.update(min(len(tree.kept), quota) - bar.n)
    latents, roots, generations = tree.first(quota)
    if not drawn:  # the prior alone was enough: count to the last draw that was kept
        position, failures = int(roots[-1]) + 1, int(roots[-1]) + 1 - quota
    return Kept(target_cell, latents, roots, generations, position, drawn, failures)


def rejection(source: LatentSource, labeller: Labeller, target_cell: int, quota: int, *, seed: int, budget: int = 200_000, batch: int = 64,
              scan: PriorScan | None = None) -> Kept:  # fmt: skip
    """Keep the draws of the prior that are labelled ``target_cell``: the baseline of :func:`evolve`, at 1 / p calls an image.

    Args: as for :func:`evolve`. Every image is its own lineage.

    Raises:
        SourceError: fewer than ``quota`` among ``budget`` draws.
    """
    _check(source, labeller, target_cell, quota)
    scan = PriorScan(source, labeller, seed=seed, batch=batch) if scan is None else scan
    position, found = 0, np.empty(0, dtype=np.int64)
    while len(found) < quota:
        more, looked = _roots(scan, target_cell, position, quota - len(found), budget, 0)
        if not looked:
            raise _short(source, labeller, target_cell, quota, len(found), position)
        position, found = position + looked, np.concatenate([found, more])
    found = found[:quota]
    looked = int(found[-1]) + 1
    return Kept(target_cell, scan.latents(found), found, np.zeros(quota, dtype=np.int64), looked, 0, looked - quota)


def _roots(scan: PriorScan, cell: int, position: int, wanted: int, end: int, at_least: int) -> tuple[np.ndarray, int]:
    """Return the draws labelled ``cell`` from ``position`` on, and how many draws were looked at for them."""
    found, at = np.empty(0, dtype=np.int64), position
    while len(found) < wanted and at < end:
        upto = min(max(at + scan.batch, at_least), end)
        scan.reach(upto)
        found = np.concatenate([found, at + np.flatnonzero(scan.labels[at:upto] == cell)])
        at = upto
    return found, at - position


def _check(source: LatentSource, labeller: Labeller, cell: int, quota: int) -> None:
    if not 0 <= cell < len(labeller.cells):
        raise SourceError(f"there is no group {cell} in {labeller.attribute}; its groups are 0..{len(labeller.cells) - 1}")
    if quota < 1:
        raise SourceError(f"the quota of {labeller.cells[cell]!r} from {source.name!r} is {quota}; expected at least 1")


def _short(source: LatentSource, labeller: Labeller, cell: int, quota: int, kept: int, tries: int) -> SourceError:
    name = labeller.cells[cell]
    if not kept:
        return SourceError(f"no image labelled {name!r} among {tries:,} draws of {source.name!r}; "
                           "raise the budget, or leave this group out: nothing can be searched from where nothing is")  # fmt: skip
    return SourceError(f"{kept:,} of {quota:,} images labelled {name!r} after {tries:,} draws of {source.name!r}; "
                       "raise the budget, lower the quota, or allow more images a root")  # fmt: skip


class _Tree:
    """The queue of one search and its books: per lineage what was kept, what is being tried and what failed."""

    def __init__(self, cell: int, quota: int, seed: int, sigma: float, children: int, cap: int, max_failures: int, max_pops: int,
                 keep_prior: bool) -> None:  # fmt: skip
        self.stream, self.seed, self.quota, self.cap = f"search:{cell}", seed, quota, cap
        self.sigma, self.children, self.max_failures, self.max_pops = sigma, children, max_failures, max_pops
        self.shrink = 1 / np.sqrt(1 + sigma**2) if keep_prior else 1.0
        self.queue: deque[tuple[np.ndarray, int, int]] = deque()
        self.kept: list[tuple[np.ndarray, int, int]] = []
        self.roots: list[np.ndarray] = []
        self.ids: list[int] = []
        self.held: list[int] = []
        self.failed: list[int] = []
        self.popped: list[int] = []
        self.serial = 0

    def roots_wanted(self, batch: int) -> int:
        """Enough new roots that their children fill a batch, and no more than the quota needs."""
        return min(max(batch // max(self.children, 1), 1), -(-(self.quota - len(self.kept)) // self.cap))

    def plant(self, latents: np.ndarray, ids: np.ndarray) -> None:
        """Begin a lineage with each of these draws."""
        first = len(self.roots)
        slots = list(range(first, first + len(ids)))
        self.roots += list(latents)
        self.ids += ids.tolist()
        for book in (self.held, self.failed, self.popped):
            book += [0] * len(ids)
        self._keep(latents, slots, [0] * len(ids))

    def pop(self, room: int) -> tuple[np.ndarray, list[int], list[int]]:
        """Take the next entries of open lineages, none beyond what its lineage may still keep."""
        taken, aside, flying = [], [], {}
        while self.queue and len(taken) < room:
            entry = self.queue.popleft()
            slot = entry[1]
            if self.held[slot] >= self.cap or self.failed[slot] > self.max_failures:
                continue
            if self.held[slot] + flying.get(slot, 0) >= self.cap:
                aside.append(entry)  # waits for the outcome of its siblings
                continue
            flying[slot] = flying.get(slot, 0) + 1
            taken.append(entry)
        self.queue.extendleft(reversed(aside))
        return np.array([z for z, _, _ in taken], dtype=np.float32), [s for _, s, _ in taken], [g for _, _, g in taken]

    def take(self, latents: np.ndarray, slots: list[int], generations: list[int], hit: np.ndarray) -> None:
        """Keep what was labelled with the group and queue its children."""
        for slot, good in zip(slots, hit, strict=True):
            self.popped[slot] += 1
            self.failed[slot] += not good
        good = np.flatnonzero(hit)
        self._keep(latents[good], [slots[i] for i in good], [generations[i] for i in good])

    def first(self, quota: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return latents, lineage ids and generations of the first ``quota`` images kept."""
        some = self.kept[:quota]
        return (np.array([z for z, _, _ in some], dtype=np.float32), np.array([self.ids[s] for _, s, _ in some], dtype=np.int64),
                np.array([g for _, _, g in some], dtype=np.int64))  # fmt: skip

    def _keep(self, latents: np.ndarray, slots: list[int], generations: list[int]) -> None:
        for z, slot, generation in zip(latents, slots, generations, strict=True):
            self.held[slot] += 1
            self.kept.append((z, slot, generation))
        fertile = [i for i, slot in enumerate(slots) if self.held[slot] < self.cap and self.popped[slot] < self.max_pops]
        if fertile and self.children:
            self._queue_children(latents[fertile], [slots[i] for i in fertile], [generations[i] + 1 for i in fertile])

    def _queue_children(self, parents: np.ndarray, slots: list[int], generations: list[int]) -> None:
        """First children of all parents, then the second ones, so that lineages grow evenly."""
        n = len(parents) * self.children
        numbers = image_seeds(self.seed, np.arange(self.serial, self.serial + n), stream=self.stream)
        self.serial += n
        before = np.tile(parents, (self.children, 1)).astype(np.float64)
        after = (before + self.sigma * normals(numbers, "step", parents.shape[1])) * self.shrink
        origin = np.array([self.roots[s] for s in slots] * self.children)
        further = np.linalg.norm(after - origin, axis=1) > np.linalg.norm(before - origin, axis=1)
        for z, slot, generation, away in zip(
            after.astype(np.float32), slots * self.children, generations * self.children, further, strict=True
        ):
            if away:
                self.queue.append((z, slot, generation))
