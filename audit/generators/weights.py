"""Model files of the project: safetensors whose header says what network the tensors belong to."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from audit.errors import ManifestError

HALF = {"float16": torch.float16, "float32": torch.float32}


def save_weights(model: nn.Module, path: Path, *, kind: str, network: dict, dtype: str = "float32", **facts: str) -> None:
    """Write the state of ``model`` with its kind and constructor arguments; whole or not at all.

    Args:
        model: any module.
        path: ends in ``.safetensors``.
        kind: name in :data:`audit.generators.KINDS` or of an instrument network.
        network: keyword arguments that rebuild it, JSON-able.
        dtype: "float32" or "float16" for storage; loading always gives float32.
        facts: further header strings, e.g. the recipe's digest.
    """
    tensors = {k: v.detach().cpu().to(HALF[dtype] if v.is_floating_point() else v.dtype).contiguous()
               for k, v in model.state_dict().items()}  # fmt: skip
    header = {"kind": kind, "network": json.dumps(network, sort_keys=True), **facts}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    save_file(tensors, temporary, metadata=header)
    temporary.replace(path)


def kind_of(path: Path) -> str | None:
    """Return the kind in the header of a safetensors file that :func:`save_weights` wrote, None for any other file."""
    try:
        with safe_open(path, framework="pt") as file:
            return (file.metadata() or {}).get("kind")
    except (SafetensorError, OSError):
        return None


def names_in(path: Path) -> list[str]:
    """Return the names of the tensors of a safetensors file, none where it cannot be read as one."""
    try:
        with safe_open(path, framework="pt") as file:
            return list(file.keys())
    except (SafetensorError, OSError):
        return []


def read_weights(path: Path) -> tuple[str, dict, dict[str, torch.Tensor]]:
    """Return (kind, network arguments, float32 tensors) of a project file.

    Raises:
        ManifestError: the file is not safetensors, or was not written by :func:`save_weights`.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 (safe_open is no mapping)
    except (SafetensorError, OSError) as error:
        raise ManifestError(f"{path} cannot be read as safetensors ({error}); expected a file written by genbias") from None
    if "kind" not in header or "network" not in header:
        raise ManifestError(f"{path} has no 'kind' and 'network' in its header; expected a file written by genbias")
    try:
        network = json.loads(header["network"])
    except (ValueError, RecursionError):
        network = None
    if not isinstance(network, dict):
        raise ManifestError(f"{path} has a 'network' in its header that is no JSON mapping; expected a file written by genbias")
    tensors = {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}
    return header["kind"], network, tensors
