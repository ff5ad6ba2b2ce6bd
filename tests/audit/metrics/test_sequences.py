"""Confidence sequences: exact where they can be worked out, right at every look, and a sentence for what is no path."""

from itertools import pairwise, product

import numpy as np
import pytest
from scipy.special import betaln, gammaln

from audit import metrics
from audit.errors import MetricError
from audit.estimates import NotMeasured
from audit.metrics.sequences import sequence_box, share_evidence, share_sequence
from audit.metrics.sequences_corrected import corrected_ends, mean_evidence

FLAT = (1.0, 1.0)
TABLE = np.array([[620.0, 30, 16], [20, 600, 46], [10, 40, 617]])


def _outcomes(n, k):
    """All counts of n labels, and the log of how many orders each has."""
    counts = np.array([c for c in product(range(n + 1), repeat=k) if sum(c) == n], dtype=float)
    return counts, gammaln(n + 1) - gammaln(counts + 1).sum(axis=1)


@pytest.mark.parametrize("prior", [(0.5, 0.5), FLAT, (2.0, 7.0)])
@pytest.mark.parametrize("share", [0.5, 0.07])
def test_the_wealth_against_the_true_share_is_one_on_average(prior, share):
    s = np.arange(41)
    likely = gammaln(41) - gammaln(s + 1) - gammaln(41 - s) + s * np.log(share) + (40 - s) * np.log(1 - share)
    assert np.exp(likely + share_evidence(s, 40, share, prior=prior)).sum() == pytest.approx(1, abs=1e-10)


@pytest.mark.parametrize("q", [[0.2, 0.5, 0.3], [0.9, 0.05, 0.05]])
def test_the_wealth_against_the_true_mean_score_is_one_on_average(q):
    y = np.array([0.0, 1.0, 0.3])
    counts, orders = _outcomes(12, 3)
    evidence = mean_evidence(counts, y, np.full(len(counts), y @ q))
    assert np.exp(orders + counts @ np.log(q) + evidence).sum() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(("s", "n"), [(0, 1), (1, 1), (3, 40), (20, 40), (500, 1000), (999, 1000)])
def test_the_ends_are_those_of_a_fine_grid(s, n):
    low, high = share_sequence(s, n)
    grid = np.linspace(0, 1, 200_001)[1:-1]
    wealth = betaln(0.5 + s, 0.5 + n - s) - betaln(0.5, 0.5) - s * np.log(grid) - (n - s) * np.log(1 - grid)
    inside = grid[wealth < np.log(20)]
    assert low == pytest.approx(inside[0], abs=6e-6)
    assert high == pytest.approx(inside[-1], abs=6e-6)


def test_the_ends_solve_their_equation_to_ten_digits():
    s, n = np.array([1, 30, 250]), np.array([10, 100, 10_000])
    for end, inward in zip(share_sequence(s, n, level=0.9), (1, -1), strict=True):
        assert (share_evidence(s, n, end - inward * 1e-10) >= np.log(10)).all()
        assert (share_evidence(s, n, end + inward * 1e-10) < np.log(10)).all()


def test_nothing_and_all_reach_to_the_edge_and_no_further_looks_rule_it_out():
    low, high = share_sequence([0, 0, 100, 100_000], [0, 100, 100, 100_000])
    assert low[0] == 0
    assert high[0] == 1
    assert low[1] == 0
    assert high[2] == high[3] == 1
    assert 0 < high[1] < 0.1
    with np.errstate(all="raise"):
        assert share_evidence(1, 10, 0.0) == np.inf


@pytest.mark.parametrize("share", [0.5, 0.2, 0.05])
@pytest.mark.parametrize("prior", [(0.5, 0.5), FLAT])
def test_looking_after_every_one_of_5000_images_misses_the_truth_at_most_one_time_in_twenty(share, prior):
    rng = np.random.default_rng(11)
    runs, n = 1000, np.arange(1, 5001)
    s = (rng.random((runs, 5000)) < share).cumsum(axis=1)
    missed = (share_evidence(s, n, share, prior=prior) >= np.log(20)).any(axis=1).mean()
    assert missed <= 0.05
    centre, spread = (s + 1.92) / (n + 3.84), np.sqrt(3.84 * (s * (n - s) / n + 0.96)) / (n + 3.84)
    wilson = np.abs(centre - share) > spread
    assert wilson[:, 29:].any(axis=1).mean() > 0.3  # what the same looking does to an interval made for one look


def test_scores_of_nought_and_one_are_a_share_and_their_unit_does_not_matter():
    counts, means = np.array([[30.0, 50, 20], [0, 0, 0], [3, 1, 0]]), np.array([0.4, 0.4, 0.9])
    found = mean_evidence(counts, np.array([0.0, 1.0, 0.0]), means)
    assert found == pytest.approx(share_evidence([50, 0, 1], [100, 0, 4], means, prior=FLAT), abs=1e-4)
    assert found[1] == 0


def test_a_box_of_two_classes_mirrors_itself_and_several_classes_share_the_error():
    two = sequence_box([[30, 70]])
    assert two.low[1] == pytest.approx(1 - two.high[0])
    assert two.low[0] == pytest.approx(float(share_sequence(30, 100, prior=FLAT)[0]))
    three = sequence_box([[30, 40, 30]])
    assert three.high[0] == pytest.approx(float(share_sequence(30, 100, level=1 - 0.05 / 3, prior=FLAT)[1]))


def test_every_look_narrows_and_none_widens():
    rng = np.random.default_rng(2)
    path = rng.multinomial(50, [0.5, 0.3, 0.2], size=30).cumsum(axis=0)
    boxes = [sequence_box(path[: t + 1]) for t in range(len(path))]
    for before, after in pairwise(boxes):
        assert (after.low >= before.low).all()
        assert (after.high <= before.high).all()
    assert boxes[-1].n == 1500


def test_a_value_that_an_earlier_look_ruled_out_is_moved_inside():
    box = sequence_box([[60, 40], [430, 570]])
    assert box.low[0] > 0.43
    assert box.value[0] == pytest.approx(box.low[0])
    assert box.value.sum() == pytest.approx(1)


def test_looks_that_contradict_each_other_leave_the_last_one_and_say_so():
    box = sequence_box([[1000, 0], [1000, 9000]])
    assert "contradict" in box.method
    assert box.value[0] == 0.1
    assert (box.low[0], box.high[0]) == pytest.approx([float(e) for e in share_sequence(1000, 10_000, prior=FLAT)])


def test_a_contradiction_in_one_class_of_many_is_noticed():
    box = sequence_box([[80, 4, 4, 4, 4, 4], [200, 40, 40, 40, 40, 40]])
    assert "contradict" in box.method
    assert box.value[0] == 0.5


def test_a_class_never_seen_has_a_share_of_nothing_up_to_something():
    box = sequence_box([[50, 50, 0]])
    assert box.low[2] == box.value[2] == 0
    assert 0 < box.high[2] < 0.15


def test_one_image_decides_nothing_and_no_image_is_not_measured():
    box = sequence_box([[0, 1]])
    assert box.low[1] > 0
    assert box.high[1] == 1
    assert metrics.fairness_discrepancy(box).low == 0
    assert isinstance(sequence_box([[0, 0]]), NotMeasured)
    assert sequence_box([[0, 0], [3, 4]]).n == 7


@pytest.mark.parametrize("path", [[3, 4], [[3]], [], [[0.5, 1]], [[-1, 2]], [[np.nan, 1]]])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(MetricError, match="path"):
        sequence_box(path)


def test_other_bad_input_is_a_sentence():
    with pytest.raises(MetricError, match="counts fall at look 3"):
        sequence_box([[1, 2], [3, 4], [2, 9]])
    with pytest.raises(MetricError, match="confidence level"):
        sequence_box([[1, 2]], level=1.0)
    with pytest.raises(MetricError, match="confusion"):
        sequence_box([[1, 2]], confusion=TABLE)
    with pytest.raises(MetricError, match="whole numbers"):
        share_sequence(0.3, 1)
    with pytest.raises(MetricError, match="whole numbers"):
        share_sequence(5, 3)
    with pytest.raises(MetricError, match="prior"):
        share_sequence(1, 3, prior=(0, 1))
    with pytest.raises(MetricError, match=r"0\.\.1"):
        share_evidence(1, 3, 1.5)


def test_correction_is_wider_than_the_labels_and_narrower_than_the_four_corners():
    table = np.array([[950, 50], [50, 950]])
    box = sequence_box([[5000, 5000]], confusion=table)
    plain = sequence_box([[5000, 5000]])
    low, high = share_sequence(5000, 10_000, level=0.975, prior=FLAT)
    corner = [metrics.proportion(hits, 1000, 0.9875) for hits in (950, 50)]
    right, wrong = corner
    reach = max((q - b) / (a - b) for q in (low, high) for a in (right.low, right.high) for b in (wrong.low, wrong.high))
    assert plain.high[0] < box.high[0] < reach
    assert box.value == pytest.approx([0.5, 0.5])
    assert box.low[1] == pytest.approx(1 - box.high[0])


@pytest.mark.parametrize("counts", [[300, 500, 200], [0, 70, 30], [1000, 0, 0], [30, 70], [0, 50]])
def test_a_perfect_and_endless_calibration_leaves_the_sequence_of_labels(counts):
    k = len(counts)
    low, high = corrected_ends(np.array([counts], dtype=float), np.eye(k) * 1e12, 0.95)
    expected = share_sequence(counts, sum(counts), level=1 - 0.05 / (1 if k == 2 else 3), prior=FLAT)
    assert low[0] == pytest.approx(expected[0], abs=2e-5)
    assert high[0] == pytest.approx(expected[1], abs=2e-5)


def test_a_perfect_calibration_of_ordinary_size_costs_next_to_nothing():
    corrected, plain = sequence_box([[500, 500]], confusion=[[1000, 0], [0, 1000]]), sequence_box([[500, 500]])
    assert np.ptp([plain.low[0], plain.high[0]]) < np.ptp([corrected.low[0], corrected.high[0]]) < 0.12


def test_a_share_that_may_be_nothing_has_nothing_as_its_end():
    low, high = corrected_ends(np.array([[60.0, 940]]), np.array([[950.0, 50], [50, 950]]), 0.95)
    assert low[0, 0] == 0
    assert high[0, 1] == 1
    assert high[0, 0] > 0.03


def test_endless_images_leave_the_error_of_the_calibration():
    table = np.array([[1900.0, 100], [100, 1900]])
    widths = [np.ptp([e[0, 0] for e in corrected_ends(np.array([[n / 2, n / 2]]), table, 0.95)]) for n in (1e3, 1e7, 1e9)]
    assert widths[1] == pytest.approx(widths[2], rel=0.02)
    assert widths[1] < widths[0] / 2
    deviation = np.sqrt(0.5 * 0.95 * 0.05 / 2000) / 0.9
    assert 2 * 1.96 * deviation < widths[2] < 2 * 4.5 * deviation


def test_what_cannot_be_corrected_says_why():
    assert "no image of class 1" in sequence_box([[5, 5]], confusion=[[10, 0], [0, 0]]).reason
    assert "confuses" in sequence_box([[5, 5]], confusion=[[60, 58], [58, 60]]).reason
    assert sequence_box([[0, 0]], confusion=[[10, 0], [0, 10]]).reason == "no image was counted"


def test_labels_outside_what_errors_explain_still_give_a_box():
    box = sequence_box([[400, 0, 0]], confusion=TABLE)
    assert box.value[0] == pytest.approx(1, abs=1e-6)
    assert box.high[0] == pytest.approx(1, abs=1e-6)


def test_labels_that_no_shares_explain_reach_to_the_nearest_shares_at_one_look():
    errors = (TABLE / TABLE.sum(axis=1, keepdims=True)).T
    counts = np.round(1e7 * errors @ [0.62, 0.4, -0.02])
    low, high = corrected_ends(counts[None], TABLE * 1e5, 0.95)
    assert (low[0] <= [31 / 51 + 1e-6, 20 / 51 + 1e-6, 0]).all()
    assert (high[0] >= [31 / 51 - 1e-6, 20 / 51 - 1e-6, 0]).all()
    assert "contradict" not in sequence_box([counts], confusion=TABLE * 1e5).method


@pytest.mark.parametrize("k", [2, 3])
def test_corrected_shares_are_right_at_every_look(k):
    rng = np.random.default_rng(5)
    truth = np.array([0.3, 0.7]) if k == 2 else np.array([0.2, 0.5, 0.3])
    rates = np.full((k, k), 0.1 / (k - 1)) + (0.9 - 0.1 / (k - 1)) * np.eye(k)
    looks, wrong = np.array([64, 256, 1024, 4096]), 0
    for _ in range(150 if k == 2 else 40):
        table = np.stack([rng.multinomial(300, row) for row in rates]).astype(float)
        path = rng.multinomial(64, truth @ rates, size=64).cumsum(axis=0)[looks // 64 - 1].astype(float)
        low, high = corrected_ends(path, table, 0.95)
        wrong += bool(((low > truth) | (high < truth)).any())
    assert wrong / (150 if k == 2 else 40) <= 0.05


def test_other_numbers_are_right_whenever_the_box_is():
    path = np.array([[40, 60], [190, 310], [700, 1300]])
    box = sequence_box(path)
    found = metrics.fairness_discrepancy(box)
    ends = np.sqrt(2) * np.abs(np.array([box.low[0], box.high[0]]) - 0.5)
    assert (found.low, found.high) == pytest.approx((ends.min(), ends.max()))
    assert "confidence sequence" in found.method
    fixed = metrics.fairness_discrepancy(path[-1])
    assert found.low < fixed.low
    assert found.high > fixed.high
    assert metrics.share_gap(box).low < metrics.share_gap(path[-1]).low
