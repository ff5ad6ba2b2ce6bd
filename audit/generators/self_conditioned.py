"""StyleGAN2 whose input constant is a mix of learned constants, weighted by the labels the user asks for.

Liu, Gal, Bermano, Chen and Cohen-Or 2022, "Self-Conditioned GANs for Image Editing", arXiv 2202.04040: every attribute
has three anchors at 0, 1/2 and 1; a label t in 0..1 becomes hat weights over them; the 4x4 input of the synthesis is
sum_j m_j C_j over 1 + 3A constants, the middle weight of each attribute set to zero, so that C_0 acts alone at t = 1/2.

Departures, each an option:

* ``init: residual`` (default) starts the label constants at zero, so that the pretrained function is kept for every label;
  ``init: copies`` is the paper's, which multiplies the first activation by 1 + sum_a |1 - 2 t_a|.
* ``condition: styles`` or ``both`` lets the same weights also move the style vectors, by one learned, zero-initialised
  offset a label, layer and channel: sum_j m_j S_j is added to w. The paper mixes constants only (``condition: constants``).

The latent is one row: its first ``latent_dim`` numbers are the z of the baseline, so that both draw the same person from the
same seed; the further A numbers become labels through the normal distribution function, hence uniform and independent.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from audit.errors import SourceError
from audit.generators.stylegan2 import NoiseMode, StyleGAN2

Condition = Literal["constants", "styles", "both"]
Init = Literal["residual", "copies"]

ANCHORS = 3
"""Anchors an attribute: at 0, 1/2 and 1."""


def hat_weights(t: Tensor) -> Tensor:
    """Return (..., 3) weights of the anchors 0, 1/2 and 1: linear between neighbours, clamped outside, sum 1.

    Example:
        >>> hat_weights(torch.tensor([0.25, 1.0])).tolist()
        [[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]
    """
    t = t.clamp(0, 1)
    low, high = (1 - 2 * t).clamp(min=0), (2 * t - 1).clamp(min=0)
    return torch.stack([low, 1 - low - high, high], dim=-1)


def label_vector(t: Tensor, *, middle: bool) -> Tensor:
    """Return m (n, 1 + 3A) of labels t (n, A): 1, then three hat weights an attribute.

    Args:
        t: labels in 0..1; outside they are clamped.
        middle: keep the middle weights (what the label head is told), or zero them (what the generator is told).
    """
    weights = hat_weights(t)
    if not middle:
        weights = weights * weights.new_tensor([1.0, 0.0, 1.0])
    return torch.cat([t.new_ones(t.shape[0], 1), weights.flatten(1)], dim=1)


class SelfConditionedStyleGAN2(StyleGAN2):
    """StyleGAN2 that is asked for attributes; ``z_dim`` counts the label entries of the latent as well.

    Args:
        z_dim: width of the latent without labels; kept as ``latent_dim``.
        w_dim, resolution, channels, mapping_layers: see :class:`audit.generators.stylegan2.StyleGAN2`.
        attributes: names of the labels, in the order of the columns of t.
        init: how label constants begin, see :meth:`reset_labels`.
        condition: what the labels move.
    """

    def __init__(self, *, z_dim: int, w_dim: int, resolution: int, channels: dict[int, int], attributes: list[str],
                 mapping_layers: int = 8, init: Init = "residual", condition: Condition = "constants") -> None:  # fmt: skip
        super().__init__(z_dim=z_dim, w_dim=w_dim, resolution=resolution, channels=channels, mapping_layers=mapping_layers)
        if not attributes or len(set(attributes)) != len(attributes):
            raise SourceError(f"a self-conditioned generator needs different attributes, at least one; found {list(attributes)}")
        if init not in ("residual", "copies") or condition not in ("constants", "styles", "both"):
            raise SourceError(f"init is {init!r} and condition {condition!r}; expected residual or copies, and constants, styles or both")
        self.attributes, self.init, self.condition = tuple(attributes), init, condition
        self.latent_dim, self.z_dim = z_dim, z_dim + len(attributes)
        entries = ANCHORS * len(attributes)
        first = self.synthesis.b4.const
        self.label_consts = nn.Parameter(torch.zeros(entries, *first.shape)) if condition != "styles" else None
        self.label_styles = nn.Parameter(torch.zeros(entries, self.num_ws, w_dim)) if condition != "constants" else None
        self.reset_labels()

    @torch.no_grad()
    def reset_labels(self) -> None:
        """Start the labels anew: constants at zero or at copies of C_0, by ``init``; style offsets at zero.

        To be called once the weights of a baseline are in place.
        """
        if self.label_consts is not None:
            start = self.synthesis.b4.const.expand_as(self.label_consts) if self.init == "copies" else torch.zeros_like(self.label_consts)
            self.label_consts.copy_(start)
        if self.label_styles is not None:
            self.label_styles.zero_()

    def labels(self, z: Tensor) -> Tensor:
        """Return t (n, A) in 0..1, what the last A entries of the latent ask for."""
        return torch.special.ndtr(z[:, self.latent_dim :].double()).float()

    def start(self, t: Tensor) -> Tensor:
        """Return the mixed input constant (n, channels, 4, 4) for labels t (n, A)."""
        const = self.synthesis.b4.const.unsqueeze(0).expand(t.shape[0], -1, -1, -1)
        if self.label_consts is None:
            return const
        return const + torch.einsum("nj,jchw->nchw", label_vector(t, middle=False)[:, 1:], self.label_consts)

    def draw(self, ws: Tensor, t: Tensor, *, noise: NoiseMode = "const", resolution: int | None = None,
             precision: torch.dtype = torch.float32) -> Tensor:  # fmt: skip
        """Return images (n, 3, r, r) for intermediate latents (n, num_ws, w_dim) and labels (n, A).

        ``noise``, ``resolution`` and ``precision`` are those of :meth:`audit.generators.stylegan2.Synthesis.forward`.
        """
        if self.label_styles is not None:
            ws = ws + torch.einsum("nj,jlc->nlc", label_vector(t, middle=False)[:, 1:], self.label_styles)
        return self.synthesis(ws, noise=noise, resolution=resolution, start=self.start(t), precision=precision)

    def edit(self, z: Tensor, t: Tensor, *, truncation_psi: float = 1.0, noise: NoiseMode = "const") -> Tensor:
        """Draw the people of ``z`` with the labels ``t``.

        Args:
            z: (n, latent_dim) or (n, z_dim); label entries of the latter are ignored.
            t: (n, A) in 0..1.
            truncation_psi: see :meth:`forward`.
            noise: see :meth:`forward`.

        Raises:
            SourceError: the shapes do not fit.
        """
        if t.ndim != 2 or t.shape != (z.shape[0], len(self.attributes)):
            raise SourceError(
                f"labels have shape {tuple(t.shape)}; expected ({z.shape[0]}, {len(self.attributes)}): {', '.join(self.attributes)}"
            )
        if z.shape[1] not in (self.latent_dim, self.z_dim):
            raise SourceError(f"latents have {z.shape[1]} entries; expected {self.latent_dim}, or {self.z_dim} with labels")
        return self.draw(self.mapping(z[:, : self.latent_dim], truncation_psi=truncation_psi), t, noise=noise)

    def forward(self, z: Tensor, c: Tensor | None = None, *, truncation_psi: float = 1.0,
                truncation_cutoff: int | None = None, noise: NoiseMode = "const") -> Tensor:  # fmt: skip
        """Return (n, 3, h, w) float32, nominal range -1..1, unclipped.

        Args:
            z: (n, latent_dim + A) standard normal: latent, then one entry a label.
            c: must be None; labels come with the latent.
            truncation_psi: of the mapping; labels are not truncated.
            truncation_cutoff: truncate only the first so many layers; None = all.
            noise: see :meth:`audit.generators.stylegan2.Synthesis.forward`.

        Raises:
            SourceError: the latent has another width, or a condition was given.
        """
        if c is not None:
            raise SourceError("a self-conditioned generator takes its labels as the last entries of z; leave c out")
        if z.shape[1] != self.z_dim:
            raise SourceError(f"latents have {z.shape[1]} entries; expected {self.z_dim}: {self.latent_dim} and one for each of "
                              f"{', '.join(self.attributes)}")  # fmt: skip
        ws = self.mapping(z[:, : self.latent_dim], truncation_psi=truncation_psi, truncation_cutoff=truncation_cutoff)
        return self.draw(ws, self.labels(z), noise=noise)
