"""What the label head is taught: three anchor weights an attribute, compared by the divergence of softmax triples.

Liu et al. 2022, arXiv 2202.04040. The released code calls ``KLDivLoss()``, whose default divides by batch times three, the width
of a triple; that scale is kept here (:func:`label_loss`), so a weight of 0.5 is a sixth of the textbook divergence.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audit.generators.self_conditioned import ANCHORS, hat_weights, label_vector
from audit.generators.stylegan2 import FullyConnected
from mitigations.training.discriminator import Discriminator

__all__ = ["LabelledDiscriminator", "hat_weights", "label_loss", "label_vector", "read_labels"]


def label_loss(logits: Tensor, t: Tensor) -> Tensor:
    """Return sum_a KL(m_a || softmax(logits_a)) / 3, averaged over images; 0 where the head is right.

    Args:
        logits: (n, 1 + 3A) of the label head; the first entry, which stands for C_0, is not judged.
        t: (n, A) labels in 0..1.
    """
    said = F.log_softmax(_triples(logits), dim=-1)
    wanted = hat_weights(t)
    return F.kl_div(said, wanted, reduction="none").sum(dim=[1, 2]).mean() / ANCHORS


def read_labels(logits: Tensor) -> Tensor:
    """Return (n, A) labels the head reads: the mean anchor position under each softmax triple."""
    positions = logits.new_tensor([0.0, 0.5, 1.0])
    return torch.softmax(_triples(logits), dim=-1) @ positions


def _triples(logits: Tensor) -> Tensor:
    return logits[:, 1:].unflatten(1, (-1, ANCHORS))


class LabelledDiscriminator(Discriminator):
    """Discriminator that also says which labels it sees; its verdict on realness does not depend on them.

    Departure: the label head reads the (n, channels) activations before the last layer and adds a hidden layer of its own. The
    released head branches off one layer earlier, from the flattened 4x4 map.

    Args:
        resolution, channels, group: see :class:`mitigations.training.discriminator.Discriminator`.
        attributes: how many.
    """

    def __init__(self, resolution: int, channels: dict[int, int], attributes: int, group: int = 8) -> None:
        super().__init__(resolution, channels, group)
        width = self.out.weight.shape[1]
        self.aux = nn.Sequential(FullyConnected(width, width, activate=True), FullyConnected(width, 1 + ANCHORS * attributes))

    def both(self, images: Tensor, precision: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """Return (n,) logits of realness and (n, 1 + 3A) of the labels."""
        features = self.features(images, precision)
        return self.out(features).squeeze(1), self.aux(features)
