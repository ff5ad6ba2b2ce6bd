"""FID and KID from features equal clean-fid's, to its own rounding."""

import warnings

import numpy as np
import pytest

from audit.metrics import frechet_distance, frechet_distance_from_moments, kernel_distance_full, moments

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its imports, on versions newer than it knows
    from cleanfid import fid


@pytest.fixture(scope="module")
def sets():
    rng = np.random.default_rng(0)
    scale = np.arange(1, 49.0) ** -0.5
    return rng.standard_normal((400, 48)) * scale + 0.2, rng.standard_normal((300, 48)) * scale[::-1]


@pytest.mark.filterwarnings("ignore:.*disp.*:DeprecationWarning")
def test_the_frechet_distance_is_clean_fid_s(sets):
    one, two = (moments(x) for x in sets)
    theirs = fid.frechet_distance(one.mean, one.covariance, two.mean, two.covariance)
    assert frechet_distance(*sets) == pytest.approx(theirs, rel=1e-9)
    assert frechet_distance_from_moments(one, two) == pytest.approx(theirs, rel=1e-9)


def test_the_kernel_distance_is_clean_fid_s_on_the_same_subset(sets):
    equal = [x[:300] for x in sets]
    theirs = fid.kernel_distance(*equal, num_subsets=1, max_subset_size=1000)
    assert kernel_distance_full(*equal) == pytest.approx(theirs, rel=1e-9)
