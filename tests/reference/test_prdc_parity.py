"""Precision, recall, density and coverage equal prdc's wherever no two distances tie."""

import numpy as np
import pytest
from prdc import compute_prdc

from audit.metrics import density_coverage, neighbour_metrics, precision_recall


def theirs(generated, reference, k):
    found = compute_prdc(real_features=reference, fake_features=generated, nearest_k=k)
    return tuple(float(found[name]) for name in ("precision", "recall", "density", "coverage"))


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize(("n", "m", "d"), [(150, 200, 4), (200, 150, 64)])
def test_all_four_are_prdc_s(n, m, d, k):
    rng = np.random.default_rng(n + k)
    generated, reference = rng.standard_normal((n, d)) * 0.9 + 0.1, rng.standard_normal((m, d))
    expected = theirs(generated, reference, k)
    assert neighbour_metrics(generated, reference, k_pr=k, k_dc=k) == pytest.approx(expected, abs=1e-9)
    assert precision_recall(generated, reference, k=k) == pytest.approx(expected[:2], abs=1e-9)
    assert density_coverage(generated, reference, k=k) == pytest.approx(expected[2:], abs=1e-9)


def test_the_example_of_its_readme_agrees_at_reduced_size():
    rng = np.random.default_rng(0)
    generated, reference = (rng.standard_normal((700, 1000)).astype(np.float32) for _ in range(2))
    assert neighbour_metrics(generated, reference, k_pr=5, k_dc=5) == pytest.approx(
        theirs(generated, reference, 5), abs=1e-9
    )


def test_only_edges_tell_precision_and_recall_apart_from_prdc_s():
    lattice = np.arange(12.0)[:, None]  # every ball ends on another image
    shifted = lattice + 3
    assert precision_recall(shifted, lattice, k=1).precision == pytest.approx(
        10 / 12
    )  # 12.0 on the edge of 11.0's ball
    assert theirs(shifted, lattice, 1)[0] == pytest.approx(9 / 12)
    assert density_coverage(shifted, lattice, k=1) == pytest.approx(theirs(shifted, lattice, 1)[2:])
