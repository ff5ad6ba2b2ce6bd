"""Distances by hand, percentiles by hand, and a generator whose layers we planted."""

import numpy as np
import pytest
import torch

from audit.errors import SourceError
from mitigations.self_conditioning.distances import Percentiles, distance_labels, layer_weights


def test_one_code_for_all_layers_gives_the_signed_distance():
    codes = np.array([[3.0, 4.0], [-3.0, 4.0], [0.0, 0.0]])
    assert distance_labels(codes, np.array([0.6, 0.8]), -1.0) == pytest.approx([4.0, 0.4, -1.0])
    assert distance_labels(codes, np.array([0.6, 0.8]), -1.0, np.array([2.0, 1.0])) == pytest.approx([12.0, 1.2, -3.0])


def test_layers_are_weighted_and_each_has_its_intercept():
    codes = np.array([[[1.0, 0.0], [0.0, 2.0], [5.0, 5.0]]])
    normal, omega = np.array([0.0, 1.0]), np.array([1.0, 2.0, 0.0])
    assert distance_labels(codes, normal, 0.5, omega) == pytest.approx([1 * 0.5 + 2 * 2.5])
    assert distance_labels(codes, normal, 0.5) == pytest.approx([(0.5 + 2.5 + 5.5) / 3])


def test_a_normal_for_each_layer_is_used_on_its_layer():
    codes = np.array([[[1.0, 2.0], [3.0, 4.0]], [[0.0, 0.0], [1.0, 0.0]]])
    normals = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert distance_labels(codes, normals, 0.0, np.array([1.0, 10.0])) == pytest.approx([41.0, 0.0])
    assert distance_labels(np.array([[1.0, 2.0]]), normals, 0.0, np.array([1.0, 10.0])) == pytest.approx([21.0])


def test_moving_along_the_normal_moves_the_label_by_as_much_and_across_it_not_at_all():
    rng = np.random.default_rng(0)
    codes, normal = rng.standard_normal((20, 7)), rng.standard_normal(7)
    normal /= np.linalg.norm(normal)
    across = rng.standard_normal(7)
    across -= (across @ normal) * normal
    before = distance_labels(codes, normal, 0.3)
    assert distance_labels(codes + 2.5 * normal, normal, 0.3) - before == pytest.approx(np.full(20, 2.5))
    assert distance_labels(codes + 9 * across, normal, 0.3) == pytest.approx(before)


@pytest.mark.parametrize(("codes", "normal", "omega"), [((4, 3, 5), (5,), (2,)), ((4, 5), (6,), None), ((4, 3, 5), (2, 5), None)])
def test_shapes_that_do_not_fit_are_named(codes, normal, omega):
    with pytest.raises(SourceError, match="do not fit"):
        distance_labels(np.zeros(codes), np.zeros(normal), 0.0, None if omega is None else np.ones(omega))


def test_percentiles_are_those_of_the_data_and_clip():
    scale = Percentiles.of(np.arange(1001.0))
    assert (scale.low, scale.high) == pytest.approx((5.0, 995.0))
    assert scale(np.array([-50.0, 5.0, 500.0, 995.0, 2000.0])) == pytest.approx([0, 0, 0.5, 1, 1])


def test_distances_that_are_all_equal_are_an_error():
    with pytest.raises(SourceError, match="does not tell these images apart"):
        Percentiles.of(np.full(50, 2.0))


def _planted(strengths, channels=6, seed=0):
    """A generator whose block of pixels l is a random linear function of layer l; along axis 0 only ``strengths`` act."""
    mixing = torch.randn(len(strengths), channels, 12, generator=torch.Generator().manual_seed(seed))
    mixing[:, 0] *= torch.tensor(strengths)[:, None]

    def draw(ws):
        return torch.einsum("nlc,lcp->nlp", ws, mixing).flatten(1)[:, None, None, :].expand(-1, 3, 1, -1)

    return draw


def test_the_layer_that_carries_the_direction_is_found():
    rng = np.random.default_rng(1)
    codes, normal = rng.standard_normal((400, 6)), np.eye(6)[0]
    weights = layer_weights(_planted([0.0, 0.0, 1.0, 0.0]), codes, normal, 0.0, 4, rng=rng, pairs=30)
    assert weights == pytest.approx([0, 0, 4, 0], abs=1e-9)


def test_layers_that_carry_it_alike_weigh_alike_and_the_sum_is_their_number():
    rng = np.random.default_rng(1)
    codes = rng.standard_normal((400, 6))
    weights = layer_weights(_planted([1.0, 1.0, 1.0]), codes, np.eye(6)[0], 0.2, 3, rng=rng, pairs=40)
    assert weights.sum() == pytest.approx(3)
    assert weights == pytest.approx([1, 1, 1], abs=0.35)


def test_a_direction_nothing_reacts_to_is_an_error():
    rng = np.random.default_rng(1)
    with pytest.raises(SourceError, match="no layer"):
        layer_weights(_planted([0.0, 0.0]), rng.standard_normal((50, 6)), np.eye(6)[0], 0.0, 2, rng=rng, pairs=4)
