"""Corrected shares: the closed form, the simplex, the guard, and coverage by simulation where the truth is known."""

import numpy as np
import pytest
from scipy.stats import norm

from audit.errors import MetricError
from audit.estimates import NotMeasured
from audit.metrics.correction import corrected_share_box


def test_two_classes_give_rogan_gladen_and_its_variance():
    n, m0, m1, a0, a1 = 1_000_000, 400_000, 500_000, 0.95, 0.9
    q = 0.62
    box = corrected_share_box([620_000, 380_000], [[380_000, 20_000], [50_000, 450_000]])
    p = (q - (1 - a1)) / (a0 + a1 - 1)
    variance = (q * (1 - q) / n + p**2 * a0 * (1 - a0) / m0 + (1 - p) ** 2 * a1 * (1 - a1) / m1) / (a0 + a1 - 1) ** 2
    assert box.value[0] == pytest.approx(p)
    assert (box.high[0] - box.low[0]) / 2 == pytest.approx(norm.ppf(0.975) * np.sqrt(variance), rel=2e-3)


def test_a_perfect_classifier_known_perfectly_changes_nothing():
    n, x, z = 1000, 300, norm.ppf(0.975)
    box = corrected_share_box([x, n - x], np.diag([10**9, 10**9]))
    centre, half = (
        (x / n + z**2 / (2 * n)) / (1 + z**2 / n),
        np.sqrt(0.3 * 0.7 / n + z**2 / (4 * n**2)) / (1 + z**2 / n) * z,
    )
    assert box.value[0] == pytest.approx(0.3)
    assert (box.low[0], box.high[0]) == pytest.approx((centre - half, centre + half), abs=1e-6)  # Wilson


def test_planted_shares_of_three_classes_come_back():
    truth = np.array([0.6, 0.3, 0.1])
    confusion = np.array([[900, 60, 40], [50, 900, 50], [100, 100, 800]])
    labelled = 1_000_000 * truth @ (confusion / 1000)
    assert corrected_share_box(np.round(labelled), confusion).value == pytest.approx(truth, abs=1e-5)


def test_where_the_inverse_leaves_the_simplex_the_value_is_the_likeliest_on_it():
    confusion = np.array([[900, 60, 40], [50, 900, 50], [40, 60, 900]])
    counts = np.array([5, 600, 395])
    box = corrected_share_box(counts, confusion)
    errors = (confusion / 1000).T
    assert (np.linalg.solve(errors, counts / 1000) < 0).any()
    assert box.value.sum() == pytest.approx(1)
    grid = [np.array([a, b, 1 - a - b]) for a in np.linspace(0, 1, 201) for b in np.linspace(0, 1 - a, 201)]
    best = max(float(counts @ np.log(errors @ p)) for p in grid)
    assert float(counts @ np.log(errors @ box.value)) >= best - 1e-9
    assert (box.low <= box.value).all()
    assert (box.value <= box.high).all()


def test_the_interval_reaches_to_the_value_where_calibration_and_sample_contradict_each_other():
    box = corrected_share_box(
        [10_000, 6_000_000, 3_990_000], np.array([[90, 6, 4], [5, 90, 5], [4, 6, 90]]) * 1_000_000
    )
    assert box.value[0] == 0
    assert (box.low <= box.value).all()
    assert (box.value <= box.high).all()


def test_a_smaller_calibration_set_gives_a_wider_interval():
    wide, narrow = (corrected_share_box([600, 400], [[19 * s, s], [2 * s, 18 * s]]) for s in (5, 500))
    assert wide.high[0] - wide.low[0] > narrow.high[0] - narrow.low[0]
    assert wide.value[0] == pytest.approx(narrow.value[0])


def test_errors_never_seen_in_a_small_calibration_set_are_not_taken_for_impossible():
    box = corrected_share_box([0, 10_000], [[50, 0], [0, 50]])
    assert box.high[0] > 0.03


@pytest.mark.parametrize(
    ("counts", "confusion", "reason"),
    [
        ([0, 0], [[9, 1], [1, 9]], "no image was counted"),
        ([5, 5], [[9, 1], [0, 0]], "no image of class 1"),
        ([5, 5], [[5, 5], [5, 5]], "confuses the classes"),
        ([5, 5], [[52, 48], [48, 52]], "confuses the classes"),
    ],
)
def test_what_cannot_be_corrected_is_not_measured(counts, confusion, reason):
    box = corrected_share_box(counts, confusion)
    assert isinstance(box, NotMeasured)
    assert reason in box.reason


@pytest.mark.parametrize("confusion", [np.eye(3), [[0.9, 0.1], [0.1, 0.9]], [[-1, 2], [1, 9]]])
def test_what_is_no_calibration_table_is_refused(confusion):
    with pytest.raises(MetricError):
        corrected_share_box([5, 5], confusion)


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.9])
@pytest.mark.parametrize(("n", "m"), [(1000, 500), (10_000, 500), (1000, 100)])
def test_the_intervals_cover_all_classes_at_once(k, share, n, m):
    rng = np.random.default_rng(17)
    truth = np.r_[share, np.full(k - 1, (1 - share) / (k - 1))]
    errors = np.full((k, k), 0.06 / (k - 1)) + np.eye(k) * (0.94 - 0.06 / (k - 1))
    held, rounds = 0, 150
    for _ in range(rounds):
        confusion = np.stack([rng.multinomial(m, column) for column in errors.T])
        box = corrected_share_box(rng.multinomial(n, errors @ truth), confusion)
        held += bool(((box.low <= truth) & (truth <= box.high)).all())
    assert held / rounds >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / rounds)
