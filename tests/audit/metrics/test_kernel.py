"""Kernel distance: by hand, free of bias, the same in blocks, and an interval that covers."""

import numpy as np
import pytest

from audit.errors import MetricError
from audit.estimates import NotMeasured
from audit.metrics import kernel
from audit.metrics.kernel import kernel_distance, kernel_distance_full, kernel_estimate


def test_three_images_agree_with_the_sum_written_out():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((3, 4)), rng.standard_normal((5, 4))

    def k(a, b):
        return (a @ b / 4 + 1) ** 3

    within_x = np.mean([k(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j])
    within_y = np.mean([k(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j])
    across = np.mean([k(a, b) for a in x for b in y])
    assert kernel_distance_full(x, y) == pytest.approx(within_x + within_y - 2 * across)


def test_equal_distributions_have_a_mean_of_zero_at_any_size():
    rng = np.random.default_rng(1)
    values = [kernel_distance_full(rng.standard_normal((6, 3)), rng.standard_normal((9, 3))) for _ in range(2000)]
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(2000)
    assert min(values) < 0


def test_sets_that_fit_into_one_subset_use_all_pairs_and_no_random_number():
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((50, 3)), rng.standard_normal((40, 3))
    state = rng.bit_generator.state
    assert kernel_distance(x, y, rng=rng) == kernel_distance_full(x, y)
    assert rng.bit_generator.state == state


def test_subsets_average_to_the_value_over_all_pairs():
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((200, 3)) + 0.5, rng.standard_normal((200, 3))
    assert kernel_distance(x, y, rng=rng, subsets=400, subset_size=100) == pytest.approx(
        kernel_distance_full(x, y), rel=0.05
    )
    assert kernel_distance(x, y, rng=np.random.default_rng(1), subset_size=100) == kernel_distance(
        x, y, rng=np.random.default_rng(1), subset_size=100
    )


def test_the_size_of_the_blocks_does_not_matter(monkeypatch):
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal((70, 5)), rng.standard_normal((53, 5))
    whole = kernel_estimate(x, y)
    monkeypatch.setattr(kernel, "BLOCK", 16)
    parts = kernel_estimate(x, y)
    assert (parts.value, parts.low, parts.high) == pytest.approx((whole.value, whole.low, whole.high), rel=1e-10)


def test_the_standard_error_is_that_of_leaving_out_each_image_in_turn():
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((12, 3)), rng.standard_normal((9, 3)) + 1
    variance = 0.0
    for one, other, swap in ((x, y, False), (y, x, True)):
        left = [np.delete(one, i, axis=0) for i in range(len(one))]
        values = np.array([kernel_distance_full(*((other, part) if swap else (part, other))) for part in left])
        variance += (len(one) - 1) * values.var()
    estimate = kernel_estimate(x, y)
    assert (estimate.high - estimate.low) / 2 == pytest.approx(1.959964 * np.sqrt(variance), rel=1e-6)


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_the_interval_covers(shift):
    rng = np.random.default_rng(6)

    def pair(n=80):
        return rng.standard_normal((n, 6)) + shift, rng.standard_normal((n, 6))

    truth = np.mean([kernel_distance_full(*pair()) for _ in range(1500)]) if shift else 0.0
    held = sum(e.low <= truth <= e.high for e in (kernel_estimate(*pair()) for _ in range(200)))
    assert held / 200 >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 200)


def test_two_images_have_no_interval():
    assert isinstance(kernel_estimate(np.ones((2, 3)), np.zeros((2, 3))), NotMeasured)


@pytest.mark.parametrize("arguments", [{"subsets": 0}, {"subset_size": 1}])
def test_impossible_subsets_are_refused(arguments):
    with pytest.raises(MetricError):
        kernel_distance(np.ones((5, 3)), np.ones((5, 3)), rng=np.random.default_rng(0), **arguments)


def test_what_has_no_kernel_is_refused():
    with pytest.raises(MetricError):
        kernel_distance_full(np.ones((5, 3)), np.ones((5, 4)))
    with pytest.raises(MetricError):
        kernel_distance_full(np.ones(5), np.ones(5))
