"""Amplification: planted changes come back, and the interval carries the training sample's error where there is one."""

import math

import numpy as np
import pytest

from audit.errors import MetricError
from audit.estimates import NotMeasured
from audit.metrics.amplification import bias_amplification
from audit.metrics.discrepancy import fairness_discrepancy
from audit.metrics.shares import share_box


def test_a_generator_that_repeats_its_training_data_amplifies_nothing():
    result = bias_amplification(share_box([300, 700]), [0.3, 0.7])
    assert result.amplification.value == pytest.approx(0)
    assert result.discrepancy_change.value == pytest.approx(0)
    assert [e.value for e in result.log_odds] == pytest.approx([0, 0])
    assert result.amplification.low < 0 < result.amplification.high


def test_a_planted_change_comes_back_in_every_form():
    result = bias_amplification(share_box([200, 800]), [0.4, 0.6])
    assert result.over_represented == (1,)
    assert result.amplification.value == pytest.approx(0.2)
    assert [e.value for e in result.change] == pytest.approx([-0.2, 0.2])
    assert result.log_odds[1].value == pytest.approx(math.log(0.8 * 0.4 / (0.6 * 0.2)))
    assert result.discrepancy_change.value == pytest.approx(math.sqrt(2) * 0.2)


def test_the_over_represented_classes_are_taken_together():
    result = bias_amplification(share_box([500, 400, 50, 50]), [0.4, 0.35, 0.15, 0.1])
    assert result.over_represented == (0, 1)
    assert result.amplification.value == pytest.approx(0.15)


def test_known_training_shares_move_the_interval_and_no_more():
    box = share_box([200, 800])
    result = bias_amplification(box, [0.4, 0.6])
    assert (result.change[0].low, result.change[0].high) == pytest.approx((box.low[0] - 0.4, box.high[0] - 0.4))
    plain = fairness_discrepancy(box)
    assert result.discrepancy_change.low == pytest.approx(plain.low - math.sqrt(2) * 0.1)


def test_a_training_sample_widens_the_interval():
    known = bias_amplification(share_box([200, 800]), [0.4, 0.6])
    sampled = bias_amplification(share_box([200, 800]), share_box([40, 60]))
    assert sampled.amplification.value == pytest.approx(known.amplification.value)
    assert sampled.amplification.high - sampled.amplification.low > 2 * (
        known.amplification.high - known.amplification.low
    )


def test_the_intervals_of_two_samples_cover():
    rng = np.random.default_rng(8)
    q, p = np.array([0.2, 0.5, 0.3]), np.array([0.25, 0.4, 0.35])
    held, rounds = np.zeros(3), 300
    for _ in range(rounds):
        result = bias_amplification(share_box(rng.multinomial(500, q)), share_box(rng.multinomial(300, p)))
        change = all(e.low <= d <= e.high for e, d in zip(result.change, q - p, strict=True))
        odds = all(
            e.low <= d <= e.high
            for e, d in zip(result.log_odds, np.log(q / (1 - q)) - np.log(p / (1 - p)), strict=True)
        )
        distance = np.linalg.norm(q - 1 / 3) - np.linalg.norm(p - 1 / 3)
        held += [change, odds, result.discrepancy_change.low <= distance <= result.discrepancy_change.high]
    assert (held / rounds >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / rounds)).all()


def test_training_data_at_parity_has_no_majority_to_amplify():
    result = bias_amplification(share_box([30, 70]), [0.5, 0.5])
    assert isinstance(result.amplification, NotMeasured)
    assert result.change[1].value == pytest.approx(0.2)


def test_odds_of_a_class_never_drawn_are_not_measured():
    result = bias_amplification(share_box([0, 100]), [0.4, 0.6])
    assert all(isinstance(e, NotMeasured) for e in result.log_odds)
    assert result.change[0].value == pytest.approx(-0.4)


def test_shares_that_were_not_measured_stay_so():
    result = bias_amplification(NotMeasured("no calibration", 9), [0.4, 0.6])
    assert isinstance(result.amplification, NotMeasured)
    assert len(result.change) == len(result.log_odds) == 2


@pytest.mark.parametrize(
    ("generated", "training"),
    [
        ([30, 70], [0.5, 0.5]),
        (share_box([30, 70]), [0.5, 0.2, 0.3]),
        (share_box([30, 70]), share_box([1, 2, 3])),
        (share_box([30, 70]), share_box([10, 20], level=0.9)),
        (share_box([30, 70]), NotMeasured("none")),
    ],
)
def test_what_does_not_fit_is_refused(generated, training):
    with pytest.raises(MetricError):
        bias_amplification(generated, training)
