"""Progressive GANs in two layouts, each against a forward pass that scales its weights as it goes, as their trainers do."""

import itertools
import math
import sys
import types

import pytest
import torch
import torch.nn.functional as F

from audit.errors import ManifestError
from audit.generators.progan import load_progan

Z, WIDTHS = 6, [10, 8, 5]


def zoo_state(seed=0, *, module=".module"):
    torch.manual_seed(seed)
    state = {}

    def put(owner, *shape):
        state[f"{owner}{module}.weight"], state[f"{owner}{module}.bias"] = torch.randn(*shape), torch.randn(shape[0])

    put("formatLayer", 16 * WIDTHS[0], Z)
    put("groupScale0.0", WIDTHS[0], WIDTHS[0], 3, 3)
    for s, (a, b) in enumerate(itertools.pairwise(WIDTHS)):
        put(f"scaleLayers.{s}.0", b, a, 3, 3)
        put(f"scaleLayers.{s}.1", b, b, 3, 3)
    for s, width in enumerate(WIDTHS):
        put(f"toRGBLayers.{s}", 3, width, 1, 1)
    return state


def zoo_drawn(state, z, *, alpha=0.0, slope=0.2):
    """The zoo's pass: weights as stored, outputs times He's constant, bias included."""
    state = {k.replace(".module", ""): v for k, v in state.items()}

    def layer(owner, x):
        weight, bias = state[f"{owner}.weight"], state[f"{owner}.bias"]
        x = F.linear(x, weight, bias) if weight.ndim == 2 else F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)
        return x * math.sqrt(2 / weight[0].numel())

    def norm(x):
        return x / (x.pow(2).mean(1, keepdim=True) + 1e-8).sqrt()

    def act(x):
        return torch.where(x > 0, x, slope * x)

    def double(x):
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3)

    x = norm(act(layer("formatLayer", norm(z))).view(len(z), -1, 4, 4))
    x = norm(act(layer("groupScale0.0", x)))
    for s in range(2):
        if s == 1:
            lower = double(layer("toRGBLayers.1", x))
        x = double(x)
        for i in (0, 1):
            x = norm(act(layer(f"scaleLayers.{s}.{i}", x)))
    images = layer("toRGBLayers.2", x)
    return alpha * lower + (1 - alpha) * images


@pytest.fixture
def zoo_config(monkeypatch):
    """Make configurations of the class that the zoo's files name, which is gone again when the file is read."""

    def make(**attributes):
        home = types.ModuleType("models.utils.config")
        home.BaseConfig = type("BaseConfig", (), {"__module__": "models.utils.config"})
        for name, module in (("models", types.ModuleType("models")), ("models.utils", types.ModuleType("models.utils")),
                             ("models.utils.config", home)):  # fmt: skip
            monkeypatch.setitem(sys.modules, name, module)
        made = home.BaseConfig()
        vars(made).update(attributes)
        return made

    return make


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("alpha", [0, 0.3])
def test_a_zoo_checkpoint_with_its_configuration_draws_its_running_average(tmp_path, zoo_config, monkeypatch, alpha, zipped):
    config = zoo_config(alpha=alpha, leakyReluLeak=0.2, equalizedlR=True, perChannelNormalization=True, lossCriterion="WGANGP",
                        noiseVectorDim=Z, categoryVectorDim=0, latentVectorDim=Z, depthOtherScales=WIDTHS[1:], attribKeysOrder=None)  # fmt: skip
    content = {"config": config, "netG": zoo_state(1), "netD": {"x": torch.zeros(1)}, "avgG": zoo_state(2)}
    torch.save(content, tmp_path / "celebaHQ.pth", _use_new_zipfile_serialization=zipped)
    monkeypatch.undo()
    assert "models.utils.config" not in sys.modules
    z = torch.randn(4, Z)
    model = load_progan(tmp_path / "celebaHQ.pth")
    assert (model.z_dim, model.resolution) == (Z, 16)
    assert torch.allclose(model(z), zoo_drawn(zoo_state(2), z, alpha=alpha), atol=1e-4)
    assert torch.allclose(load_progan(tmp_path / "celebaHQ.pth", network="netG")(z), zoo_drawn(zoo_state(1), z, alpha=alpha), atol=1e-4)


def test_a_bare_state_dict_of_the_zoo_is_read_with_the_papers_settings(tmp_path):
    torch.save(zoo_state(3, module=""), tmp_path / "g.pth")
    z = torch.randn(2, Z)
    assert torch.allclose(load_progan(tmp_path / "g.pth")(z), zoo_drawn(zoo_state(3), z), atol=1e-4)


def mm_state(fused, seed=0):
    torch.manual_seed(seed)
    state = {"noise2feat.linear.weight_orig": torch.randn(16 * WIDTHS[0], Z), "noise2feat.bias": torch.randn(1, WIDTHS[0], 1, 1),
             "conv_blocks.0.conv.weight_orig": torch.randn(WIDTHS[0], WIDTHS[0], 3, 3)}  # fmt: skip
    for s, (a, b) in enumerate(itertools.pairwise(WIDTHS)):
        state[f"conv_blocks.{2 * s + 1}.conv.weight_orig"] = torch.randn(*((a, b) if fused else (b, a)), 3, 3)
        state[f"conv_blocks.{2 * s + 2}.conv.weight_orig"] = torch.randn(b, b, 3, 3)
    state |= {f"conv_blocks.{i}.conv.bias": torch.randn(w) for i, w in enumerate([WIDTHS[0], WIDTHS[1], WIDTHS[1], WIDTHS[2], WIDTHS[2]])}
    for s, width in enumerate(WIDTHS):
        state |= {f"torgb_layers.{s}.conv.weight_orig": torch.randn(3, width, 1, 1), f"torgb_layers.{s}.conv.bias": torch.randn(3)}
    return state


def mm_drawn(state, z, fused):
    """MMGeneration's pass: weights times gain over the root of the fan of their second dimension, bias as stored."""

    def scaled(key, gain=2**0.5):
        weight = state[f"{key}.weight_orig"]
        return weight * gain / math.sqrt(weight[0].numel())

    def norm(x):
        return x / (x.norm(dim=1, keepdim=True) / math.sqrt(x.shape[1]) + 1e-6)

    def act(x):
        return norm(F.leaky_relu(x, 0.2))

    x = F.linear(norm(z), scaled("noise2feat.linear", math.sqrt(2) / 4)).view(len(z), -1, 4, 4)
    x = act(x + state["noise2feat.bias"])
    x = act(F.conv2d(x, scaled("conv_blocks.0.conv"), state["conv_blocks.0.conv.bias"], padding=1))
    for at in (1, 3):
        x = F.interpolate(x, scale_factor=2)
        weight, bias = scaled(f"conv_blocks.{at}.conv"), state[f"conv_blocks.{at}.conv.bias"]
        # the fused kernel is this: pixels repeated, then the 3x3 kernel in its transposed sense
        x = act(F.conv_transpose2d(x, weight, bias, padding=1) if fused else F.conv2d(x, weight, bias, padding=1))
        x = act(F.conv2d(x, scaled(f"conv_blocks.{at + 1}.conv"), state[f"conv_blocks.{at + 1}.conv.bias"], padding=1))
    return F.conv2d(x, scaled("torgb_layers.2.conv", 1.0), state["torgb_layers.2.conv.bias"])


@pytest.mark.parametrize("fused", [True, False])
def test_the_mmgeneration_layout_is_read_from_its_average_and_turned_to_rgb(tmp_path, fused):
    state, other = mm_state(fused), mm_state(fused, seed=9)
    named = {f"generator_ema.{k}": v for k, v in state.items()} | {f"generator.{k}": v for k, v in other.items()}
    torch.save({"meta": {"iter": 1}, "state_dict": named | {"_curr_transition_weight": torch.tensor(1.0)}}, tmp_path / "pggan.pth")
    z = torch.randn(3, Z)
    images = load_progan(tmp_path / "pggan.pth")(z)
    assert images.shape == (3, 3, 16, 16)
    assert torch.allclose(images.flip(1), mm_drawn(state, z, fused), atol=1e-4)


@pytest.mark.parametrize(("change", "words"), [
    (lambda s: {"synthesis.b4.const": s["formatLayer.module.weight"]}, r"it holds synthesis\.b4\.const, \.\.\.; expected formatLayer\.module"),
    (lambda s: s | {"mapping.0.weight": torch.zeros(1)}, r"PGAN of 16 px: missing nothing; not expected mapping\.0\.weight"),
    (lambda s: {k: v for k, v in s.items() if k != "toRGBLayers.1.module.bias"}, r"missing toRGBLayers\.1\.bias; not expected nothing"),
    (lambda s: s | {"groupScale0.0.module.weight": torch.zeros(4, 10, 3, 3)}, "does not fit a progressive GAN"),
    (lambda s: {"netG": s, "config": {"categoryVectorDim": 4}}, "conditional progressive GAN .categories of 4 numbers"),
    (lambda s: {"netD": s, "config": {}}, "holds netD, config; expected avgG or netG"),
])  # fmt: skip
def test_another_layout_is_a_sentence_that_names_keys(tmp_path, change, words):
    torch.save(change(zoo_state()), tmp_path / "g.pth")
    with pytest.raises(ManifestError, match=words):
        load_progan(tmp_path / "g.pth")
