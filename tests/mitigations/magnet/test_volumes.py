"""Singular values against closed forms and against torch.autograd, for every family of networks."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from torch import nn

from audit.errors import SourceError
from mitigations.magnet import resample, volume_scalars, weights
from mitigations.magnet.volumes import VolumeReader, projection_matrix, scale_invariant


class Toy(nn.Module):
    """Coordinates of a surface in three dimensions as the colours of one pixel."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, z):
        return self.function(z)[:, :, None, None]


def cubic(z):
    x = z**3 / 3 + z
    return torch.cat([x, torch.zeros_like(x), torch.zeros_like(x)], dim=1)


def sphere(z):
    theta, phi = z[:, 0], z[:, 1]
    return torch.stack([theta.sin() * phi.cos(), theta.sin() * phi.sin(), theta.cos()], dim=1)


def _flat(z, w, n=4000, bins=12):
    """p value of the images of draws being uniform over the middle of their range."""
    rng = np.random.default_rng(8)
    x = cubic(torch.from_numpy(z))[:, 0].numpy()[resample(w, rng.random(n))]
    inside = np.abs(x) < 4
    return chisquare(np.histogram(x[inside], bins=bins, range=(-4, 4))[0]).pvalue


def _cubic_values(z):
    return volume_scalars(Toy(cubic), z, normalise_z=False)


def test_uniform_proposals_and_volume_are_flat_on_the_cubic_curve():
    z = np.random.default_rng(1).uniform(-2.2, 2.2, size=(40_000, 1))
    s = _cubic_values(z[:2000])
    assert np.allclose(s[:, 0], z[:2000, 0] ** 2 + 1, rtol=1e-5)
    s = z**2 + 1
    assert _flat(z, weights(s, top_k=1)) > 0.01
    assert _flat(z, weights(s, top_k=1, rho=0)) < 1e-6


def test_gaussian_proposals_are_flat_only_when_their_density_is_divided_out():
    z = np.random.default_rng(2).normal(size=(40_000, 1))
    s, log_p = z**2 + 1, -(z[:, 0] ** 2) / 2
    assert _flat(z, weights(s, top_k=1, log_prior=log_p)) > 0.01
    assert _flat(z, weights(s, top_k=1)) < 1e-6  # still bell-shaped


def test_the_volume_of_the_sphere_is_its_area_element():
    rng = np.random.default_rng(3)
    z = rng.uniform([0.05, 0], [np.pi - 0.05, 2 * np.pi], size=(300, 2))
    s = volume_scalars(Toy(sphere), z, normalise_z=False)
    assert s.shape == (300, 2)
    assert np.allclose(s.prod(axis=1), np.sin(z[:, 0]), atol=1e-5)


def test_weights_spread_points_evenly_over_the_sphere():
    z = np.random.default_rng(4).uniform([0, 0], [np.pi, 2 * np.pi], size=(20_000, 2))
    s = np.sort(np.stack([np.ones(len(z)), np.sin(z[:, 0])], axis=1), axis=1)[:, ::-1]
    height = np.cos(z[resample(weights(s, top_k=2), np.random.default_rng(5).random(4000)), 0])
    assert chisquare(np.histogram(height, bins=10, range=(-1, 1))[0]).pvalue > 0.01  # Archimedes


def _reference(module, z, rows, normalise):
    values = []
    for q in torch.as_tensor(z).float():
        q = q * (len(q) ** 0.5 / q.norm()) if normalise else q
        jacobian = torch.autograd.functional.jacobian(lambda v: rows @ module(v[None]).flatten(), q)
        values.append(torch.linalg.svdvals(jacobian.double()))
    return torch.stack(values).numpy()


def _agree(ours, theirs, tolerance=1e-4):
    seen = theirs > 1e-3 * theirs[:, :1]  # below, float32 itself has lost the digits
    return (np.abs(ours - theirs)[seen] <= tolerance * theirs[seen]).all() and (np.abs(ours - theirs) <= 1e-5 * theirs[:, :1]).all()


def test_values_are_those_of_autograd_and_svd(network):
    module, width, invariant = network
    z = torch.randn(3, width, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        rows = projection_matrix(module(z)[0].numel(), 40)
    ours = volume_scalars(module, z, projection=40, normalise_z=invariant)
    assert ours.shape == (3, width)
    assert _agree(ours, _reference(module, z, rows, invariant))


def test_values_do_not_depend_on_batch_or_chunk(network):
    module, width, invariant = network
    z = torch.randn(5, width, generator=torch.Generator().manual_seed(2))
    whole = volume_scalars(module, z, projection=20, normalise_z=invariant)
    parts = volume_scalars(module, z, projection=20, normalise_z=invariant, batch=2, chunk=3)
    alone = np.concatenate([volume_scalars(module, q[None], projection=20, normalise_z=invariant, batch=1, chunk=1) for q in z])
    assert _agree(parts, whole) and _agree(alone, whole)


def test_whether_only_the_direction_counts_is_found_out(network):
    module, width, invariant = network
    z = torch.randn(4, width, generator=torch.Generator().manual_seed(3))
    assert scale_invariant(module, z) is invariant


def test_a_normalised_latent_leaves_no_radius_in_the_volume(stylegan2):
    z = torch.randn(4, 12, generator=torch.Generator().manual_seed(4))
    near, far = (volume_scalars(stylegan2, q, projection=20, normalise_z=True) for q in (z, 2 * z))
    assert np.allclose(near, far, rtol=1e-4, atol=1e-6 * near.max())
    raw, doubled = (volume_scalars(stylegan2, q, projection=20, normalise_z=False) for q in (z, 2 * z))
    assert np.allclose(raw[:, :8], 2 * doubled[:, :8], rtol=1e-3)  # what normalising takes away
    assert (near[:, 11] < 1e-5 * near[:, 0]).all()  # the radius is a null direction: rank d - 1


def test_scaling_and_turning_the_output_leave_the_weights_alone():
    torch.manual_seed(5)
    net, turn = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 27)), torch.linalg.qr(torch.randn(27, 27))[0]
    z = torch.randn(20, 5)

    def seen(change):
        module = nn.Sequential(net, change, nn.Unflatten(1, (3, 3, 3)))
        return weights(volume_scalars(module, z, projection=27, normalise_z=False), top_k=4)

    turned = nn.Linear(27, 27, bias=False)
    turned.weight.data = turn
    base = seen(nn.Identity())
    assert np.allclose(seen(Scale(37.0)), base, rtol=1e-4)
    assert np.allclose(seen(turned), base, rtol=1e-4)


class Scale(nn.Module):
    def __init__(self, by):
        super().__init__()
        self.by = by

    def forward(self, x):
        return x * self.by


def test_directions_that_do_nothing_are_seen_as_lost_rank():
    z = np.random.default_rng(6).normal(size=(10, 3))
    s = volume_scalars(Toy(lambda q: q * torch.tensor([2.0, 1.0, 0.0])), z, normalise_z=False)
    assert np.allclose(s, [2, 1, 0], atol=1e-6)


def test_the_projection_has_orthonormal_rows_and_a_seed():
    rows = projection_matrix(60, 20, seed=1)
    assert torch.allclose(rows @ rows.t(), torch.eye(20), atol=1e-6)
    assert torch.equal(rows, projection_matrix(60, 20, seed=1))
    assert not torch.allclose(rows, projection_matrix(60, 20, seed=2))
    assert projection_matrix(3, 20).shape == (3, 3)


def test_no_latents_give_no_rows(stylegan2):
    assert volume_scalars(stylegan2, np.empty((0, 12)), projection=20).shape == (0, 12)
    assert volume_scalars(Toy(cubic), np.empty((0, 1)), normalise_z=False).shape == (0, 1)


def test_a_jacobian_that_is_not_finite_is_a_row_of_nan():
    s = volume_scalars(Toy(lambda z: z.sqrt().expand(-1, 3)), np.array([[4.0], [-1.0]]), normalise_z=False)
    assert np.isclose(s[0, 0], np.sqrt(3) / 4) and np.isnan(s[1, 0])


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning", "ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("finish", [lambda traced: traced, torch.jit.freeze], ids=["traced", "frozen"])
def test_an_exported_program_gives_the_same_values(dcgan, finish):
    z = torch.randn(3, 10, generator=torch.Generator().manual_seed(7))
    plain = volume_scalars(dcgan, z, projection=20, normalise_z=False)
    assert _agree(volume_scalars(finish(torch.jit.trace(dcgan, z).eval()), z, projection=20, normalise_z=False), plain)


class Unmapped(nn.Module):
    """Asks for a number on the way, which torch cannot vectorise."""

    def forward(self, z):
        return (z[:, :3] ** 2 * (2.0 if z.sum().item() > -1e9 else 1.0))[:, :, None, None]


def test_a_module_that_cannot_be_vectorised_is_differentiated_all_the_same():
    s = volume_scalars(Unmapped(), np.array([[3.0, 2.0, 1.0], [1, 1, 1]]), normalise_z=False)
    assert np.allclose(s, [[12, 8, 4], [4, 4, 4]])


class Within(nn.Module):
    """Draws inside a context, as an exported program may."""

    def __init__(self, context):
        super().__init__()
        self.context = context

    def forward(self, z):
        with self.context():
            return (z[:, :3] ** 2)[:, :, None, None]


class Detached(nn.Module):
    def forward(self, z):
        return z[:, :3, None, None].detach() ** 2


class Numpy(nn.Module):
    def forward(self, z):
        return torch.from_numpy(z.numpy()[:, :3, None, None] ** 2)


def test_no_grad_inside_the_generator_does_not_matter():
    s = volume_scalars(Within(torch.no_grad), np.array([[3.0, 2.0, 1.0]]), normalise_z=False)
    assert np.allclose(s, [[6, 4, 2]])


@pytest.mark.parametrize("module", [Within(torch.inference_mode), Detached(), Numpy()], ids=["inference_mode", "detached", "numpy"])
def test_a_generator_without_derivatives_is_one_sentence(module):
    with pytest.raises(SourceError, match="needs derivatives of the generator"):
        volume_scalars(module, np.array([[3.0, 2.0, 1.0]]), normalise_z=False)


def test_a_dead_latent_is_no_error():
    s = volume_scalars(Toy(lambda z: z.relu()), np.array([[-1.0, -2.0, -3.0], [1.0, -1, 2]]), normalise_z=False)
    assert np.allclose(s, [[0, 0, 0], [1, 1, 0]])


def test_noise_that_is_drawn_afresh_is_refused(stylegan2):
    with pytest.raises(SourceError, match="two different images for one latent"):
        scale_invariant(stylegan2, np.ones((1, 12)), call={"noise": "random"})


def test_products_are_counted(network):
    module, width, invariant = network
    reader = VolumeReader(module, width, projection=20, normalise_z=invariant)
    reader(torch.randn(4, width))
    assert reader.products == 4 * min(width, getattr(module, "w_dim", width))
