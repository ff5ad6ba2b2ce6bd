"""Weights from singular values: closed forms, invariances, and what is refused."""

import numpy as np
import pytest

from audit.errors import MetricError
from mitigations.magnet import diagnostics, resample, weights
from mitigations.magnet.weights import floored, log_volumes


@pytest.fixture
def values():
    rng = np.random.default_rng(1)
    return -np.sort(-rng.lognormal(size=(50, 6)), axis=1)


def test_weights_are_the_products_of_the_largest_values(values):
    product = values[:, :3].prod(axis=1)
    assert np.allclose(weights(values, top_k=3), product / product.sum())
    assert np.allclose(weights(values, top_k=3, rho=-0.5), product**-0.5 / (product**-0.5).sum())


def test_rho_0_is_the_base_distribution_to_the_last_bit(values):
    values[3] = 0
    assert (weights(values, top_k=4, rho=0) == 1 / 50).all()


def test_a_generator_in_other_units_has_the_same_weights(values):
    assert np.allclose(weights(values, top_k=5, rho=1.7), weights(values * 1e-9, top_k=5, rho=1.7), rtol=1e-9)


def test_volumes_beyond_the_range_of_floats_keep_their_order():
    tiny = np.array([1e-200, 1e-201, 1e-202])[:, None] * np.ones((1, 30))
    w = weights(tiny, top_k=30, rho=0.01)
    assert np.allclose(w[:-1] / w[1:], 10**0.3)


def test_the_prior_is_divided_out(values):
    p = np.linspace(0.1, 2, 50)
    expected = values[:, 0] / p
    assert np.allclose(weights(values, top_k=1, log_prior=np.log(p)), expected / expected.sum())


def test_a_latent_outside_the_domain_is_never_drawn(values):
    w = weights(values, top_k=1, log_prior=np.where(np.arange(50) < 10, np.inf, 0.0))
    assert (w[:10] == 0).all() and np.isclose(w.sum(), 1)


@pytest.mark.parametrize("rho", [1.0, -1.0])
def test_a_latent_that_moves_nothing_is_dropped_and_counted(values, rho):
    values[[4, 9]] = 0
    w = weights(values, top_k=3, rho=rho)
    assert (w[[4, 9]] == 0).all() and (np.delete(w, [4, 9]) > 0).all()
    assert diagnostics(w, draws=10).dropped == 2


def test_values_lost_to_rounding_are_raised_to_a_floor_and_counted(values):
    values[7, 2:] = 0
    assert floored(values, top_k=3) == 1 and floored(values, top_k=2) == 0
    assert np.isclose(log_volumes(values, top_k=3)[7], np.log(values[7, 0] ** 2 * values[7, 1] * 1e-7))


def test_the_effective_sample_size_of_known_weights():
    even, one, half = np.full(8, 1 / 8), np.array([1.0, 0, 0]), np.array([0.5, 0.25, 0.25])
    assert [diagnostics(w, draws=4).ess for w in (even, one, half)] == pytest.approx([8, 1, 1 / 0.375])
    assert diagnostics(half, draws=4).max_weight == 0.5
    assert diagnostics(half, draws=4).perplexity == pytest.approx(2**1.5)
    assert diagnostics(one, draws=4).perplexity == 1


def test_the_share_of_different_latents_of_known_weights():
    assert diagnostics(np.full(2, 0.5), draws=2).unique_share == pytest.approx(0.75)  # 1 or 2 different of 2, evenly
    assert diagnostics(np.array([1.0, 0.0]), draws=10).unique_share == pytest.approx(0.1)
    drawn = resample(np.full(100, 0.01), np.random.default_rng(0).random((2000, 50)))
    seen = np.mean([len(set(row)) for row in drawn]) / 50
    assert diagnostics(np.full(100, 0.01), draws=50).unique_share == pytest.approx(seen, abs=0.01)


def test_draws_follow_the_weights_and_each_its_own_number():
    w, u = np.array([0.0, 0.2, 0.0, 0.7, 0.1, 0.0]), np.random.default_rng(2).random(20_000)
    drawn = resample(w, u)
    assert np.allclose(np.bincount(drawn, minlength=6) / 20_000, w, atol=0.015)
    assert set(drawn) == {1, 3, 4}
    assert (resample(w, u[5:9]) == drawn[5:9]).all()
    assert resample(w, np.array([0.0, 1e-300, 1 - 1e-16])).tolist() == [1, 1, 4]


@pytest.mark.parametrize(("values", "options", "words"), [
    (np.array([[1.0, np.nan]]), {"top_k": 1}, "1 of 1 latents are not finite"),
    (np.array([[1.0, 2.0]]), {"top_k": 1}, "descend"),
    (np.array([[1.0, -2.0]]), {"top_k": 1}, ">= 0"),
    (np.ones((0, 3)), {"top_k": 1}, "at least one row"),
    (np.ones(3), {"top_k": 1}, "shape"),
    (np.ones((2, 3)), {"top_k": 4}, "choose 1..3"),
    (np.ones((2, 3)), {"top_k": 0}, "choose 1..3"),
    (np.ones((2, 3)), {"top_k": 1, "rho": np.inf}, "rho is inf"),
    (np.ones((2, 3)), {"top_k": 1, "log_prior": np.zeros(3)}, "log_prior"),
    (np.ones((2, 3)), {"top_k": 1, "log_prior": np.array([0, np.nan])}, "log_prior"),
    (np.zeros((2, 3)), {"top_k": 1}, "do not depend on the latent"),
])  # fmt: skip
def test_what_cannot_be_weighed_is_one_sentence(values, options, words):
    with pytest.raises(MetricError, match=words):
        weights(values, **options)
