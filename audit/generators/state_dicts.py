"""Weights of other people's generators: tensors and plain values are read from their files, and nothing else."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from audit.errors import ManifestError
from audit.generators.pickles_archives import read_torch, zip_entries

State = dict[str, Tensor]

WRAPPERS = ("state_dict", "model_state_dict", "generator_state_dict", "model")
"""Keys under which training scripts keep the tensors."""


def read_checkpoint(path: str | Path, *, known: Iterable[type] = ()) -> Any:
    """Return what a file of torch.save or safetensors holds, read with ``weights_only=True``.

    Args:
        path: the file.
        known: further plain classes that may occur in it, by module and name; their attributes are read, none of their code runs.

    Raises:
        ManifestError: the file is missing, is no such file, or holds something else than tensors and plain values.
    """
    path = Path(path)
    if not path.is_file():
        raise ManifestError(f"no weights at {path}; expected a state dict (.pt, .pth) or safetensors file")
    with path.open("rb") as file:
        head = file.read(64).lstrip().lower()
    if head.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise ManifestError(f"{path} is a web page, not weights; the download was answered by an error or consent page, so get it again")
    if head.startswith(b"pk\x03\x04"):
        zip_entries(path)  # one that would unpack to far more than it holds is refused before torch opens it
    if path.suffix != ".safetensors":
        read_torch(path)  # lengths and shapes are held against the bytes that are there before torch makes room for them
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        with torch.serialization.safe_globals(list(known)):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as problem:  # a damaged or hostile file fails in any of a dozen ways; each means the same to the user
        raise ManifestError(f"{path} is not a file of tensors that can be read safely ({_reason(problem)}); expected a state dict saved "
                            f"with torch.save, or safetensors") from None  # fmt: skip


def _reason(problem: Exception) -> str:
    """Say in a few words what was wrong; torch's own advice, to read the file unsafely, is not passed on."""
    text = " ".join(str(problem).split())
    named = re.search(r"GLOBAL ([\w.]+)", text)
    if named:
        return f"it names {named[1]}, and loading that would run code"
    return "it is damaged, or holds more than tensors" if "weights_only" in text.lower() else text[:160] or type(problem).__name__


def tensors(content: Any, path: str | Path, *, prefixes: Iterable[str] = ()) -> State:
    """Return the named tensors of a checkpoint: unwrapped, without "module." and the first of ``prefixes`` that occurs.

    Raises:
        ManifestError: there are none.

    Example:
        >>> sorted(tensors({"state_dict": {"module.generator.w": torch.zeros(1), "step.n": torch.zeros(1)}}, "x", prefixes=("generator.",)))
        ['w']
    """
    for key in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict):
        raise ManifestError(f"{path} holds a {type(content).__name__}; expected a state dict of named tensors")
    state = {str(k).removeprefix("module."): v for k, v in content.items() if isinstance(v, Tensor)}
    if not state:
        raise ManifestError(f"{path} holds no tensors but {_some(map(str, content))}; expected a state dict of named tensors")
    for prefix in prefixes:
        chosen = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        if chosen:
            return chosen
    return state


def fit(model: nn.Module, state: State, path: str | Path, what: str) -> nn.Module:
    """Load ``state`` into ``model`` and return it for evaluation, in float32; counters of batch norms may be missing.

    Raises:
        ManifestError: keys are missing or not expected, or tensors have another shape; the sentence names them.
    """
    own = model.state_dict()
    state = {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
    counters = {k: v for k, v in own.items() if k.endswith("num_batches_tracked") and k not in state}
    check_keys(state, {*own} - set(counters), path, what)
    unlike = [f"{k} {tuple(v.shape)} for {tuple(own[k].shape)}" for k, v in state.items() if v.shape != own[k].shape]
    if unlike:
        raise ManifestError(f"{path} does not fit {what}: of another shape {_some(unlike)}")
    model.load_state_dict({**state, **counters})
    return model.eval().requires_grad_(False)


def check_keys(found: Iterable[str], wanted: Iterable[str], path: str | Path, what: str) -> None:
    """Raise a ManifestError that names the missing and the unexpected keys, if there are any."""
    found, wanted = set(found), set(wanted)
    if found != wanted:
        raise ManifestError(f"{path} does not fit {what}: missing {_some(wanted - found)}; not expected {_some(found - wanted)}")


def _some(names: Iterable[str], most: int = 5) -> str:
    names = sorted(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "nothing") + more
