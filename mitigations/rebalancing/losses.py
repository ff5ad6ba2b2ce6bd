"""A penalty on the shares of groups among the images a generator draws, with a gradient.

Jain, Memon, Togelius 2023, arXiv 2308.08638, add a bias loss to the generator's. With q the mean over a batch of soft class
probabilities, qbar its running mean, u = 1/K and weights lambda:

- ``hinge``: sum_r lambda_r relu(1/K - qbar_r); what the abstract of version 2 asks for, the deviation from equal shares.
- ``l2``: sum_r (qbar_r - 1/K)^2.
- ``kl``: KL(u || qbar) = sum_r u log(u / qbar_r).
- ``released``: sum_r lambda_r relu(qhat_r) with qhat the shares of argmax labels, as in the authors' ``training/loss.py``. A
  label has no gradient, so this only changes the number that is logged; made soft, it would be least with every image in the
  class of the smallest lambda, which is the most frequent one.

The running mean: a perfectly even generator still shows E|qhat - u|^2 = (1 - 1/K) / B in a batch of B, so a penalty on one
batch is mostly noise; the mean over batches with decay e has (1 - e) / (1 + e) of it. Its gradient would shrink with it: of
qbar = e qbar' + (1 - e) q only the last term depends on the present batch. So the loss takes its *value and slope* at qbar and
sends the slope to q undiminished (a straight-through mean), which equals dividing the gradient by 1 - e. Young means are
divided by 1 - e^t, as Adam does.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audit.errors import SpecError

Kind = Literal["hinge", "l2", "kl", "released"]

KINDS = ("hinge", "l2", "kl", "released")
"""The losses on offer; only the first three have a gradient."""

_TINY = 1e-8


class BiasLoss(nn.Module):
    """Probabilities (n, k) of a batch -> the penalty, a scalar; see the module for the formulas.

    Args:
        kind: one of :data:`KINDS`.
        weights: lambda, one a class; None = 1/K each. Used by "hinge" and "released".
        ema: decay of the running mean a batch; 0 = each batch for itself.
        k: number of classes, or of cells of an intersection.

    Raises:
        SpecError: an unknown kind, weights of another length, or a decay outside 0..1.
    """

    def __init__(self, kind: Kind, weights: list[float] | Tensor | None = None, ema: float = 0.9, *, k: int) -> None:
        super().__init__()
        if kind not in KINDS:
            raise SpecError(f"there is no bias loss {kind!r}; there are {', '.join(KINDS)}")
        if not 0 <= ema < 1:
            raise SpecError(f"bias loss: ema is {ema}; expected 0 (none) up to, not including, 1")
        given = torch.full((k,), 1 / k) if weights is None else torch.as_tensor(weights, dtype=torch.float32)
        if given.shape != (k,):
            raise SpecError(f"bias loss: {given.numel()} weights for {k} classes; expected one each")
        self.kind, self.ema, self.k = kind, ema, k
        self.register_buffer("weights", given)
        self.register_buffer("running", torch.zeros(k))
        self.register_buffer("batches", torch.zeros([]))

    def shares(self) -> Tensor:
        """Return (k,) the running mean of the shares; 1/K each before the first batch."""
        if not self.batches:
            return torch.full_like(self.running, 1 / self.k)
        return self.running / (1 - self.ema**self.batches)

    def forward(self, probabilities: Tensor) -> Tensor:
        """Return the penalty and follow the running mean; ``probabilities`` is (n, k), rows summing to 1."""
        hard = self.kind == "released"
        batch = F.one_hot(probabilities.argmax(dim=1), self.k).float().mean(dim=0) if hard else probabilities.mean(dim=0)
        with torch.no_grad():
            self.running.lerp_(batch.detach().to(self.running), 1 - self.ema)
            self.batches += 1
        mean = self.shares() + (batch - batch.detach())  # value of the running mean, slope of the batch's
        if hard:
            return (self.weights * F.relu(mean)).sum()
        if self.kind == "hinge":
            return (self.weights * F.relu(1 / self.k - mean)).sum()
        if self.kind == "l2":
            return (mean - 1 / self.k).square().sum()
        return -torch.log(self.k * (mean + _TINY)).mean()


def released_weights(shares: Tensor | list[float]) -> Tensor:
    """Return lambda_r = (1 - p_r) / (K - 1) for baseline shares p; how the released constants come about.

    Example:
        >>> released_weights([0.7, 0.2, 0.1]).tolist()  # they sum to 1, the rarest class has the largest
        [0.15000000596046448, 0.4000000059604645, 0.44999998807907104]
    """
    p = torch.as_tensor(shares, dtype=torch.float32)
    return (1 - p) / (len(p) - 1)


def noise_floor(k: int, batch: int, ema: float = 0.0) -> float:
    """Return E|qbar - u|^2 of a generator whose shares are exactly equal: what ``l2`` cannot go below.

    Args:
        k: classes.
        batch: images a batch, labelled without doubt.
        ema: decay of the running mean.
    """
    return (1 - 1 / k) / batch * (1 - ema) / (1 + ema)
