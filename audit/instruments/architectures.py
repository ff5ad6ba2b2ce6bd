"""Networks by name, filled from a state dict: torchvision, timm, facenet-pytorch, linear probes; what does not fit is told by key."""

import importlib
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from audit.errors import InstrumentError
from audit.generators.pickles import shown
from audit.manifests import HUB, Manifest

ARCHITECTURES = ("torchvision.", "timm.", "facenet_pytorch.")
"""Packages whose networks a manifest may name; a state dict or safetensors file is loaded into them strictly."""

OWN = "genbias"
"""Architecture of a classifier that ``genbias train`` made: the header of its file says which network it is."""

WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
"""Keys under which training scripts put the state dict."""


def build(path: Path, kind: str, manifest: Manifest) -> nn.Module:
    """Return the network a manifest names, with the tensors of a file.

    Args:
        path: the file, verified.
        kind: "state_dict" (read with weights_only) or "safetensors".
        manifest: its architecture and ``parameters``: arguments of the constructor, and ``drop``, beginnings of keys that the
            network does without.

    Raises:
        InstrumentError: the architecture is not known, the file holds no tensors, or they do not fit; the sentence names keys.
    """
    name = manifest.architecture or ""
    if name == HUB:
        from audit.instruments.hub_classifier import build_hub

        return build_hub(read_tensors(path, kind), manifest, path.name)
    if name == OWN:
        return _own(path)
    if not name.startswith(ARCHITECTURES):
        raise InstrumentError(
            f"manifest {manifest.name!r} names the architecture {name!r}; expected one of "
            f"{', '.join(a + '*' for a in ARCHITECTURES)}, {OWN} (trained here), {HUB} (a Hub directory), or pass the module yourself"
        )
    arguments = dict(manifest.parameters)
    dropped = tuple(arguments.pop("drop", ()))
    module = _constructed(name, arguments, manifest)
    state = {k: v for k, v in read_tensors(path, kind).items() if not (dropped and k.startswith(dropped))}
    fit(module, state, f"{path.name} does not fit {name}")
    return module


def read_tensors(path: Path, kind: str) -> dict[str, Tensor]:
    """Return the named tensors of a file, without what a training script wrapped around them.

    Raises:
        InstrumentError: it holds none, or more than tensors.
    """
    try:
        if kind == "safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # readers of foreign files raise what they like
        head = path.read_bytes()[:64].lstrip().lower()
        what = "an HTML page" if head.startswith((b"<!doctype", b"<html")) else " ".join(str(error).split())[:160]
        raise InstrumentError(f"{path.name} cannot be read as {kind} ({what}); expected named tensors and nothing else") from None
    for key in WRAPPERS:
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict) or not found or not all(isinstance(v, Tensor) for v in found.values()):
        raise InstrumentError(f"{path.name} holds no state dict; expected names with tensors, found {type(found).__name__}")
    if all(k.startswith("module.") for k in found):  # saved from DataParallel
        found = {k.removeprefix("module."): v for k, v in found.items()}
    return found


def fit(module: nn.Module, state: dict[str, Tensor], what: str) -> None:
    """Load ``state`` into ``module``.

    Raises:
        InstrumentError: a key is missing, unexpected, or of another shape; ``what`` begins the sentence.
    """
    own = module.state_dict()
    missing, extra = sorted(set(own) - set(state)), sorted(set(state) - set(own))
    if missing or extra:
        raise InstrumentError(f"{what}: missing {missing[:5]}, unexpected {extra[:5]} ({len(missing)} and {len(extra)} keys)")
    shapes = [f"{k} {tuple(state[k].shape)} instead of {tuple(own[k].shape)}" for k in own if own[k].shape != state[k].shape]
    if shapes:
        raise InstrumentError(f"{what}: {len(shapes)} tensors of another shape, {'; '.join(shapes[:3])}")
    module.load_state_dict(state)


def _own(path: Path) -> nn.Module:
    from audit.generators.fitting import fitted
    from audit.generators.weights import read_weights
    from audit.instruments.portrait_networks import build_network

    kind, network, tensors = read_weights(path)
    if kind != "image_classifier":
        raise InstrumentError(f"{path.name} holds a {shown(kind)!r}; expected an image_classifier, as `genbias train` writes it")
    return fitted(lambda arguments: build_network(**arguments), kind, network, tensors, path)


def _constructed(name: str, arguments: dict, manifest: Manifest) -> nn.Module:
    package, _, builder = name.partition(".")
    try:
        home = importlib.import_module("torchvision.models" if package == "torchvision" else package)
    except ImportError:
        raise InstrumentError(f"manifest {manifest.name!r} names {name!r}, and {package} is not installed; pip install {package}") from None
    try:
        if package == "timm":
            return home.create_model(builder, pretrained=False, **arguments)
        if not hasattr(home, builder):
            raise InstrumentError(f"manifest {manifest.name!r} names the architecture {name!r}, which {package} does not have")
        return getattr(home, builder)(**arguments)
    except InstrumentError:
        raise
    except Exception as error:
        said = " ".join(str(error).split())[:160]
        raise InstrumentError(f"manifest {manifest.name!r}: {name} cannot be built with {arguments} ({said})") from None


class Probe(nn.Module):
    """A linear classifier on the features of an encoder, standardised.

    Args:
        tensors: ``mean`` (d,), ``std`` (d,), ``weight`` (k, d), ``bias`` (k,).
    """

    NAMES = ("bias", "mean", "std", "weight")

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        super().__init__()
        for name in self.NAMES:
            self.register_buffer(name, tensors[name].float())

    def forward(self, features: Tensor) -> Tensor:
        return (features.float() - self.mean) / self.std @ self.weight.T + self.bias


def read_probe(path: Path, manifest: Manifest) -> Probe:
    """Return the probe of a safetensors file.

    Raises:
        InstrumentError: it is none.
    """
    tensors = read_tensors(path, "safetensors")
    k_d = tuple(tensors["weight"].shape) if "weight" in tensors else ()
    shapes: Sequence[tuple] = [tuple(tensors[n].shape) for n in Probe.NAMES] if set(tensors) == set(Probe.NAMES) else []
    if len(k_d) != 2 or list(shapes) != [k_d[:1], k_d[1:], k_d[1:], k_d]:
        found = ", ".join(f"{n} {tuple(t.shape)}" for n, t in sorted(tensors.items())[:5])
        raise InstrumentError(f"{path.name} of manifest {manifest.name!r} is no probe; expected bias, mean, std and weight, found {found}")
    return Probe(tensors)
