"""Opens the networks whose features are compared: the Inception of FID, VGG16, DINOv2, CLIP, FaceNet, or any that a manifest describes.

A manifest says which part of the network answers: ``output.layer`` names a submodule whose output is taken (``classifier.4`` of torchvision's
VGG16 is fc2), ``output.entry`` a part of a TorchScript program to call instead of the whole (``layers`` of NVIDIA's Inception, behind its
own resize, as clean-fid enters it), ``output.arguments`` what to call it with.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from audit.errors import InstrumentError
from audit.instruments.network import Forward, Network, load_torchscript, open_network
from audit.manifests import DataFile, Manifest, checksum, resolve, verify

OWN = ("inception_fid", "vision_transformer")
"""Architectures defined here, beside those that :func:`audit.instruments.network.open_network` knows."""


def open_encoder(manifest: Manifest, *, file: str | None = None, path: str | Path | None = None, module: nn.Module | None = None,
                 search: Sequence[str | Path] = (), device: str | torch.device = "cpu") -> Network:  # fmt: skip
    """Open the encoder a manifest describes.

    Args:
        manifest: its contract and checksums.
        file: which of its files; None = the first.
        path: the file on this machine; None = look for it.
        module: a torch module to use instead of a file.
        search: folders to look in.
        device: where it runs.

    Returns:
        A function (n, 3, size, size) float32 -> (n, features), and its digest.

    Raises:
        InstrumentError: the format cannot be opened, the file does not fit the network, or the network has no such layer.
        ManifestError: the file is missing or is not the one described.
    """
    output = manifest.contract.output if manifest.contract else None
    described = manifest.file(file) if manifest.files else DataFile(name="module")
    kind = described.format or manifest.format
    special = manifest.architecture in OWN or (kind == "torchscript" and output and (output.entry or output.arguments))
    if module is None and not special and (output is None or output.layer is None):
        return open_network(manifest, file=file, path=path, search=search, device=device)
    if module is not None:
        digest = open_network(manifest, module=module, device=device).digest
    else:
        found = resolve(manifest, file=file, search=search) if path is None else verify(Path(path), described, manifest.name)
        digest = checksum(found)
        module = _own(found, kind, manifest) if manifest.architecture in OWN else _theirs(found, kind, described, manifest, device)
    return Network(_part(module.eval().to(device), manifest), digest)


def _own(path: Path, kind: str | None, manifest: Manifest) -> nn.Module:
    state = _tensors(path, kind, manifest)
    if manifest.architecture == "inception_fid":
        from audit.instruments.inception import inception_fid

        module = inception_fid()
        _fit(module, state, path, "the Inception-v3 of FID")
        return module
    from audit.instruments.transformer_layouts import canonical
    from audit.instruments.vision_transformer import VisionTransformer

    try:
        return VisionTransformer(canonical(state), **manifest.parameters)
    except InstrumentError as error:
        raise InstrumentError(f"{path.name} of manifest {manifest.name!r}: {error}") from None
    except TypeError:
        known = "heads, activation, eps, positions"
        raise InstrumentError(f"manifest {manifest.name!r} has parameters {sorted(manifest.parameters)}; a transformer knows {known}") from None


def _theirs(path: Path, kind: str | None, file: DataFile, manifest: Manifest, device: str | torch.device) -> nn.Module:
    if kind == "torchscript":
        return load_torchscript(path, vouched=file.vouched, owner=f"manifest {manifest.name!r}", device=device)
    opened = open_network(manifest, path=path, file=file.name, device=device).forward
    if not isinstance(opened, nn.Module):
        raise InstrumentError(f"manifest {manifest.name!r} asks for a layer of {path.name}, and a {kind} file has no layers to ask")
    return opened


def _tensors(path: Path, kind: str | None, manifest: Manifest) -> dict[str, Tensor]:
    """Read named tensors; what they are nested in (``state_dict``, ``model``) is taken off."""
    try:
        if kind == "safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        if kind == "torchscript":  # as CLIP's are published: opened for its tensors, never called
            described = next((f for f in manifest.files if f.name.rsplit("/", 1)[-1] == path.name), manifest.file())
            script = load_torchscript(path, vouched=described.vouched, owner=f"manifest {manifest.name!r}")
            return {name: tensor.float() for name, tensor in script.state_dict().items()}
        found = torch.load(path, map_location="cpu", weights_only=True)
    except InstrumentError:
        raise
    except Exception as error:  # readers of foreign files raise what they like
        raise InstrumentError(f"{path.name} of manifest {manifest.name!r} cannot be read as {kind} ({str(error).splitlines()[0]})") from None
    for key in ("state_dict", "model", "teacher"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict) or not all(isinstance(v, Tensor) for v in found.values()):
        raise InstrumentError(f"{path.name} of manifest {manifest.name!r} holds no named tensors; expected a state dict")
    return found


def _fit(module: nn.Module, state: dict[str, Tensor], path: Path, what: str) -> None:
    own = module.state_dict()
    needed = {name for name in own if not name.endswith("num_batches_tracked")}
    missing, extra = sorted(needed - set(state)), sorted(set(state) - set(own))
    shapes = [name for name in sorted(needed & set(state)) if own[name].shape != state[name].shape]
    if missing or extra or shapes:
        raise InstrumentError(f"{path.name} does not fit {what}: missing {missing[:5]}, unexpected {extra[:5]}, of another shape {shapes[:5]}")
    module.load_state_dict(state, strict=False)  # counters of batches apart, every name was compared


def _part(module: nn.Module, manifest: Manifest) -> Forward:
    output = manifest.contract.output if manifest.contract else None
    if output is None:
        return module
    call = module
    if output.entry is not None:
        call = getattr(module, output.entry, None)
        if not callable(call):
            raise InstrumentError(f"manifest {manifest.name!r} enters at {output.entry!r}, which its network does not have")
    arguments = dict(output.arguments)
    if output.layer is None:
        return lambda x: call(x, **arguments).flatten(1)
    parts = dict(module.named_modules())
    if output.layer not in parts:
        raise InstrumentError(f"manifest {manifest.name!r} takes features from the layer {output.layer!r}, which its network does not have")
    kept: list[Tensor] = []
    parts[output.layer].register_forward_hook(lambda _module, _given, said: kept.append(said))

    def forward(x: Tensor) -> Tensor:
        kept.clear()
        call(x, **arguments)
        return kept.pop().flatten(1)

    return forward
