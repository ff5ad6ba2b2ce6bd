"""StyleGAN2 from the files of the public PyTorch implementation (StyleGAN2-ADA and the StyleGAN3 repository's StyleGAN2).

Such a file is a pickle of whole networks together with their source code. Here the code stays unread: class names, arguments
and tensors are taken as data, and the network is our own, :class:`audit.generators.stylegan2.StyleGAN2`. What the file's own
network would do otherwise (another activation, another filter, classes of somebody's own) is refused with a sentence.
"""

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audit.errors import ManifestError
from audit.generators.pickles import Record, shown
from audit.generators.pickles_archives import read_plain
from audit.generators.pickles_tensors import StoredTensor

CLASSES = {"": "Generator", "mapping": "MappingNetwork", "synthesis": "SynthesisNetwork"}
DEPTH = 12
_PERSISTENT = "torch_utils.persistence._reconstruct_persistent_obj"


def read_stylegan2(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return (network arguments, tensors) of ``G_ema`` in a pickle of the public implementation.

    Raises:
        ManifestError: it is not readable as data, or holds something else than a StyleGAN2; StyleGAN3 is told by name.
    """
    content = read_plain(path)
    generator = content.get("G_ema", content.get("G")) if isinstance(content, dict) else content
    if not isinstance(generator, Record):
        held = ", ".join(shown(k) for k in list(content)[:8]) if isinstance(content, dict) else type(content).__name__
        raise ManifestError(f"{path} holds {held or 'nothing'}; expected a StyleGAN2 pickle with G_ema")
    found = _Module(generator, str(path))
    synthesis = found.child("synthesis")
    if "input" in synthesis.modules or any(name.startswith("L0_") for name in synthesis.modules):
        raise ManifestError(f"{path} holds a StyleGAN3, which is not supported; use a StyleGAN2 of the same data, or a `callable` source")
    for name, wanted in CLASSES.items():
        named = (found.child(name) if name else found).class_name
        if named != wanted:
            raise ManifestError(f"{path} holds a network of class {shown(named)!r} where StyleGAN2 has {wanted!r}; use a `callable` source for it")
    network = _network(found, str(path))
    stored = found.tensors()
    try:
        tensors = {k: v.read() for k, v in stored.items()}
    except ValueError as problem:
        raise ManifestError(f"{path} is damaged ({problem}); get it again") from None
    if not _filters_are_usual(tensors):
        raise ManifestError(f"{path} resamples with another filter than [1, 3, 3, 1]; expected the public StyleGAN2's")
    return network, {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}


class _Module:
    """One network of the file, as data."""

    def __init__(self, record: Any, where: str, depth: int = 0) -> None:
        meta = record.args[0] if isinstance(record, Record) and record.name == _PERSISTENT and record.args else None
        state = meta.get("state") if isinstance(meta, dict) else None
        if not isinstance(state, dict) or depth > DEPTH:
            raise ManifestError(f"{where} holds a network in another layout than StyleGAN2's; expected class names and states in G_ema")
        self.where, self.depth, self.state = where, depth, state
        self.class_name = meta.get("class_name")
        self.modules = self._part("_modules")

    def child(self, name: str) -> "_Module":
        if name not in self.modules:
            raise ManifestError(f"{self.where} has no network {shown(name)!r} in its {shown(self.class_name)!r}; expected a StyleGAN2")
        return _Module(self.modules[name], self.where, self.depth + 1)

    def tensors(self, prefix: str = "") -> dict[str, StoredTensor]:
        found = {prefix + k: v for part in ("_parameters", "_buffers") for k, v in self._part(part).items() if v is not None}
        if not all(isinstance(v, StoredTensor) for v in found.values()):
            raise ManifestError(f"{self.where} holds something else than tensors among the weights of {shown(prefix) or 'the generator'}")
        for name in self.modules:
            found |= self.child(name).tensors(f"{prefix}{name}.")
        return found

    def _part(self, name: str) -> dict[str, Any]:
        part = self.state.get(name, {})
        if not isinstance(part, dict) or not all(isinstance(k, str) for k in part):
            raise ManifestError(f"{self.where}: {name} of {shown(self.class_name)!r} is no table of names")
        return part


def _network(generator: _Module, where: str) -> dict[str, Any]:
    """Return the arguments of our network: sizes from the tensors, the rest from what the file states."""
    mapping, synthesis = generator.child("mapping"), generator.child("synthesis")
    shapes = {k: v.shape for k, v in generator.tensors().items()}
    blocks = sorted((int(n[1:]) for n in synthesis.modules if n[:1] == "b" and n[1:].isdecimal()), key=int)
    depth = sum(n[:2] == "fc" for n in mapping.modules)
    try:
        channels = {r: shapes[f"synthesis.b{r}.conv1.weight"][0] for r in blocks}
        sizes = {"w_dim": shapes["mapping.w_avg"][0], "resolution": blocks[-1], "channels": channels, "mapping_layers": depth}
        embed, c_dim = shapes.get("mapping.embed.weight", (0, 0))
        sizes |= {"z_dim": shapes["mapping.fc0.weight"][1] - embed, "c_dim": c_dim}
    except (KeyError, IndexError, ValueError) as problem:
        raise ManifestError(f"{where} lacks {problem} or has it in another shape; expected the tensors of a StyleGAN2") from None
    _stated(synthesis, mapping, blocks, where)
    first = synthesis.child(f"b{blocks[0]}")
    widths = {"embed_width": embed or None, "hidden_width": shapes["mapping.fc0.weight"][0] if depth > 1 else None}
    plain = {k: v for k, v in widths.items() if v != sizes["w_dim"] and v is not None}
    rate, clamp = mapping.child("fc0").state.get("bias_gain", 0.01), first.child("conv1").state.get("conv_clamp")
    for key, value in (("learning rate multiplier", rate), ("conv_clamp", 1 if clamp is None else clamp)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise ManifestError(f"{where} has the {key} {shown(value)}; expected a number above 0")
    return {**sizes, **plain, "mapping_lr": rate, "architecture": first.state.get("architecture", "skip"), "conv_clamp": clamp}


def _stated(synthesis: _Module, mapping: _Module, blocks: list[int], where: str) -> None:
    """Refuse what our network does not do; silence about an option means its usual value."""
    if blocks != [2**i for i in range(2, len(blocks) + 2)]:
        raise ManifestError(f"{where} has blocks of the sizes {blocks}; expected 4, 8, 16 ... up to the image's")
    wanted: list[tuple[str, Any, Any]] = [("img_channels", synthesis.state.get("img_channels", 3), 3)]
    first = synthesis.child(f"b{blocks[0]}")
    for r in blocks:
        block = synthesis.child(f"b{r}")
        wanted.append((f"b{r}.architecture", block.state.get("architecture", "skip"), first.state.get("architecture", "skip")))
        for name in block.modules:
            layer = block.child(name)
            if name in ("conv0", "conv1"):
                wanted.append((f"b{r}.{name}.activation", layer.state.get("activation", "lrelu"), "lrelu"))
                wanted.append((f"b{r}.{name}.use_noise", layer.state.get("use_noise", True), True))
            if name in ("conv0", "conv1", "torgb"):
                wanted.append((f"b{r}.{name}.conv_clamp", layer.state.get("conv_clamp"), first.child("conv1").state.get("conv_clamp")))
    for name in mapping.modules:
        wanted.append((f"{name}.activation", mapping.child(name).state.get("activation", "lrelu"), "linear" if name == "embed" else "lrelu"))
    for key, found, expected in wanted:
        # Only plain values are compared: two nests of tuples could keep a comparison busy for ever.
        if not isinstance(found, str | int | float | None) or type(found) is not type(expected) or found != expected:
            raise ManifestError(f"{where} has {shown(key)} {shown(found)!r}; expected {shown(expected)!r} as in the public StyleGAN2 files")
    if first.state.get("architecture", "skip") not in ("skip", "resnet", "orig"):
        raise ManifestError(f"{where} has the architecture {shown(first.state['architecture'])!r}; expected skip, resnet or orig")


def _filters_are_usual(tensors: dict[str, Tensor]) -> bool:
    """Return whether every resampling filter is the outer product of [1, 3, 3, 1], the only one our network knows."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    usual = torch.outer(taps, taps)
    return all(v.shape == usual.shape and torch.allclose(v, usual, atol=1e-6) for k, v in tensors.items() if k.endswith("resample_filter"))
