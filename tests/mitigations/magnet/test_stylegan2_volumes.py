"""The fast way through a StyleGAN2: tangents by hand equal torch's, and directions left out stay within the tolerance."""

import numpy as np
import pytest
import torch
from torch.func import jvp, vmap

from audit.generators.stylegan2 import StyleGAN2
from mitigations.magnet import synthesis
from mitigations.magnet.stylegan2 import StyleGAN2Volumes
from mitigations.magnet.synthesis import SynthesisTangents, projections_by_size
from mitigations.magnet.volumes import VolumeReader, projection_matrix


@pytest.fixture(scope="module")
def steep():
    """A mapping whose Jacobian falls off as a trained one's does."""
    torch.manual_seed(0)
    net = StyleGAN2(z_dim=64, w_dim=64, resolution=8, mapping_layers=1, channels={4: 12, 8: 8}).eval()
    u, _, v = torch.linalg.svd(torch.randn(64, 64))
    net.mapping.fc0.weight.data = u @ torch.diag(10 ** -torch.linspace(0, 4, 64)) @ v * 800
    return net


def _way(net, **call):
    return StyleGAN2Volumes.of(net, call, projection_matrix(3 * net.resolution**2, 30))


@pytest.mark.parametrize("noise", ["none", "const"])
@pytest.mark.parametrize("cache", [1, 8 << 20], ids=["one tangent at a time", "all at once"])
@torch.no_grad()
def test_tangents_by_hand_are_those_of_torch(stylegan2, noise, cache, monkeypatch):
    monkeypatch.setattr(synthesis, "CACHE_BYTES", cache)
    torch.manual_seed(1)
    net, rows = stylegan2, projection_matrix(3 * 16 * 16, 30)
    ws, dw, factors = torch.randn(1, net.num_ws, 10), torch.randn(7, 10), torch.linspace(0.2, 1.3, net.num_ws)
    ours = SynthesisTangents(net.synthesis, ws, factors, projections_by_size(net.synthesis, rows), noise=noise)(dw)

    def image(w):
        return rows @ net.synthesis(ws + factors[:, None] * w, noise=noise).flatten()

    theirs = vmap(lambda v: jvp(image, (torch.zeros(10),), (v,))[1])(dw)
    assert torch.allclose(ours, theirs, atol=1e-5 * float(theirs.abs().max()))


@pytest.mark.parametrize("call", [{}, {"noise": "none"}, {"truncation_psi": 0.6}, {"truncation_psi": 0.4, "truncation_cutoff": 2},
                                  {"truncation_psi": 1.0, "noise": "const"}], ids=str)  # fmt: skip
def test_truncation_and_noise_are_those_of_the_call(stylegan2, call):
    z = torch.randn(2, 12, generator=torch.Generator().manual_seed(2))
    ours = VolumeReader(stylegan2, 12, projection=30, call=call)
    general = VolumeReader(stylegan2, 12, projection=30, call=call)
    general._by_hand = None
    assert ours._by_hand is not None
    assert np.allclose(ours(z), general(z), rtol=1e-4, atol=1e-5 * general(z).max())


def test_truncation_shrinks_the_volume(stylegan2):
    z = torch.randn(6, 12, generator=torch.Generator().manual_seed(3))
    whole, cut = (VolumeReader(stylegan2, 12, projection=30, call={"truncation_psi": psi})(z) for psi in (1.0, 0.3))
    assert (cut[:, :4].prod(axis=1) < whole[:, :4].prod(axis=1)).all()


@pytest.mark.parametrize("keep", [1, 5, 10])
@pytest.mark.parametrize("tolerance", [1e-2, 1e-4])
def test_directions_left_out_stay_within_the_tolerance_and_save_work(steep, keep, tolerance):
    z = torch.randn(12, 64, generator=torch.Generator().manual_seed(4))
    every = VolumeReader(steep, 64, projection=40)(z)
    reader = VolumeReader(steep, 64, projection=40, keep=keep, tolerance=tolerance)
    found = reader(z)
    assert found.shape == (12, keep)
    assert (np.abs(found - every[:, :keep]) <= tolerance * every[:, :keep]).all()
    assert reader.products < 12 * 56


def test_a_flat_mapping_is_followed_to_the_end(steep):
    torch.manual_seed(5)
    net = StyleGAN2(z_dim=48, w_dim=48, resolution=8, mapping_layers=1, channels={4: 12, 8: 8}).eval()
    z = torch.randn(3, 48)
    every, found = VolumeReader(net, 48, projection=40), VolumeReader(net, 48, projection=40, keep=8)
    assert np.allclose(every(z)[:, :8], found(z), rtol=1e-4)
    assert found.products == every.products


def test_the_first_values_are_the_same_however_many_are_kept(steep):
    z = torch.randn(3, 64, generator=torch.Generator().manual_seed(6))
    few, many = (VolumeReader(steep, 64, projection=40, keep=k)(z) for k in (4, 12))
    assert np.allclose(few, many[:, :4], rtol=2e-4)


@pytest.mark.parametrize("call", [{"noise": "random"}, {"c": None}])
def test_calls_it_does_not_know_are_left_to_torch(stylegan2, call):
    assert _way(stylegan2, **call) is None


def test_networks_it_does_not_know_are_left_to_torch(dcgan):
    class Other(StyleGAN2):
        pass

    conditional = StyleGAN2(z_dim=8, c_dim=2, w_dim=8, resolution=8, channels={4: 8, 8: 8})
    other = Other(z_dim=8, w_dim=8, resolution=8, channels={4: 8, 8: 8})
    assert [StyleGAN2Volumes.of(m, {}, torch.eye(3)) for m in (dcgan, conditional, other)] == [None] * 3
