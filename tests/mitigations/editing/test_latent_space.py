import numpy as np
import pytest
from scipy.stats import chi

from audit.errors import SourceError
from mitigations.editing.latent_space import QUANTILE, LatentSpace


def _gaussian(n, width, rng, layers=3):
    shape = rng.normal(size=(width, width))
    return np.repeat((rng.normal(size=(n, width)) @ shape + 2.0)[:, None], layers, axis=1), shape


def test_the_limit_of_gaussian_codes_is_that_of_the_chi_distribution():
    codes, _ = _gaussian(40_000, 5, np.random.default_rng(0))
    assert LatentSpace.of(codes).limit == pytest.approx(chi(5).ppf(QUANTILE), rel=0.04)


def test_distance_is_mahalanobis_distance():
    rng = np.random.default_rng(1)
    codes, shape = _gaussian(40_000, 4, rng)
    step = np.array([0.0, 3.0, 0.0, 0.0]) @ shape  # three standard deviations along one whitened axis, from the mean
    space = LatentSpace.of(codes)
    assert space.distance((2.0 + step)[None, None].repeat(3, axis=1))[0] == pytest.approx(3.0, rel=0.05)


def test_one_in_a_thousand_new_codes_is_outside_and_far_ones_are():
    rng = np.random.default_rng(2)
    codes, shape = _gaussian(60_000, 4, rng)
    space = LatentSpace.of(codes[:20_000])
    assert 0.0004 < (space.outside(codes[20_000:]) > 1).mean() < 0.0022
    assert (space.outside(codes[:500] + 9 * shape[0]) > 1).mean() > 0.9


def test_the_layer_farthest_out_counts():
    rng = np.random.default_rng(3)
    codes, shape = _gaussian(8_000, 4, rng)
    space = LatentSpace.of(codes)
    one = codes[:4].copy()
    one[:, 2] += 20 * shape[0]
    assert (space.outside(one) > 1).all() and not (space.outside(codes[:4]) > 1).any()


def test_layers_with_places_of_their_own_are_measured_by_their_own():
    rng = np.random.default_rng(4)
    codes, _ = _gaussian(8_000, 4, rng)
    codes[:, 1] = codes[:, 1] * 5 + 100
    space = LatentSpace.of(codes)
    assert len(space.mean) == 3 and (space.outside(codes) > 1).mean() < 0.01


def test_too_few_codes_or_equal_ones_are_refused():
    with pytest.raises(SourceError, match="at least 32 codes"):
        LatentSpace.of(np.zeros((20, 2, 8)))
    with pytest.raises(SourceError, match="all codes of this generator are the same"):
        LatentSpace.of(np.ones((100, 2, 8)))
    broken = np.random.default_rng(0).normal(size=(100, 1, 8))
    broken[3] = np.nan
    with pytest.raises(SourceError, match="99 of them finite"):
        LatentSpace.of(broken)
