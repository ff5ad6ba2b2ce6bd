"""Mixtures: what was planted is found, few examples lean on all, and draws are functions of their numbers."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from audit.errors import SourceError
from audit.seeds import normals, uniforms
from mitigations.gmm_diffusion import mixtures
from mitigations.gmm_diffusion.mixtures import Mixture, fit_cells, fit_mixture, held_out

NAMES = ["a", "b"]


def _clusters(n, centres, spread=1.0, seed=0):
    rng = np.random.default_rng(seed)
    which = rng.integers(0, len(centres), n)
    return np.asarray(centres, float)[which] + spread * rng.normal(size=(n, len(centres[0])))


def test_a_mixture_of_known_gaussians_is_recovered():
    centres = [(-6, 0, 0), (6, 0, 0), (0, 8, 0)]
    found = fit_mixture(_clusters(3000, centres), components=3)
    order = [int(np.argmin(((found.means - c) ** 2).sum(axis=1))) for c in centres]
    assert sorted(order) == [0, 1, 2]
    assert found.means[order] == pytest.approx(np.array(centres, float), abs=0.15)
    assert found.shares == pytest.approx(np.full(3, 1 / 3), abs=0.03)
    for factor in found.factors:
        assert factor @ factor.T == pytest.approx(np.eye(3), abs=0.15)


@pytest.mark.parametrize("centres", [[(0, 0, 0)], [(-5, 0, 0), (5, 0, 0)], [(-7, 0, 0), (7, 0, 0), (0, 9, 0)]])
def test_held_out_likelihood_picks_the_number_of_clusters_there_are(centres):
    for seed in range(3):
        found = fit_mixture(_clusters(900, centres, seed=seed), components=(1, 2, 3, 4))
        assert len(found.shares) == len(centres)


def test_one_more_component_must_be_worth_more_than_chance(monkeypatch):
    y, chance = np.random.default_rng(0).normal(size=(400, 3)), np.random.default_rng(1).normal(size=400)
    for gain, expected in ((0.02, 1), (0.5, 2)):  # one standard error of the difference is 0.05
        monkeypatch.setattr(mixtures, "held_out", lambda *a, gain=gain, **k: {1: np.zeros(400), 2: chance - chance.mean() + gain})
        assert len(fit_mixture(y, components=(1, 2)).shares) == expected


def test_held_out_likelihood_is_that_of_points_not_fitted():
    y = np.random.default_rng(1).normal(size=(40, 10))
    out = held_out(y, [1])[1].mean()
    inside = fit_mixture(y, components=1).log_density(y).mean()
    assert out < inside


def test_the_density_is_that_of_the_textbook():
    mean, cov = np.array([1.0, -2.0]), np.array([[2.0, 0.6], [0.6, 1.0]])
    mixture = Mixture(np.array([0.3, 0.7]), np.stack([mean, -mean]), np.stack([np.linalg.cholesky(cov), np.eye(2)]))
    at = np.random.default_rng(0).normal(size=(20, 2))
    truth = 0.3 * multivariate_normal(mean, cov).pdf(at) + 0.7 * multivariate_normal(-mean, np.eye(2)).pdf(at)
    assert mixture.log_density(at) == pytest.approx(np.log(truth))


def test_draws_have_the_moments_of_the_mixture():
    cov = np.array([[2.0, 0.6], [0.6, 1.0]])
    mixture = Mixture(np.array([0.25, 0.75]), np.array([[8.0, 0], [-8, 0]]), np.stack([np.linalg.cholesky(cov), 0.5 * np.eye(2)]))
    seeds = np.arange(20_000, dtype=np.uint64)
    y = mixture.draw(uniforms(seeds, "u", 1)[:, 0], normals(seeds, "e", 2))
    right = y[:, 0] > 0
    assert right.mean() == pytest.approx(0.25, abs=0.01)
    assert np.cov(y[right].T) == pytest.approx(cov, abs=0.1)
    assert np.cov(y[~right].T) == pytest.approx(0.25 * np.eye(2), abs=0.02)
    narrow = mixture.draw(uniforms(seeds, "u", 1)[:, 0], normals(seeds, "e", 2), tau=0.5)
    assert np.cov(narrow[right].T) == pytest.approx(cov / 4, abs=0.05)


def test_a_draw_is_a_function_of_its_own_numbers_bit_for_bit():
    rng = np.random.default_rng(0)
    mixture = fit_mixture(rng.normal(size=(300, 33)), components=2)
    seeds = np.arange(301, dtype=np.uint64)
    u, e = uniforms(seeds, "u", 1)[:, 0], normals(seeds, "e", 33)
    whole = mixture.draw(u, e)
    for size in (1, 7, 128, 300):
        assert np.array_equal(np.concatenate([mixture.draw(u[i : i + size], e[i : i + size]) for i in range(0, 301, size)]), whole)
    back = np.arange(301)[::-1]
    assert np.array_equal(mixture.draw(u[back], e[back])[back], whole)
    assert mixture.draw(u[:0], e[:0]).shape == (0, 33)


def test_every_cell_is_modelled_about_its_own_mean():
    rng = np.random.default_rng(0)
    shape = np.array([[3.0, 1.0, 0.0], [0.0, 1.0, 0.5], [0.0, 0.0, 0.2]])
    y = np.concatenate([rng.normal(size=(2000, 3)) @ shape + (10, 0, 0), rng.normal(size=(500, 3)) @ shape - (10, 0, 0)])
    many, few = fit_cells(y, np.repeat([0, 1], [2000, 500]), NAMES, components=1)
    assert many.means[0] == pytest.approx([10, 0, 0], abs=0.3)
    assert few.means[0] == pytest.approx([-10, 0, 0], abs=0.5)
    for mixture in (many, few):
        assert mixture.factors[0] @ mixture.factors[0].T == pytest.approx(shape.T @ shape, rel=0.15, abs=0.15)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_cell_with_few_examples_takes_the_shape_of_all(n):
    rng = np.random.default_rng(0)
    shape = np.array([10.0, 1.0, 0.1])
    y = np.concatenate([rng.normal(size=(1000, 3)) * shape, rng.normal(size=(n, 3)) * shape])
    _, rare = fit_cells(y, np.repeat([0, 1], [1000, n]), NAMES, components=(1, 2, 3))
    assert len(rare.shares) == 1
    assert rare.means[0] == pytest.approx(y[1000:].mean(axis=0))
    spread = np.sqrt(np.diag(rare.factors[0] @ rare.factors[0].T))
    assert spread[0] / spread[1] == pytest.approx(10, rel=0.6)
    assert spread[1] / spread[2] == pytest.approx(10, rel=0.6)


def test_shrinkage_beats_the_plain_covariance_where_examples_are_few():
    rng = np.random.default_rng(0)
    y, fresh = rng.normal(size=(60, 50)), rng.normal(size=(4000, 50))
    shrunk = fit_mixture(y, components=1)
    plain = Mixture(np.ones(1), y.mean(axis=0)[None], np.linalg.cholesky(np.cov(y.T) + 1e-6 * np.eye(50))[None])
    truth = -25 * np.log(2 * np.pi) - 0.5 * (fresh**2).sum(axis=1).mean()
    assert plain.log_density(fresh).mean() < shrunk.log_density(fresh).mean() - 10
    assert shrunk.log_density(fresh).mean() > truth - 2


def test_the_size_of_a_tight_cell_is_kept():
    rng = np.random.default_rng(0)
    found = fit_mixture(0.1 * rng.normal(size=(50, 8)), components=1)
    assert np.trace(found.factors[0] @ found.factors[0].T) / 8 == pytest.approx(0.01, rel=0.2)


def test_diagonal_covariances_are_diagonal():
    y = np.random.default_rng(0).normal(size=(500, 2)) @ np.array([[1, 0.9], [0, 0.5]])
    full, diagonal = (fit_mixture(y, components=1, covariance=c).factors[0] for c in ("full", "diagonal"))
    assert abs((full @ full.T)[0, 1]) > 0.5
    assert (diagonal @ diagonal.T)[0, 1] == 0


def test_a_cell_without_examples_or_with_fewer_than_its_components_is_a_sentence():
    y = np.random.default_rng(0).normal(size=(12, 3))
    with pytest.raises(SourceError, match="no labelled latent of 'b' among 12"):
        fit_cells(y, np.zeros(12, int), NAMES)
    with pytest.raises(SourceError, match="'b' has 2 labelled latents and components is 3; draw a larger pool, or ask for fewer"):
        fit_cells(y, np.repeat([0, 1], [10, 2]), NAMES, components=3)


def test_latents_that_do_not_vary_are_a_sentence():
    with pytest.raises(SourceError, match="do not vary inside their cells, so their covariance is singular"):
        fit_cells(np.repeat([[0.0, 1.0], [5.0, 5.0]], 6, axis=0), np.repeat([0, 1], 6), NAMES)


def test_latents_on_a_plane_are_regularised():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(200, 2)) @ rng.normal(size=(2, 5))
    found = fit_cells(y, np.arange(200) % 2, NAMES, components=1)
    assert all(np.isfinite(m.log_density(y)).all() for m in found)
