"""AdaGAN: GANs trained one after another, each on the training images that the mixture so far neglects.

Tolstikhin et al. 2017, arXiv 1701.02386, algorithm 1, with the choices of the authors' code: beta_t = 1/t, a classifier D of data against
the current mixture, r_i = (1 - D(x_i)) / (D(x_i) + 1e-8) and weights w_i = (lambda - (1 - beta) r_i)_+ / (N beta), lambda solving
sum w = 1 (their "theory star"). Departures: the components are small DCGANs that share one budget of images, and the classifier is as
small as their discriminators.
"""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audit.errors import SpecError
from audit.generators.mixture import DCGANMixture
from mitigations.training.critics import DCGANCritic
from mitigations.training.data import PortraitStream, to_signed
from mitigations.training.dcgan import DCGANTrainer
from mitigations.training.recipes import Recipe, TrainingLog
from mitigations.training.stylegan2 import carry_on


def training_weights(d: np.ndarray, beta: float) -> np.ndarray:
    """Return the weights (N,) of the training images for the next component; they add to 1.

    Args:
        d: (N,) the classifier's probability that an image is data and not from the mixture, in 0..1.
        beta: weight of the next component in the mixture, in (0, 1].

    Returns:
        w_i = (lambda - (1 - beta) r_i)_+ / (N beta), with lambda such that they add to 1 (equation 13 of the paper; exact, by
        sorting r). For beta 1 all are equal.

    Raises:
        SpecError: beta or a probability is out of range.

    Example:
        >>> training_weights(np.array([0.5, 0.5, 0.9, 0.9]), 0.5).round(2).tolist()
        [0.14, 0.14, 0.36, 0.36]
    """
    d = np.asarray(d, dtype=np.float64)
    if not 0 < beta <= 1 or d.size == 0 or not ((d >= 0) & (d <= 1)).all():
        raise SpecError(f"AdaGAN needs probabilities and 0 < beta <= 1; found beta {beta:g} and {d.size} probabilities of "
                        f"{d.min(initial=0):g}..{d.max(initial=0):g}")  # fmt: skip
    n, c = d.size, (1 - beta) * (1 - d) / (d + 1e-8)
    ascending = np.sort(c)
    # With the m smallest above zero, m lambda - sum of them = N beta; the right m is the largest whose lambda still exceeds its c.
    candidates = (n * beta + np.cumsum(ascending)) / np.arange(1, n + 1)
    lam = candidates[np.nonzero(candidates > ascending)[0][-1]]
    w = np.maximum(lam - c, 0) / (n * beta)
    return w / w.sum()


def train_adagan(recipe: Recipe, out: Path, device: torch.device, *, sample: Callable[[nn.Module, int], None]) -> tuple[DCGANMixture, dict]:
    """Train by ``recipe`` (kind "adagan") and return the mixture and its constructor arguments.

    Args:
        recipe: ``network``: z_dim, widths; ``options``: those of the DCGAN, ``components``, ``distinct``, ``classifier_images``; the schedule's
            images are shared out evenly among the components.
        out: folder; a component's checkpoint lies in ``out/part_T``.
        device: where to train.
        sample: called with the newest component every few minutes.
    """
    options, (size, images) = recipe.options, recipe.schedule[-1]
    count, stream = options["components"], PortraitStream(recipe.population, recipe.seed, options["size"], options["distinct"])
    data = to_signed(stream.whole()[0], size)
    weights, parts, mixture, network, log = np.full(len(data), 1 / len(data)), [], None, {}, TrainingLog(out)
    for t in range(1, count + 1):
        beta = 1 / t
        if mixture is not None:
            d = _told_apart(mixture, data, recipe, t, device)
            weights = training_weights(d, beta)
            log.write(part=t, effective_images=float(1 / np.square(weights).sum()), d_mean=float(d.mean()))
        own = replace(recipe, name=f"{recipe.name}_part{t}", seed=recipe.seed + 1000 * t, schedule=[(size, images // count)])
        trainer, edges = DCGANTrainer(own, device), np.cumsum(weights)

        def batch(first: int, n: int, resolution: int, edges: np.ndarray = edges, seed: int = own.seed) -> tuple[Tensor, None]:
            u = np.random.default_rng([seed, first]).random(n)
            return data[np.minimum(np.searchsorted(edges, u * edges[-1], side="right"), len(data) - 1)], None

        (out / f"part_{t}").mkdir(parents=True, exist_ok=True)
        carry_on(trainer, batch, out / f"part_{t}", sample=sample)
        parts.append(copy.deepcopy(trainer.generator).eval())
        network = {"shapes": trainer.shapes, "weights": [1 / t] * t}  # beta_t = 1/t makes all components equal
        mixture = DCGANMixture(**network).to(device).eval()
        for own_part, part in zip(mixture.parts, parts, strict=True):
            own_part.load_state_dict(part.state_dict())
    return mixture, network


def _told_apart(mixture: DCGANMixture, data: Tensor, recipe: Recipe, t: int, device: torch.device) -> np.ndarray:
    """Return the probability that each training image is data, by a classifier fitted against as many images of the mixture."""
    torch.manual_seed(recipe.seed + 77 * t)
    batch, widths = recipe.options["batch"], recipe.network["widths"]
    with torch.no_grad():
        drawn = torch.cat([mixture(torch.randn(500, mixture.z_dim, device=device)) for _ in range(-(-len(data) // 500))])[: len(data)]
    critic = DCGANCritic(widths[::-1]).to(device)
    optimiser = torch.optim.Adam(critic.parameters(), lr=1e-3, betas=(0.5, 0.999))
    for _ in range(recipe.options["classifier_images"] // batch):
        real, fake = (x[torch.randint(len(x), (batch,))].to(device) for x in (data, drawn))
        loss = F.softplus(-critic(real)).mean() + F.softplus(critic(fake)).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    critic.eval()
    with torch.no_grad():
        return torch.cat([critic(part.to(device)).sigmoid().cpu() for part in data.split(500)]).double().numpy()
