import numpy as np
import pytest
from scipy.stats import norm

from audit.evidence import evidence

LEVELS = [float(2 * norm.cdf(z) - 1) for z in (0.5, 1, 1.645, 2, 2.58, 3.1, 4, 5)]
NORMAL = [(level, -norm.ppf(0.5 + level / 2), norm.ppf(0.5 + level / 2)) for level in LEVELS]


@pytest.mark.parametrize("curve", [NORMAL, None])
def test_p_values_of_a_normal_number_are_those_of_the_z_test(curve):
    known = evidence(0.0, -1.959964, 1.959964, 0.95, curve)
    for most in (0.3, 1.2, 1.959964, 2.7, 4.4):
        assert known.p_held(-np.inf, most) == pytest.approx(2 * norm.sf(most), rel=1e-6)
        assert known.p_broken(most, np.inf) == pytest.approx(2 * norm.sf(most), rel=1e-6)
    assert known.p_broken(-np.inf, 1.0) == 1.0
    assert known.p_held(0.5, np.inf) == 1.0


def test_between_needs_both_sides_and_beyond_only_one():
    known = evidence(0.0, -1.96, 1.96, 0.95, NORMAL)
    assert known.p_held(-1.0, 3.0) == pytest.approx(2 * norm.sf(1), rel=1e-3)
    assert known.p_held(-3.0, 3.0) == pytest.approx(2 * norm.sf(3), rel=1e-3)
    assert known.p_broken(2.0, 3.0) == pytest.approx(2 * norm.sf(2), rel=1e-3)


def test_nothing_is_claimed_beyond_the_widest_interval():
    known = evidence(0.0, -1.96, 1.96, 0.95, NORMAL)
    assert known.p_held(-100.0, 100.0) == pytest.approx(2 * norm.sf(5), rel=1e-6)


def test_a_lopsided_interval_is_followed_on_each_side():
    known = evidence(0.1, 0.08, 0.2, 0.95, [(0.99, 0.07, 0.3), (0.999, 0.06, 0.5)])
    assert known.p_held(-np.inf, 0.2) == pytest.approx(0.05)
    assert known.p_held(-np.inf, 0.3) == pytest.approx(0.01)
    assert known.p_held(0.07, np.inf) == pytest.approx(0.01)


def test_the_interval_at_another_level_lies_between_its_neighbours_and_goes_on_beyond_them():
    known = evidence(0.0, -1.96, 1.96, 0.95, NORMAL)
    assert known.at(0.975)[1] == pytest.approx(norm.ppf(0.9875), abs=1e-3)
    assert known.at(1 - 2 * norm.sf(6))[1] == pytest.approx(6, rel=1e-3)


def test_an_interval_of_no_width_decides_at_once():
    known = evidence(0.2, 0.2, 0.2, 0.95, [(0.99, 0.2, 0.2)])
    assert known.p_held(-np.inf, 0.3) < 0.02
    assert known.p_broken(-np.inf, 0.1) < 0.02
