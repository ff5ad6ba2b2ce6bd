"""The study of sampling until decided: its rows are whole, repeatable, and say what they should on a small scale."""

import numpy as np
import pytest
from scipy.stats import binom

from audit.studies.sequences import CASES, _decisions, _fixed_images, _power, sequence_study

COLUMNS = ["name", "K", "accuracy", "calibration", "limit", "truth", "ever_wrong", "median_images", "fixed_n", "saving"]


def test_rows_are_whole_and_the_same_for_the_same_rng():
    rows = sequence_study(rng=np.random.default_rng(3), repeats=1)
    assert all(list(row) == COLUMNS for row in rows)
    assert rows == sequence_study(rng=np.random.default_rng(3), repeats=1)
    assert {row["K"] for row in rows} == {2, 3}
    assert {row["accuracy"] for row in rows} == {None, 0.95, 0.85}


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.limit)
def test_a_decision_is_right_and_takes_less_than_a_careful_plan(case):
    stops, wrong = _decisions(case, case.truth, 4 * _fixed_images(case, case.truth), np.random.default_rng(4), 60)
    assert wrong <= 0.05
    assert np.median(stops) < 0.6 * _fixed_images(case, case.nearer)


def test_the_fixed_plan_has_just_the_power_asked_for():
    case = CASES[2]
    n = _fixed_images(case, case.truth)
    assert _power(case, case.truth, n) >= 0.9
    assert _power(case, case.truth, n - 10) < 0.9
    last = max(s for s in range(n + 1) if binom.cdf(s, n, 0.4) < 0.025)
    assert _power(case, case.truth, n) == pytest.approx(binom.cdf(last, n, 0.2))


@pytest.mark.slow
def test_no_row_is_wrong_more_often_than_said():
    rows = sequence_study(rng=np.random.default_rng(5), repeats=200)
    for row in rows:
        if "fixed-n" in row["name"]:
            assert row["ever_wrong"] > 0.3
        else:
            assert row["ever_wrong"] <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 200)
