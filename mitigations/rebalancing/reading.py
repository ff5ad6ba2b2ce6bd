"""Soft labels with a gradient: what a built-in classifier says of images while a generator is being trained."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from audit.attributes import ATTRIBUTES, parts
from audit.errors import InstrumentError
from audit.instruments.attribute_classifier import AttributeClassifier
from audit.instruments.portraits import SIDE, PortraitNetwork
from audit.manifests import ImageInput
from audit.pixels import normalise, resize
from mitigations.labelling import Labeller

PORTRAITS = ImageInput(size=SIDE, range=(-1.0, 1.0))
"""What the built-in classifiers read."""


class SoftReader(nn.Module):
    """Images (n, 3, h, w) in -1..1 -> (n, K) joint cell probabilities, products over the attributes, differentiable.

    The values are the classifier's own probabilities. On images it is sure of, their slope is nearly 0 and a loss on shares
    would move nothing; ``temperature`` T > 1 takes the slope, and only the slope, from the logits divided by T.

    Args:
        labeller: whose classifier reads, and which attribute.
        temperature: 1 = the classifier's own slope.

    Raises:
        InstrumentError: the classifier gives no gradient: a program, an ONNX file, or a head that is not a logit for each class.
    """

    def __init__(self, labeller: Labeller, temperature: float = 1.0) -> None:
        super().__init__()
        self.attribute, self.cells, self.temperature = labeller.attribute, labeller.cells, temperature
        instrument, self.contract = labeller.instrument, PORTRAITS
        self.heads: tuple[str, ...] = tuple(ATTRIBUTES)
        self.columns: list[int] | None = None
        if isinstance(instrument, PortraitNetwork):
            self.network = instrument.model.requires_grad_(False)
            return
        opened = instrument.differentiable(parts(self.attribute)) if isinstance(instrument, AttributeClassifier) else None
        if opened is None:
            raise InstrumentError(f"a bias loss needs a classifier with gradients, and {labeller.classifier!r} only gives answers; "
                                  "use portraits_b or a trained network, or rebalance by data alone (bias loss none)")  # fmt: skip
        self.network, self.contract, self.columns = opened
        self.network.requires_grad_(False)
        self.heads = parts(self.attribute)

    def forward(self, images: Tensor) -> Tensor:
        x, wanted = (images.float().clamp(-1, 1) + 1) * 127.5, self.contract
        if x.shape[-2:] != (wanted.size, wanted.size):
            x = resize(x, wanted.size, filter=wanted.filter)  # the instrument's own resize
        x = x.flip(1) if wanted.channels == "BGR" else x
        x = normalise(x, wanted.mean, wanted.std, low=wanted.range[0], high=wanted.range[1])
        logits = self.network(x.contiguous(memory_format=torch.channels_last)).float()
        logits = logits if self.columns is None else logits[:, self.columns]
        said = soft_cells(logits, self.attribute, self.heads)
        if self.temperature == 1 or not logits.requires_grad:
            return said
        slope = soft_cells(logits / self.temperature, self.attribute, self.heads)
        return said.detach() + (slope - slope.detach())


def soft_cells(logits: Tensor, attribute: str, names: Sequence[str] = tuple(ATTRIBUTES)) -> Tensor:
    """Return (n, K) cell probabilities, in the order of :func:`audit.labels.cells`.

    Args:
        logits: (n, columns), heads of the attributes ``names`` one after the other.
        attribute: one attribute, or an intersection; its parts are taken as independent given the image.
        names: the attributes of the columns.
    """
    heads = dict(zip(names, logits.split([ATTRIBUTES[a].k for a in names], dim=1), strict=True))
    joint = logits.new_ones(len(logits), 1)
    for part in parts(attribute):
        joint = (joint[:, :, None] * heads[part].softmax(dim=1)[:, None, :]).flatten(1)
    return joint
