"""Any module that maps a latent to an image, as a source: the latent of image i is made from its seed alone."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from audit.errors import SourceError
from audit.pixels import finite, to_host, to_uint8
from audit.seeds import normals, uniforms
from audit.sources.base import OK, Batch

Prior = Literal["normal", "uniform"]


class LatentSource:
    """Draws images from ``module(z)``; see :class:`audit.sources.base.ImageSource`.

    Args:
        name: what the run calls it.
        module: maps float32 z (n, z_dim) to (n, 3, h, w), nominal range -1..1.
        z_dim: width of the latent.
        prior: "normal" for N(0, 1), "uniform" for U(-1, 1).
        digest: changes with the weights and settings.
        device: where to draw.
        call: keyword arguments of the module's call, e.g. ``{"truncation_psi": 0.7}``.
        latents: replaces the prior: seeds (n,) -> z (n, z_dim). Samplers come in here.
        caveats: sentences for the report.
        method: what a mitigation says about itself (plain values for JSON), None for a generator as it is.
        units: seeds (n,) -> (n,) whole numbers for the record column "unit": images of one number share a latent and are one
            picture; negative = its own latent. None where each latent is drawn anew.
    """

    count = None

    def __init__(self, name: str, module: nn.Module, *, z_dim: int, digest: str, prior: Prior = "normal", device: str = "cpu",
                 call: dict | None = None, latents: Callable[[np.ndarray], np.ndarray] | None = None,
                 caveats: tuple[str, ...] = (), method: dict | None = None,
                 units: Callable[[np.ndarray], np.ndarray] | None = None) -> None:  # fmt: skip
        self.name, self.digest, self.caveats, self.method = name, digest, caveats, method
        self.module = module.eval().to(device)
        self.z_dim, self.prior, self.device, self.call = z_dim, prior, device, call or {}
        self._latents, self._units = latents, units

    def latents(self, seeds: np.ndarray) -> np.ndarray:
        """Return (n, z_dim) latents: bit-equal for a seed whatever the batch."""
        if self._latents is not None:
            return self._latents(seeds)
        if self.prior == "normal":
            return normals(seeds, "z", self.z_dim)
        return uniforms(seeds, "z", self.z_dim) * 2 - 1

    def choosing(self, latents: Callable[[np.ndarray], np.ndarray], *, digest: str, caveats: tuple[str, ...] = (),
                 method: dict | None = None, units: Callable[[np.ndarray], np.ndarray] | None = None) -> "LatentSource":  # fmt: skip
        """Return the same generator with another choice of latents; what a sampler gives back.

        Args:
            latents: seeds (n,) -> z (n, z_dim); row i depends on seed i alone.
            digest: changes with the generator and with the choice.
            caveats: further sentences for the report.
            method: what the sampler says about itself.
            units: which images share a latent, as in :class:`LatentSource`.
        """
        return LatentSource(self.name, self.module, z_dim=self.z_dim, prior=self.prior, digest=digest, device=self.device, call=self.call,
                            latents=latents, caveats=(*self.caveats, *caveats), method=method, units=units)  # fmt: skip

    def draw(self, ids: np.ndarray, seeds: np.ndarray) -> Batch:
        z = torch.from_numpy(self.latents(seeds)).float().to(self.device)
        with torch.inference_mode():
            images = self.module(z, **self.call)
        pixels, finite = _to_pixels(images, self.name)
        status = [OK if good else "not finite" for good in finite]
        columns = {} if self._units is None else {"unit": np.asarray(self._units(seeds), dtype=np.int64)}
        return Batch(ids, seeds, list(to_host(pixels)), status, columns)


def _to_pixels(images: Tensor, name: str) -> tuple[Tensor, list[bool]]:
    if images.ndim != 4 or images.shape[1] != 3:
        raise SourceError(f"generator {name!r} gave images of shape {tuple(images.shape)}; expected (n, 3, height, width)")
    good = finite(images)
    images = torch.where(good.view(-1, 1, 1, 1), images, torch.full_like(images, -1.0))  # a black stand-in, with its status
    return to_uint8(images, source=f"generator {name!r}"), good.tolist()
