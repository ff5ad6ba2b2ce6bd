"""Image classifiers from a directory of the Hugging Face Hub, opened without transformers.

Such a directory holds ``config.json`` (architecture, names of the classes), ``model.safetensors`` and ``preprocessor_config.json`` (what is
done to pixels). ViTForImageClassification becomes our vision transformer (Dosovitskiy et al. 2021, arXiv 2010.11929),
ResNetForImageClassification torchvision's ResNet (He et al. 2015, arXiv 1512.03385). Which of the model's labels is which of our classes is
said by the manifest, never guessed.
"""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from audit.errors import InstrumentError
from audit.instruments.hub_pixels import input_contract
from audit.instruments.transformer_layouts import hub_vit
from audit.instruments.vision_transformer import VisionTransformer
from audit.manifests import HUB, Head, Manifest

_FIXED = {"hidden_act": "relu", "embedding_size": 64, "num_channels": 3, "downsample_in_first_stage": False, "downsample_in_bottleneck": False}
_WIDTHS = {"bottleneck": [256, 512, 1024, 2048], "basic": [64, 128, 256, 512]}
_RESNET = (
    (r"^resnet\.embedder\.embedder\.convolution\.", "conv1."),
    (r"^resnet\.embedder\.embedder\.normalization\.", "bn1."),
    (r"^resnet\.encoder\.stages\.(\d)\.layers\.(\d+)\.layer\.(\d)\.convolution\.", r"layer\1+.\2.conv\3+."),
    (r"^resnet\.encoder\.stages\.(\d)\.layers\.(\d+)\.layer\.(\d)\.normalization\.", r"layer\1+.\2.bn\3+."),
    (r"^resnet\.encoder\.stages\.(\d)\.layers\.(\d+)\.shortcut\.convolution\.", r"layer\1+.\2.downsample.0."),
    (r"^resnet\.encoder\.stages\.(\d)\.layers\.(\d+)\.shortcut\.normalization\.", r"layer\1+.\2.downsample.1."),
    (r"^classifier\.1\.", "fc."),
)


def completed(manifest: Manifest, folder: Path) -> Manifest:
    """Return the manifest with what the directory says: configuration, input contract, columns of the named classes.

    Args:
        manifest: of architecture ``transformers``; an input contract and column numbers that it states itself stay.
        folder: where the weights lie, and ``config.json`` with them.

    Raises:
        InstrumentError: a file is missing or says what cannot be done here, the manifest does not say which label is which class, or the
            classes leave a label out.
    """
    config = _json(folder / "config.json", manifest)
    _architecture(config, manifest)
    labels = {int(at): str(word) for at, word in (config.get("id2label") or {}).items()}
    said = ", ".join(labels[at] for at in sorted(labels)) or "none"
    contract = manifest.contract
    if contract is None or not contract.output.heads:
        raise InstrumentError(
            f"manifest {manifest.name!r} does not say which label of config.json ({said:.300}) is which class; state it under contract.output.heads, "
            "such as {attribute: gender, kind: logits, classes: {feminine: female, masculine: male}}"
        )
    heads = tuple(_numbered(head, labels, said, config, manifest) for head in contract.output.heads)
    entry = contract.input or input_contract(_json(folder / "preprocessor_config.json", manifest), manifest.name)
    contract = contract.model_copy(update={"input": entry, "output": contract.output.model_copy(update={"heads": heads})})
    return manifest.model_copy(update={"contract": contract, "parameters": {**manifest.parameters, "config": config}})


def build_hub(state: Mapping[str, Tensor], manifest: Manifest, where: str) -> nn.Module:
    """Return the network (n, 3, size, size) -> (n, labels) of a completed manifest, filled strictly.

    Args:
        state: tensors by the names that transformers gives them.
        manifest: as :func:`completed` returns it.
        where: name of the file, for sentences.

    Raises:
        InstrumentError: the tensors do not fit the configuration.
    """
    config = manifest.parameters.get("config")
    if not isinstance(config, Mapping):
        raise InstrumentError(f"manifest {manifest.name!r} of architecture {HUB!r} is opened as a classifier only; name it under classifier")
    module = _vit(state, config, where) if _architecture(config, manifest).startswith("ViT") else _resnet(state, config, where, manifest)
    last = module._buffers["head__weight"] if isinstance(module, VisionTransformer) else module.fc.weight
    labels = len(config.get("id2label") or ())
    if labels and last.shape[0] != labels:
        raise InstrumentError(f"{where} returns {last.shape[0]} columns, but config.json beside it names {labels} labels; they are not of one model")
    return module


def _vit(state: Mapping[str, Tensor], config: Mapping[str, Any], where: str) -> nn.Module:
    activation = config.get("hidden_act", "gelu")
    if activation not in ("gelu", "quick_gelu"):
        raise InstrumentError(f"config.json beside {where} has hidden_act {activation!r}; expected gelu or quick_gelu")
    try:
        named = hub_vit(dict(state))
        heads, eps = int(config.get("num_attention_heads", 12)), float(config.get("layer_norm_eps", 1e-12))
        module = VisionTransformer(named, heads=heads, activation=activation, eps=eps, positions="size")
    except InstrumentError as error:
        raise InstrumentError(f"{where}: {error}") from None
    if module.depth != config.get("num_hidden_layers", 12) or "head.weight" not in named:
        raise InstrumentError(
            f"{where} has {module.depth} blocks and {'a' if 'head.weight' in named else 'no'} classifier; config.json beside it says "
            f"{config.get('num_hidden_layers', 12)} blocks and a classifier, so they are not of one model"
        )
    return module


def _resnet(state: Mapping[str, Tensor], config: Mapping[str, Any], where: str, manifest: Manifest) -> nn.Module:
    from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

    from audit.instruments.architectures import fit

    kind, depths = config.get("layer_type", "bottleneck"), list(config.get("depths", [3, 4, 6, 3]))
    widths = list(config.get("hidden_sizes", _WIDTHS["bottleneck"]))
    unusual = [f"{key} {config[key]!r}" for key, usual in _FIXED.items() if config.get(key, usual) != usual]
    if kind not in _WIDTHS or widths != _WIDTHS[kind] or len(depths) != 4 or unusual:
        found = ", ".join([f"layer_type {kind!r}", f"depths {depths}", f"hidden_sizes {widths}", *unusual])
        raise InstrumentError(
            f"manifest {manifest.name!r}: config.json has a ResNet with {found}; expected torchvision's, with hidden_sizes {_WIDTHS['bottleneck']} "
            f"(bottleneck) or {_WIDTHS['basic']} (basic) and four depths; export another to TorchScript or ONNX"
        )
    named = {}
    for name, tensor in state.items():
        for pattern, replacement in _RESNET:
            new, found = re.subn(pattern, replacement, name)
            if found:  # transformers counts stages and layers from 0, torchvision from 1
                name = re.sub(r"(\d)\+", lambda m: str(int(m[1]) + 1), new)
                break
        named[name] = tensor
    module = ResNet(Bottleneck if kind == "bottleneck" else BasicBlock, depths, num_classes=named["fc.bias"].shape[0] if "fc.bias" in named else 1)
    counters = {name: torch.zeros((), dtype=torch.long) for name in module.state_dict() if name.endswith("num_batches_tracked")}
    fit(module, {**counters, **named}, f"{where} does not fit the ResNet of config.json")
    return module


def _architecture(config: Mapping[str, Any], manifest: Manifest) -> str:
    found = config.get("architectures") or ["none"]
    known = ("ViTForImageClassification", "ResNetForImageClassification")
    if found[0] not in known:
        raise InstrumentError(
            f"manifest {manifest.name!r}: config.json names the architecture {found[0]}; expected {' or '.join(known)}; export another to TorchScript "
            "or ONNX, or pass the module yourself"
        )
    return found[0]


def _numbered(head: Head, labels: Mapping[int, str], said: str, config: Mapping[str, Any], manifest: Manifest) -> Head:
    """Return the head with columns in the place of labels."""
    which = f"head {head.attribute!r} of manifest {manifest.name!r}"
    if config.get("problem_type") == "multi_label_classification" and head.kind == "logits":
        raise InstrumentError(f"{which} is of kind 'logits', but config.json says multi_label_classification: yes/no questions; say kind: sigmoid")
    if not head.named:
        return head
    columns: dict[str, list[int]] = {word: [] for word in labels.values()}
    for at, word in labels.items():
        columns[word].append(at)
    classes: dict[str, Any] = {}
    for name, words in head.classes.items():
        if words is None:
            classes[name] = None
            continue
        listed = [str(w) for w in (words if isinstance(words, tuple) else (words,))]
        unknown = [w for w in listed if w not in columns]
        if unknown:
            raise InstrumentError(f"{which} maps {name!r} to the label {unknown[0]!r}, which config.json does not have; its labels: {said:.300}")
        classes[name] = tuple(at for w in listed for at in columns[w])
    used = {at for value in classes.values() if value is not None for at in value}
    left = [labels[at] for at in sorted(set(labels) - used)]
    if left and head.kind == "logits" and None not in classes.values():
        raise InstrumentError(f"{which} maps no class to {len(left)} of the labels of config.json ({', '.join(left):.200}); add each to a class, or "
                              "give one class null, what the others leave")  # fmt: skip
    read = tuple(sorted(labels)) if head.kind == "logits" else tuple(sorted(used))
    return Head(**{**head.model_dump(), "columns": read, "classes": classes})


def _json(path: Path, manifest: Manifest) -> dict[str, Any]:
    if not path.is_file():
        more = ", or state contract.input in the manifest" if path.name.startswith("preprocessor") else ""
        raise InstrumentError(f"manifest {manifest.name!r}: there is no {path.name} beside the weights in {path.parent}; get it from the same place{more}")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict) or any(isinstance(v, float) and not math.isfinite(v) for v in found.values()):
            raise ValueError
    except ValueError:
        raise InstrumentError(f"{path} of manifest {manifest.name!r} is no JSON object; get it again") from None
    return found
