"""A VAE's decoder against a forward pass written out here, and files that are none."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from audit.errors import ManifestError
from audit.generators.vae import load_vae

Z, WIDTHS = 5, [8, 6, 4]


def state_dict(seed=0):
    torch.manual_seed(seed)
    state = {"decoder_input.weight": torch.randn(WIDTHS[0] * 4, Z), "decoder_input.bias": torch.randn(WIDTHS[0] * 4)}

    def up(owner, conv, norm, a, b):
        state[f"{owner}{conv}.weight"], state[f"{owner}{conv}.bias"] = torch.randn(a, b, 3, 3) * 0.3, torch.randn(b)
        state.update({f"{owner}{norm}.{k}": v for k, v in {
            "weight": torch.rand(b) + 0.5, "bias": torch.randn(b), "running_mean": torch.randn(b), "running_var": torch.rand(b) + 0.5,
            "num_batches_tracked": torch.tensor(1)}.items()})  # fmt: skip

    for at, (a, b) in enumerate(itertools.pairwise(WIDTHS)):
        up(f"decoder.{at}.", 0, 1, a, b)
    up("final_layer.", 0, 1, WIDTHS[-1], WIDTHS[-1])
    state["final_layer.3.weight"], state["final_layer.3.bias"] = torch.randn(3, WIDTHS[-1], 3, 3) * 0.3, torch.randn(3)
    return state


def drawn(state, z):
    x = (z @ state["decoder_input.weight"].T + state["decoder_input.bias"]).view(-1, WIDTHS[0], 2, 2)
    for conv, norm in (("decoder.0.0", "decoder.0.1"), ("decoder.1.0", "decoder.1.1"), ("final_layer.0", "final_layer.1")):
        x = F.conv_transpose2d(x, state[f"{conv}.weight"], state[f"{conv}.bias"], 2, 1, 1)
        x = F.batch_norm(x, *(state[f"{norm}.{k}"] for k in ("running_mean", "running_var", "weight", "bias")))
        x = torch.where(x > 0, x, 0.01 * x)
    return torch.tanh(F.conv2d(x, state["final_layer.3.weight"], state["final_layer.3.bias"], padding=1))


@pytest.mark.parametrize("prefix", ["", "model."])
def test_the_decoder_draws_what_its_layers_say_with_or_without_an_encoder_beside_it(tmp_path, prefix):
    state = state_dict()
    whole = state | {"encoder.0.0.weight": torch.zeros(3), "fc_mu.bias": torch.zeros(5), "fc_var.bias": torch.zeros(5)}
    torch.save({"state_dict": {prefix + k: v for k, v in whole.items()}, "epoch": 1}, tmp_path / "vae.ckpt")
    z = torch.randn(4, Z)
    images = load_vae(tmp_path / "vae.ckpt")(z)
    assert images.shape == (4, 3, 16, 16)
    assert torch.allclose(images, drawn(state, z), atol=1e-5)


@pytest.mark.parametrize(("change", "words"), [
    (lambda s: {"fc3.weight": torch.zeros(3, 3)}, r"it holds fc3\.weight, \.\.\.; expected decoder_input\.weight"),
    (lambda s: s | {"decoder.2.0.bias": torch.zeros(3)}, "does not fit a VAE decoder"),
    (lambda s: {k: v for k, v in s.items() if k != "decoder.1.1.bias"}, r"missing decoder\.1\.1\.bias"),
    (lambda s: s | {"decoder_input.weight": torch.zeros(24, Z)}, "24 rows in decoder_input are no square map of 8 channels"),
    (lambda s: s | {"final_layer.3.weight": torch.zeros(1, 4, 3, 3)}, "images of 1 channels"),
])  # fmt: skip
def test_another_layout_is_a_sentence_that_names_keys(tmp_path, change, words):
    torch.save(change(state_dict()), tmp_path / "vae.pth")
    with pytest.raises(ManifestError, match=words):
        load_vae(tmp_path / "vae.pth")
