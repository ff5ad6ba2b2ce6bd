import numpy as np
import pytest
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import proportion_confint

from audit.attribute_rows import Reading
from audit.metrics.error_model import ErrorModel
from audit.planning import expected_interval, images_needed

ONE = np.ones(2, dtype=np.int64)


def test_the_images_found_are_the_fewest_that_decide():
    interval = expected_interval(np.array([0.3, 0.7]), "share", 0, None, Reading(ONE))
    needed = images_needed(interval, (-np.inf, 0.4), level=0.95)
    above = [proportion_confint(round(0.3 * n), n, method="beta")[1] for n in (needed, needed - 12)]
    assert above[0] <= 0.4 < above[1]


def test_power_is_what_the_normal_formula_gives():
    interval = expected_interval(np.array([0.45, 0.55]), "share", 0, None, Reading(ONE))
    needed = images_needed(interval, (-np.inf, 0.5), level=0.95, power=0.9)
    effect = 0.05 / np.sqrt(0.45 * 0.55)
    assert needed == pytest.approx(NormalIndPower(ddof=0).solve_power(effect, power=0.9, alpha=0.05, ratio=0), rel=0.03)


def test_a_plan_decides_as_often_as_it_says():
    rng = np.random.default_rng(5)
    shares, like = np.array([0.5, 0.3, 0.2]), Reading(np.ones(3, dtype=np.int64))
    interval = expected_interval(shares, "fairness_discrepancy", None, None, like)
    needed = images_needed(interval, (-np.inf, 0.3), level=0.95, power=0.9)
    decided = []
    for counts in rng.multinomial(needed, shares, size=150):
        ends = expected_interval(counts / needed, "fairness_discrepancy", None, None, like)(needed, 0.95)
        decided.append(ends[1] <= 0.3)
    assert 0.82 <= np.mean(decided) <= 0.97


def test_errors_cost_images_and_a_small_calibration_may_never_decide():
    shares = np.array([0.46, 0.54])

    def needed(table):
        like = Reading(ONE, errors=None if table is None else ErrorModel.from_confusion(table))
        return images_needed(expected_interval(shares, "share", 0, None, like), (-np.inf, 0.5), level=0.95)

    plain, good, small = needed(None), needed([[9000, 1000], [1000, 9000]]), needed([[45, 5], [5, 45]])
    assert plain < good
    assert small is None


def test_a_truth_on_the_limit_is_never_decided():
    assert images_needed(expected_interval(np.array([0.5, 0.5]), "share", 0, None, Reading(ONE)), (-np.inf, 0.5), level=0.95, most=10**6) is None
