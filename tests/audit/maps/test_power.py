"""The simulation of power: what is planted is found, what is not is found no more often than the level allows."""

import numpy as np
import pytest

from audit.maps.power import planted_lightening


def test_a_planted_lightening_is_found_and_the_interval_covers():
    found = planted_lightening(1.0, jitter=3.0, pairs=150, sets=400, pool=240, rng=np.random.default_rng(0))
    assert found.pool == pytest.approx(1.0, abs=0.35)
    assert found.found > 0.9
    assert 0.92 < found.covered < 0.98


@pytest.mark.slow
def test_one_l_is_found_at_500_pairs_and_none_where_there_is_none():
    one = planted_lightening(1.0, jitter=4.0, pairs=500, sets=2000, pool=3000, rng=np.random.default_rng(1))
    none = planted_lightening(0.0, jitter=4.0, pairs=500, sets=2000, pool=3000, rng=np.random.default_rng(2))
    assert one.found > 0.99 and 0.93 < one.covered < 0.97
    assert none.covered > 0.93 and none.found < 0.15  # the pool's own mean is not exactly 0: chance, and clipping at white
