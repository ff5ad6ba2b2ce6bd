"""The MaGNET sampler: an image's seed chooses a latent of the bank in proportion to its volume.

Humayun, Balestriero, Baraniuk, "MaGNET: Uniform Sampling from Deep Generative Network Manifolds Without Retraining", ICLR
2022, arXiv 2110.08009; exponent rho after "Polarity Sampling", CVPR 2022, arXiv 2203.01993. Truncation is that of the
source, for the volumes as for the images, and a mixing share below 1 leaves the other images their own latents.

The prior. Volume alone is right where proposals are uniform on the domain: U(-1, 1), or N(0, 1) where the generator reads
only the direction of z (StyleGAN2, ProGAN). Elsewhere (DCGAN, VAE) N(0, 1) has to be divided out. ``prior="keep"`` does
not, like the released code; ``prior="divide"`` weighs by sigma / p. Uniform on the image of all of R^d does not exist, so
the target is then uniform on the image of the ball that holds 95 % of the bank; in many dimensions few latents near its
edge carry nearly all the weight, which the effective sample size shows.
"""

import difflib
import math
from pathlib import Path
from typing import Any

import numpy as np

from audit.digests import digest
from audit.errors import SourceError, SpecError
from audit.portraits.models import shipped_file
from audit.seeds import uniforms
from audit.sources.base import ImageSource
from audit.sources.latent import LatentSource
from mitigations.base import latent_source
from mitigations.magnet.bank import KEPT, Bank, cached_bank, check_bank, read_bank
from mitigations.magnet.reporting import method_report
from mitigations.magnet.weights import resample, weights

OPTIONS = ("bank", "latents", "top_k", "rho", "share", "projection", "prior", "seed")
LATENTS, PROJECTION = 4096, 128
"""Size and projection of a bank that is computed because none was given."""

BALL = 0.95
"""With ``prior="divide"`` under N(0, 1): share of the bank inside the ball on which the target is uniform."""


def sampler(source: ImageSource, *, bank: str | None = None, latents: int | None = None, top_k: int = 10, rho: float = 1.0,
            share: float = 1.0, projection: int | None = None, prior: str = "keep", seed: int | None = None,
            **unknown: Any) -> LatentSource:  # fmt: skip
    """Return ``source`` with latents drawn from its bank by volume.

    Args:
        source: a generator drawn from latents.
        bank: portraits/NAME or the path of a .npz file; None = the user's cache, computed there if need be.
        latents: how many latents of the bank to choose from; None = all of a given bank, else 4096.
        top_k: how many singular values make the volume, at most 32.
        rho: polarity: 0 the base distribution, 1 MaGNET, negative towards modes, above 1 towards anti-modes.
        share: share of images drawn this way; the others keep their own latent.
        projection: rows of the random projection; None = the bank's, or 128.
        prior: "keep" or "divide"; see the module.
        seed: of the bank's latents; None = the bank's, or 0.
        unknown: refused by name.

    Raises:
        SpecError: an option is unknown or out of range.
        SourceError: the source has no latents or no derivatives, or the bank is unfinished or of another generator.
    """
    _refuse(unknown)
    source = latent_source(source, "MaGNET")
    top_k, rho = _number("top_k", top_k, 1, KEPT, whole=True), _number("rho", rho, -math.inf, math.inf)
    share = _number("share", share, 0, 1)
    if prior not in ("keep", "divide"):
        raise SpecError(f"sampler magnet: prior is {prior!r}; expected keep or divide")
    found = _bank(source, bank, latents, projection, seed)
    if top_k > found.singular_values.shape[1]:
        raise SpecError(f"sampler magnet: top_k is {top_k}, and generator {source.name!r} has {found.singular_values.shape[1]} singular "
                        "values a latent; choose no more than that")  # fmt: skip
    w = weights(found.singular_values, top_k=top_k, rho=rho, log_prior=_log_prior(source, found) if prior == "divide" else None)
    seeds = found.seeds

    def choose(image_seeds: np.ndarray) -> np.ndarray:
        at = rows(image_seeds)
        chosen = np.where(at >= 0, seeds[at], np.asarray(image_seeds, dtype=np.uint64))
        mixed = np.empty((len(chosen), source.z_dim))
        for part, given in ((at >= 0, chosen), (at < 0, image_seeds)):
            if part.any():
                mixed[part] = source.latents(given[part])
        return mixed

    def rows(image_seeds: np.ndarray) -> np.ndarray:
        """Return (n,) rows of the bank, -1 for an image that keeps its own latent."""
        mix, place = uniforms(image_seeds, "magnet", 2).T
        return np.where(mix < share, resample(w, place), -1)

    report = method_report(source, found, w, top_k=top_k, rho=rho, share=share, prior=prior)
    made_of = digest([source.digest, "magnet", found.digest, top_k, rho, share, prior, "unit"])  # records without units are not continued
    return source.choosing(choose, digest=made_of, caveats=tuple(report.caveats), method=report.as_dict(), units=rows)


def _bank(source: LatentSource, given: str | None, latents: int | None, projection: int | None, seed: int | None) -> Bank:
    if latents is not None:
        latents = _number("latents", latents, 2, math.inf, whole=True)
    if projection is not None:
        projection = _number("projection", projection, 1, math.inf, whole=True)
    if seed is not None:
        seed = _number("seed", seed, -math.inf, math.inf, whole=True)
    if given is None:
        bank = cached_bank(source, latents=latents or LATENTS, projection=projection or PROJECTION, seed=seed or 0)
        return _first(bank, latents or LATENTS)
    path = Path(shipped_file(str(given), ".npz"))
    bank = read_bank(path)
    check_bank(bank, source, path)
    rows = len(bank.singular_values)
    if rows < bank.wanted:
        raise SourceError(f"{path} is unfinished ({rows} of {bank.wanted} latents); the command that began it continues it")
    for name, asked, has in (("projection", projection, bank.projection), ("seed", seed, bank.seed)):
        if asked not in (None, has):
            raise SpecError(f"sampler magnet: {name} is {asked}, and {path} was made with {has}; leave it out, or make another bank")
    if latents is not None and latents > rows:
        raise SpecError(f"sampler magnet: latents is {latents}, and {path} has {rows}; ask for fewer, or make a longer bank")
    return _first(bank, latents or rows)


def _first(bank: Bank, latents: int) -> Bank:
    return Bank(**{**vars(bank), "singular_values": bank.singular_values[:latents]})


def _log_prior(source: LatentSource, bank: Bank) -> np.ndarray:
    """Return (n,) log densities of the bank's latents up to a constant; +inf (never drawn) outside the ball."""
    if bank.normalise_z:
        raise SpecError(f"sampler magnet: generator {source.name!r} reads only the direction of its latent, whose prior is uniform: there is "
                        "nothing to divide out; leave prior out")  # fmt: skip
    if source.prior == "uniform":
        return np.zeros(len(bank.singular_values))
    squares = np.concatenate([np.square(source.latents(bank.seeds[i : i + 1024])).sum(axis=1) for i in range(0, len(bank.seeds), 1024)])
    return np.where(squares <= np.quantile(squares, BALL), -squares / 2, np.inf)


def _refuse(unknown: dict[str, Any]) -> None:
    for name in unknown:
        near = difflib.get_close_matches(name, OPTIONS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise SpecError(f"sampler magnet: there is no option {name!r}; there are {', '.join(OPTIONS)}{hint}")


def _number(name: str, value: Any, low: float, high: float, *, whole: bool = False) -> Any:
    """Return a number of a spec, or say what is wrong with it."""
    right = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and low <= value <= high
    if not right or (whole and value != int(value)):
        kind = "a whole number" if whole else "a number"
        span = "" if math.isinf(low) and math.isinf(high) else f" of at least {low:g}" if math.isinf(high) else f" from {low:g} to {high:g}"
        raise SpecError(f"sampler magnet: {name} is {value!r}; expected {kind}{span}")
    return int(value) if whole else float(value)
