"""Feature matrices and label columns are converted once, and what is not one is refused by name."""

import numpy as np
import pytest
import torch

from audit.errors import MetricError
from audit.metrics.features import as_features, as_labels, feature_pair, identical_inputs


def test_a_tensor_and_an_array_give_the_same_matrix():
    values = np.arange(6, dtype=np.float32).reshape(3, 2)
    assert np.array_equal(as_features(torch.from_numpy(values).requires_grad_()), as_features(values))
    assert np.array_equal(as_features(torch.from_numpy(values).to(torch.bfloat16)), values)


def test_single_precision_stays_single_and_whole_numbers_become_double():
    assert as_features(np.ones((2, 2), dtype=np.float32)).dtype == np.float32
    assert as_features(np.ones((2, 2), dtype=np.uint8)).dtype == np.float64


@pytest.mark.parametrize(
    ("features", "sentence"),
    [
        (np.ones(5), "one row an image"),
        (np.ones((1, 3)), "at least 2 images"),
        (np.array([[1.0], [np.nan]]), "NaN or infinity"),
        (np.array([[1.0], [np.inf]]), "NaN or infinity"),
        (np.array([["a"], ["b"]]), "real numbers"),
        (np.ones((3, 0)), "1 dimension"),
    ],
)
def test_what_is_no_feature_matrix_is_refused(features, sentence):
    with pytest.raises(MetricError, match=sentence):
        as_features(features)


def test_features_of_two_encoders_are_refused():
    with pytest.raises(MetricError, match="same encoder"):
        feature_pair(np.ones((3, 4)), np.ones((3, 5)))


def test_identical_sets_are_recognised_in_any_order(rng_features):
    assert identical_inputs(rng_features, rng_features)
    assert identical_inputs(rng_features, rng_features[::-1])
    assert not identical_inputs(rng_features, rng_features + 1e-9)
    assert not identical_inputs(rng_features, rng_features[:-1])
    swapped = rng_features.copy()
    swapped[0, 1], swapped[1, 1] = swapped[1, 1], swapped[0, 1]  # every column the same multiset, the rows not
    assert not identical_inputs(rng_features, swapped)


@pytest.fixture
def rng_features():
    return np.random.default_rng(1).standard_normal((20, 3))


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [([[0]], "one-dimensional"), ([0.5], "whole numbers"), ([2], "holds 2"), ([-2], "holds -2")],
)
def test_what_is_no_label_is_refused(labels, sentence):
    with pytest.raises(MetricError, match=sentence):
        as_labels(labels, 2)
