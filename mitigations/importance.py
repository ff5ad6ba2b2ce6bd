"""Importance resampling: a pool of labelled images, drawn from again with weights that make the shares match.

An image of the pool labelled with cell k has weight t_k / p_k, target over share (Kish 1965 gives the effective sample size
(sum w)^2 / sum w^2). Image i of a run chooses a pool image by the inverse of the cumulated weights and one uniform number of its own, with
replacement, so that images depend on their seed alone. Shares come out exactly as wanted in expectation, at one call an image once the
pool exists; the price is repeats: a rare cell has only as many different images as the pool holds of it.
"""

import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from audit.digests import digest
from audit.errors import SourceError, SpecError
from audit.manifests import home
from audit.seeds import uniforms
from audit.sources.base import ImageSource
from audit.sources.latent import LatentSource
from mitigations.base import Chart, Cost, Fact, MethodReport, latent_source
from mitigations.gmm_diffusion.balance import target_shares
from mitigations.labelling import DEFAULT, Labeller, Pool, draw_pool, most_probable

OPTIONS = {"attribute", "classifier", "pool", "target", "soft", "seed", "assets"}
"""Keys of ``sampler: {method: importance, ...}``; see :func:`sampler`."""


def sampler(source: ImageSource, **options: Any) -> LatentSource:
    """Return ``source`` drawn again from a labelled pool of its own images with the shares wanted.

    Args:
        source: a generator drawn from latents.
        options: ``attribute`` ("gender*skin_tone"), ``classifier`` (not the one that judges), ``pool`` (images labelled; 10000),
            ``target`` ("uniform", or a share for each cell), ``soft`` (weigh by probabilities instead of labels; false), ``seed`` of the
            pool, ``assets`` (folder of a manifest's files).

    Raises:
        SpecError: an unknown option or value.
        InstrumentError: the classifier does not read the attribute.
        SourceError: no latents to choose, or a wanted cell that does not occur in the pool.
    """
    unknown = sorted(set(options) - OPTIONS)
    if unknown:
        raise SpecError(f"sampler importance: unknown option {unknown[0]!r}; there are {', '.join(sorted(OPTIONS))}")
    source, assets = latent_source(source, "importance"), options.pop("assets", None)
    attribute, classifier = options.pop("attribute", "gender*skin_tone"), options.pop("classifier", DEFAULT)
    for name, value in (("attribute", attribute), ("classifier", classifier)):
        if not isinstance(value, str):
            raise SpecError(f"sampler importance: {name} is {value!r}; expected a name")
    labeller = Labeller(attribute, classifier, device=source.device, assets=(assets,) if assets else ())
    return resampling(source, labeller, **options)


def resampling(source: LatentSource, labeller: Labeller, *, pool: int = 10_000, target: str | Mapping[str, float] = "uniform", soft: bool = False,
               seed: int = 0) -> LatentSource:  # fmt: skip
    """Return the resampled source of what labels it; see :func:`sampler`."""
    for name, value in (("pool", pool), ("seed", seed)):
        if not isinstance(value, int) or isinstance(value, bool) or (name == "pool" and value < 1):
            raise SpecError(
                f"sampler importance: {name} is {value!r}; expected a whole number" + (", at least 1" if name == "pool" else "")
            )
    if not isinstance(soft, bool):
        raise SpecError(f"sampler importance: soft is {soft!r}; expected true or false")
    wanted = target_shares(target, labeller.cells, "importance")
    seeds, probabilities = _labelled(source, labeller, pool, seed)
    weights, shares = pool_weights(probabilities, wanted, soft=soft)
    missing = [c for c, p, t in zip(labeller.cells, shares, wanted, strict=True) if t > 0 and p == 0]
    if missing:
        raise SourceError(f"no image labelled {missing[0]!r} among {pool:,} draws of {source.name!r}; resampling can only repeat what occurs: "
                          "raise pool, or ask for another target")  # fmt: skip
    edges = np.cumsum(weights)
    last = int(np.flatnonzero(weights).max())

    def rows(images: np.ndarray) -> np.ndarray:
        return np.minimum(np.searchsorted(edges, uniforms(images, "importance", 1)[:, 0] * edges[-1], side="right"), last)

    made_of = [source.digest, "importance", labeller.digest, labeller.attribute, pool, seed, soft, wanted.tolist()]
    known = digest([*made_of, "unit"])  # records that do not name the pool image are not continued
    return source.choosing(lambda images: source.latents(seeds[rows(images)]), digest=known, units=rows,
                           method=_method(labeller, weights, shares, wanted).as_dict())  # fmt: skip


def pool_weights(probabilities: np.ndarray, target: np.ndarray, *, soft: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return (weights that sum to 1 (n,), shares of the cells in the pool (K,)).

    Args:
        probabilities: (n, K), NaN rows for images that were not read; those get no weight.
        target: (K,) shares wanted; those of cells that do not occur go unmet.
        soft: weigh an image by its probabilities, w = sum_k c_k t_k / p_k with p the mean of c, instead of by its label.

    Example:
        >>> pool_weights(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), np.array([0.5, 0.5]))[0].tolist()
        [0.25, 0.25, 0.5]
    """
    label = most_probable(probabilities)
    read = label >= 0
    member = np.where(read[:, None], np.nan_to_num(probabilities) if soft else np.eye(len(target))[label], 0.0)
    shares = member.sum(axis=0) / max(int(read.sum()), 1)
    weights = member @ np.divide(target, shares, out=np.zeros(len(target)), where=shares > 0)
    return weights / max(weights.sum(), 1e-300), shares


def effective_size(weights: np.ndarray) -> float:
    """Return how many equally weighted images tell as much (Kish 1965), from 1 to n."""
    return float(weights.sum() ** 2 / (weights**2).sum())


def unique_share(weights: np.ndarray, n: int) -> float:
    """Return the expected share of different images among ``n`` drawn with replacement; weights sum to 1."""
    return float((-np.expm1(n * np.log1p(-np.minimum(weights, 1 - 1e-12)))).sum() / n)


def _labelled(source: LatentSource, labeller: Labeller, pool: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (seeds, probabilities) of the pool, labelled once and kept under its content."""
    path = home() / "importance" / f"{digest([source.digest, labeller.digest, labeller.attribute, pool, seed])}.npz"
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            return kept["seeds"], kept["probabilities"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        pass  # not there, or cut short by a full disk: made again
    drawn: Pool = draw_pool(source, labeller, pool, seed=seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp.npz")
    np.savez(temporary, seeds=drawn.seeds, probabilities=drawn.probabilities)
    temporary.replace(path)
    return drawn.seeds, drawn.probabilities


def _method(labeller: Labeller, weights: np.ndarray, shares: np.ndarray, target: np.ndarray) -> MethodReport:
    pool, size = len(weights), effective_size(weights)
    sizes = [n for n in (1000, 2000, 5000, 10_000, 50_000) if n <= 5 * pool] or [pool]
    unique = [round(unique_share(weights, n), 4) for n in sizes]
    facts = [
        Fact(f"share before: {c}", round(float(p), 4), "", f"of {pool:,} labelled draws")
        for c, p in zip(labeller.cells, shares, strict=True)
    ]
    facts += [Fact("effective sample size", round(size, 1), "images", "equally weighted images that tell as much as the pool (Kish)"),
              Fact("effective share", round(size / pool, 4), "", "effective sample size over the pool"),
              Fact("largest weight", round(float(weights.max() * pool), 3), "", "times the mean weight"),
              Fact("different images", unique[-1], "", f"expected share among {sizes[-1]:,} drawn"),
              Fact(f"calls per image, {pool:,} images", 2.0, "calls", "(N + n) / n with n = N: the pool is drawn, then what was chosen again")]  # fmt: skip
    return MethodReport(
        "importance", "Importance resampling", "Kish 1965 (effective sample size); sampling importance resampling, Rubin 1988",
        "A pool of images is labelled once and drawn from again, images of rare groups more often; the generator is not changed.",
        f"labels of {labeller.classifier} on {labeller.attribute}", facts,
        [Chart("Different images among those drawn", "line", sizes, unique, "images drawn", "share that are different"),
         Chart("Weight of an image of each group", "bar", list(labeller.cells),
               [round(float(t / p), 4) if p > 0 else 0.0 for t, p in zip(target, shares, strict=True)], "group", "times its share")],
        Cost(calls_per_image=1.0, fitting_calls=pool),
        ["images repeat: the pool holds only so many of a rare group; intervals of quality rest on different pool images and not on images",
         f"shares are those {labeller.classifier} sees; its errors pass into them"])  # fmt: skip
