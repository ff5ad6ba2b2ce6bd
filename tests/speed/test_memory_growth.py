"""Neighbour metrics take memory in proportion to n: each measured in a process of its own."""

import pytest

from audit.bench.peak import peak_of


@pytest.mark.slow
def test_twice_the_images_take_twice_the_memory_and_not_four_times():
    small, large = (peak_of("neighbours", n, 32) for n in (8_000, 16_000))
    assert large < 2.6 * small
    assert large < 16_000**2  # bytes: an eighth of one float64 matrix of all distances
