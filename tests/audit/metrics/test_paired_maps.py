"""Maps pair by pair: known truth, identities, parity with statsmodels, and the edges."""

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import SquareTable, mcnemar

from audit.errors import MetricError
from audit.estimates import NotMeasured
from audit.metrics.paired_maps import FEW, hue_change, identity_kept, label_flips, mean_change, tertiles


def rng():
    return np.random.default_rng(0)


def pairs(table):
    table = np.asarray(table)
    k = len(table)
    return [np.repeat(side, table.ravel()) for side in (np.repeat(np.arange(k), k), np.tile(np.arange(k), k))]


def test_flips_are_counted_from_class_to_class():
    found = label_flips(*pairs([[5, 3], [1, 4]]), 2, rng=rng())
    assert found.table.tolist() == [[5, 3], [1, 4]]
    assert (found.lost.tolist(), found.gained.tolist()) == ([3, 1], [1, 3])
    assert found.differences[1].value == pytest.approx(2 / 13)
    assert found.differences[0].value == pytest.approx(-2 / 13)


@pytest.mark.parametrize(("up", "down"), [(7, 2), (0, 6), (40, 55), (300, 200)])
def test_two_classes_give_the_exact_mcnemar_test_of_statsmodels(up, down):
    table = [[50, up], [down, 60]]
    assert label_flips(*pairs(table), 2, rng=rng()).p_value == pytest.approx(mcnemar(table, exact=True).pvalue, rel=1e-9)


def test_many_flips_among_three_classes_give_the_stuart_maxwell_test_of_statsmodels():
    table = np.array([[50, 40, 10], [20, 60, 30], [25, 15, 70]])
    found = label_flips(*pairs(table), 3, rng=rng())
    assert found.p_value == pytest.approx(SquareTable(table, shift_zeros=False).homogeneity().pvalue, rel=1e-9)
    assert "2 degrees" in found.test


def test_a_class_that_nobody_left_or_entered_costs_no_degree_of_freedom():
    three = label_flips(*pairs([[50, 70, 0], [40, 60, 0], [0, 0, 30]]), 3, rng=rng())
    assert "1 degrees" in three.test
    assert three.p_value == pytest.approx(mcnemar([[50, 70], [40, 60]], exact=False, correction=False).pvalue, rel=1e-9)


def test_few_flips_take_the_tail_from_tables_with_flips_either_way():
    table = np.array([[50, 8, 0], [0, 60, 0], [0, 0, 70]])  # eight one way: two tables of 256 are as far out
    found = label_flips(*pairs(table), 3, rng=rng())
    assert found.p_value == pytest.approx(2 / 256, abs=0.003)
    assert int(table.sum() - np.trace(table)) < FEW


def test_the_test_of_few_flips_is_not_too_eager_where_nothing_leans():
    draws = np.random.default_rng(1)
    p = []
    for _ in range(150):
        up = np.triu(draws.binomial([[0, 12, 14], [0, 0, 6], [0, 0, 0]], 0.5), 1)
        table = up + (np.triu([[0, 12, 14], [0, 0, 6], [0, 0, 0]], 1) - up).T + 20 * np.eye(3, dtype=int)
        p.append(label_flips(*pairs(table), 3, rng=draws).p_value)
    assert np.mean(np.array(p) <= 0.05) <= 0.1
    assert 0.35 < np.mean(np.array(p) <= 0.5) < 0.65


def test_equal_labels_flip_nothing():
    for k in (2, 3):
        found = label_flips([0, 1, k - 1] * 20, [0, 1, k - 1] * 20, k, rng=rng())
        assert found.p_value == 1
        assert not found.gained.any()
        assert all(d.value == 0 for d in found.differences)


def test_pairs_missing_a_side_are_dropped_and_no_pair_is_no_number():
    found = label_flips([0, -1, 1], [1, 0, -1], 2, rng=rng())
    assert (found.n, found.dropped) == (1, 2)
    nobody = label_flips([-1], [0], 2, rng=rng())
    assert nobody.p_value is None
    assert isinstance(nobody.differences[0], NotMeasured)


def test_the_mean_change_covers_its_truth():
    draws = np.random.default_rng(2)
    inside = 0
    for _ in range(600):
        found = mean_change(1 + draws.normal(size=40))
        inside += found.low <= 1 <= found.high
    assert 0.93 <= inside / 600 <= 0.97


def test_intervals_of_several_strata_cover_together():
    draws = np.random.default_rng(3)
    together = 0
    for _ in range(400):
        found = [mean_change(draws.normal(size=30), strata=6) for _ in range(6)]
        together += all(f.low <= 0 <= f.high for f in found)
    assert together / 400 >= 0.93
    assert np.mean([mean_change(draws.normal(size=30)).high for _ in range(50)]) < np.mean([f.high for f in found])


def test_no_change_is_exactly_none_and_one_pair_is_not_enough():
    found = mean_change(np.zeros(5))
    assert (found.value, found.low, found.high) == (0, 0, 0)
    assert isinstance(mean_change([1.0, np.nan]), NotMeasured)
    with pytest.raises(MetricError, match="finite"):
        mean_change([1.0, np.inf])
    with pytest.raises(MetricError, match="strata"):
        mean_change([1.0, 2.0], strata=0)


def test_a_hue_turns_the_short_way_round():
    assert hue_change([350, 10, 90, np.nan], [10, 350, 90, 5]).tolist()[:3] == [20, -20, 0]
    assert np.isnan(hue_change([1.0], [np.nan]))[0]


def test_tertiles_split_into_thirds_and_leave_out_what_is_not_known():
    found = tertiles([*range(9), np.nan])
    assert found.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, -1]
    assert tertiles([np.nan]).tolist() == [-1]


def test_strata_by_a_noisy_reading_regress_to_the_mean_and_strata_by_both_readings_do_not():
    draws = np.random.default_rng(4)
    truth = draws.normal(60, 10, 4000)
    before, after = truth + draws.normal(0, 8, 4000), truth + draws.normal(0, 8, 4000)  # nothing changed
    by_input = [mean_change((after - before)[tertiles(before) == s], strata=3) for s in range(3)]
    assert by_input[0].low > 2 and by_input[2].high < -2
    for strata in (tertiles((before + after) / 2), tertiles(truth)):
        for found in [mean_change((after - before)[strata == s], strata=3) for s in range(3)]:
            assert found.low < 0 < found.high


def test_the_same_person_is_kept_and_a_stranger_is_not():
    draws = np.random.default_rng(5)
    people = draws.normal(size=(300, 16))
    same = identity_kept(people, 3 * people)
    assert (same.similarity.value, same.lost.value) == (pytest.approx(1), 0)
    other = identity_kept(people, np.roll(people, 1, axis=0))
    assert other.lost.value == pytest.approx(0.95, abs=0.04)
    assert abs(other.similarity.value) < 0.05
    assert 0 < same.strangers < 0.6


def test_embeddings_that_were_not_read_are_left_out_and_a_zero_is_refused():
    x = np.eye(4)
    y = x.copy()
    y[0] = np.nan
    assert identity_kept(x, y).similarity.n == 3
    assert isinstance(identity_kept(x[:1], x[:1]).similarity, NotMeasured)
    with pytest.raises(MetricError, match="length 0"):
        identity_kept(x, np.zeros((4, 4)))
    with pytest.raises(MetricError, match="one shape"):
        identity_kept(x, x[:2])
