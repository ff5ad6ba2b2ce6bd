"""The Jacobian of a StyleGAN2 in two steps, so that latent directions that hardly move the image need not be followed.

J = J_synthesis J_mapping. The mapping is a small network: its Jacobian and singular vectors cost next to nothing, and its
singular values fall quickly (by four orders of magnitude over 128 directions in the built-in model). Following its left
singular vectors through the synthesis network, strongest first, gives columns A_1, A_2, ... with J J' = A A' + E E',
E being what was not followed. So a singular value s is wrong by at most |E u|^2 / 2s, of second order in what is left out.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import jacfwd

from audit.generators.stylegan2 import StyleGAN2
from mitigations.magnet.synthesis import SynthesisTangents, projections_by_size

FIRST, STEP = 24, 8
"""Directions followed at first beyond those asked for, and between two looks."""

SAFETY = 2.0
"""The estimated error is multiplied by this before it is compared with the tolerance."""


@dataclass
class StyleGAN2Volumes:
    """Columns whose singular values are those of the whole Jacobian, of one StyleGAN2 drawn in one way."""

    module: StyleGAN2
    projections: list[Tensor]
    psi: float
    cutoff: int | None
    noise: str

    @classmethod
    def of(cls, module: nn.Module, call: dict, projection: Tensor) -> "StyleGAN2Volumes | None":
        """Return it, or None where the module is something else or is called in a way that this does not know."""
        known = type(module) is StyleGAN2 and _plain(module) and not module.c_dim and set(call) <= {"truncation_psi", "truncation_cutoff", "noise"}
        if not known or call.get("noise", "const") not in ("const", "none"):
            return None
        return cls(module, projections_by_size(module.synthesis, projection), call.get("truncation_psi", 1.0),
                   call.get("truncation_cutoff"), call.get("noise", "const"))  # fmt: skip

    def columns(self, z: Tensor, *, keep: int, tolerance: float) -> Tensor:
        """Return (outputs, m): J times orthonormal directions, as many as the first ``keep`` singular values need.

        Args:
            z: (1, z_dim).
            keep: how many singular values are wanted.
            tolerance: relative error allowed in each of them; 0 follows every direction.
        """
        mapping = self.module.mapping
        ws = mapping(z, truncation_psi=self.psi, truncation_cutoff=self.cutoff)
        factors = torch.ones(self.module.num_ws, device=z.device)
        factors[: self.cutoff] = self.psi
        tangents = SynthesisTangents(self.module.synthesis, ws, factors, self.projections, noise=self.noise)
        left, strength, _ = torch.linalg.svd(jacfwd(lambda q: mapping(q)[0, 0])(z)[:, 0].double(), full_matrices=False)
        directions = (left * strength).t().float()  # (min(w_dim, z_dim), w_dim), strongest first
        if tolerance == 0:
            return tangents(directions).t()
        end = min(keep + FIRST, len(directions))
        found = tangents(directions[:end])
        before, power = _largest(found, keep), strength.square()
        while end < len(directions):
            start, end = end, min(end + STEP, len(directions))
            found = torch.cat([found, tangents(directions[start:end])])
            now = _largest(found, keep)
            seen = now > 1e-5 * now[:1]  # smaller ones are rounding
            moved = ((now - before) / now)[seen]
            # What is still to come moves the values as much as the last step did, in proportion to its squared strength.
            if moved.numel() and SAFETY * moved.max() * power[end:].sum() <= tolerance * power[start:end].sum():
                break
            before = now
        return found.t()


def _largest(rows: Tensor, keep: int) -> Tensor:
    """Return (keep,) singular values of (m, outputs) rows, from the smaller of the two Gram matrices."""
    rows = torch.nan_to_num(rows.double())
    gram = rows @ rows.t() if len(rows) < rows.shape[1] else rows.t() @ rows
    found = torch.linalg.eigvalsh(gram).flip(0)[:keep].clamp(min=0).sqrt()
    return torch.nn.functional.pad(found, (0, keep - len(found)))


def _plain(module: StyleGAN2) -> bool:
    """Return whether colours are added up at every size and nothing is clamped, as the tangents worked out by hand assume."""
    first = getattr(module.synthesis, f"b{module.synthesis.resolutions[0]}")
    last = getattr(module.synthesis, f"b{module.synthesis.resolutions[-1]}")
    return first.torgb is not None and not last.residual and last.conv1.clamp is None
