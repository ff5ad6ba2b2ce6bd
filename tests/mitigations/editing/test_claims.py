import numpy as np
import pytest

from mitigations.editing.claims import judge_claim
from mitigations.editing.curves import Curve, resampled_ids

N, S = 120, np.array([0.0, 1.0, 2.0])


def _curve(rng, by, change, loss, noise=0.1):
    """Mean change ``change`` s and identity 1 - ``loss`` s."""
    luck = rng.normal(size=(N, 1))
    return Curve(by, S, change * S * (1 + noise * rng.normal(size=(N, 1))), 1 - loss * S * (1 + noise * luck))


def _claim(*curves, seed=0, level=0.95, resamples=300):
    return judge_claim(curves, resampled_ids(len(curves[0].change), resamples, np.random.default_rng(seed)), level=level)


def test_the_outer_half_is_compared_in_closed_form():
    """Identity is 1 - (loss / change) c: over the outer half of [0, D] its mean is 1 - .75 (loss / change) D."""
    rng = np.random.default_rng(0)
    found = _claim(
        _curve(rng, "self_conditioned", 0.2, 0.05, 0), _curve(rng, "ganspace", 0.2, 0.15, 0), _curve(rng, "learned", 0.1, 0.02, 0)
    )
    ganspace, learned = found["rivals"]
    assert (ganspace["low_change"], ganspace["high_change"]) == pytest.approx((0.2, 0.4))
    assert ganspace["difference"] == pytest.approx((0.15 - 0.05) / 0.2 * 0.75 * 0.4)
    assert learned["high_change"] == pytest.approx(0.2) and learned["difference"] == pytest.approx((0.2 - 0.25) * 0.75 * 0.2)
    assert found["best"] == "learned"


@pytest.mark.parametrize(("loss", "outcome"), [(0.02, "held"), (0.25, "broken"), (0.1, "undecided")])
def test_the_claim_has_three_outcomes(loss, outcome):
    rng = np.random.default_rng(3)
    found = _claim(_curve(rng, "self_conditioned", 0.2, loss), _curve(rng, "ganspace", 0.2, 0.1), _curve(rng, "interfacegan", 0.2, 0.1))
    assert found["outcome"] == outcome
    for rival in found["rivals"]:
        assert rival["low"] <= rival["difference"] <= rival["high"]


def test_one_better_traversal_breaks_the_claim_however_bad_the_others_are():
    rng = np.random.default_rng(4)
    found = _claim(_curve(rng, "self_conditioned", 0.2, 0.1), _curve(rng, "ganspace", 0.2, 0.4), _curve(rng, "conditional", 0.2, 0.02))
    assert found["outcome"] == "broken" and found["best"] == "conditional"


def test_a_label_that_hardly_moves_the_attribute_is_not_said_to_keep_anything():
    rng = np.random.default_rng(5)
    found = _claim(_curve(rng, "self_conditioned", 0.01, 0.0), _curve(rng, "ganspace", 0.2, 0.3))
    assert found["outcome"] == "not_tested" and "no more than 0.0" in found["why"] and found["rivals"][0]["difference"] is None


def test_a_traversal_without_reach_is_left_out_with_its_reason():
    rng = np.random.default_rng(6)
    found = _claim(_curve(rng, "self_conditioned", 0.2, 0.05), _curve(rng, "ganspace", 0.2, 0.3), _curve(rng, "learned", 0.005, 0.0))
    assert found["outcome"] == "held" and "surely reaches" in found["rivals"][1]["reason"]


def test_without_self_conditioned_edits_there_is_no_claim():
    rng = np.random.default_rng(7)
    assert _claim(_curve(rng, "ganspace", 0.2, 0.3))["outcome"] == "not_tested"


def test_equal_edits_are_rarely_told_apart():
    """Two edits with one truth: the claim is decided, either way, in about one of twenty repeats and not in many."""
    decided = 0
    for seed in range(60):
        rng = np.random.default_rng(100 + seed)
        found = _claim(
            _curve(rng, "self_conditioned", 0.2, 0.1, 0.4),
            _curve(rng, "ganspace", 0.2, 0.1, 0.4),
            _curve(rng, "learned", 0.2, 0.1, 0.4),
            seed=seed,
        )
        decided += found["outcome"] != "undecided"
    assert decided <= 8
