"""Turns images into feature vectors with any encoder that a manifest describes: for FID-like metrics, for identity."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from audit.errors import InstrumentError
from audit.instruments.encoder_input import EncoderInput
from audit.instruments.encoders import open_encoder
from audit.instruments.network import answers, readable_rows
from audit.manifests import Manifest
from audit.sources.base import Batch

VERSION = "2"


class Embedder:
    """An encoder behind its manifest; its features are stored under the role's own name as (n, d) float32.

    Args:
        role: the key under ``instruments`` in the spec, and the name of the features.
        manifest: contract, checksums, licence, caveats; ``output.features`` is d.
        file: which of the manifest's files; None = the first.
        path: that file on this machine; None = look for it.
        module: a torch module instead of a file: (n, 3, size, size) -> (n, d).
        search: folders to look for the file in.
        device: where the network runs.
        batch_size: images a forward pass.

    Raises:
        InstrumentError: the manifest states no input or no number of features.
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
        search: Sequence[str | Path] = (),
        device: str | torch.device = "cpu",
        batch_size: int = 64,
    ) -> None:
        contract = manifest.contract
        if contract is None or contract.input is None or not contract.output.features:
            raise InstrumentError(
                f"manifest {manifest.name!r} has no contract with an input and output.features; an encoder needs both"
            )
        self.role, self.device, self.batch_size = role, device, batch_size
        self.features = contract.output.features
        self._input = contract.input
        self._pixels = EncoderInput(contract.input, device)
        if contract.input.resize != "antialiased" and contract.input.crop.source == "face":
            raise InstrumentError(
                f"manifest {manifest.name!r} asks for the resize {contract.input.resize!r} of faces; it is of whole images, so state "
                "crop: {from: image, square: false}"
            )
        self._network = open_encoder(manifest, file=file, path=path, module=module, search=search, device=device)
        self.digest = hashlib.sha256("|".join((VERSION, manifest.digest, self._network.digest)).encode()).hexdigest()
        licence = f"{manifest.title}: licence {manifest.licence}" + (f"; {manifest.terms}" if manifest.terms else "")
        self._caveats = (*manifest.caveats, licence)

    @property
    def caveats(self) -> tuple[str, ...]:
        """What the report prints, with the sizes that Pillow had to resize."""
        return (*self._caveats, *self._pixels.notes)

    def read(self, batch: Batch) -> dict[str, np.ndarray]:
        """Return ``{role: (n, d) float32}``; rows that cannot be read are NaN.

        Raises:
            InstrumentError: the network returns another number of features than its manifest states.
        """
        rows = readable_rows(batch)
        out = np.full((len(batch.ids), self.features), np.nan, dtype=np.float32)
        if len(rows):
            said = self._whole(batch, rows) if self._input.resize != "antialiased" else answers(
                self._network, batch, rows, self._input, batch_size=self.batch_size, device=self.device, role=self.role
            )  # fmt: skip
            if said.shape[1] != self.features:
                raise InstrumentError(
                    f"the encoder of {self.role!r} returned {said.shape[1]} features; "
                    f"its manifest states {self.features}"
                )
            out[rows] = said
        return {self.role: out}

    def _whole(self, batch: Batch, rows: np.ndarray) -> np.ndarray:
        """Return (len(rows), k): what the network says of whole images, resized in the way its manifest names."""
        out: list[np.ndarray | None] = [None] * len(rows)
        with torch.inference_mode():
            for start in range(0, len(rows), self.batch_size):
                part = rows[start : start + self.batch_size]
                for members, pixels in self._pixels.portions([batch.images[int(row)] for row in part]):
                    said = self._network.forward(pixels)
                    if said.ndim != 2 or len(said) != len(members):
                        raise InstrumentError(f"the network of {self.role!r} returned {tuple(said.shape)} for {len(members)} images")
                    for at, row in zip(members, said.float().cpu().numpy(), strict=True):
                        out[start + at] = row
        return np.stack(out)
