"""Making a fit, step by step: label a pool, model each cell, measure what leaks, weigh, verify on fresh images, weigh again."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from audit.seeds import image_seeds, normals
from audit.sources.base import OK
from audit.sources.latent import LatentSource
from mitigations.gmm_diffusion.balance import leakage, mixing_weights, target_shares
from mitigations.gmm_diffusion.drawing import latents_of, mitigated
from mitigations.gmm_diffusion.evidence import Evidence, unsupervised_evidence
from mitigations.gmm_diffusion.fit import Fit, in_single_precision
from mitigations.gmm_diffusion.mixtures import Mixture, fit_cells
from mitigations.gmm_diffusion.pool import STREAM, TapPool, label_pool
from mitigations.gmm_diffusion.report import method_report
from mitigations.gmm_diffusion.settings import Settings
from mitigations.gmm_diffusion.subspace import Subspace, find_subspace
from mitigations.gmm_diffusion.taps import open_tap
from mitigations.labelling import Labeller

EVIDENCE = 20_000
"""Latents, at most, that the mixtures without labels are shown."""


@dataclass(frozen=True)
class Round:
    """One draw from the mixtures, labelled.

    Attributes:
        leaks: (K, K) counts, asked for by labelled.
        drawn: images drawn, unread ones included.
        norms: (drawn, 2) norms of the latents before and after they were changed.
    """

    leaks: np.ndarray
    drawn: int
    norms: np.ndarray

    @property
    def shares(self) -> np.ndarray:
        """(K,) shares labelled each cell."""
        return self.leaks.sum(axis=0) / max(self.leaks.sum(), 1)


@dataclass(frozen=True)
class Findings:
    """What happened on the way to a fit; the report is written from it.

    Attributes:
        pool: the labelled pool.
        target: (K,) shares wanted.
        leaks: (K, K) counts after both rounds.
        first: weights before verification.
        weights: weights after it.
        rounds: leakage draw, verification, and a last draw with the final weights.
        prior: mixtures without labels at x_T.
        tapped: mixtures without labels at the tap.
        examples: (K,) latents each mixture was fitted to.
        components: (K,) Gaussians of each cell.
        seconds: everything together.
        cost_resumed: share of the steps that are left when sampling starts at the tap.
    """

    pool: TapPool
    target: np.ndarray
    leaks: np.ndarray
    first: np.ndarray
    weights: np.ndarray
    rounds: tuple[Round, Round, Round]
    prior: list[Evidence]
    tapped: list[Evidence]
    examples: np.ndarray
    components: list[int]
    seconds: float
    cost_resumed: float


def make_fit(source: LatentSource, settings: Settings, folder: Path, *, assets: tuple[str, ...] = ()) -> Fit:
    """Return mixtures of ``source`` that give the cells of ``settings.attribute`` the shares of ``settings.target``.

    Args:
        source: the generator.
        settings: everything else.
        folder: where the labelled pool is kept, so that the same call goes on after an interruption.
        assets: folders where files named by a classifier's manifest are looked for.

    Raises:
        SourceError, SpecError, InstrumentError: a tap, cell or classifier that is not there; each says what to do.
    """
    labeller = Labeller(settings.attribute, settings.classifier, device=source.device, assets=assets)
    verifier = labeller if settings.verifier in (None, settings.classifier) else Labeller(
        settings.attribute, settings.verifier, device=source.device, assets=assets)  # fmt: skip
    return fit_with(source, settings, folder, labeller, verifier)


def fit_with(source: LatentSource, settings: Settings, folder: Path, labeller: Labeller, verifier: Labeller) -> Fit:
    """Return the fit of a source with what labels the pool and what labels the verification; see :func:`make_fit`."""
    tap = open_tap(source, settings.tap, settings.start, settings.stop)
    target = target_shares(settings.target, labeller.cells, "gmm")
    pool = label_pool(source, tap, labeller, settings, target > 0, folder)
    began = time.monotonic()
    subspace, mixtures, examples = model_cells(pool, labeller.cells, target > 0, settings)
    prior = normals(image_seeds(settings.seed, np.arange(EVIDENCE), stream=STREAM), "z", min(source.z_dim, 64))
    evidence = unsupervised_evidence(prior, seed=settings.seed), unsupervised_evidence(subspace.coordinates(pool.latents[: pool.plain]),
                                                                                      seed=settings.seed)  # fmt: skip
    fit = Fit(source.digest, settings, list(labeller.cells), subspace, mixtures, target, {})
    asked = np.repeat(np.flatnonzero(target > 0), settings.draws)
    leaking = _round(source, fit, labeller, "leakage", len(asked), asked)
    first = mixing_weights(leaking.leaks, target)
    verified = _round(source, replace(fit, weights=first), verifier, "verification", settings.verify)
    leaks = leaking.leaks + verified.leaks
    weights = mixing_weights(leaks, target)
    last = _round(source, replace(fit, weights=weights), verifier, "last check", settings.verify)
    found = Findings(pool, target, leaks, first, weights, (leaking, verified, last), *evidence, examples,
                     [len(m.shares) for m in mixtures], pool.seconds + time.monotonic() - began, tap.cost_resumed)  # fmt: skip
    return replace(fit, weights=weights, report=method_report(settings, labeller.cells, found).as_dict())


def model_cells(pool: TapPool, cells: list[str], wanted: np.ndarray, settings: Settings) -> tuple[Subspace, list[Mixture], np.ndarray]:
    """Return coordinates, mixtures, and how many latents each mixture saw.

    Discriminants fitted to the same latents would seem to separate the cells better than they do, and the mixtures would reach too far:
    every second latent of a cell goes into the coordinates, the others into the mixtures.
    """
    rank = np.empty(len(pool.labels), dtype=np.int64)
    for k in range(len(cells)):
        rank[pool.labels == k] = np.arange((pool.labels == k).sum())
    for_mixtures = (rank % 2 == 0) & wanted[pool.labels]
    subspace = find_subspace(pool.latents[rank % 2 == 1], pool.labels[rank % 2 == 1], dims=settings.dims)
    asked = np.flatnonzero(wanted)
    labels = np.searchsorted(asked, pool.labels[for_mixtures])
    fitted = fit_cells(subspace.coordinates(pool.latents[for_mixtures]), labels, [cells[k] for k in asked], components=settings.components,
                       covariance=settings.covariance, seed=settings.seed)  # fmt: skip
    empty = Mixture(np.ones(1), np.zeros((1, subspace.dims)), np.eye(subspace.dims)[None])  # of a cell that is never asked for
    mixtures = [in_single_precision(fitted[list(asked).index(k)]) if wanted[k] else empty for k in range(len(cells))]
    return subspace, mixtures, np.bincount(pool.labels[for_mixtures], minlength=len(cells))


def _round(source: LatentSource, fit: Fit, labeller: Labeller, what: str, n: int, asked: np.ndarray | None = None) -> Round:
    tap = open_tap(source, fit.settings.tap, fit.settings.start, fit.settings.stop)
    made, latents = mitigated(source, tap, fit), latents_of(source, tap, fit)
    seeds = image_seeds(fit.settings.seed, np.arange(n), stream=f"{STREAM}:{what}")
    asked = latents.cells(seeds) if asked is None else asked
    said, norms = [], []
    for at in tqdm(range(0, n, 64), unit="batch", desc=f"{source.name}: {what}", mininterval=0.5):
        rows = slice(at, at + 64)
        part = LatentSource(source.name, made.module, z_dim=made.z_dim, digest=made.digest, device=made.device, call=made.call,
                            latents=lambda s, rows=rows: latents.given(s, asked[rows]))  # fmt: skip
        batch = part.draw(np.arange(at, at + len(seeds[rows])), seeds[rows])
        cell = labeller.labels(batch)
        cell[[s != OK for s in batch.status]] = -1
        said.append(cell)
        norms.append(np.stack([v.cpu().numpy() for v in made.module.norms], axis=1))
    return Round(leakage(asked, np.concatenate(said), len(fit.cells)), n, np.concatenate(norms))
