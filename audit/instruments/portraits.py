"""Instruments for the built-in world: attribute classifier, feature encoder and identity encoder on 64x64 portraits."""

from collections.abc import Sequence

import numpy as np
import torch

from audit.attributes import ATTRIBUTES
from audit.digests import digest, file_digest
from audit.errors import InstrumentError
from audit.generators.weights import read_weights
from audit.instruments.portrait_networks import build_network, unit
from audit.pixels import resize, to_device
from audit.portraits.models import shipped
from audit.sources.base import OK, Batch

SIDE = 64


class PortraitNetwork:
    """A shipped network that reads portraits; see :class:`audit.instruments.base.Instrument`.

    Args:
        role: prefix of its columns.
        name: "portraits_a" or "portraits_b" (attribute classifiers), "encoder" or "identity".
        device: where to run.
        attributes: which of an attribute classifier's are read; None = all.

    Raises:
        InstrumentError: no such kind of network, or it does not read an attribute.
    """

    caveats = ("made for the built-in portraits; on photographs its readings mean nothing",)
    licence = "MIT, part of genbias"

    def __init__(self, role: str, name: str, device: str = "cpu", *, attributes: Sequence[str] | None = None) -> None:
        path = shipped(name)
        self.role, self.name, self.device = role, name, device
        self.kind, network, tensors = read_weights(path)
        if self.kind not in ("attribute_classifier", "encoder", "identity"):
            raise InstrumentError(f"{name!r} is a {self.kind}, which cannot serve as {role}")
        model = build_network(network.pop("design"), **network)
        model.load_state_dict(tensors)
        self.model = model.eval().to(device, memory_format=torch.channels_last)
        readable = tuple(ATTRIBUTES) if self.kind == "attribute_classifier" else ()
        unknown = [a for a in attributes or () if a not in readable]
        if unknown:
            raise InstrumentError(f"{name!r} reads {', '.join(readable) or 'no attributes'}; it cannot read {', '.join(unknown)}")
        self.attributes = readable if attributes is None else tuple(attributes)
        self.digest = file_digest(path) if attributes is None else digest([file_digest(path), *self.attributes])

    def read(self, batch: Batch) -> dict[str, np.ndarray]:
        good = np.array([s == OK for s in batch.status])
        outputs = np.full((len(good), self.model.head.out_features), np.nan, dtype=np.float32)
        images = [image for image, ok in zip(batch.images, good, strict=True) if ok]
        if images:
            outputs[good] = self._forward(images).numpy()
        if self.kind != "attribute_classifier":
            return {self.role: outputs}
        columns, at = {}, 0
        for attribute in ATTRIBUTES.values():
            probabilities = _softmax(outputs[:, at : at + attribute.k])
            if attribute.name in self.attributes:
                columns |= {f"{self.role}:{attribute.name}:{c}": probabilities[:, i] for i, c in enumerate(attribute.classes)}
            at += attribute.k
        return columns

    def _forward(self, images: list[torch.Tensor]) -> torch.Tensor:
        if all(image.shape[-2:] == (SIDE, SIDE) for image in images):
            x = to_device(images, self.device).float()
        else:
            x = resize(images, SIDE).to(self.device)
        with torch.inference_mode():
            out = self.model((x / 127.5 - 1).contiguous(memory_format=torch.channels_last)).float().cpu()
        return unit(out) if self.kind == "identity" else out


def _softmax(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (shifted / shifted.sum(axis=1, keepdims=True)).astype(np.float32)
