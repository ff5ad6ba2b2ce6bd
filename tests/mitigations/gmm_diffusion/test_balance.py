"""Mixture weights: the programme is solved exactly, and leakage is paid for."""

import itertools

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import ndtr, ndtri

from audit.errors import SourceError, SpecError
from mitigations.gmm_diffusion.balance import expected_shares, leakage, mixing_weights, target_shares


def _toy(q):
    """Leakage of a half-space of mass q whose two sides are replaced by Gaussians of their mean and variance (methods.md, section 4)."""
    edge = ndtri(1 - q)
    height = np.exp(-(edge**2) / 2) / np.sqrt(2 * np.pi)
    few, many = height / q, -height / (1 - q)
    hit = ndtr((few - edge) / np.sqrt(1 + edge * few - few**2))
    leak = ndtr((many - edge) / np.sqrt(1 + edge * many - many**2))
    return np.array([[1 - leak, leak], [1 - hit, hit]])


@pytest.mark.parametrize(("q", "hit", "leak", "halved", "parity"), [(0.10, 0.875, 0.040, 0.458, 0.551), (0.02, 0.865, 0.013, 0.439, 0.572)])
def test_the_half_space_needs_more_than_half_for_parity(q, hit, leak, halved, parity):
    r = _toy(q)
    assert r[1, 1] == pytest.approx(hit, abs=6e-4)
    assert r[0, 1] == pytest.approx(leak, abs=6e-4)
    assert expected_shares(r, np.array([0.5, 0.5]))[1] == pytest.approx(halved, abs=6e-4)
    weights = mixing_weights(r, np.array([0.5, 0.5]), ridge=0)
    assert weights[1] == pytest.approx(parity, abs=6e-4)
    assert expected_shares(r, weights) == pytest.approx([0.5, 0.5])


def _loss(r, target, ridge, weights):
    return ((r.T @ weights - target) ** 2).sum() + ridge * ((weights - target) ** 2).sum()


@pytest.mark.parametrize("ridge", [0.0, 1e-3, 0.5])
def test_the_weights_are_the_best_of_a_fine_grid(ridge):
    rng = np.random.default_rng(3)
    grid = np.array([(i, j, 60 - i - j) for i, j in itertools.product(range(61), repeat=2) if i + j <= 60]) / 60
    for _ in range(20):
        r, target = rng.dirichlet(np.full(3, 0.4), size=3), rng.dirichlet(np.ones(3))
        weights = mixing_weights(r, target, ridge=ridge)
        assert weights.min() >= 0
        assert weights.sum() == pytest.approx(1)
        assert _loss(r, target, ridge, weights) <= min(_loss(r, target, ridge, g) for g in grid) + 1e-12


def test_another_solver_of_quadratic_programmes_agrees():
    rng, target = np.random.default_rng(4), np.full(6, 1 / 6)
    on_the_edge = 0
    for _ in range(10):
        r = 0.3 * np.eye(6) + 0.7 * rng.dirichlet(np.full(6, 0.3), size=6)
        ours = mixing_weights(r, target)
        theirs = minimize(lambda w, r=r: _loss(r, target, 1e-3, w), target, method="SLSQP", bounds=[(0, 1)] * 6, tol=1e-14,
                          constraints={"type": "eq", "fun": lambda w: w.sum() - 1}).x  # fmt: skip
        assert ours == pytest.approx(theirs, abs=2e-4)
        on_the_edge += (ours == 0).any()
    assert 0 < on_the_edge < 10


def test_cells_that_do_not_leak_are_asked_for_as_wanted():
    target = np.array([0.2, 0.5, 0.3])
    assert mixing_weights(np.diag([10, 200, 3.0]), target) == pytest.approx(target)


def test_cells_that_cannot_be_told_apart_are_asked_for_evenly():
    assert mixing_weights(np.full((4, 4), 25.0), np.full(4, 0.25)) == pytest.approx(np.full(4, 0.25))


def test_a_cell_that_is_not_wanted_is_not_asked_for():
    leaks = np.array([[8, 1, 1], [2, 8, 0], [0, 0, 0.0]])
    weights = mixing_weights(leaks, np.array([0.5, 0.5, 0.0]))
    assert weights[2] == 0
    assert weights.sum() == pytest.approx(1)
    assert expected_shares(leaks, weights)[:2] == pytest.approx([0.475, 0.475], abs=0.03)


def test_leakage_counts_what_was_read():
    counts = leakage(np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, -1, 1]), 2)
    assert counts.tolist() == [[1, 1], [0, 2]]


def test_a_wanted_cell_that_was_never_read_is_a_sentence():
    with pytest.raises(SourceError, match="asked for as cell 1"):
        mixing_weights(np.array([[5, 1], [0, 0.0]]), np.array([0.5, 0.5]))


@pytest.mark.parametrize("target", ["even", {"a": 1.0}, {"a": 0.7, "b": 0.7}, {"a": -0.5, "b": 1.5}, {"a": float("nan"), "b": 1.0}])
def test_a_target_that_is_no_table_of_shares_is_refused(target):
    with pytest.raises(SpecError, match="sampler gmm"):
        target_shares(target, ["a", "b"], "gmm")


def test_a_target_may_be_a_table():
    assert target_shares({"b": 0.25, "a": 0.75}, ["a", "b"], "gmm").tolist() == [0.75, 0.25]
    assert target_shares("uniform", ["a", "b"], "gmm").tolist() == [0.5, 0.5]
