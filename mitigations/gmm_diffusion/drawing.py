"""Drawing from the mixtures: the numbers of an image from its seed, and the generator with a latent changed on the way."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from audit.digests import digest
from audit.seeds import normals, uniforms
from audit.sources.latent import LatentSource
from mitigations.gmm_diffusion.fit import Fit
from mitigations.gmm_diffusion.mixtures import Mixture
from mitigations.gmm_diffusion.subspace import Subspace


class Changed(nn.Module):
    """A generator whose latent at a tap is moved to given coordinates.

    Its input is (n, own + d): the generator's own z, or standard normals for the latent itself when ``complement`` is "gaussian", and
    the d coordinates.

    Args:
        tap: where; see :mod:`mitigations.gmm_diffusion.taps`.
        subspace: which coordinates.
        complement: "own" or "gaussian".
        renormalise: keep the norm the latent had.
    """

    def __init__(self, tap: nn.Module, subspace: Subspace, *, complement: str = "own", renormalise: bool = False) -> None:
        super().__init__()
        self.tap, self.complement, self.renormalise = tap, complement, renormalise
        for name in ("read", "write", "centre", "spread"):
            self.register_buffer(name, torch.from_numpy(getattr(subspace, name)), persistent=False)
        self.norms: tuple[Tensor, Tensor] | None = None

    def forward(self, z: Tensor, **call: Any) -> Tensor:
        own, y = z[:, : -self.read.shape[1]], z[:, -self.read.shape[1] :]
        if self.complement == "gaussian":
            return self.tap.resume(self.place(self.centre + self.spread * own, y), **call)
        return self.tap(own, lambda latents: self.place(latents, y), **call)[1]

    def place(self, latents: Tensor, y: Tensor) -> Tensor:
        """Return the latents (n, width) with coordinates y (n, d)."""
        moved = latents + (y - (latents - self.centre) @ self.read) @ self.write.T
        before, after = latents.norm(dim=1), moved.norm(dim=1)
        if self.renormalise:
            moved = moved * (before / after).unsqueeze(1)
            after = before
        self.norms = (before, after)
        return moved


class MixtureLatents:
    """Seeds to inputs of :class:`Changed`: row i depends on seed i alone, bit for bit.

    Args:
        own: the source the generator's own part comes from.
        width: width of the latent at the tap.
        mixtures: one a cell.
        weights: (K,) how often each cell is asked for.
        tau: factor on the standard deviations.
        complement: "own" or "gaussian".
    """

    def __init__(self, own: LatentSource, width: int, mixtures: list[Mixture], weights: np.ndarray, *, tau: float, complement: str) -> None:
        self.own, self.width, self.mixtures, self.weights, self.tau, self.complement = own, width, mixtures, weights, tau, complement

    def __call__(self, seeds: np.ndarray) -> np.ndarray:
        return self.given(seeds, self.cells(seeds))

    def cells(self, seeds: np.ndarray) -> np.ndarray:
        """Return (n,) the cell each image is asked for."""
        u = uniforms(seeds, "gmm:cell", 1)[:, 0]
        return np.minimum(np.searchsorted(np.cumsum(self.weights), u, side="right"), np.flatnonzero(self.weights).max())

    def given(self, seeds: np.ndarray, cells: np.ndarray) -> np.ndarray:
        """Return (n, own + d) inputs for images of ``seeds`` asked for as ``cells``."""
        d = self.mixtures[0].means.shape[1]
        u, e, y = uniforms(seeds, "gmm:component", 1)[:, 0], normals(seeds, "gmm:coordinates", d), np.empty((len(seeds), d))
        for k in np.unique(cells):
            y[cells == k] = self.mixtures[k].draw(u[cells == k], e[cells == k], tau=self.tau)
        own = self.own.latents(seeds) if self.complement == "own" else normals(seeds, "gmm:complement", self.width)
        return np.concatenate([own, y], axis=1)


def mitigated(source: LatentSource, tap: nn.Module, fit: Fit) -> LatentSource:
    """Return the source that draws ``fit`` from ``source``."""
    module = Changed(tap, fit.subspace, complement=fit.settings.complement, renormalise=fit.settings.renormalise)
    own = source.z_dim if fit.settings.complement == "own" else tap.width
    return LatentSource(source.name, module, z_dim=own + fit.subspace.dims, digest=digest([source.digest, "gmm", fit.digest]), prior=source.prior,
                        device=source.device, call=source.call, latents=latents_of(source, tap, fit), caveats=source.caveats, method=fit.report)  # fmt: skip


def latents_of(source: LatentSource, tap: nn.Module, fit: Fit) -> MixtureLatents:
    """Return the inputs that ``fit`` makes from seeds."""
    return MixtureLatents(source, tap.width, fit.mixtures, fit.weights, tau=fit.settings.tau, complement=fit.settings.complement)
