"""Labels mixed into the generator's input: closed forms of the mix, pairing with the baseline, and files that load."""

import numpy as np
import pytest
import torch

from audit.errors import SourceError
from audit.generators import load
from audit.generators.self_conditioned import SelfConditionedStyleGAN2, hat_weights, label_vector
from audit.generators.stylegan2 import StyleGAN2
from audit.generators.weights import save_weights
from audit.seeds import normals
from audit.sources import open_source
from audit.spec import GeneratorSpec

NETWORK = {"z_dim": 8, "w_dim": 8, "resolution": 16, "mapping_layers": 2, "channels": {4: 12, 8: 12, 16: 8}}
SEEDS = np.arange(5, dtype=np.uint64)


@pytest.fixture(scope="module")
def baseline():
    torch.manual_seed(0)
    return StyleGAN2(**NETWORK).eval()


def grown(baseline, **options):
    net = SelfConditionedStyleGAN2(**NETWORK, attributes=["gender", "skin_tone"], **options).eval()
    net.load_state_dict(baseline.state_dict(), strict=False)
    net.reset_labels()
    return net


def latents(width):
    return torch.from_numpy(normals(SEEDS, "z", width)).float()


def test_hats_are_the_hand_values():
    found = hat_weights(torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0, -3.0, 1.5]))
    expected = [[1, 0, 0], [0.5, 0.5, 0], [0, 1, 0], [0, 0.5, 0.5], [0, 0, 1], [1, 0, 0], [0, 0, 1]]
    assert torch.allclose(found, torch.tensor(expected, dtype=torch.float32))


def test_the_generator_is_not_told_the_middle_and_the_head_is():
    t = torch.tensor([[0.25, 0.5]])
    assert label_vector(t, middle=True).tolist() == [[1, 0.5, 0.5, 0, 0, 1, 0]]
    assert label_vector(t, middle=False).tolist() == [[1, 0.5, 0, 0, 0, 0, 0]]


@pytest.mark.parametrize("condition", ["constants", "styles", "both"])
def test_a_residual_start_is_the_baseline_bit_for_bit_whatever_the_labels(baseline, condition):
    net, z = grown(baseline, condition=condition), latents(10)
    with torch.no_grad():
        assert torch.equal(net(z), baseline(z[:, :8]))
        assert torch.equal(net(z, truncation_psi=0.5, noise="none"), baseline(z[:, :8], truncation_psi=0.5, noise="none"))


def test_copies_multiply_the_constant_as_derived_and_are_the_baseline_at_one_half(baseline):
    net, z = grown(baseline, init="copies"), latents(8)
    t = torch.tensor([[0.5, 0.5], [0.0, 0.5], [1.0, 0.0], [0.25, 0.9], [0.7, 0.5]])
    factor = 1 + (1 - 2 * t).abs().sum(dim=1)
    assert torch.allclose(net.start(t), factor[:, None, None, None] * baseline.synthesis.b4.const, atol=1e-6)
    with torch.no_grad():
        assert torch.equal(net.edit(z, torch.full((5, 2), 0.5)), baseline(z))
        assert not torch.allclose(net.edit(z, t)[1:], baseline(z)[1:], atol=1e-3)


def test_the_start_is_linear_between_anchors_and_mixes_the_right_constants(baseline):
    net = grown(baseline)
    torch.nn.init.normal_(net.label_consts, generator=torch.Generator().manual_seed(2))
    base = baseline.synthesis.b4.const
    t = torch.tensor([[0.0, 0.75]])  # anchor 0 of the first attribute whole, anchor 1 of the second by half
    assert torch.allclose(net.start(t)[0], base + net.label_consts[0] + 0.5 * net.label_consts[5], atol=1e-6)


def test_the_middle_constant_never_acts(baseline):
    net, z = grown(baseline, condition="both"), latents(10)
    with torch.no_grad():
        before = net(z)
        net.label_consts[1::3] = 7.0
        net.label_styles[1::3] = 7.0
        assert torch.equal(net(z), before)
        net.label_styles[2] = 1.0
        assert not torch.allclose(net(z), before, atol=1e-3)


def test_the_same_seed_draws_the_same_person_as_the_baseline(tmp_path, baseline):
    net = grown(baseline)
    save_weights(baseline, tmp_path / "b.safetensors", kind="stylegan2", network=NETWORK)
    options = {**NETWORK, "attributes": ["gender", "skin_tone"], "init": "residual", "condition": "both"}
    save_weights(grown(baseline, condition="both"), tmp_path / "s.safetensors", kind="self_conditioned", network=options)
    before, after = (open_source(n, GeneratorSpec(source="stylegan2", weights=str(tmp_path / f"{n}.safetensors"))) for n in ("b", "s"))
    assert after.z_dim == net.z_dim == 10
    assert np.array_equal(after.latents(SEEDS)[:, :8], before.latents(SEEDS))
    drawn = [source.draw(np.arange(5), SEEDS).images for source in (before, after)]
    assert all(torch.equal(a, b) for a, b in zip(*drawn, strict=True))


def test_a_file_keeps_names_options_and_trained_labels(tmp_path, baseline):
    net = grown(baseline, init="copies", condition="both")
    torch.nn.init.normal_(net.label_styles, generator=torch.Generator().manual_seed(2))
    options = {**NETWORK, "attributes": ["gender", "skin_tone"], "init": "copies", "condition": "both"}
    save_weights(net, tmp_path / "s.safetensors", kind="self_conditioned", network=options)
    again, z = load(tmp_path / "s.safetensors", ("stylegan2", "self_conditioned")), latents(10)
    assert again.attributes == ("gender", "skin_tone")
    with torch.no_grad():
        assert torch.equal(again(z), net(z))


def test_labels_are_uniform_and_independent_of_the_latent():
    net = SelfConditionedStyleGAN2(**NETWORK, attributes=["gender"])
    z = normals(np.arange(20_000, dtype=np.uint64), "z", 9)
    t = net.labels(torch.from_numpy(z)).numpy()[:, 0]
    assert t.min() > 0 and t.max() < 1
    assert np.abs(np.sort(t) - np.linspace(0, 1, len(t))).max() < 0.012  # Kolmogorov: 1.63 / sqrt(n) at 1 %
    assert np.abs(np.corrcoef(t, z[:, :8].T)[0, 1:]).max() < 0.03


def test_what_does_not_fit_is_said(baseline):
    net = grown(baseline)
    with pytest.raises(SourceError, match=r"have 8 entries; expected 10: 8 and one for each of gender, skin_tone"):
        net(latents(8))
    with pytest.raises(SourceError, match=r"shape \(5, 1\); expected \(5, 2\)"):
        net.edit(latents(8), torch.zeros(5, 1))
    with pytest.raises(SourceError, match="latents have 9 entries; expected 8, or 10"):
        net.edit(latents(9), torch.zeros(5, 2))
    with pytest.raises(SourceError, match="leave c out"):
        net(latents(10), torch.zeros(5, 1))
    with pytest.raises(SourceError, match="different attributes"):
        SelfConditionedStyleGAN2(**NETWORK, attributes=["age", "age"])
    with pytest.raises(SourceError, match="expected residual or copies"):
        SelfConditionedStyleGAN2(**NETWORK, attributes=["age"], init="random")
