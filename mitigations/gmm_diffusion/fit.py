"""A finished fit: mixtures, weights and where they act, in one small file without pickles."""

import hashlib
import json
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from audit.errors import SourceError
from mitigations.gmm_diffusion.mixtures import Mixture
from mitigations.gmm_diffusion.settings import Settings, settings_of
from mitigations.gmm_diffusion.subspace import Subspace

VERSION = 1
"""Raised whenever the same file would draw other latents."""

_ARRAYS = ("read", "write", "centre", "spread", "weights", "cell", "shares", "means", "factors")


@dataclass(frozen=True)
class Fit:
    """Everything a mitigated source needs beside the generator.

    Attributes:
        source_digest: digest of the source it was made for.
        settings: what it was made with.
        cells: their names.
        subspace: the coordinates.
        mixtures: one a cell, in the coordinates.
        weights: (K,) how often each cell is asked for.
        report: the MethodReport as plain values.
    """

    source_digest: str
    settings: Settings
    cells: list[str]
    subspace: Subspace
    mixtures: list[Mixture]
    weights: np.ndarray
    report: dict[str, Any]

    @cached_property
    def digest(self) -> str:
        """Changes whenever the latents drawn could."""
        known = hashlib.sha256(json.dumps([VERSION, self.source_digest, self.settings.as_dict()], sort_keys=True, default=str).encode())
        for name, array in self.arrays().items():
            known.update(name.encode() + str(array.shape).encode() + np.ascontiguousarray(array).tobytes())
        return known.hexdigest()

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what is stored: floats in single precision, weights and shares in double."""
        several = [len(m.shares) for m in self.mixtures]
        return {"read": self.subspace.read, "write": self.subspace.write, "centre": self.subspace.centre, "spread": self.subspace.spread,
                "weights": self.weights.astype(np.float64), "cell": np.repeat(np.arange(len(several)), several),
                "shares": np.concatenate([m.shares for m in self.mixtures]).astype(np.float64),
                "means": np.concatenate([m.means for m in self.mixtures]).astype(np.float32),
                "factors": np.concatenate([m.factors for m in self.mixtures]).astype(np.float32)}  # fmt: skip

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        said = {"version": VERSION, "source": self.source_digest, "settings": self.settings.as_dict(), "cells": self.cells,
                "report": self.report}  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp.npz")
        np.savez_compressed(temporary, said=np.array(json.dumps(said)), **self.arrays())
        temporary.replace(path)


def load_fit(path: Path) -> Fit:
    """Return the fit of a file.

    Raises:
        SourceError: it is not a fit, or one of another version.
    """
    try:
        with path.open("rb") as whole, np.load(whole, allow_pickle=False) as file:
            said, arrays = json.loads(str(file["said"])), {name: file[name] for name in _ARRAYS}
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise SourceError(f"{path.name} is not a fit of gmm-diffusion ({type(error).__name__}); expected the fit.npz that "
                          "`genbias mitigate gmm-diffusion` writes") from None  # fmt: skip
    if said.get("version") != VERSION:
        raise SourceError(f"{path.name} is a fit of version {said.get('version')}; expected {VERSION}: make it again")
    cell = arrays["cell"]
    mixtures = [Mixture(arrays["shares"][cell == k], *(arrays[n][cell == k].astype(np.float64) for n in ("means", "factors")))
                for k in range(len(said["cells"]))]  # fmt: skip
    subspace = Subspace(arrays["read"], arrays["write"], arrays["centre"], arrays["spread"])
    return Fit(said["source"], settings_of(said["settings"]), said["cells"], subspace, mixtures, arrays["weights"], said["report"])


def in_single_precision(mixture: Mixture) -> Mixture:
    """Return the mixture as it will be read back, so that a fit draws the same before and after it was saved."""
    return Mixture(mixture.shares, *(a.astype(np.float32).astype(np.float64) for a in (mixture.means, mixture.factors)))
