"""Corrected changes: the closed form of two classes, no error no correction, one calibration for both sides, coverage."""

import numpy as np
import pytest

from audit.errors import MetricError
from audit.estimates import NotMeasured
from audit.metrics.correction import corrected_share_box
from audit.metrics.paired import paired_discrepancy_difference, paired_share_difference
from audit.metrics.paired_corrected import corrected_discrepancy_difference, corrected_share_difference

PERFECT = np.eye(2, dtype=int) * 10**9
CONFUSION = np.array([[950, 50], [100, 900]])


def labels(table):
    """Return candidate and baseline labels with this table of pairs, candidate by row."""
    k = len(table)
    cells = np.repeat(np.arange(k * k), np.asarray(table).ravel())
    return cells // k, cells % k


def test_two_classes_follow_the_closed_form():
    candidate, baseline = labels([[400, 50], [250, 300]])
    change = corrected_share_difference(candidate, baseline, CONFUSION).differences[0]
    youden = 0.95 + 0.90 - 1
    assert change.value == pytest.approx((0.45 - 0.65) / youden)
    b, c, n = 50 / 1000, 250 / 1000, 1000
    p = [box.value for box in (corrected_share_box(x, CONFUSION) for x in ([450, 550], [650, 350]))]
    drawn = (b + c - (b - c) ** 2) / n / youden**2
    measured = sum((p[0][k] - p[1][k]) ** 2 * a * (1 - a) / m for k, (a, m) in enumerate([(0.95, 1000), (0.9, 1000)])) / youden**2
    assert (change.high - change.low) / 2 == pytest.approx(1.959964 * np.sqrt(drawn + measured), rel=0.02)


def test_a_classifier_without_errors_changes_nothing():
    candidate, baseline = labels([[300, 20], [180, 500]])
    plain, corrected = paired_discrepancy_difference(candidate, baseline, 2), corrected_discrepancy_difference(candidate, baseline, PERFECT)
    assert corrected.difference.value == pytest.approx(plain.difference.value)
    assert corrected.difference.low == pytest.approx(plain.difference.low, abs=2e-4)
    assert corrected.difference.high == pytest.approx(plain.difference.high, abs=2e-4)
    shares = [f(candidate, baseline, x).differences[0] for f, x in ((paired_share_difference, 2), (corrected_share_difference, PERFECT))]
    assert shares[1].low == pytest.approx(shares[0].low, abs=2e-3)
    assert corrected.n == plain.n == 1000


def test_a_run_against_itself_has_no_difference_and_an_honest_interval():
    same = np.repeat([0, 1], [700, 300])
    whole, each = corrected_discrepancy_difference(same, same, CONFUSION), corrected_share_difference(same, same, CONFUSION)
    assert whole.difference.value == 0
    assert whole.p_value == 1
    assert whole.difference.low < 0 < whole.difference.high < 0.01
    assert each.p_values == (1.0, 1.0)
    assert each.differences[0].high == pytest.approx(-each.differences[0].low)


def test_the_calibration_counts_with_the_difference_and_not_with_the_share():
    few = np.array([[19, 1], [2, 18]])
    still, moved = labels([[690, 10], [10, 290]]), labels([[300, 0], [400, 300]])
    widths = []
    for pair in (still, moved):
        found = [corrected_share_difference(*pair, m).differences[0] for m in (few, few * 1000)]
        widths.append((found[0].high - found[0].low) / (found[1].high - found[1].low))
    assert widths[0] < 1.2  # as likely as not: the same unknown errors shift both sides alike
    assert widths[1] > 2


@pytest.mark.parametrize(("candidate", "baseline"), [([0.5, 0.5], [0.3, 0.7]), ([0.5, 0.5], [0.5, 0.5]), ([1 / 3] * 3, [0.7, 0.2, 0.1])])
def test_changes_are_covered_with_a_calibration_of_its_own_each_time(candidate, baseline):
    rng, k, n, m, right = np.random.default_rng(1), len(candidate), 400, 150, 0.88
    after, before = np.array(candidate), np.array(baseline)
    rates = np.full((k, k), (1 - right) / (k - 1))
    np.fill_diagonal(rates, right)
    truth = np.linalg.norm(after - 1 / k) - np.linalg.norm(before - 1 / k)
    held, rounds = np.zeros(2), 250
    for _ in range(rounds):
        confusion = np.stack([rng.multinomial(m, rates[j]) for j in range(k)])
        said = [np.concatenate([np.repeat(np.arange(k), rng.multinomial(c, rates[j])) for j, c in enumerate(rng.multinomial(n, p))])
                for p in (after, before)]  # fmt: skip
        pair = [rng.permutation(x) for x in said]
        whole = corrected_discrepancy_difference(*pair, confusion).difference
        each = corrected_share_difference(*pair, confusion).differences
        held += [whole.low <= truth <= whole.high, all(e.low <= t <= e.high for e, t in zip(each, after - before, strict=True))]
    assert (held / rounds >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / rounds)).all()


def test_another_target_changes_the_question():
    candidate, baseline = np.repeat([0, 1], [500, 500]), np.repeat([0, 1], [200, 800])
    assert corrected_discrepancy_difference(candidate, baseline, CONFUSION).difference.high < 0
    assert corrected_discrepancy_difference(candidate, baseline, CONFUSION, target=[0.1, 0.9]).difference.low > 0


def test_what_cannot_be_corrected_says_why():
    pair = labels([[5, 1], [2, 4]])
    blind = corrected_discrepancy_difference(*pair, [[50, 50], [50, 50]])
    assert isinstance(blind.difference, NotMeasured)
    assert "confuses" in blind.difference.reason
    assert blind.p_value is None
    absent = corrected_share_difference(*pair, [[50, 0], [0, 0]])
    assert all("no image of class 1" in d.reason for d in absent.differences)
    unread = corrected_share_difference([-1, 0], [0, -1], CONFUSION)
    assert unread.differences[0].reason == "fewer than two ids were read on both sides"
    assert (unread.n, unread.dropped) == (0, 2)


def test_what_is_no_pair_or_no_table_is_refused():
    with pytest.raises(MetricError, match="same ids"):
        corrected_share_difference([0, 1], [0], CONFUSION)
    with pytest.raises(MetricError, match="counts"):
        corrected_discrepancy_difference([0, 1], [0, 1], [[0.9, 0.1], [0.2, 0.8]])


def test_a_design_effect_of_four_doubles_the_intervals_of_paired_differences():
    rng = np.random.default_rng(1)
    after, before = rng.integers(0, 2, 4000), (rng.random(4000) < 0.8).astype(int)
    table = np.diag([40_000, 40_000]) + 400
    for plain, wide in (
        (paired_discrepancy_difference(after, before, 2).difference, paired_discrepancy_difference(after, before, 2, design_effect=4.0).difference),
        (paired_share_difference(after, before, 2).differences[0], paired_share_difference(after, before, 2, design_effect=4.0).differences[0]),
        (corrected_discrepancy_difference(after, before, table).difference,
         corrected_discrepancy_difference(after, before, table, design_effect=4.0).difference),
        (corrected_share_difference(after, before, table).differences[0],
         corrected_share_difference(after, before, table, design_effect=4.0).differences[0]),
    ):  # fmt: skip
        assert plain.value == wide.value
        assert (wide.high - wide.low) / (plain.high - plain.low) == pytest.approx(2, rel=0.06)
        assert "counted as one" in wide.method
    with pytest.raises(MetricError, match="design effect"):
        paired_share_difference(after, before, 2, design_effect=0.5)
