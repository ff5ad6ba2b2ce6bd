"""A class's share beside its share in the training data: closed forms, limits and coverage."""

import math

import numpy as np
import pytest

from audit.errors import MetricError
from audit.estimates import Estimate, NotMeasured
from audit.metrics import proportion
from audit.metrics.exaggeration import at_most_missing, exaggeration, widened


def share(value, half=0.02, n=1000, level=0.95):
    return Estimate(value, value - half, value + half, n, level)


def test_the_difference_is_newcombes_hybrid_on_wilson_intervals():
    # Newcombe 1998, table II, example (a): 56/70 against 48/80, method 10: 0.0524 to 0.3339.
    def wilson(x, n, z=1.959963984540054):
        centre, half = x + z * z / 2, z * math.sqrt(x * (n - x) / n + z * z / 4)
        return Estimate(x / n, (centre - half) / (n + z * z), (centre + half) / (n + z * z), n)

    found = exaggeration(wilson(56, 70), wilson(48, 80)).difference
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_no_change_is_parity_in_all_three():
    found = exaggeration(share(0.2), share(0.2))
    assert found.difference.value == 0
    assert found.ratio.value == 1
    assert found.log_odds.value == 0
    for number, parity in ((found.difference, 0), (found.ratio, 1), (found.log_odds, 0)):
        assert number.low < parity < number.high


def test_the_other_way_round_is_the_mirror_image():
    there, back = exaggeration(share(0.1), share(0.3, 0.05)), exaggeration(share(0.3, 0.05), share(0.1))
    assert there.difference.low == pytest.approx(-back.difference.high)
    assert there.log_odds.low == pytest.approx(-back.log_odds.high)
    assert there.ratio.low == pytest.approx(1 / back.ratio.high)


def test_a_known_training_share_moves_the_interval_and_no_more():
    q = share(0.1)
    found = exaggeration(q, Estimate(0.2, 0.2, 0.2, 1000)).difference
    assert (found.low, found.high) == pytest.approx((q.low - 0.2, q.high - 0.2))


def test_where_nothing_was_drawn_ratio_and_odds_have_no_limit_and_the_difference_has():
    found = exaggeration(Estimate(0.0, 0.0, 0.003, 1000), share(0.05))
    assert found.difference.high < 0
    assert isinstance(found.ratio, NotMeasured)
    assert isinstance(found.log_odds, NotMeasured)


def test_what_was_not_measured_stays_so_with_its_reason():
    found = exaggeration(NotMeasured("no image was read"), share(0.2))
    assert {m.reason for m in found} == {"no image was read"}


@pytest.mark.parametrize(("q", "p", "said"), [
    (share(0.2), share(0.2, level=0.9), "levels differ"),
    (Estimate(1.2, 1.1, 1.3, 5), share(0.2), "generated share must lie in 0..1"),
    (share(0.2), Estimate(0.2, 0.3, 0.4, 5), "training share must lie in 0..1 within its interval"),
])  # fmt: skip
def test_what_cannot_be_a_share_is_refused(q, p, said):
    with pytest.raises(MetricError, match=said):
        exaggeration(q, p)


def test_a_training_set_as_large_as_the_sample_widens_by_the_root_of_two():
    wide = widened(share(0.2, 0.02, n=1000), 1000)
    assert (wide.high - 0.2) == pytest.approx(0.02 * math.sqrt(2))
    assert widened(share(0.2, n=1000), 10**12).high == pytest.approx(0.22)
    with pytest.raises(MetricError, match="training set of 0 images"):
        widened(share(0.2), 0)


def test_none_seen_in_n_bounds_the_share_by_the_rule_of_three():
    found = at_most_missing(0, 1000)
    assert found.high == pytest.approx(1 - 0.05 ** (1 / 1000))
    assert found.high == pytest.approx(3 / 1000, rel=0.01)
    assert at_most_missing(5, 5).high == 1
    assert isinstance(at_most_missing(0, 0), NotMeasured)
    with pytest.raises(MetricError, match="expected 0 <= seen <= n"):
        at_most_missing(6, 5)


def test_the_bound_holds_as_often_as_it_says():
    rng = np.random.default_rng(4)
    p, n = 0.004, 500
    held = np.mean([p <= at_most_missing(int(x), n).high for x in rng.binomial(n, p, 2000)])
    assert held > 0.94


@pytest.mark.parametrize(("p", "power"), [(0.2, 0.95), (0.1, 0.95), (0.05, 0.92)])  # 0.9455 of 2,000 at 0.05
def test_planted_shrinking_is_told_from_none_at_five_thousand_images(p, power):
    # A minority whose odds fall by 1.5 against one that is copied: data and samples of 5,000, a training set of 10,000 with its own luck.
    rng, n, m, repeats = np.random.default_rng(11), 5000, 10_000, 600
    odds = p / (1 - p) / 1.5
    found = {}
    for name, factor in (("copied", None), ("shrunk", odds / (1 + odds) / p)):
        claims = 0
        for _ in range(repeats):
            trained = rng.binomial(m, p) / m
            q = trained if factor is None else trained * factor
            data = widened(proportion(int(rng.binomial(n, p)), n), m)
            claims += exaggeration(proportion(int(rng.binomial(n, q)), n), data).difference.high < 0
        found[name] = claims / repeats
    assert found["shrunk"] >= power
    assert found["copied"] <= 0.05
