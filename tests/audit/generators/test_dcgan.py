"""DCGANs in three layouts, each against a forward pass written out here."""

import pytest
import torch
import torch.nn.functional as F

from audit.errors import ManifestError
from audit.generators.dcgan import load_dcgan

Z, WIDTHS = 7, [12, 8, 6, 3]


@pytest.fixture
def layers():
    """Weights of a DCGAN of four layers: (convolution, batch norm or None) each."""
    torch.manual_seed(1)
    shapes = list(zip([Z, *WIDTHS], WIDTHS, strict=False))
    made = []
    for at, (a, b) in enumerate(shapes):
        norm = None if at == len(shapes) - 1 else {"weight": torch.rand(b) + 0.5, "bias": torch.randn(b), "running_mean": torch.randn(b),
                                                   "running_var": torch.rand(b) + 0.5, "num_batches_tracked": torch.tensor(5)}  # fmt: skip
        made.append((torch.randn(a, b, 4, 4) * 0.2, norm))
    return made


def drawn(layers, z, bias=None, last_kernel=4):
    x = z.reshape(len(z), -1, 1, 1)
    for at, (weight, norm) in enumerate(layers):
        last = norm is None
        stride, pad = (1, 0) if at == 0 else (2, 1) if not last or last_kernel == 4 else (1, 0)
        x = F.conv_transpose2d(x, weight, bias if last else None, stride, pad)
        if not last:
            spread = (norm["running_var"] + 1e-5).sqrt()
            x = (x - norm["running_mean"].view(1, -1, 1, 1)) / spread.view(1, -1, 1, 1)
            x = (x * norm["weight"].view(1, -1, 1, 1) + norm["bias"].view(1, -1, 1, 1)).clamp_min(0)
    return torch.tanh(x)


def tutorial(layers):
    state = {}
    for at, (weight, norm) in enumerate(layers):
        state[f"main.{3 * at}.weight"] = weight
        state |= {f"main.{3 * at + 1}.{k}": v for k, v in (norm or {}).items()}
    return state


def mmgeneration(layers, bias):
    state = {"output_layer.conv.weight": layers[-1][0], "output_layer.conv.bias": bias}
    for at, (weight, norm) in enumerate(layers[:-1]):
        owner = "noise2feat" if at == 0 else f"upsampling.{at - 1}"
        state |= {f"{owner}.conv.weight": weight} | {f"{owner}.bn.{k}": v for k, v in norm.items()}
    return {"meta": {"iter": 3}, "state_dict": {f"generator.{k}": v for k, v in state.items()} | {"discriminator.x": torch.zeros(1)}}


def zoo(layers):
    state = {"formatLayer.weight": layers[0][0], "main.outlayer.weight": layers[-1][0]}
    for at, (weight, norm) in enumerate(layers[:-1]):
        if at:
            state[f"main.convTranspose{at}.weight"] = weight
        state |= {f"main.batchNorm{at}.{k}": v for k, v in norm.items()}
    return {"netG": state, "netD": {}, "config": {"lossCriterion": "DCGAN"}}


def test_the_tutorial_layout_draws_what_its_layers_say(tmp_path, layers):
    torch.save(tutorial(layers), tmp_path / "g.pth")
    z = torch.randn(5, Z)
    images = load_dcgan(tmp_path / "g.pth")(z)
    assert images.shape == (5, 3, 32, 32)
    assert torch.allclose(images, drawn(layers, z), atol=1e-5)


def test_a_last_convolution_of_one_pixel_keeps_the_size_as_in_the_cifar_weights(tmp_path, layers):
    layers[-1] = (torch.randn(6, 3, 1, 1), None)
    state = {k: v for k, v in tutorial(layers).items() if "num_batches" not in k}
    torch.save(state, tmp_path / "netG_epoch_199.pth")
    z = torch.randn(2, Z)
    images = load_dcgan(tmp_path / "netG_epoch_199.pth")(z)
    assert images.shape == (2, 3, 16, 16)
    assert torch.allclose(images, drawn(layers, z, last_kernel=1), atol=1e-5)


def test_the_mmgeneration_layout_has_a_last_bias_and_its_blue_comes_first(tmp_path, layers):
    bias = torch.tensor([0.5, 0.0, -0.5])
    torch.save(mmgeneration(layers, bias), tmp_path / "g.pth")
    z = torch.randn(2, Z)
    expected = drawn(layers, z, bias)
    assert torch.allclose(load_dcgan(tmp_path / "g.pth")(z), expected.flip(1), atol=1e-5)
    assert torch.allclose(load_dcgan(tmp_path / "g.pth", bgr=False)(z), expected, atol=1e-5)


def test_the_gan_zoo_layout_draws_the_same_and_ends_as_its_loss_says(tmp_path, layers):
    z = torch.randn(2, Z)
    content = zoo(layers)
    torch.save(content, tmp_path / "g.pth")
    assert torch.allclose(load_dcgan(tmp_path / "g.pth")(z), drawn(layers, z), atol=1e-5)
    content["config"]["lossCriterion"] = "WGANGP"
    torch.save(content, tmp_path / "g.pth")
    assert torch.allclose(torch.tanh(load_dcgan(tmp_path / "g.pth")(z)), drawn(layers, z), atol=1e-5)


@pytest.mark.parametrize(("change", "words"), [
    (lambda s: {"fc.weight": s["main.0.weight"]}, r"it holds fc\.weight, \.\.\.; expected main\.0\.weight \(PyTorch tutorial\)"),
    (lambda s: s | {"style.weight": torch.zeros(2)}, r"missing nothing; not expected style\.weight"),
    (lambda s: {k: v for k, v in s.items() if k != "main.1.running_mean"}, r"missing main\.1\.running_mean; not expected nothing"),
    (lambda s: s | {"main.3.weight": torch.zeros(5, 8, 4, 4)}, r"main\.0 gives 12 channels, main\.3 takes 5"),
    (lambda s: s | {"main.9.weight": torch.zeros(6, 1, 4, 4)}, r"images of 1 channels; expected 3"),
    (lambda s: {k.replace("main.3.", "main.2."): v for k, v in s.items()}, r"transposed convolutions at main\.\[0, 2, 6, 9\]"),
])  # fmt: skip
def test_another_layout_is_a_sentence_that_names_keys(tmp_path, layers, change, words):
    torch.save(change(tutorial(layers)), tmp_path / "g.pth")
    with pytest.raises(ManifestError, match=words):
        load_dcgan(tmp_path / "g.pth")
