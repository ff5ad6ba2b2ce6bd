"""A checkpoint in rosinality's layout and our own network draw the same images, by that port's own order of operations."""

import argparse
import math

import pytest
import torch
from torch.nn import functional

from audit.errors import ManifestError
from audit.generators import load

WIDTHS = {4: 8, 8: 8, 16: 6}


@pytest.fixture(scope="module")
def state():
    g = torch.Generator().manual_seed(5)
    kernel = torch.outer(torch.tensor([1.0, 3, 3, 1]), torch.tensor([1.0, 3, 3, 1])) / 64
    found = {"input.input": torch.randn(1, 8, 4, 4, generator=g)}
    for i in (1, 2, 3):
        found |= {f"style.{i}.weight": torch.randn(16, 16, generator=g) * 100, f"style.{i}.bias": torch.randn(16, generator=g) * 10}

    def layer(name, inputs, outputs, size):
        found.update({f"{name}.conv.weight": torch.randn(1, outputs, inputs, size, size, generator=g),
                      f"{name}.conv.modulation.weight": torch.randn(inputs, 16, generator=g),
                      f"{name}.conv.modulation.bias": 1 + 0.1 * torch.randn(inputs, generator=g)})  # fmt: skip
        if size == 3:
            found.update({f"{name}.noise.weight": torch.randn(1, generator=g), f"{name}.activate.bias": torch.randn(outputs, generator=g)})
        else:
            found[f"{name}.bias"] = torch.randn(1, 3, 1, 1, generator=g)

    layer("conv1", 8, 8, 3)
    layer("to_rgb1", 8, 3, 1)
    for i, r in enumerate((8, 16)):
        layer(f"convs.{2 * i}", WIDTHS[r // 2], WIDTHS[r], 3)
        layer(f"convs.{2 * i + 1}", WIDTHS[r], WIDTHS[r], 3)
        layer(f"to_rgbs.{i}", WIDTHS[r], 3, 1)
        found |= {f"convs.{2 * i}.conv.blur.kernel": kernel * 4, f"to_rgbs.{i}.upsample.kernel": kernel * 4}
    for i in range(5):
        r = 4 << (i + 1) // 2
        found[f"noises.noise_{i}"] = torch.randn(1, 1, r, r, generator=g)
    return found


def by_the_port(state, z):
    """Draw as the layout's own description says: scaled weights modulated per image, one group an image, then blurred."""

    def equal(x, name, rate=1.0):
        weight = state[f"{name}.weight"]
        return functional.linear(x, weight * rate / math.sqrt(weight.shape[1]), state[f"{name}.bias"] * rate)

    def bend(x):
        return functional.leaky_relu(x, 0.2) * math.sqrt(2)

    def spread(x, kernel, before, after, up):
        n, c, h, w = x.shape
        if up:
            wide = x.new_zeros(n, c, h, 2, w, 2)
            wide[:, :, :, 0, :, 0] = x
            x = wide.reshape(n, c, 2 * h, 2 * w)
        x = functional.pad(x, (before, after, before, after))
        return functional.conv2d(x, kernel.flip(0, 1).expand(c, 1, 4, 4), groups=c)

    def modulated(x, name, w, demodulate, up=False):
        weight = state[f"{name}.weight"]
        n, (_, outputs, inputs, k, _) = len(x), weight.shape
        weight = weight / math.sqrt(inputs * k * k) * equal(w, f"{name}.modulation").view(n, 1, inputs, 1, 1)
        if demodulate:
            weight = weight * torch.rsqrt(weight.pow(2).sum([2, 3, 4], keepdim=True) + 1e-8)
        if up:
            weight = weight.transpose(1, 2).reshape(n * inputs, outputs, k, k)
            x = functional.conv_transpose2d(x.reshape(1, n * inputs, *x.shape[2:]), weight, stride=2, groups=n)
            return spread(x.view(n, outputs, *x.shape[2:]), state[f"{name}.blur.kernel"], 1, 1, up=False)
        weight = weight.view(n * outputs, inputs, k, k)
        out = functional.conv2d(x.reshape(1, n * inputs, *x.shape[2:]), weight, padding=k // 2, groups=n)
        return out.view(n, outputs, *out.shape[2:])

    w = z * torch.rsqrt(z.pow(2).mean(1, keepdim=True) + 1e-8)
    for i in (1, 2, 3):
        w = bend(equal(w, f"style.{i}", 0.01))
    x = state["input.input"].repeat(len(z), 1, 1, 1)

    def styled(x, name, noise, up=False):
        x = modulated(x, f"{name}.conv", w, True, up) + state[f"{name}.noise.weight"] * state[f"noises.noise_{noise}"]
        return bend(x + state[f"{name}.activate.bias"].view(1, -1, 1, 1))

    x = styled(x, "conv1", 0)
    image = modulated(x, "to_rgb1.conv", w, False) + state["to_rgb1.bias"]
    for i in range(2):
        x = styled(styled(x, f"convs.{2 * i}", 2 * i + 1, up=True), f"convs.{2 * i + 1}", 2 * i + 2)
        colour = modulated(x, f"to_rgbs.{i}.conv", w, False) + state[f"to_rgbs.{i}.bias"]
        image = colour + spread(image, state[f"to_rgbs.{i}.upsample.kernel"], 2, 1, up=True)
    return image, w


def saved(path, state, **more):
    torch.save({"g_ema": state, "args": argparse.Namespace(size=16), **more}, path)
    return path


@pytest.mark.parametrize("strength", [1.0, 1e-4], ids=["usual styles", "styles so weak that the small constant counts"])
def test_images_equal_those_of_the_port(state, tmp_path, strength):
    state = {k: v * strength if k.startswith("conv1.conv.modulation") else v for k, v in state.items()}
    net = load(saved(tmp_path / "f.pt", state, latent_avg=torch.full((16,), 0.5)), "stylegan2")
    z = torch.randn(4, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        theirs, w = by_the_port(state, z)
        assert (net(z) - theirs).abs().max() < 1e-4 * theirs.abs().max()
        halfway = net.mapping(z, truncation_psi=0.5)[:, 0]
    assert torch.allclose(halfway, 0.5 + 0.5 * (w - 0.5), atol=1e-5)


def test_a_file_without_its_average_gets_that_of_many_latents(state, tmp_path):
    net = load(saved(tmp_path / "f.pt", state))
    with torch.no_grad():
        w = net.mapping(torch.randn(4000, 16, generator=torch.Generator().manual_seed(9)))[:, 0]
    assert (w.mean(dim=0) - net.mapping.w_avg).abs().max() < 0.1 * w.std()


def test_a_file_without_stored_noise_draws_the_same_images_each_time(state, tmp_path):
    bare = {k: v for k, v in state.items() if not k.startswith("noises.")}
    path = saved(tmp_path / "f.pt", bare)
    z = torch.zeros(1, 16) + 1
    with torch.no_grad():
        assert torch.equal(load(path)(z), load(path)(z))


@pytest.mark.parametrize(("change", "sentence"), [
    ({"convs.7.conv.weight": torch.zeros(1, 2, 2, 3, 3)}, "rosinality"),
    ({"surprise": torch.zeros(2)}, "not expected surprise"),
    ({"conv1.conv.modulation.bias": torch.zeros(9)}, r"shape synthesis\.b4\.conv1\.affine\.bias \(9,\) for \(8,\)"),
    ({"convs.0.conv.blur.kernel": torch.ones(4, 4)}, r"the filter convs\.0\.conv\.blur\.kernel"),
    ({"convs.1.activate.bias": None}, r"missing synthesis\.b8\.conv1\.bias"),
])  # fmt: skip
def test_what_does_not_fit_is_named(state, tmp_path, change, sentence):
    changed = {k: v for k, v in {**state, **change}.items() if v is not None}
    with pytest.raises(ManifestError, match=sentence):
        load(saved(tmp_path / "f.pt", changed))
