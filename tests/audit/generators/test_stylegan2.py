"""Our StyleGAN2 against its definition. Parity with the public implementation's own files is in tests/golden."""

import math

import pytest
import torch
from torch.nn import functional

from audit.generators.stylegan2 import StyleGAN2, SynthesisLayer, upsample


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return StyleGAN2(z_dim=16, w_dim=24, resolution=32, channels={4: 16, 8: 16, 16: 8, 32: 8}, mapping_layers=2).eval()


def test_only_the_direction_of_z_matters(net):
    z = torch.randn(3, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.allclose(net(z), net(z * 7), atol=1e-4)


def test_truncation_zero_draws_the_average_face(net):
    net.mapping.w_avg.fill_(0.3)
    z = torch.randn(4, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        images = net(z, truncation_psi=0.0)
        half = net(z, truncation_psi=0.0, truncation_cutoff=2)
    assert (images - images[:1]).abs().max() < 1e-5
    assert (half - half[:1]).abs().max() > 1e-3


def test_noise_modes_differ_only_by_noise(net):
    for resolution in (4, 8, 16, 32):
        getattr(net.synthesis, f"b{resolution}").conv1.noise_strength.data.fill_(0.5)
    z = torch.randn(2, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        const, again, none, random = net(z), net(z), net(z, noise="none"), net(z, noise="random")
    assert torch.equal(const, again)
    assert not torch.allclose(const, none)
    assert not torch.allclose(const, random)


def test_scaling_activations_equals_modulating_weights():
    torch.manual_seed(1)
    layer = SynthesisLayer(6, 5, 7, 8)
    x, w = torch.randn(2, 6, 8, 8), torch.randn(2, 7)
    ours = layer(x, w, None)
    style = layer.affine(w)
    for i in range(2):  # the paper's own order of operations, image by image
        weight = layer.weight * style[i][None, :, None, None]
        weight = weight / (weight.square().sum(dim=[1, 2, 3], keepdim=True) + 1e-8).sqrt()
        plain = functional.conv2d(x[i : i + 1], weight, padding=1) + layer.bias[None, :, None, None]
        assert torch.allclose(ours[i : i + 1], functional.leaky_relu(plain, 0.2) * math.sqrt(2), atol=1e-5)


def test_enlargement_keeps_a_flat_image_flat_inside():
    taps = SynthesisLayer(1, 1, 1, 4).resample_filter
    big = upsample(torch.ones(1, 3, 8, 8), taps)
    assert big.shape == (1, 3, 16, 16)
    assert torch.allclose(big[:, :, 2:-2, 2:-2], torch.ones(1, 3, 12, 12), atol=1e-6)
