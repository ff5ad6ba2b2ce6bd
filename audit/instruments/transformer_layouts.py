"""Names of a vision transformer's tensors in the files people have, brought to those of DINOv2 and timm.

Layouts: DINOv2's own and timm's; CLIP by OpenAI (``visual.*``); transformers' CLIP (``vision_model.*``) and DINOv2 (``embeddings.*``), as in
a directory of the Hugging Face Hub. What a file holds besides (text towers, mask tokens, classification layers) is left out.
"""

import re

import torch
from torch import Tensor

_OPENAI = (
    (r"^visual\.class_embedding$", "cls_token"),
    (r"^visual\.positional_embedding$", "pos_embed"),
    (r"^visual\.conv1\.", "patch_embed.proj."),
    (r"^visual\.ln_pre\.", "norm_pre."),
    (r"^visual\.ln_post\.", "norm."),
    (r"^visual\.proj$", "head.transposed"),
    (r"^visual\.transformer\.resblocks\.(\d+)\.ln_([12])\.", r"blocks.\1.norm\2."),
    (r"^visual\.transformer\.resblocks\.(\d+)\.attn\.in_proj_(weight|bias)$", r"blocks.\1.attn.qkv.\2"),
    (r"^visual\.transformer\.resblocks\.(\d+)\.attn\.out_proj\.", r"blocks.\1.attn.proj."),
    (r"^visual\.transformer\.resblocks\.(\d+)\.mlp\.c_fc\.", r"blocks.\1.mlp.fc1."),
    (r"^visual\.transformer\.resblocks\.(\d+)\.mlp\.c_proj\.", r"blocks.\1.mlp.fc2."),
)
_HUB_CLIP = (
    (r"^vision_model\.embeddings\.class_embedding$", "cls_token"),
    (r"^vision_model\.embeddings\.position_embedding\.weight$", "pos_embed"),
    (r"^vision_model\.embeddings\.patch_embedding\.", "patch_embed.proj."),
    (r"^vision_model\.pre_layrnorm\.", "norm_pre."),  # spelt so in the published files
    (r"^vision_model\.post_layernorm\.", "norm."),
    (r"^visual_projection\.", "head."),
    (r"^vision_model\.encoder\.layers\.(\d+)\.layer_norm([12])\.", r"blocks.\1.norm\2."),
    (r"^vision_model\.encoder\.layers\.(\d+)\.self_attn\.([qkv])_proj\.", r"blocks.\1.attn.\2."),
    (r"^vision_model\.encoder\.layers\.(\d+)\.self_attn\.out_proj\.", r"blocks.\1.attn.proj."),
    (r"^vision_model\.encoder\.layers\.(\d+)\.mlp\.", r"blocks.\1.mlp."),
)
_HUB_DINOV2 = (
    (r"^embeddings\.cls_token$", "cls_token"),
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^layernorm\.", "norm."),
    (r"^encoder\.layer\.(\d+)\.norm([12])\.", r"blocks.\1.norm\2."),
    (r"^encoder\.layer\.(\d+)\.attention\.(?:attention\.)?(?:([qkv])_proj|(q)uery|(k)ey|(v)alue)\.", r"blocks.\1.attn.\2\3\4\5."),
    (r"^encoder\.layer\.(\d+)\.attention\.(?:o_proj|output\.dense)\.", r"blocks.\1.attn.proj."),
    (r"^encoder\.layer\.(\d+)\.layer_scale([12])\.lambda1$", r"blocks.\1.ls\2.gamma"),
    (r"^encoder\.layer\.(\d+)\.mlp\.", r"blocks.\1.mlp."),
)
_HUB_VIT = (
    *((pattern.replace(r"^", r"^vit\."), name) for pattern, name in _HUB_DINOV2[:4]),
    (r"^classifier\.", "head."),
    (r"^vit\.encoder\.layer\.(\d+)\.layernorm_before\.", r"blocks.\1.norm1."),
    (r"^vit\.encoder\.layer\.(\d+)\.layernorm_after\.", r"blocks.\1.norm2."),
    (r"^vit\.encoder\.layer\.(\d+)\.attention\.attention\.(?:(q)uery|(k)ey|(v)alue)\.", r"blocks.\1.attn.\2\3\4."),
    (r"^vit\.encoder\.layer\.(\d+)\.attention\.output\.dense\.", r"blocks.\1.attn.proj."),
    (r"^vit\.encoder\.layer\.(\d+)\.intermediate\.dense\.", r"blocks.\1.mlp.fc1."),
    (r"^vit\.encoder\.layer\.(\d+)\.output\.dense\.", r"blocks.\1.mlp.fc2."),
)
_MARKS = (("visual.conv1.weight", _OPENAI), ("vision_model.embeddings.class_embedding", _HUB_CLIP), ("embeddings.cls_token", _HUB_DINOV2))
_DROPPED = ("mask_token", "num_batches_tracked")


def canonical(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the vision transformer's tensors under DINOv2's and timm's names; an unknown layout comes back as it was.

    Args:
        state: tensors of a file, by name; ``dinov2.`` and ``module.`` before all names are taken off.

    Example:
        >>> canonical({"visual.conv1.weight": torch.zeros(4, 3, 2, 2), "text": torch.zeros(1)}).keys()
        dict_keys(['patch_embed.proj.weight'])
    """
    for prefix in ("module.", "dinov2.", "model."):
        if state and all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    rules = next((rules for mark, rules in _MARKS if mark in state), None)
    if rules is None:
        return {name: tensor for name, tensor in state.items() if name not in _DROPPED}
    return _joined(_renamed(state, rules)[0])


def hub_vit(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of transformers' ViTForImageClassification under the same names, its classifier as ``head``.

    Nothing but a pooler, which does not take part, is left out; queries, keys and values without biases get zeros. Unknown names stay.
    """
    named, rest = _renamed({name: tensor for name, tensor in state.items() if not name.startswith("vit.pooler.")}, _HUB_VIT)
    for name in [name for name in named if re.match(r"^blocks\.\d+\.attn\.[qkv]\.weight$", name)]:
        named.setdefault(name.replace("weight", "bias"), torch.zeros(named[name].shape[0]))
    return {**_joined(named), **rest}


def _renamed(state: dict[str, Tensor], rules: tuple[tuple[str, str], ...]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return what the rules rename, and the rest."""
    named, rest = {}, {}
    for name, tensor in state.items():
        for pattern, replacement in rules:
            new, found = re.subn(pattern, replacement, name)
            if found:
                named[new] = tensor
                break
        else:
            rest[name] = tensor
    return named, rest


def _joined(named: dict[str, Tensor]) -> dict[str, Tensor]:
    """Join q, k and v, turn a projection to rows, and give tokens and positions their axes."""
    out = {}
    for name, tensor in named.items():
        split = re.match(r"^(blocks\.\d+\.attn\.)q\.(weight|bias)$", name)
        if split:
            start, kind = split.groups()
            out[f"{start}qkv.{kind}"] = torch.cat([tensor, named[f"{start}k.{kind}"], named[f"{start}v.{kind}"]])
        elif name == "head.transposed":
            out["head.weight"] = tensor.T
        elif not re.match(r"^blocks\.\d+\.attn\.[kv]\.", name):
            out[name] = tensor
    if "cls_token" in out:
        out["cls_token"] = out["cls_token"].reshape(1, 1, -1)
    if "pos_embed" in out and out["pos_embed"].ndim == 2:
        out["pos_embed"] = out["pos_embed"][None]
    return out
