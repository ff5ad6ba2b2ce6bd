"""``sampler: {method: edit, by: ..., attribute: ..., strength: ...}``: the same people, each with one attribute edited.

Image i keeps the latent that it has without the edit, so an edited generator and its unedited one show the same person at every id. The
record gains the column ``edit:outside``: how far out the edited code lies, over the 99.9 % quantile of the generator's own codes
(:mod:`mitigations.editing.latent_space`); above 1 it has left the latent space. That is flagged by the study, not refused.
"""

import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from audit.attributes import ATTRIBUTES
from audit.digests import digest
from audit.errors import SourceError, SpecError
from audit.generators.self_conditioned import SelfConditionedStyleGAN2
from audit.portraits.models import shipped_file
from audit.seeds import image_seeds
from audit.sources.base import Batch, ImageSource
from audit.sources.latent import LatentSource
from mitigations.editing.codes import map_latents, mapped_source, own_codes
from mitigations.editing.fits import LEARNED, STRAIGHT, Fit, cached_fit, load_fit, settings_of
from mitigations.editing.labels import asked_labels, draw_labelled, extrapolated_weights, moved_codes
from mitigations.editing.latent_space import CODES, LatentSpace
from mitigations.editing.learned import moved_by
from mitigations.editing.linear import moved

BY = (*STRAIGHT, LEARNED, "self_conditioned")
"""Kinds of edit."""

OUTSIDE = "edit:outside"
"""Column of the record: distance of the edited code over the limit of the latent space."""


def sampler(source: ImageSource, *, by: str | None = None, attribute: str | None = None, strength: float = 1.0, fit: str | None = None,
            assets: str | None = None, **options: Any) -> "EditedSource":  # fmt: skip
    """Return ``source`` with every image edited.

    Args:
        source: a StyleGAN2, or for ``by: self_conditioned`` a self-conditioned one.
        by: one of :data:`BY`.
        attribute: what is edited.
        strength: how far and which way, in units of the edit: towards the last class where positive. 0 leaves the code as it is; of a
            self-conditioned edit it asks for the middle label.
        fit: portraits/NAME or the path of a fit; None = the user's cache, made there if need be. Self-conditioned edits have none.
        assets: folder of a manifest's files, for a classifier that is one.
        options: how a fit is made, see :class:`mitigations.editing.fits.Settings`.

    Raises:
        SpecError: an unknown ``by``, attribute or option, or a strength that is no number.
        SourceError: a generator without mapping network or without such a label, or a fit of another generator.
    """
    if by not in BY:
        raise SpecError(f"sampler edit: by is {by!r}; expected one of {', '.join(BY)}")
    if attribute not in ATTRIBUTES:
        raise SpecError(f"sampler edit: attribute is {attribute!r}; expected one of {', '.join(ATTRIBUTES)}")
    if not isinstance(strength, int | float) or isinstance(strength, bool) or not math.isfinite(strength):
        raise SpecError(f"sampler edit: strength is {strength!r}; expected a number, in units of the edit")
    source = mapped_source(source)
    labelled = isinstance(source.module, SelfConditionedStyleGAN2)
    if by == "self_conditioned":
        if not labelled:
            raise SourceError(
                f"generator {source.name!r} is a {type(source.module).__name__} and has no labels to change; give a self-conditioned one"
            )
        if fit is not None or options:
            raise SpecError("sampler edit: a self-conditioned edit is fitted to nothing; leave fit and its options out")
        return EditedSource(
            source, Relabelled(source, attribute, float(strength)), digest([source.digest, "edit", by, attribute, strength])
        )
    if labelled:
        raise SourceError(f"generator {source.name!r} is asked by label; edit it with by: self_conditioned, or give a plain stylegan2")
    found = _fit(source, fit, options, (assets,) if assets else ())
    made_of = [source.digest, "edit", by, attribute, strength, found.digest]
    return EditedSource(source, Moved(source, found, by, attribute, float(strength)), digest(made_of))


class EditedSource(LatentSource):
    """A generator whose codes are edited on their way to the synthesis; see :class:`audit.sources.latent.LatentSource`."""

    def __init__(self, source: LatentSource, edit: "Moved | Relabelled", made_of: str) -> None:
        super().__init__(source.name, edit, z_dim=source.z_dim, prior=source.prior, digest=made_of, device=source.device, call=source.call,
                         latents=source.latents, caveats=source.caveats, units=source._units)  # fmt: skip
        self.space = latent_space(edit, source.digest)

    def draw(self, ids: np.ndarray, seeds: np.ndarray) -> Batch:
        batch = super().draw(ids, seeds)
        z = torch.from_numpy(self.latents(seeds)).float().to(self.device)
        with torch.inference_mode():
            batch.columns[OUTSIDE] = self.space.outside(self.module.codes(z).cpu().numpy())
        return batch


class Moved(nn.Module):
    """A StyleGAN2 whose w is moved: z -> image.

    Raises:
        SourceError: the fit has no such edit.
    """

    def __init__(self, source: LatentSource, fit: Fit, by: str, attribute: str, strength: float) -> None:
        super().__init__()
        known = fit.lines.get(by, {})
        if attribute not in known:
            raise SourceError(f"this fit has no {by} edit of {attribute!r}, only of {', '.join(known) or 'nothing'}; fit it again with that "
                              "attribute" + (" and steps above 0" if by == LEARNED else ""))  # fmt: skip
        self.net, self.by, self.strength = source.module, by, strength
        self.line = fit.lines[by][attribute]
        self.bend = fit.bends[attribute].to(source.device) if by == LEARNED else None
        self.fitted_by = fit.settings.classifier
        self._source = [source]  # in a list, so that it does not become a part of this module

    def codes(self, z: Tensor) -> Tensor:
        """Return edited codes (n, num_ws, w_dim)."""
        ws = map_latents(self._source[0], z)
        if self.strength == 0:
            return ws
        return moved(ws, self.line, self.strength) if self.bend is None else moved_by(ws, self.line, self.bend, self.strength)

    def own(self, n: int) -> Tensor:
        """Return (n, num_ws, w_dim) codes of unedited images."""
        return own_codes(self._source[0], n, seed=0, stream="editing space")

    def forward(self, z: Tensor, *, noise: str | None = None, **_: Any) -> Tensor:
        return self.net.synthesis(self.codes(z), **({} if noise is None else {"noise": noise}))


class Relabelled(nn.Module):
    """A self-conditioned StyleGAN2 asked for another label: z -> image."""

    def __init__(self, source: LatentSource, attribute: str, strength: float) -> None:
        super().__init__()
        self.net, self.attribute, self.strength = source.module, attribute, strength
        asked_labels(self.net, torch.zeros(1, source.z_dim, device=source.device), attribute, strength)  # says what labels there are
        self._source = [source]

    def weights(self, z: Tensor) -> Tensor:
        """Return (n, 3A) anchor weights that are asked for."""
        return extrapolated_weights(asked_labels(self.net, z, self.attribute, self.strength))

    def codes(self, z: Tensor) -> Tensor:
        """Return codes (n, num_ws, w_dim) as the synthesis sees them, with what the labels add."""
        return moved_codes(self.net, map_latents(self._source[0], z), self.weights(z))

    def own(self, n: int) -> Tensor:
        """Return (n, num_ws, w_dim) codes of images with the labels they were drawn with."""
        source = self._source[0]
        seeds = image_seeds(0, np.arange(n), stream="editing space")
        z = torch.from_numpy(source.latents(seeds)).float().to(source.device)
        with torch.inference_mode():
            return moved_codes(self.net, map_latents(source, z), extrapolated_weights(self.net.labels(z)))

    def forward(self, z: Tensor, *, noise: str = "const", **_: Any) -> Tensor:
        return draw_labelled(self.net, self.codes(z), self.weights(z), noise=noise)


_spaces: dict[str, LatentSpace] = {}


def latent_space(edit: Moved | Relabelled, known_as: str) -> LatentSpace:
    """Return the latent space of the generator behind an edit; worked out once for all edits of a generator."""
    if known_as not in _spaces:
        _spaces[known_as] = LatentSpace.of(edit.own(CODES).cpu().numpy())
    return _spaces[known_as]


def _fit(source: LatentSource, given: str | None, options: dict[str, Any], assets: tuple[str, ...]) -> Fit:
    if given is None:
        return cached_fit(source, settings_of(options), assets=assets)
    if options:
        settings_of(options)  # an unknown name is said to be unknown first
        raise SpecError(
            f"sampler edit: {next(iter(options))} says how a fit is made, and fit: {given} is made already; leave one of them out"
        )
    path = Path(shipped_file(str(given), ".npz"))
    fit = _loaded(path, path.stat().st_mtime_ns)
    if fit.source_digest != source.digest:
        raise SourceError(f"{path} was made for other weights, truncation or noise than generator {source.name!r} has (digest "
                          f"{fit.source_digest[:12]}, expected {source.digest[:12]}); make one with `genbias mitigate editing`")  # fmt: skip
    return fit


@lru_cache(maxsize=4)
def _loaded(path: Path, changed: int) -> Fit:
    return load_fit(path)
