"""``sampler: {method: gmm, ...}``: a generator whose groups are drawn from Gaussian mixtures of labelled latents."""

from pathlib import Path
from typing import Any

from audit.digests import digest
from audit.errors import SourceError, SpecError
from audit.manifests import home
from audit.portraits.models import shipped_file
from audit.sources.base import ImageSource
from audit.sources.latent import LatentSource
from mitigations.base import latent_source
from mitigations.gmm_diffusion.drawing import mitigated
from mitigations.gmm_diffusion.fit import Fit, load_fit
from mitigations.gmm_diffusion.making import make_fit
from mitigations.gmm_diffusion.settings import Settings, settings_of
from mitigations.gmm_diffusion.taps import open_tap
from mitigations.labelling import Labeller


def sampler(source: ImageSource, **options: Any) -> LatentSource:
    """Return ``source`` drawn from mixtures in which the cells of an attribute have the shares wanted.

    Args:
        source: a latent diffusion; with ``tap: x_T`` any generator with a normal prior.
        options: ``fit`` (a file, or portraits/NAME), and nothing else; or what a fit is made with, see
            :class:`mitigations.gmm_diffusion.settings.Settings`, which is then made once and kept under its content.
            ``assets`` (folder of a manifest's files) goes with either.

    Raises:
        SpecError: an unknown option or value.
        SourceError: a source without latents, a fit made for other weights, or a group that never occurs.
        InstrumentError: the classifier does not read the attribute.
    """
    source, assets = latent_source(source, "gmm"), options.pop("assets", None)
    if "fit" not in options:
        fit = cached_fit(source, settings_of(options), assets=(assets,) if assets else ())
        return mitigated(source, _tap(source, fit.settings), fit)
    named = options.pop("fit")
    if not isinstance(named, str | Path):
        raise SpecError(f"sampler gmm: fit is {named!r}; expected a file, or portraits/NAME")
    if options:
        raise SpecError(f"sampler gmm: {sorted(options)[0]!r} beside fit; a fit says itself what it was made with: leave one of them out")
    fit = load_fit(shipped_file(str(named), ".npz"))
    if fit.source_digest != source.digest:
        raise SourceError(f"sampler gmm: the fit {Path(named).name!r} was made for other weights or settings than those of {source.name!r}; "
                          "make one for these with `genbias mitigate gmm-diffusion`")  # fmt: skip
    return mitigated(source, _tap(source, fit.settings), fit)


def cached_fit(source: LatentSource, settings: Settings, *, assets: tuple[str, ...] = ()) -> Fit:
    """Return the fit of a source, made once and kept under its content, with its labelled pool until it is finished."""
    labelled = Labeller(settings.attribute, settings.classifier, device=source.device, assets=assets)
    folder = home() / "gmm"
    key = digest([source.digest, labelled.digest, settings.as_dict()])
    path = folder / f"{key}.npz"
    if path.is_file():
        return load_fit(path)
    pieces = folder / f"{key}.pool"
    fit = make_fit(source, settings, pieces, assets=assets)
    fit.save(path)
    for piece in pieces.glob("pool-*.npz"):
        piece.unlink()
    pieces.rmdir()
    return fit


def _tap(source: LatentSource, settings: Settings) -> Any:
    return open_tap(source, settings.tap, settings.start, settings.stop)
