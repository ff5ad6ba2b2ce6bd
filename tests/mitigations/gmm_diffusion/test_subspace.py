"""Coordinates: the direction that matters is among them, and a move leaves the rest alone."""

import numpy as np
import pytest

from audit.errors import SourceError
from mitigations.gmm_diffusion import subspace as module
from mitigations.gmm_diffusion.subspace import find_subspace


def _planted(n=4000, width=30, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    turn, _ = np.linalg.qr(np.random.default_rng(9).normal(size=(width, width)))
    x = rng.normal(size=(n, width)) * np.linspace(0.7, 2, width) @ turn
    x[:, 0] += 3 * labels
    return x + 7, labels


def test_coordinates_have_unit_covariance_inside_the_cells_and_zero_mean():
    x, labels = _planted()
    found = find_subspace(x, labels, dims=6)
    y = found.coordinates(x)
    inside = y - np.stack([y[labels == k].mean(axis=0) for k in (0, 1)])[labels]
    assert np.cov(inside.T) == pytest.approx(np.eye(6), abs=0.05)
    assert y.mean(axis=0) == pytest.approx(np.zeros(6), abs=1e-3)
    assert found.read.T @ found.write == pytest.approx(np.eye(6), abs=1e-4)
    assert found.dims == 6


def test_the_first_coordinate_separates_the_cells_best():
    x, labels = _planted()
    found = find_subspace(x, labels, dims=4)
    y = found.coordinates(x)
    apart = np.abs(y[labels == 1].mean(axis=0) - y[labels == 0].mean(axis=0))
    inside = np.cov((x - np.stack([x[labels == k].mean(axis=0) for k in (0, 1)])[labels]).T)
    mean = x[labels == 1].mean(axis=0) - x[labels == 0].mean(axis=0)
    assert apart[0] == pytest.approx(np.sqrt(mean @ np.linalg.solve(inside, mean)), rel=0.02)  # Fisher: no direction does better
    assert apart[1:].max() < 0.05 * apart[0]


def test_what_is_not_moved_is_uncorrelated_with_what_is():
    x, labels = _planted()
    found = find_subspace(x, labels, dims=3)
    y = found.coordinates(x)
    rest = x - found.centre - y @ found.write.T
    for k in (0, 1):
        both = np.corrcoef(np.concatenate([rest[labels == k], y[labels == k]], axis=1).T)[: x.shape[1], x.shape[1] :]
        assert np.abs(both).max() < 0.1
    orthogonal, _ = np.linalg.qr(found.read)
    naive = x - found.centre - (x - found.centre) @ orthogonal @ orthogonal.T
    assert np.abs(np.corrcoef(np.concatenate([naive, y], axis=1).T)[: x.shape[1], x.shape[1] :]).max() > 0.1


def test_wide_latents_are_reduced_first(monkeypatch):
    x, labels = _planted()
    plain = find_subspace(x, labels, dims=3)
    monkeypatch.setattr(module, "WIDE", 20)
    wide = find_subspace(x, labels, dims=3)
    assert wide.read.shape == (30, 3)
    assert np.abs(np.corrcoef(plain.coordinates(x)[:, 0], wide.coordinates(x)[:, 0])[0, 1]) > 0.999


@pytest.mark.parametrize(("n", "dims", "expected"), [(5, 64, 4), (200, 64, 30), (2, 3, 1)])
def test_there_are_no_more_coordinates_than_examples_and_numbers_allow(n, dims, expected):
    x, labels = _planted(n)
    assert find_subspace(x, labels, dims=dims).dims == expected


def test_one_cell_alone_is_described_by_principal_components():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 4)) * (9, 1, 0.5, 0.1)
    found = find_subspace(x, np.zeros(500, int), dims=1)
    assert abs(found.read[0, 0]) > 50 * np.abs(found.read[1:, 0]).max()


def test_latents_that_cannot_be_modelled_are_a_sentence():
    with pytest.raises(SourceError, match="every labelled latent is the same"):
        find_subspace(np.ones((5, 3)), np.zeros(5, int), dims=2)
    with pytest.raises(SourceError, match="1 of them not finite"):
        find_subspace(np.array([[0.0, np.nan], [1, 2], [3, 4]]), np.zeros(3, int), dims=2)
    with pytest.raises(SourceError, match="at least 2"):
        find_subspace(np.ones((1, 3)), np.zeros(1, int), dims=2)
