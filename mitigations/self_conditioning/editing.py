"""Editing by asking for another label: the latent stays, one entry of t changes."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from audit.errors import SourceError
from audit.generators.self_conditioned import SelfConditionedStyleGAN2
from audit.generators.stylegan2 import NoiseMode
from mitigations.training.train import write_grid


@torch.inference_mode()
def edit(module: SelfConditionedStyleGAN2, z: Tensor, attribute: str, values: list[float] | np.ndarray, *, t: Tensor | None = None,
         noise: NoiseMode = "none", truncation_psi: float = 1.0) -> Tensor:  # fmt: skip
    """Draw the same people with one attribute changed step by step, everything else fixed.

    Args:
        module: the generator.
        z: (n, z_dim) latents with labels, or (n, latent_dim) together with ``t``.
        attribute: one of the generator's.
        values: labels in 0..1 to show, V of them.
        t: (n, A) labels the others keep; None = those of ``z``.
        noise: per-pixel noise; "none" or "const", so that only the label differs between the pictures of a person.
        truncation_psi: see :meth:`audit.generators.self_conditioned.SelfConditionedStyleGAN2.forward`.

    Returns:
        (n, V, 3, h, w) float32, nominal range -1..1.

    Raises:
        SourceError: the generator has no labels or not this one, a value lies outside 0..1, or no label was given at all.
    """
    attributes = getattr(module, "attributes", None)
    if not isinstance(module, SelfConditionedStyleGAN2):
        raise SourceError(f"a {type(module).__name__} has no labels to edit; give a self-conditioned generator")
    if attribute not in attributes:
        raise SourceError(f"this generator is not asked for {attribute!r}; it has labels for {', '.join(attributes)}")
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not (np.isfinite(values) & (values >= 0) & (values <= 1)).all():
        raise SourceError(f"labels to edit to are {values.tolist()}; expected one or more numbers in 0..1")
    if t is None:
        if z.shape[1] != module.z_dim:
            raise SourceError(f"latents have {z.shape[1]} entries and no labels were given; expected {module.z_dim} entries, or t")
        t = module.labels(z)
    asked = t.repeat_interleave(len(values), dim=0)
    asked[:, attributes.index(attribute)] = torch.as_tensor(values, dtype=asked.dtype, device=asked.device).repeat(len(z))
    people = z.repeat_interleave(len(values), dim=0)
    images = [module.edit(a, b, noise=noise, truncation_psi=truncation_psi) for a, b in zip(people.split(64), asked.split(64), strict=True)]
    return torch.cat(images).unflatten(0, (len(z), len(values)))


def write_strips(module: SelfConditionedStyleGAN2, z: Tensor, path: Path, *, steps: int = 7) -> None:
    """Write one picture: for every attribute, one row a person, the label running from 0 to 1 from left to right."""
    rows = [edit(module, z, attribute, np.linspace(0, 1, steps)) for attribute in module.attributes]
    write_grid(torch.cat(rows).flatten(0, 1).cpu(), path, columns=steps)
