"""Tells the public layouts of DCGAN, progressive GAN and VAE state dicts apart by the names of their tensors, and opens them.

The layouts themselves are described in :mod:`audit.generators.dcgan`, :mod:`audit.generators.progan` and :mod:`audit.generators.vae`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from audit.generators.gan_zoo import NETWORKS
from audit.generators.state_dicts import WRAPPERS

MARKS = {
    "vae": ("decoder_input.weight", "final_layer.0.weight"),
    "progan": ("groupScale0.0.weight", "noise2feat.linear.weight_orig"),
    "dcgan": ("main.0.weight", "main.outlayer.weight", "noise2feat.conv.weight"),
}
"""Names of which one is enough to say what a state dict is, once wrappers and prefixes are taken away."""

PREFIXES = ("module.", "generator_ema.", "generator.", "model.", "vae.")


def kind_in(content: Any) -> str | None:
    """Return "dcgan", "progan" or "vae" for the content of a checkpoint in one of their layouts, None for anything else.

    Args:
        content: what the file holds: named tensors, or these under a wrapper or beside a GAN zoo's configuration.

    Example:
        >>> kind_in({"state_dict": {"generator.noise2feat.conv.weight": 0}}), kind_in({"style.1.weight": 0})
        ('dcgan', None)
    """
    for key in (*WRAPPERS, *NETWORKS):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    names = {_bare(str(k)) for k in content} if isinstance(content, dict) else set()
    return next((kind for kind, marks in MARKS.items() if names & {*marks}), None)


def read_layout(path: str | Path, kind: str, *, parameters: dict[str, Any] | None = None,
                bgr: bool | None = None) -> tuple[dict[str, Any], dict[str, Tensor]]:  # fmt: skip
    """Return (network arguments, tensors) of a file in a public layout of ``kind``.

    Args:
        path: the file.
        kind: as :func:`kind_in` says.
        parameters: what its manifest says of a progressive GAN: "network" and "fused".
        bgr: whether the images of a DCGAN are BGR; None = as the layout's framework does it.

    Raises:
        ManifestError: it is in no layout of that kind, or does not fit its network; the sentence names keys.
    """
    module = open_layout(path, kind, parameters=parameters, bgr=bgr)
    return module.network, module.state_dict()  # type: ignore[return-value]


def open_layout(path: str | Path, kind: str, *, parameters: dict[str, Any] | None = None, bgr: bool | None = None) -> nn.Module:
    """Return the network of a file in a public layout of ``kind``, for evaluation; arguments and errors as :func:`read_layout`."""
    from audit.generators.dcgan import load_dcgan
    from audit.generators.progan import load_progan
    from audit.generators.vae import load_vae

    options = {k: v for k, v in (parameters or {}).items() if k in ("network", "fused")}
    openers: dict[str, Callable[[], nn.Module]] = {
        "dcgan": lambda: load_dcgan(path, bgr=bgr), "progan": lambda: load_progan(path, **options), "vae": lambda: load_vae(path),
    }  # fmt: skip
    return openers[kind]()


def _bare(name: str) -> str:
    name = name.replace(".module.", ".")
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    return name
