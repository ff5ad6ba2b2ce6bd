"""Turns images into feature vectors with any encoder that a manifest describes: for FID-like metrics, for identity."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from audit.errors import InstrumentError
from audit.instruments.network import answers, open_network, readable_rows
from audit.manifests import Manifest
from audit.sources.base import Batch

VERSION = "1"


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
        self._network = open_network(manifest, file=file, path=path, module=module, search=search, device=device)
        self.digest = hashlib.sha256("|".join((VERSION, manifest.digest, self._network.digest)).encode()).hexdigest()
        self.caveats = (
            *manifest.caveats,
            f"{manifest.title}: licence {manifest.licence}" + (f"; {manifest.terms}" if manifest.terms else ""),
        )

    def read(self, batch: Batch) -> dict[str, np.ndarray]:
        """Return ``{role: (n, d) float32}``; rows that cannot be read are NaN.

        Raises:
            InstrumentError: the network returns another number of features than its manifest states.
        """
        rows = readable_rows(batch)
        out = np.full((len(batch.ids), self.features), np.nan, dtype=np.float32)
        if len(rows):
            said = answers(
                self._network, batch, rows, self._input, batch_size=self.batch_size, device=self.device, role=self.role
            )
            if said.shape[1] != self.features:
                raise InstrumentError(
                    f"the encoder of {self.role!r} returned {said.shape[1]} features; "
                    f"its manifest states {self.features}"
                )
            out[rows] = said
        return {self.role: out}
