"""Soft labels with a gradient: what a built-in classifier says of images while a generator is being trained."""

import torch
from torch import Tensor, nn

from audit.attributes import ATTRIBUTES, parts
from audit.errors import InstrumentError
from audit.instruments.portraits import SIDE, PortraitNetwork
from audit.pixels import resize
from mitigations.labelling import Labeller


class SoftReader(nn.Module):
    """Images (n, 3, h, w) in -1..1 -> (n, K) joint cell probabilities, products over the attributes, differentiable.

    The values are the classifier's own probabilities. On images it is sure of, their slope is nearly 0 and a loss on shares
    would move nothing; ``temperature`` T > 1 takes the slope, and only the slope, from the logits divided by T.

    Args:
        labeller: whose classifier reads, and which attribute.
        temperature: 1 = the classifier's own slope.

    Raises:
        InstrumentError: the classifier gives no gradient (a manifest's network: only its answers are known here).
    """

    def __init__(self, labeller: Labeller, temperature: float = 1.0) -> None:
        super().__init__()
        instrument = labeller.instrument
        if not isinstance(instrument, PortraitNetwork):
            raise InstrumentError(f"a bias loss needs a classifier with gradients, and {labeller.classifier!r} only gives answers; "
                                  "use portraits_b, or rebalance by data alone (bias loss none)")  # fmt: skip
        self.network = instrument.model.requires_grad_(False)
        self.attribute, self.cells, self.temperature = labeller.attribute, labeller.cells, temperature

    def forward(self, images: Tensor) -> Tensor:
        x = images.float().clamp(-1, 1)
        if x.shape[-2:] != (SIDE, SIDE):
            x = resize((x + 1) * 127.5, SIDE) / 127.5 - 1  # the instrument's own resize
        logits = self.network(x.contiguous(memory_format=torch.channels_last)).float()
        said = soft_cells(logits, self.attribute)
        if self.temperature == 1 or not logits.requires_grad:
            return said
        slope = soft_cells(logits / self.temperature, self.attribute)
        return said.detach() + (slope - slope.detach())


def soft_cells(logits: Tensor, attribute: str) -> Tensor:
    """Return (n, K) cell probabilities, in the order of :func:`audit.labels.cells`.

    Args:
        logits: (n, columns), heads of all attributes one after the other in the order of ``ATTRIBUTES``.
        attribute: one attribute, or an intersection; its parts are taken as independent given the image.
    """
    sizes = [a.k for a in ATTRIBUTES.values()]
    heads = dict(zip(ATTRIBUTES, logits.split(sizes, dim=1), strict=True))
    joint = logits.new_ones(len(logits), 1)
    for part in parts(attribute):
        joint = (joint[:, :, None] * heads[part].softmax(dim=1)[:, None, :]).flatten(1)
    return joint
