"""Rejection sampling: draw again until the shares match. The fairness every other method is held against, and its price.

An image labelled with cell k is accepted with probability a_k = c t_k / p_k, where t are the shares asked for, p those the
generator draws by itself, and c = min_j p_j / t_j makes the largest a_k equal to 1. Accepted images have shares t, and an
image costs 1 / sum_k p_k a_k = max_k t_k / p_k draws: 1 / (K p) of the rarest cell for equal shares.

Image i is a function of its own seed: its first candidate is the image the baseline would draw, so the two are paired wherever
it is accepted; candidate j has a seed derived from the image's (stream "reject:j"). p is estimated once on a labelled pool,
which is kept under its content; its sampling error is the error of the shares.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from audit.digests import digest
from audit.errors import SourceError, SpecError
from audit.manifests import home
from audit.seeds import image_seeds, uniforms
from audit.sources.base import OK, Batch, ImageSource
from audit.sources.latent import LatentSource
from mitigations.base import Chart, Cost, Fact, MethodReport, latent_source
from mitigations.labelling import DEFAULT, Labeller
from mitigations.rebalancing.scan import PriorScan

OPTIONS = {"attribute", "classifier", "target", "pool", "seed", "budget", "assets"}
"""Keys of ``sampler: {method: reject, ...}``; see :func:`sampler`."""


def sampler(source: ImageSource, **options: Any) -> "RejectSource":
    """Return ``source`` with images drawn again until the shares of ``attribute`` are those asked for.

    Args:
        source: a generator drawn from latents.
        options: ``attribute`` (needed), ``classifier`` (what accepts; not the one that judges), ``target`` ("uniform", or a share
            for each cell), ``pool`` (images labelled to learn the generator's own shares), ``seed`` of the pool, ``budget`` (draws
            an image may take; None = 64 times what it takes on average), ``assets`` (folder of a manifest's files).

    Raises:
        SpecError: an unknown option or value.
        InstrumentError: the classifier does not read the attribute.
        SourceError: no latents to choose, or a cell that does not occur in the pool.
    """
    unknown = sorted(set(options) - OPTIONS)
    if unknown:
        raise SpecError(f"sampler reject: unknown option {unknown[0]!r}; there are {', '.join(sorted(OPTIONS))}")
    if not isinstance(options.get("attribute"), str):
        raise SpecError("sampler reject: name the attribute whose shares should match, e.g. attribute: gender*skin_tone")
    source, assets = latent_source(source, "reject"), options.pop("assets", None)
    attribute, classifier = options.pop("attribute"), options.pop("classifier", DEFAULT)
    labeller = Labeller(attribute, classifier, device=source.device, assets=(assets,) if assets else ())
    return rejecting(source, labeller, **options)


def rejecting(source: LatentSource, labeller: Labeller, *, target: str | Mapping[str, float] = "uniform", pool: int = 10_000, seed: int = 0,
              budget: int | None = None) -> "RejectSource":  # fmt: skip
    """Return the rejection sampler of a source and what labels it; see :func:`sampler`."""
    for name, value in (("pool", pool), ("budget", budget)):
        if value is not None and (not isinstance(value, int) or value < 1):
            raise SpecError(f"sampler reject: {name} is {value!r}; expected a number of draws, at least 1")
    wanted = _target(labeller, target)
    shares = pooled_shares(source, labeller, pool, seed)
    missing = [c for c, p, t in zip(labeller.cells, shares, wanted, strict=True) if t > 0 and p == 0]
    if missing:
        raise SourceError(f"no image labelled {missing[0]!r} among {pool:,} draws of {source.name!r}; rejection can only wait for what occurs: "
                          "raise pool, or ask for another target")  # fmt: skip
    accept = acceptance(shares, wanted)
    return RejectSource(source, labeller, accept, shares, wanted, pool, budget)


def acceptance(shares: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return (K,) acceptance probabilities, the largest 1, that turn ``shares`` into ``target``; 0 for cells not asked for.

    Example:
        >>> acceptance(np.array([0.8, 0.2]), np.array([0.5, 0.5])).tolist()
        [0.25, 1.0]
    """
    ratio = np.divide(target, shares, out=np.zeros(len(shares)), where=shares > 0)
    return ratio / ratio.max()


class RejectSource(LatentSource):
    """A source that draws again until its cell is accepted; every image is drawn and labelled once a candidate, never twice.

    Args:
        source: the generator.
        labeller: what names the cell of a candidate.
        accept: (K,) acceptance probabilities.
        shares: (K,) the generator's own shares, from the pool.
        target: (K,) the shares asked for.
        pool: how many images the shares were read from.
        budget: draws an image may take; None = 64 times the average.
    """

    def __init__(self, source: LatentSource, labeller: Labeller, accept: np.ndarray, shares: np.ndarray, target: np.ndarray, pool: int,
                 budget: int | None = None) -> None:  # fmt: skip
        self.calls_per_image = float((target[target > 0] / shares[target > 0]).max())
        self.budget = budget or math.ceil(64 * self.calls_per_image)
        known = digest([source.digest, "reject", labeller.digest, labeller.attribute, accept.tolist(), self.budget])
        super().__init__(source.name, source.module, z_dim=source.z_dim, prior=source.prior, digest=known, device=source.device, call=source.call,
                         latents=self._chosen, caveats=source.caveats,
                         method=_method(self, labeller, accept, shares, target, pool).as_dict())  # fmt: skip
        self.source, self.labeller, self.accept = source, labeller, accept

    def draw(self, ids: np.ndarray, seeds: np.ndarray) -> Batch:
        batch, _ = self._accepted(ids, seeds)
        return batch

    def _chosen(self, seeds: np.ndarray) -> np.ndarray:
        _, candidates = self._accepted(np.arange(len(seeds)), seeds)
        return self.source.latents(candidates)

    def _accepted(self, ids: np.ndarray, seeds: np.ndarray) -> tuple[Batch, np.ndarray]:
        """Return the accepted images and the seeds of the candidates they are."""
        images, candidates = [None] * len(ids), np.array(seeds, dtype=np.uint64)
        waiting = np.arange(len(ids))
        for attempt in range(self.budget):
            if not len(waiting):
                break
            if attempt:
                candidates[waiting] = image_seeds(0, seeds[waiting], stream=f"reject:{attempt}")
            now = candidates[waiting]
            drawn = self.source.draw(ids[waiting], now)
            cell = self.labeller.labels(drawn)
            chance = np.where(cell >= 0, self.accept[cell], 0.0)  # what cannot be read is drawn again
            taken = uniforms(now, "reject:accept", 1)[:, 0] < chance
            for i in np.flatnonzero(taken):
                images[waiting[i]] = drawn.images[i]
            waiting = waiting[~taken]
        if len(waiting):
            raise SourceError(f"{self.name!r}: none of {self.budget:,} draws was accepted for {len(waiting)} of {len(ids)} images, though "
                              f"{self.calls_per_image:.1f} should do on average; raise budget")  # fmt: skip
        return Batch(ids, seeds, images, [OK] * len(ids)), candidates


def pooled_shares(source: LatentSource, labeller: Labeller, pool: int, seed: int) -> np.ndarray:
    """Return (K,) shares among ``pool`` labelled draws; unread images count in the total. Kept under their content."""
    path = home() / "reject" / f"{digest([source.digest, labeller.digest, labeller.attribute, pool, seed])}.json"
    k = len(labeller.cells)
    counts = _cached(path)
    if counts is None or len(counts) != k:
        scan = PriorScan(source, labeller, seed=seed)
        scan.reach(pool)
        counts = scan.counts().tolist()
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps({"cells": labeller.cells, "drawn": pool, "counts": counts}), encoding="utf-8")
        temporary.replace(path)
    return np.array(counts) / pool


def _cached(path: Any) -> list[int] | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))["counts"]
    except (OSError, ValueError, KeyError):
        return None  # not there, or cut short by a full disk: made again


def _target(labeller: Labeller, target: str | Mapping[str, float]) -> np.ndarray:
    cells = labeller.cells
    if target == "uniform":
        return np.full(len(cells), 1 / len(cells))
    if not isinstance(target, Mapping) or set(target) != set(cells):
        raise SpecError(f"sampler reject: target is {target!r}; expected 'uniform', or a share for each of {', '.join(cells)}")
    shares = np.array([float(target[c]) for c in cells])
    if (shares < 0).any() or abs(shares.sum() - 1) > 1e-6:
        raise SpecError(f"sampler reject: the shares of target add up to {shares.sum():g}; expected shares of 0 or more that add up to 1")
    return shares


def _method(made: RejectSource, labeller: Labeller, accept: np.ndarray, shares: np.ndarray, target: np.ndarray, pool: int) -> MethodReport:
    read = f"of {pool:,} labelled draws"
    facts = [Fact(f"share before: {c}", round(float(p), 4), "", read) for c, p in zip(labeller.cells, shares, strict=True)]
    facts += [
        Fact(f"accepted: {c}", round(float(a), 4), "", "of the draws with this label") for c, a in zip(labeller.cells, accept, strict=True)
    ]
    asked = target > 0
    error = float(np.sqrt((1 - shares[asked]) / (pool * shares[asked])).max())
    facts += [Fact("calls per accepted image", round(made.calls_per_image, 3), "calls", "max of target over share, from the pool"),
              Fact("draws an image may take", made.budget, "calls", "then the run stops and says so"),
              Fact("largest relative error of a share", round(error, 4), "", f"one standard error, because the pool holds {pool:,} images")]  # fmt: skip
    return MethodReport(
        "reject", "Rejection sampling", "von Neumann 1951; the ceiling the methods are held against",
        "Images are drawn again until every group is accepted as often as asked for; the generator is not changed.",
        f"labels of {labeller.classifier} on {labeller.attribute}", facts,
        [Chart("Accepted share of the draws of each group", "bar", list(labeller.cells), [round(float(a), 4) for a in accept], "group", "accepted")],
        Cost(calls_per_image=round(made.calls_per_image, 4), fitting_calls=pool),
        [f"shares are those {labeller.classifier} sees; its errors pass into them", "what the generator cannot draw, redrawing cannot add"])  # fmt: skip
