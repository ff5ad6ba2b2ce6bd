"""Singular values of a generator's Jacobian, for many latents: how much each latent direction moves the image.

MaGNET (Humayun, Balestriero, Baraniuk 2022, arXiv 2110.08009) as its code computes it: y(z) = R vec(G(z)) with R a random
projection with orthonormal rows, and the singular values of dy/dz. Departures: forward-mode products, batched, instead of
one backward pass for each of the projected outputs; and z is scaled to norm sqrt(d) first where the generator normalises
it, because the Jacobian at the raw z carries (sqrt(d) / |z|)^k, noise that at k = 30 alone costs half the effective sample.
"""

import warnings
from collections.abc import Callable

import numpy as np
import torch
import torch.autograd.forward_ad as forward_ad
from torch import Tensor, nn
from torch.func import jvp, vmap

from audit.errors import SourceError
from audit.seeds import image_seeds, normals
from mitigations.magnet.stylegan2 import StyleGAN2Volumes

ROW_BYTES = 6 * 32 * 4
"""Memory a tangent needs for each pixel of the image, measured on the networks here (six maps of 32 channels at once)."""

MEMORY = 1 << 30
"""Memory that products at once may take, by that estimate."""


def volume_scalars(module: nn.Module, z: np.ndarray | Tensor, *, projection: int = 128, normalise_z: bool = True, seed: int = 0,
                   call: dict | None = None, keep: int | None = None, tolerance: float = 1e-4, batch: int | None = None,
                   chunk: int | None = None) -> np.ndarray:  # fmt: skip
    """Return the singular values of d R vec(G(z)) / dz for each latent, largest first.

    Args:
        module: z (n, d) -> images (n, 3, h, w).
        z: (n, d) latents.
        projection: rows of R; the rank that can be seen.
        normalise_z: scale z to norm sqrt(d) first; right where only the direction of z matters (:func:`scale_invariant`).
        seed: seed of R.
        call: keyword arguments of the module's call, e.g. ``{"truncation_psi": 0.7}``.
        keep: return the first so many only; None = all. For StyleGAN2, whose first values are known before the last
            latent directions have been followed, this saves a third of the work or more.
        tolerance: with ``keep``, relative error allowed by leaving directions out; 0 follows all of them.
        batch: latents at once; None = what fits into about a gigabyte.
        chunk: tangents at once for each of them; None = likewise. Results agree to rounding whatever they are.

    Returns:
        (n, min(projection, 3 h w, d)) float64, or (n, keep); NaN rows where the Jacobian is not finite.

    Raises:
        SourceError: the module cannot be differentiated, or its image does not depend on z in a way that can be.
    """
    z = torch.as_tensor(z)
    reader = VolumeReader(module, z.shape[1], projection=projection, normalise_z=normalise_z, seed=seed, call=call, keep=keep,
                          tolerance=tolerance, batch=batch, chunk=chunk)  # fmt: skip
    return reader(z)


class VolumeReader:
    """:func:`volume_scalars` with its preparations kept, for reading latents piece by piece.

    Args:
        module: the generator.
        z_dim: width of its latent.
        options: as in :func:`volume_scalars`.

    Attributes:
        products: Jacobian products made so far; each costs about as much as drawing an image.
    """

    def __init__(self, module: nn.Module, z_dim: int, *, projection: int = 128, normalise_z: bool = True, seed: int = 0,
                 call: dict | None = None, keep: int | None = None, tolerance: float = 1e-4, batch: int | None = None,
                 chunk: int | None = None) -> None:  # fmt: skip
        _load_forward_mode()
        self.module, self.call, self.normalise_z, self.z_dim = module.eval(), call or {}, normalise_z, z_dim
        parameter = next(iter(module.parameters()), None)
        self.device = torch.device("cpu") if parameter is None else parameter.device
        with torch.no_grad():
            image = self.module(torch.ones(1, z_dim, device=self.device), **self.call)
        self.projection = projection_matrix(image[0].numel(), projection, seed).to(self.device)
        self.width = min(len(self.projection), z_dim)
        self.keep = self.width if keep is None else min(keep, self.width)
        rows = max(1, min(128, MEMORY // (ROW_BYTES * image.shape[-1] * image.shape[-2])))
        self.chunk = min(chunk or rows, z_dim)
        self.batch = batch or max(1, rows // self.chunk)
        self.products, self._push = 0, None
        self._by_hand = StyleGAN2Volumes.of(self.module, self.call, self.projection)
        self.tolerance = 0.0 if keep is None else tolerance

    def __call__(self, z: Tensor) -> np.ndarray:
        """Return (n, keep) float64 singular values of latents z (n, z_dim)."""
        z = z.to(self.device, torch.float32)
        if self.normalise_z:
            z = z * (self.z_dim**0.5 / z.norm(dim=1, keepdim=True))
        with torch.no_grad():
            if self._by_hand is not None:
                return np.stack([self._one(row) for row in z]) if len(z) else np.empty((0, self.keep))
            parts = [self._values(self._jacobians(z[i : i + self.batch])) for i in range(0, len(z), self.batch)]
        return np.concatenate(parts) if parts else np.empty((0, self.keep))

    def _one(self, z: Tensor) -> np.ndarray:
        columns = self._by_hand.columns(z[None], keep=self.keep, tolerance=self.tolerance)
        self.products += columns.shape[1]
        return self._values(columns[None])[0]

    def _values(self, jacobians: Tensor) -> np.ndarray:
        """Return (n, keep) singular values of (n, outputs, directions)."""
        good = torch.isfinite(jacobians).flatten(1).all(dim=1)
        found = torch.linalg.svdvals(torch.where(good[:, None, None], jacobians, 0).double())[:, : self.keep]
        found = torch.nn.functional.pad(found, (0, self.keep - found.shape[1]))
        return torch.where(good[:, None], found, torch.nan).cpu().numpy()

    def _jacobians(self, z: Tensor) -> Tensor:
        """Return (n, outputs, z_dim)."""
        directions = torch.eye(self.z_dim, device=self.device)
        self.products += len(z) * self.z_dim
        columns = [self._products(z, directions[i : i + self.chunk]) for i in range(0, self.z_dim, self.chunk)]
        return torch.cat(columns, dim=1).transpose(1, 2)

    def _products(self, z: Tensor, directions: Tensor) -> Tensor:
        """Return (n, m, outputs), trying the ways to differentiate once and keeping the first that works."""
        if self._push is not None:
            return self._push(z, directions)
        said = ""
        for way in (self._mapped, self._folded):
            try:
                found = way(z, directions)
            except (RuntimeError, NotImplementedError, TypeError) as problem:
                said = " ".join(str(problem).split())[:160]
                continue
            if found.any() or not self._moves(z[:1]):  # all zero: some modules cut derivatives off without a word
                self._push = way
                return found
            said = "its derivatives are all 0 although its image depends on the latent"
        raise SourceError(f"MaGNET needs derivatives of the generator, and {type(self.module).__name__} gives none ({said}); expected a "
                          "module of plain torch operations: not frozen, and without no_grad or inference_mode inside")  # fmt: skip

    def _mapped(self, z: Tensor, directions: Tensor) -> Tensor:
        """Each latent's own pass is made once and its tangents share it."""
        one: Callable = lambda row, v: jvp(lambda q: self._outputs(q[None])[0], (row,), (v,))[1]  # noqa: E731
        return vmap(vmap(one, in_dims=(None, 0)), in_dims=(0, None))(z, directions)

    def _folded(self, z: Tensor, directions: Tensor) -> Tensor:
        """Every tangent with a pass of its own, in one batch; for modules that torch cannot vectorise (TorchScript)."""
        n, m = len(z), len(directions)
        with forward_ad.dual_level():
            dual = forward_ad.make_dual(z.repeat_interleave(m, dim=0), directions.repeat(n, 1))
            tangent = forward_ad.unpack_dual(self._outputs(dual)).tangent
            tangent = z.new_zeros(n * m, len(self.projection)) if tangent is None else tangent.clone()
        return tangent.view(n, m, -1)

    def _outputs(self, z: Tensor) -> Tensor:
        return self.module(z, **self.call).flatten(1) @ self.projection.t()

    def _moves(self, z: Tensor) -> bool:
        """Return whether a small step from z changes the image."""
        here, there = self._outputs(z), self._outputs(z + 0.01 * z.roll(1, dims=1))
        return bool((here - there).abs().max() > 1e-6 * here.abs().max())


def _load_forward_mode() -> None:
    """Make one dual number: on the first, torch compiles formulas and announces that torch.jit.script will go."""
    with warnings.catch_warnings(), forward_ad.dual_level():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        forward_ad.make_dual(torch.zeros(1), torch.zeros(1))


def projection_matrix(outputs: int, rows: int, seed: int = 0) -> Tensor:
    """Return R: (min(rows, outputs), outputs) float32 with orthonormal rows, the Q of a seeded Gaussian matrix."""
    seeds = image_seeds(seed, np.arange(min(rows, outputs)), stream="magnet projection")
    gaussian = torch.from_numpy(normals(seeds, "row", outputs))
    return torch.linalg.qr(gaussian.t())[0].t().float().contiguous()


def scale_invariant(module: nn.Module, z: np.ndarray | Tensor, *, call: dict | None = None) -> bool:
    """Return whether the image depends on the direction of z alone: G(z) = G(1.7 z), as where a mapping normalises z.

    Raises:
        SourceError: the same latent gives two different images.
    """
    call = call or {}
    parameter = next(iter(module.parameters()), None)
    z = torch.as_tensor(z).to(torch.device("cpu") if parameter is None else parameter.device, torch.float32)
    with torch.no_grad():
        here, again, further = (module(q, **call) for q in (z, z, z * 1.7))
    if not torch.equal(here, again) and (here - again).abs().max() > 1e-4 * here.abs().max():
        raise SourceError(f"{type(module).__name__} draws two different images for one latent; MaGNET needs noise that is fixed: set "
                          "noise to const or none")  # fmt: skip
    return bool((here - further).abs().max() <= 1e-3 * here.std())
