"""Puts tensors into a network once their names, shapes and numbers were found right; before that no memory is taken for it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from audit.errors import ManifestError
from audit.generators.pickles import shown

MOST_LAYERS = 64
"""Layers of one kind that a file's arguments may ask for: making a layer takes time even where it takes no memory."""

SHOWN = 3
"""Names that a sentence lists before it says how many more there are."""


def fitted(make: Callable[[dict], nn.Module], kind: str, network: dict[str, Any], tensors: dict[str, Tensor], path: Path) -> nn.Module:
    """Return the network that ``network`` describes, with ``tensors`` in it, for evaluation.

    Args:
        make: builds it from its arguments.
        kind: what it is called in sentences.
        network: its arguments.
        tensors: its whole state.
        path: the file they come from.

    Raises:
        ManifestError: the arguments describe no network, tensors are missing, not expected or of another shape, or numbers are not finite.
    """
    if not _few_layers(network):
        raise ManifestError(f"{path} describes a {kind} with more than {MOST_LAYERS} layers of a kind; expected far fewer, so it is refused")
    try:
        with torch.device("meta"):
            own = {k: tuple(v.shape) for k, v in make(network).state_dict().items()}
    except ManifestError:
        raise
    except Exception as problem:  # arguments from a file fail in as many ways as constructors have; each means the same
        said = " ".join(str(problem).split())[:120] or type(problem).__name__
        raise ManifestError(f"{path} describes no {kind} that can be built ({said}); get it again, or convert it again") from None
    refuse_unlike(own, {k: tuple(v.shape) for k, v in tensors.items()}, kind, path)
    refuse_not_finite(tensors, path)
    model = make(network)
    model.load_state_dict(tensors)
    return model.eval()


def refuse_unlike(own: dict[str, tuple], found: dict[str, tuple], kind: str, path: Path) -> None:
    """Raise a ManifestError that names tensors that are missing, not expected or of another shape, if there are any."""
    missing, extra = [k for k in own if k not in found], [k for k in found if k not in own]
    unlike = [f"{k} {found[k]} for {own[k]}" for k in own if k in found and found[k] != own[k]]
    if missing or extra or unlike:
        raise ManifestError(f"{path} does not fit its own {kind} network: missing {_some(missing)}; not expected {_some(extra)}; of another "
                            f"shape {_some(unlike)}")  # fmt: skip


def refuse_not_finite(tensors: dict[str, Tensor], path: Path) -> None:
    """Raise a ManifestError that names the tensors in which a number is infinite or none at all, if there are any."""
    bad = [k for k, v in tensors.items() if v.is_floating_point() and not bool(torch.isfinite(v).all())]
    if bad:
        raise ManifestError(f"{path} holds numbers that are not finite in {_some(bad)}; its training failed or the file is damaged")


def _few_layers(value: Any, key: str = "") -> bool:
    if isinstance(value, dict):
        return all(_few_layers(v, str(k)) for k, v in value.items())
    if isinstance(value, list | tuple):
        return len(value) <= MOST_LAYERS and all(_few_layers(v, key) for v in value)
    return "layers" not in key or value is None or (isinstance(value, int) and value <= MOST_LAYERS)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (", ".join(shown(n, 100) for n in names[:SHOWN]) or "nothing") + more
