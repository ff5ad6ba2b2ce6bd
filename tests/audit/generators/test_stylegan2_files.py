"""Official StyleGAN2 pickles are read as data: same tensors, same images, and the code inside never runs."""

import math
import shutil

import numpy as np
import pytest
import torch
from torch.nn import functional

from audit.errors import ManifestError, SourceError, SpecError
from audit.generators import load
from audit.generators.stylegan2_conditions import ConditionedStyleGAN2
from audit.sources import open_source
from audit.spec import SourceSpec


@pytest.mark.parametrize("name", ["skip", "protocol2", "resnet", "orig", "clamped", "conditional", "wide", "alone"])
def test_every_tensor_of_an_official_pickle_arrives_to_the_bit(official, name):
    net = load(official / f"{name}.pkl", "stylegan2")
    stored = torch.load(official / f"{name}.state.pt", weights_only=True)
    own = net.state_dict()
    assert set(own) == set(stored)
    assert all(torch.equal(own[k], v) for k, v in stored.items())


def test_the_source_code_inside_is_never_executed(official):
    for path in sorted(official.glob("*.pkl")):
        try:
            load(path)
        except ManifestError:
            continue
    assert not (official / "executed").exists()


@pytest.mark.parametrize("name", ["skip", "resnet", "orig", "clamped"])
@pytest.mark.parametrize("noise", ["const", "none"])
def test_each_architecture_draws_what_its_definition_says(official, name, noise):
    net = load(official / f"{name}.pkl")
    z = torch.randn(3, 12, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        ours = net(z, noise=noise)
        plain = torch.cat([_by_definition(net.state_dict(), row[None], name, noise) for row in z])
    assert (ours - plain).abs().max() < 1e-4
    assert ours.std() > 0.1


def test_a_clamp_changes_images(official):
    bounded = load(official / "clamped.pkl")
    z = torch.randn(2, 12, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        images = bounded(z)
        for module in bounded.modules():
            if hasattr(module, "clamp"):
                module.clamp = None
        assert (images - bounded(z)).abs().max() > 1e-2


def _by_definition(state, z, architecture, noise):
    """Draw one image from the paper's formulas, written out: weights modulated and demodulated, zero insertion, plain sums."""
    clamp = 0.6 if architecture == "clamped" else None
    taps = torch.outer(torch.tensor([1.0, 3, 3, 1]), torch.tensor([1.0, 3, 3, 1])) / 64

    def linear(x, key, rate):
        weight = state[f"{key}.weight"]
        return x @ (weight * rate / math.sqrt(weight.shape[1])).T + state[f"{key}.bias"] * rate

    def bend(x, gain=1.0):
        x = torch.where(x > 0, x, 0.2 * x) * math.sqrt(2) * gain
        return x if clamp is None else x.clamp(-clamp * gain, clamp * gain)

    def doubled(x):
        out = torch.zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
        out[:, :, ::2, ::2] = x
        kernel = (taps * 4).expand(x.shape[1], 1, 4, 4)
        return functional.conv2d(functional.pad(out, (2, 1, 2, 1)), kernel, groups=x.shape[1])

    def layer(x, key, w, up, gain=1.0):
        weight = state[f"{key}.weight"] * linear(w, f"{key}.affine", 1)[0][None, :, None, None]
        weight = weight / (weight.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
        if up:  # a transposed convolution: each pixel paints the kernel, then the filter smooths
            painted = torch.zeros(1, weight.shape[0], 2 * x.shape[2] + 1, 2 * x.shape[3] + 1)
            for i in range(x.shape[2]):
                for j in range(x.shape[3]):
                    painted[0, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3] += torch.einsum("oihw,i->ohw", weight, x[0, :, i, j])
            x = functional.conv2d(functional.pad(painted, (1, 1, 1, 1)), (taps * 4).expand(weight.shape[0], 1, 4, 4), groups=weight.shape[0])
        else:
            x = functional.conv2d(x, weight, padding=1)
        if noise == "const":
            x = x + state[f"{key}.noise_const"] * state[f"{key}.noise_strength"]
        return bend(x + state[f"{key}.bias"][None, :, None, None], gain)

    w = z / (z.square().mean() + 1e-8).sqrt()
    for i in range(2):
        y = linear(w, f"mapping.fc{i}", 0.01)
        w = torch.where(y > 0, y, 0.2 * y) * math.sqrt(2)
    x, image, residual = state["synthesis.b4.const"][None], None, architecture == "resnet"
    for r in (4, 8, 16):
        key = f"synthesis.b{r}"
        if r == 4:
            x = layer(x, f"{key}.conv1", w, False)
        else:
            gain = math.sqrt(0.5) if residual else 1.0
            before, x = x, layer(layer(x, f"{key}.conv0", w, True), f"{key}.conv1", w, False, gain)
            if residual:
                weight = state[f"{key}.skip.weight"]
                x = x + doubled(functional.conv2d(before, weight / math.sqrt(weight.shape[1]))) * math.sqrt(0.5)
        image = image if image is None else doubled(image)
        if f"{key}.torgb.weight" in state:
            weight = state[f"{key}.torgb.weight"] / math.sqrt(x.shape[1]) * linear(w, f"{key}.torgb.affine", 1)[0][None, :, None, None]
            colour = functional.conv2d(x, weight) + state[f"{key}.torgb.bias"][None, :, None, None]
            colour = colour if clamp is None else colour.clamp(-clamp, clamp)
            image = colour if image is None else image + colour
    return image


@pytest.mark.parametrize(("name", "sentence"), [
    ("stylegan3", "holds a StyleGAN3, which is not supported; use a StyleGAN2"),
    ("nan", r"not finite in synthesis\.b8\.conv1\.weight"),
    ("filter", r"another filter than \[1, 3, 3, 1\]"),
    ("relu", r"b4\.conv1\.activation 'relu'; expected 'lrelu'"),
    ("nest", r"b4\.architecture 'a tuple'; expected 'a tuple'"),
    ("renamed", "network of class 'MyGenerator' where StyleGAN2 has 'Generator'"),
    ("encoder", "holds E; expected a StyleGAN2 pickle with G_ema"),
])  # fmt: skip
def test_what_our_network_would_draw_differently_is_refused(official, name, sentence):
    with pytest.raises(ManifestError, match=sentence):
        load(official / f"{name}.pkl")


def test_a_pickle_is_known_by_its_content_not_by_its_name(official, tmp_path):
    odd = tmp_path / "network.safetensors"
    shutil.copy(official / "skip.pkl", odd)
    assert load(odd).resolution == 16


def test_one_line_of_a_spec_draws_from_a_pickle(official):
    ids, seeds = np.arange(4), np.arange(4, dtype=np.uint64)
    source = open_source("ffhq", SourceSpec(source="stylegan2", weights=str(official / "skip.pkl"), truncation_psi=0.5))
    again = open_source("ffhq", SourceSpec(source="stylegan2", weights=str(official / "skip.pkl"), truncation_psi=0.5))
    images, one = source.draw(ids, seeds).images, again.draw(ids[2:3], seeds[2:3]).images[0]
    assert [tuple(i.shape) for i in images] == [(3, 16, 16)] * 4
    assert (images[2].int() - one.int()).abs().max() <= 1
    assert any("psi 0.5" in c for c in source.caveats)


def test_classes_of_a_conditional_pickle_are_drawn_equally_often_and_from_the_seed(official):
    source = open_source("c", SourceSpec(source="stylegan2", weights=str(official / "conditional.pkl")))
    seeds = np.arange(3000, dtype=np.uint64)
    z = torch.from_numpy(source.latents(seeds)).float()
    drawn = source.module.labels(z)
    assert drawn.bincount().tolist() == pytest.approx([1000] * 3, abs=120)
    assert torch.equal(drawn[5:6], source.module.labels(z[5:6]))
    with torch.no_grad():
        condition = functional.one_hot(drawn[:4], 3)
        assert torch.equal(source.module(z[:4]), source.module.inner(z[:4, :-1], condition))
    assert "conditional on 3 classes: each drawn equally often" in source.caveats


def test_a_class_that_does_not_exist_is_refused_and_a_condition_is_asked_for(official):
    net = load(official / "conditional.pkl")
    assert ConditionedStyleGAN2(net, 2).labels(torch.zeros(4, 13)).tolist() == [2] * 4
    with pytest.raises(SourceError, match="there is no class 3; this generator has 3"):
        ConditionedStyleGAN2(net, 3)
    with pytest.raises(SourceError, match=r"conditional; expected a condition \(n, 3\)"):
        net(torch.zeros(1, 12))


def test_a_diffusion_source_does_not_take_a_stylegan2(official, tmp_path):
    odd = tmp_path / "own.safetensors"
    shutil.copy(official / "skip.pkl", odd)
    with pytest.raises(ManifestError, match="holds a 'stylegan2'; expected latent_diffusion"):
        open_source("d", SourceSpec(source="diffusion", weights=str(odd)))
    with pytest.raises(SpecError, match="needs the key 'weights'"):
        open_source("d", SourceSpec(source="stylegan2"))
