"""The promise, counted: steps of two standard errors are found, quiet years stay quiet. Small here; the README's table is larger."""

import numpy as np
import pytest

from audit.history.study import Counted, World, count_constant, false_alarms, found_steps
from audit.history.thresholds import CONSTANT


def test_a_step_of_two_standard_errors_is_found_within_five_nights_nine_times_in_ten():
    found = found_steps(8, histories=150, rng=np.random.default_rng(1))
    assert found.share >= 0.88 and found.again < 8


def test_without_drawing_again_it_is_not_and_a_large_step_is():
    rng = np.random.default_rng(2)
    assert found_steps(8, histories=100, rng=rng, again=0).share < 0.6
    assert found_steps(8, histories=60, rng=rng, size=5.0, again=0).share >= 0.97


def test_quiet_years_stay_quiet_where_nights_vary_more_than_their_intervals_say_too():
    rng = np.random.default_rng(3)
    counted = false_alarms(6, years=60, rng=rng)
    spread, skewed = (false_alarms(6, years=40, rng=rng, world=w) for w in (World(spread=1.5), World(absolute=True)))
    assert counted.share <= 0.15 and spread.share <= 0.17 and skewed.share <= 0.15  # 0.05 is promised; 0.15 is 3.5 standard errors above it
    assert counted.again < 0.3


def test_the_counters_would_notice_a_detector_that_cries_wolf(monkeypatch):
    monkeypatch.setattr("audit.history.watch.alarm_threshold", lambda series: 2.5)
    assert false_alarms(6, years=10, rng=np.random.default_rng(4), nights=100).share == 1


def test_the_constant_of_the_thresholds_is_what_is_counted():
    found = count_constant(years=6000, rng=np.random.default_rng(5))
    near = [c for b, _, c in found if b in (3.8, 4.0)]
    assert near == pytest.approx([CONSTANT] * 2, rel=0.12)


def test_a_counted_share_comes_with_its_interval():
    low, high = Counted(0.05, 400, 0).interval()
    assert low == pytest.approx(0.0325, abs=0.001) and high == pytest.approx(0.0759, abs=0.001)
