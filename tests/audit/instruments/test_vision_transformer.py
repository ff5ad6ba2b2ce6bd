"""One transformer, four layouts: each gives the features of torch's own encoder layers holding the same tensors."""

import pytest
import torch
from torch import nn

from audit.errors import InstrumentError
from audit.instruments.transformer_layouts import canonical
from audit.instruments.vision_transformer import VisionTransformer

WIDTH, HEADS, DEPTH, PATCH, GRID, OUT = 16, 4, 2, 7, 3, 5


class Reference(nn.Module):
    """The same network from torch's parts, which share no code with ours."""

    def __init__(self, *, clip: bool):
        super().__init__()
        torch.manual_seed(0)
        self.clip, eps = clip, 1e-5 if clip else 1e-6
        self.patches = nn.Conv2d(3, WIDTH, PATCH, PATCH, bias=not clip)
        self.token, self.places = nn.Parameter(torch.randn(WIDTH)), nn.Parameter(torch.randn(GRID**2 + 1, WIDTH))
        self.before, self.after = nn.LayerNorm(WIDTH, eps=eps), nn.LayerNorm(WIDTH, eps=eps)
        quick = nn.functional.gelu if not clip else (lambda x: x * torch.sigmoid(1.702 * x))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(WIDTH, HEADS, 4 * WIDTH, 0.0, quick, eps, batch_first=True, norm_first=True) for _ in range(DEPTH)
        )
        self.projection = nn.Parameter(torch.randn(WIDTH, OUT))
        with torch.no_grad():
            for tensor in self.parameters():
                tensor.add_(torch.randn_like(tensor) * 0.2)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), 1, -1), x], dim=1) + self.places
        x = self.before(x) if self.clip else x
        for layer in self.layers:
            x = layer(x)
        x = self.after(x[:, 0])
        return x @ self.projection if self.clip else x

    def qkv(self, at):
        attention = self.layers[at].self_attn
        return zip("qkv", attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3), strict=True)


def both(state, names):
    return state | {f"{name}.{kind}": getattr(part, kind) for name, part in names.items() for kind in ("weight", "bias")
                    if getattr(part, kind, None) is not None}  # fmt: skip


def dinov2(net):
    state = {"cls_token": net.token[None, None], "pos_embed": net.places[None], "mask_token": torch.zeros(1, WIDTH)}
    names = {"patch_embed.proj": net.patches, "norm": net.after}
    for at, layer in enumerate(net.layers):
        names |= {f"blocks.{at}.norm1": layer.norm1, f"blocks.{at}.norm2": layer.norm2, f"blocks.{at}.attn.proj": layer.self_attn.out_proj,
                  f"blocks.{at}.mlp.fc1": layer.linear1, f"blocks.{at}.mlp.fc2": layer.linear2}  # fmt: skip
        state |= {f"blocks.{at}.attn.qkv.weight": layer.self_attn.in_proj_weight, f"blocks.{at}.attn.qkv.bias": layer.self_attn.in_proj_bias,
                  f"blocks.{at}.ls1.gamma": torch.ones(WIDTH), f"blocks.{at}.ls2.gamma": torch.ones(WIDTH)}  # fmt: skip
    return both(state, names)


def hub_dinov2(net):
    state = {"embeddings.cls_token": net.token[None, None], "embeddings.position_embeddings": net.places[None],
             "embeddings.mask_token": torch.zeros(1, WIDTH)}  # fmt: skip
    names = {"embeddings.patch_embeddings.projection": net.patches, "layernorm": net.after}
    for at, layer in enumerate(net.layers):
        own = f"encoder.layer.{at}"
        names |= {f"{own}.norm1": layer.norm1, f"{own}.norm2": layer.norm2, f"{own}.attention.output.dense": layer.self_attn.out_proj,
                  f"{own}.mlp.fc1": layer.linear1, f"{own}.mlp.fc2": layer.linear2}  # fmt: skip
        for letter, weight, bias in net.qkv(at):
            word = {"q": "query", "k": "key", "v": "value"}[letter]
            state |= {f"{own}.attention.attention.{word}.weight": weight, f"{own}.attention.attention.{word}.bias": bias}
        state |= {f"{own}.layer_scale{i}.lambda1": torch.ones(WIDTH) for i in (1, 2)}
    return both(state, names)


def openai(net):
    state = {"visual.class_embedding": net.token, "visual.positional_embedding": net.places, "visual.proj": net.projection,
             "token_embedding.weight": torch.zeros(4, 4)}  # fmt: skip
    names = {"visual.conv1": net.patches, "visual.ln_pre": net.before, "visual.ln_post": net.after}
    for at, layer in enumerate(net.layers):
        own = f"visual.transformer.resblocks.{at}"
        names |= {f"{own}.ln_1": layer.norm1, f"{own}.ln_2": layer.norm2, f"{own}.attn.out_proj": layer.self_attn.out_proj,
                  f"{own}.mlp.c_fc": layer.linear1, f"{own}.mlp.c_proj": layer.linear2}  # fmt: skip
        state |= {f"{own}.attn.in_proj_weight": layer.self_attn.in_proj_weight, f"{own}.attn.in_proj_bias": layer.self_attn.in_proj_bias}
    return both(state, names)


def hub_clip(net):
    own = "vision_model.embeddings"
    state = {f"{own}.class_embedding": net.token, f"{own}.position_embedding.weight": net.places, "visual_projection.weight": net.projection.T,
             f"{own}.position_ids": torch.arange(10)[None], "text_model.final_layer_norm.weight": torch.zeros(4)}  # fmt: skip
    names = {f"{own}.patch_embedding": net.patches, "vision_model.pre_layrnorm": net.before, "vision_model.post_layernorm": net.after}
    for at, layer in enumerate(net.layers):
        own = f"vision_model.encoder.layers.{at}"
        names |= {f"{own}.layer_norm1": layer.norm1, f"{own}.layer_norm2": layer.norm2, f"{own}.self_attn.out_proj": layer.self_attn.out_proj,
                  f"{own}.mlp.fc1": layer.linear1, f"{own}.mlp.fc2": layer.linear2}  # fmt: skip
        for letter, weight, bias in net.qkv(at):
            state |= {f"{own}.self_attn.{letter}_proj.weight": weight, f"{own}.self_attn.{letter}_proj.bias": bias}
    return both(state, names)


@pytest.mark.parametrize("layout", [dinov2, hub_dinov2, openai, hub_clip])
def test_each_layout_gives_the_features_of_torch_s_own_layers(layout):
    net = Reference(clip=layout in (openai, hub_clip)).eval()
    x = torch.randn(3, 3, GRID * PATCH, GRID * PATCH)
    with torch.no_grad():
        expected = net(x)
        got = VisionTransformer(canonical(layout(net)), heads=HEADS)(x)
    assert expected.std() > 0.1
    assert torch.allclose(got, expected, atol=1e-5)


def test_scales_of_layers_multiply_what_a_block_adds():
    net = Reference(clip=False).eval()
    x = torch.randn(2, 3, GRID * PATCH, GRID * PATCH)
    with torch.no_grad():
        state = {name: tensor.clone() for name, tensor in dinov2(net).items()}
        state |= {f"blocks.{at}.ls{i}.gamma": torch.full((WIDTH,), 0.5 * i) for at in range(DEPTH) for i in (1, 2)}
        for layer in net.layers:
            layer.self_attn.out_proj.weight.data = layer.self_attn.out_proj.weight.data * 0.5
            layer.self_attn.out_proj.bias.data = layer.self_attn.out_proj.bias.data * 0.5
        got = VisionTransformer(canonical(state), heads=HEADS)
        assert torch.allclose(got(x), net(x), atol=1e-5)


@pytest.mark.parametrize("way", ["offset", "size", "antialiased"])
def test_positions_are_brought_to_another_size(way):
    net = VisionTransformer(canonical(dinov2(Reference(clip=False))), heads=HEADS, positions=way)
    with torch.no_grad():
        assert net(torch.randn(2, 3, 2 * PATCH, 2 * PATCH)).shape == (2, WIDTH)
        places = net._places((2, 2))
    assert places.shape == (1, 5, WIDTH)
    assert torch.equal(places[:, 0], net._at("pos_embed")[:, 0])
    others = [VisionTransformer(canonical(dinov2(Reference(clip=False))), heads=HEADS, positions=p)._places((2, 2))
              for p in {"offset", "size", "antialiased"} - {way}]  # fmt: skip
    assert all(not torch.allclose(places, o, atol=1e-4) for o in others)


def test_what_does_not_fit_is_told_with_its_names():
    state = dinov2(Reference(clip=False))
    without = {k: v for k, v in state.items() if k != "blocks.1.mlp.fc2.bias"} | {"register_tokens": torch.zeros(1)}
    with pytest.raises(InstrumentError, match=r"missing \['blocks\.1\.mlp\.fc2\.bias'\], unexpected \['register_tokens'\]"):
        VisionTransformer(canonical(without), heads=HEADS)
    with pytest.raises(InstrumentError, match="width 16 cannot have 0 heads"):
        VisionTransformer(canonical(state))
    with pytest.raises(InstrumentError, match="positions is 'guess'; expected one of offset, size, antialiased"):
        VisionTransformer(canonical(state), heads=HEADS, positions="guess")
    with pytest.raises(InstrumentError, match="images of 20 x 20 do not divide into patches of 7"):
        VisionTransformer(canonical(state), heads=HEADS)(torch.zeros(1, 3, 20, 20))
