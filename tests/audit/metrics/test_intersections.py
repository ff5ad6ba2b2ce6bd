"""Intersections: every cell counted, in one order everywhere, the margins intact."""

import numpy as np
import pytest

from audit.errors import MetricError
from audit.metrics.intersections import joint_counts, joint_labels

KS = {"gender": 2, "skin_tone": 3, "age": 3}


@pytest.fixture
def labels():
    rng = np.random.default_rng(0)
    return {name: rng.integers(0, k, 500) for name, k in KS.items()}


def test_cells_nobody_is_in_are_there_with_a_zero():
    counts = joint_counts({"gender": [0, 0], "skin_tone": [1, 1]}, KS)
    assert counts.tolist() == [[0, 2, 0], [0, 0, 0]]


def test_the_margins_are_the_counts_of_each_attribute(labels):
    counts = joint_counts(labels, KS)
    assert counts.shape == (2, 3, 3)
    assert counts.sum(axis=(0, 2)).tolist() == np.bincount(labels["skin_tone"]).tolist()


def test_cell_numbers_and_counts_are_in_the_same_order(labels):
    cells = joint_labels(labels, KS)
    assert np.bincount(cells, minlength=18).tolist() == joint_counts(labels, KS).ravel().tolist()
    assert cells[0] == (labels["gender"][0] * 3 + labels["skin_tone"][0]) * 3 + labels["age"][0]


def test_an_image_missing_one_attribute_is_in_no_cell():
    labels = {"gender": [0, -1, 1], "skin_tone": [-1, 2, 2]}
    assert joint_labels(labels, KS).tolist() == [-1, -1, 5]
    assert joint_counts(labels, KS).sum() == 1


@pytest.mark.parametrize(
    "labels", [{}, {"height": [0]}, {"gender": [0, 1], "skin_tone": [0]}, {"gender": [2]}, {"gender": [0.5]}]
)
def test_what_is_no_intersection_is_refused(labels):
    with pytest.raises(MetricError):
        joint_counts(labels, KS)
