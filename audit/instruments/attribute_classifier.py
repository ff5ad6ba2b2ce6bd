"""Reads perceived attributes with any network that a manifest describes: TorchScript, ONNX, state dict or module."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.special import expit, ndtr, softmax
from torch import nn

from audit.attributes import ATTRIBUTES
from audit.errors import InstrumentError
from audit.instruments.network import answers, open_network, readable_rows
from audit.manifests import HUB, Head, ImageInput, Manifest, resolve, verify
from audit.sources.base import Batch

VERSION = "1"


class AttributeClassifier:
    """A classifier behind its manifest.

    It crops (``batch.boxes`` where a face finder set them, else the whole image), resizes and normalises as the
    contract says, and writes a float32 column ``role:attribute:class`` for every class, plus ``role:age:years`` and the
    like for heads that return a value. Rows without a readable image or without a box are NaN.

    Args:
        role: the key under ``instruments`` in the spec; its columns begin with it.
        manifest: contract, checksums, licence, caveats.
        file: which of the manifest's files; None = the first.
        path: that file on this machine; None = look for it.
        module: a torch module instead of a file: (n, 3, size, size) -> (n, columns).
        attributes: which heads to read; None = all.
        search: folders to look for the file in.
        device: where the network runs.
        batch_size: images a forward pass.

    Raises:
        InstrumentError: the manifest has no head for an attribute, or its classes are not those of the vocabulary.
        ManifestError: the file is missing or is not the one described.
    """

    def __init__(
        self,
        role: str,
        manifest: Manifest,
        *,
        file: str | None = None,
        path: str | Path | None = None,
        module: nn.Module | None = None,
        attributes: Sequence[str] | None = None,
        search: Sequence[str | Path] = (),
        device: str | torch.device = "cpu",
        batch_size: int = 64,
    ) -> None:
        if manifest.architecture == HUB and module is None:
            from audit.instruments.hub_classifier import completed

            described = manifest.file(file)
            path = resolve(manifest, file=file, search=search) if path is None else verify(Path(path), described, manifest.name)
            manifest = completed(manifest, Path(path).parent)
        if manifest.contract is None or manifest.contract.input is None or not manifest.contract.output.heads:
            raise InstrumentError(
                f"manifest {manifest.name!r} has no contract with an input and heads; a classifier needs both"
            )
        words = next((h.attribute for h in manifest.contract.output.heads if h.named), None)
        if words is not None:
            raise InstrumentError(
                f"head {words!r} of manifest {manifest.name!r} gives classes by words, and no config.json of a Hub directory numbers them; state "
                "columns and classes by number"
            )
        self.role, self.device, self.batch_size = role, device, batch_size
        self.heads = _chosen(manifest, attributes)
        self.attributes = tuple(h.attribute for h in self.heads)
        self._input = manifest.contract.input
        self._name = manifest.name
        self._network = open_network(manifest, file=file, path=path, module=module, search=search, device=device)
        parts = (VERSION, manifest.digest, self._network.digest, *(h.attribute for h in self.heads))
        self.digest = hashlib.sha256("|".join(parts).encode()).hexdigest()
        self.caveats = (
            *manifest.caveats,
            f"{manifest.title}: licence {manifest.licence}" + (f"; {manifest.terms}" if manifest.terms else ""),
        )

    def read(self, batch: Batch) -> dict[str, np.ndarray]:
        """Return the columns of the batch; see the class for their names."""
        rows = readable_rows(batch)
        columns: dict[str, np.ndarray] = {}
        said = None
        if len(rows):
            said = answers(
                self._network, batch, rows, self._input, batch_size=self.batch_size, device=self.device, role=self.role
            )
        for head in self.heads:
            for name in _column_names(head):
                columns[f"{self.role}:{head.attribute}:{name}"] = np.full(len(batch.ids), np.nan, dtype=np.float32)
            if said is not None:
                for name, values in self._read_head(head, said).items():
                    columns[f"{self.role}:{head.attribute}:{name}"][rows] = values
        return columns

    def differentiable(self, attributes: Sequence[str]) -> tuple[nn.Module, ImageInput, list[int]] | None:
        """Return the network, what it expects of its pixels, and the columns of the classes of ``attributes`` in the vocabulary's order.

        None where there is no gradient (TorchScript may have one, but its weights cannot be held still), or where a class is not one logit.
        """
        heads, columns = {h.attribute: h for h in self.heads}, []
        if not isinstance(self._network.forward, nn.Module) or isinstance(self._network.forward, torch.jit.ScriptModule):
            return None
        for name in attributes:
            head = heads.get(name)
            if head is None or head.kind != "logits" or not all(type(c) is int for c in head.classes.values()):
                return None
            columns += [head.classes[c] for c in _class_order(head)]
        return self._network.forward, self._input, columns  # type: ignore[return-value]

    def _read_head(self, head: Head, said: np.ndarray) -> dict[str, np.ndarray]:
        which = f"head {head.attribute!r} of manifest {self._name!r}"
        if max(head.columns) >= said.shape[1]:
            raise InstrumentError(
                f"{which} reads column {max(head.columns)}, but the network returns {said.shape[1]} columns"
            )
        if head.kind == "value":
            return _binned(head, said[:, head.columns[0]].astype(np.float64))
        raw = said[:, list(head.columns)].astype(np.float64)
        if head.kind == "logits":
            share = softmax(raw, axis=1)
        elif head.kind == "sigmoid":
            share = expit(raw)
        else:
            share = raw
            total = share.sum(axis=1)
            if (share < -1e-3).any() or (total > 1 + 1e-2).any():
                raise InstrumentError(
                    f"{which} is of kind 'probabilities', but the network gave {np.nanmin(share):.3g}.."
                    f"{np.nanmax(share):.3g}, summing to {np.nanmax(total):.3g}; say kind: logits?"
                )
        return _grouped(head, share)


def _chosen(manifest: Manifest, attributes: Sequence[str] | None) -> tuple[Head, ...]:
    heads = {h.attribute: h for h in manifest.contract.output.heads}  # type: ignore[union-attr]
    wanted = tuple(heads) if attributes is None else tuple(attributes)
    unknown = [a for a in wanted if a not in heads]
    if unknown:
        raise InstrumentError(
            f"manifest {manifest.name!r} reads {', '.join(heads)}; it cannot read {', '.join(unknown)}"
        )
    for name in wanted:
        classes = set(heads[name].classes or heads[name].bins)
        if name in ATTRIBUTES and classes != set(ATTRIBUTES[name].classes):
            raise InstrumentError(
                f"manifest {manifest.name!r} gives {name} the classes {', '.join(sorted(classes))}; "
                f"expected {', '.join(ATTRIBUTES[name].classes)}"
            )
    return tuple(heads[a] for a in wanted)


def _class_order(head: Head) -> tuple[str, ...]:
    known = ATTRIBUTES.get(head.attribute)
    return known.classes if known else tuple(head.classes or head.bins)


def _column_names(head: Head) -> tuple[str, ...]:
    return ((head.unit or "value"), *_class_order(head)) if head.kind == "value" else _class_order(head)


def _grouped(head: Head, share: np.ndarray) -> dict[str, np.ndarray]:
    place = {c: i for i, c in enumerate(head.columns)}
    found: dict[str, np.ndarray] = {}
    for name, columns in head.classes.items():
        if columns is not None:
            members = columns if isinstance(columns, tuple) else (columns,)
            found[name] = share[:, [place[c] for c in members]].sum(axis=1)
    for name, columns in head.classes.items():
        if columns is None:
            found[name] = 1 - sum(found.values())
    return {k: np.clip(v, 0, 1).astype(np.float32) for k, v in found.items()}


def _binned(head: Head, value: np.ndarray) -> dict[str, np.ndarray]:
    found = {head.unit or "value": value.astype(np.float32)}
    for name, (low, high) in head.bins.items():
        low, high = -np.inf if low is None else low, np.inf if high is None else high
        if head.spread:
            share = ndtr((high - value) / head.spread) - ndtr((low - value) / head.spread)
        else:
            share = ((value >= low) & (value < high)).astype(np.float64)
        found[name] = np.where(np.isnan(value), np.nan, share).astype(np.float32)
    return found
