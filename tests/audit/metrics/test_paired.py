"""Paired changes: same ids, missing dropped and counted, identical labels honest, intervals and p-values in step."""

import numpy as np
import pytest

from audit.errors import MetricError
from audit.estimates import NotMeasured
from audit.metrics.paired import paired_discrepancy_difference, paired_share_difference


def draw(rng, joint, n):
    k = len(joint)
    cells = rng.choice(k * k, n, p=np.asarray(joint).ravel())
    return cells // k, cells % k


def test_a_planted_change_comes_back():
    candidate, baseline = np.repeat([0, 0, 1, 1], [40, 20, 10, 30]), np.repeat([0, 1, 0, 1], [40, 20, 10, 30])
    result = paired_share_difference(candidate, baseline, 2)
    assert [e.value for e in result.differences] == pytest.approx([0.1, -0.1])
    assert result.differences[0].low == pytest.approx(-result.differences[1].high)
    change = paired_discrepancy_difference(candidate, baseline, 2)
    assert change.difference.value == pytest.approx(np.sqrt(2) * 0.1)


@pytest.mark.parametrize(("k", "z"), [(2, 1.959964), (3, 2.393980)])
def test_the_interval_solves_the_score_equation(k, z):
    gained, lost, n = 20, 10, 100
    labels = [np.repeat(a, [40, gained, lost, 30]) for a in ([0, 0, 1, 1], [0, 1, 0, 1])]
    interval = paired_share_difference(*labels, k).differences[0]
    for d in (interval.low, interval.high):
        shares = np.linspace(max(0, -d) + 1e-9, (1 - d) / 2 - 1e-9, 200_001)  # of ids that only the baseline shows
        likelihood = (
            gained * np.log(shares + d) + lost * np.log(shares) + (n - gained - lost) * np.log(1 - 2 * shares - d)
        )
        rare = shares[likelihood.argmax()]
        score = (gained - lost - n * d) / np.sqrt(n * (2 * rare + d * (1 - d)))
        assert abs(score) == pytest.approx(z, rel=1e-4)


def test_ids_missing_on_either_side_are_dropped_and_counted():
    result = paired_share_difference([0, -1, 1, -1, 0], [0, 0, -1, -1, 1], 2)
    assert (result.n, result.dropped) == (2, 3)
    assert paired_discrepancy_difference([0, -1, 1, -1, 0], [0, 0, -1, -1, 1], 2)[2:] == (2, 3)


@pytest.mark.parametrize("counts", [[90, 10], [50, 50], [100, 0], [34, 33, 33], [30, 30, 30]])
def test_identical_labels_have_no_difference_and_an_honest_interval(counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    shares = paired_share_difference(labels, labels, len(counts))
    for estimate, p in zip(shares.differences, shares.p_values, strict=True):
        assert estimate.value == 0
        assert p == 1
        assert estimate.high == pytest.approx(-estimate.low)
        assert 0.03 < estimate.high < 0.08
    change = paired_discrepancy_difference(labels, labels, len(counts))
    assert change.difference.value == 0
    assert change.p_value == 1
    assert change.difference.high == pytest.approx(-change.difference.low)
    assert 0.01 < change.difference.high < 0.06


def test_pairing_narrows_the_interval():
    rng = np.random.default_rng(0)
    agree = draw(rng, [[0.45, 0.05], [0.05, 0.45]], 1000)
    alone = draw(rng, [[0.25, 0.25], [0.25, 0.25]], 1000)
    widths = [e.high - e.low for e in (paired_share_difference(*labels, 2).differences[0] for labels in (agree, alone))]
    assert widths[0] < 0.6 * widths[1]


@pytest.mark.parametrize(
    "joint",
    [
        [[0.40, 0.05], [0.15, 0.40]],
        [[0.02, 0.00], [0.03, 0.95]],
        [[0.30, 0.05, 0.02], [0.02, 0.30, 0.02], [0.01, 0.01, 0.27]],
    ],
)
def test_share_changes_are_covered_at_once(joint):
    rng = np.random.default_rng(1)
    truth = np.sum(joint, axis=1) - np.sum(joint, axis=0)
    held, rounds = 0, 300
    for _ in range(rounds):
        result = paired_share_difference(*draw(rng, joint, 300), len(joint))
        held += all(e.low <= t <= e.high for e, t in zip(result.differences, truth, strict=True))
    assert held / rounds >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / rounds)


@pytest.mark.parametrize(
    ("candidate", "baseline"),
    [
        ([0.5, 0.5], [0.3, 0.7]),
        ([0.5, 0.5], [0.5, 0.5]),
        ([1 / 3] * 3, [0.6, 0.2, 0.2]),
        ([1 / 6] * 6, [0.6] + [0.08] * 5),
    ],
)
@pytest.mark.parametrize("together", [0.0, 0.9])
def test_discrepancy_changes_are_covered_at_the_target_too(candidate, baseline, together):
    rng = np.random.default_rng(2)
    one, two = np.array(candidate), np.array(baseline)
    same = np.minimum(one, two)
    rest = np.outer(one - same, two - same)
    joint = together * (np.diag(same) + rest / max(rest.sum() / (1 - same.sum() + 1e-12), 1e-12)) + (
        1 - together
    ) * np.outer(one, two)
    joint /= joint.sum()
    k = len(one)
    truth = np.linalg.norm(joint.sum(axis=1) - 1 / k) - np.linalg.norm(joint.sum(axis=0) - 1 / k)
    held, rounds = 0, 300
    for _ in range(rounds):
        estimate = paired_discrepancy_difference(*draw(rng, joint, 300), k).difference
        held += estimate.low <= truth <= estimate.high
    assert held / rounds >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / rounds)


def test_no_change_is_rarely_called_one():
    rng = np.random.default_rng(3)
    joint = [[0.25, 0.1], [0.1, 0.55]]
    found = np.zeros(2)
    for _ in range(400):
        labels = draw(rng, joint, 200)
        shares, change = paired_share_difference(*labels, 2), paired_discrepancy_difference(*labels, 2)
        found += [shares.p_values[0] < 0.05, change.p_value < 0.05]
        outside = not change.difference.low <= 0 <= change.difference.high
        assert outside == (change.p_value < 0.05)
    assert (found / 400 < 0.05 + 3 * np.sqrt(0.95 * 0.05 / 400)).all()


def test_another_target_changes_the_question():
    candidate, baseline = np.repeat([0, 1], [50, 50]), np.repeat([0, 1], [20, 80])
    assert paired_discrepancy_difference(candidate, baseline, 2).difference.high < 0
    assert paired_discrepancy_difference(candidate, baseline, 2, target=[0.2, 0.8]).difference.low > 0


def test_no_common_id_is_not_measured():
    result = paired_share_difference([-1, 0], [0, -1], 2)
    assert all(isinstance(e, NotMeasured) for e in result.differences)
    assert result.p_values == (None, None)
    change = paired_discrepancy_difference([-1, 0], [0, -1], 2)
    assert isinstance(change.difference, NotMeasured)
    assert change.p_value is None


@pytest.mark.parametrize("function", [paired_share_difference, paired_discrepancy_difference])
@pytest.mark.parametrize(("candidate", "baseline", "k"), [([0, 1], [0], 2), ([0, 2], [0, 1], 2), ([0, 0], [0, 0], 1)])
def test_what_is_no_pair_is_refused(function, candidate, baseline, k):
    with pytest.raises(MetricError):
        function(candidate, baseline, k)
