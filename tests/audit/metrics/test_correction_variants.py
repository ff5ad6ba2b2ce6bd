"""Corrections beyond a plain table: probabilities, subgroups with their own error rates, bootstrap, images that are not independent."""

import numpy as np
import pytest

from audit.errors import MetricError
from audit.estimates import NotMeasured
from audit.metrics.correction import corrected_score_box, corrected_share_bootstrap, corrected_share_box
from audit.metrics.error_model import ErrorModel
from audit.metrics.shares import share_box

TABLE = [[950, 50], [100, 900]]


def _world(rng, shares, n):
    """Scores of a classifier whose probabilities are noisy: Beta around the class."""
    true = rng.choice(len(shares), size=n, p=shares)
    weights = np.where(np.eye(len(shares))[true] == 1, 4.0, 1.0)
    return rng.standard_gamma(weights) / 1.0, true


def _scores(rng, shares, n):
    raw, true = _world(rng, shares, n)
    return raw / raw.sum(axis=1, keepdims=True), true


def test_hard_scores_give_what_labels_give():
    labels = np.repeat([0, 1], [600, 400])
    true = np.repeat([0, 0, 1, 1], [950, 50, 100, 900])
    given = np.repeat([0, 1, 0, 1], [950, 50, 100, 900])
    soft = corrected_score_box(np.eye(2)[labels], ErrorModel.from_scores(np.eye(2)[given], true))
    hard = corrected_share_box([600, 400], TABLE)
    np.testing.assert_allclose([soft.value, soft.low, soft.high], [hard.value, hard.low, hard.high], atol=1e-12)


def test_corrected_scores_cover_where_raw_means_do_not_and_are_narrower_than_labels():
    rng = np.random.default_rng(6)
    shares = np.array([0.7, 0.2, 0.1])
    held, raw, narrower = [], [], []
    for _ in range(200):
        scores, true = _scores(rng, np.full(3, 1 / 3), 1500)
        model = ErrorModel.from_scores(scores, true)
        seen, _ = _scores(rng, shares, 800)
        box = corrected_score_box(seen, model)
        table = np.zeros((3, 3), dtype=int)
        np.add.at(table, (true, scores.argmax(1)), 1)
        hard = corrected_share_box(np.bincount(seen.argmax(1), minlength=3), table)
        held.append(((box.low <= shares) & (shares <= box.high)).all())
        raw.append(np.abs(seen.mean(axis=0) - shares).max())
        narrower.append((box.high - box.low).sum() / (hard.high - hard.low).sum())
    assert np.mean(held) >= 0.92
    assert np.mean(raw) > 0.1
    assert np.mean(narrower) < 1


def test_scores_that_leave_the_simplex_are_moved_onto_it():
    model = ErrorModel.from_scores([[0.8, 0.2], [0.7, 0.3], [0.3, 0.7], [0.2, 0.8]], [0, 0, 1, 1])
    box = corrected_score_box([[0.95, 0.05]] * 50, model)
    np.testing.assert_allclose(box.value, [1, 0], atol=1e-6)


@pytest.mark.parametrize(("scores", "words"), [
    ([[0.5, 0.6]], "add up"), ([[1.2, -0.2]], "outside 0..1"), ([[0.5, np.nan]], "NaN in part"), ([[0.2, 0.3, 0.5]], "must be")])  # fmt: skip
def test_scores_that_are_no_probabilities_are_refused(scores, words):
    with pytest.raises(MetricError, match=words):
        corrected_score_box(scores, ErrorModel.from_confusion(TABLE))


def test_images_without_scores_are_left_out():
    model = ErrorModel.from_confusion(TABLE)
    assert corrected_score_box([[0.9, 0.1], [np.nan, np.nan]], model).n == 1
    assert isinstance(corrected_score_box(np.full((3, 2), np.nan), model), NotMeasured)


def test_subgroups_with_their_own_errors_are_corrected_by_them():
    rng = np.random.default_rng(9)
    rates = {0: np.array([[0.98, 0.03], [0.02, 0.97]]), 1: np.array([[0.6, 0.02], [0.4, 0.98]])}  # [label, true]
    shares = {0: np.array([0.35, 0.35]), 1: np.array([0.24, 0.06])}  # P(true class, group)
    into, truth = np.array([0, 1, 0, 1]), np.array([0.59, 0.41])
    apart, together = [], []
    for _ in range(150):
        counts, table, pooled = np.zeros(4, dtype=int), np.zeros((4, 4), dtype=int), np.zeros((2, 2), dtype=int)
        drawn = rng.multinomial(3000, np.concatenate([rates[g] @ shares[g] for g in (0, 1)]))
        counts[:] = drawn
        for g in (0, 1):
            own = np.stack([rng.multinomial(500, rates[g][:, j]) for j in (0, 1)])
            table[2 * g : 2 * g + 2, 2 * g : 2 * g + 2] = own
            pooled += own
        box, plain = corrected_share_box(counts, table, into=into), corrected_share_box([counts[0] + counts[2], counts[1] + counts[3]], pooled)
        apart.append(box.low[0] <= truth[0] <= box.high[0])
        together.append(plain.low[0] <= truth[0] <= plain.high[0])
    assert np.mean(apart) >= 0.91
    assert np.mean(together) < 0.6


def test_cells_that_are_their_own_class_change_nothing():
    one, two = corrected_share_box([600, 400], TABLE), corrected_share_box([600, 400], TABLE, into=[0, 1])
    np.testing.assert_allclose(one.low, two.low)


@pytest.mark.parametrize("into", [[0, 2], [0], [0.0, 1.0], [-1, 0]])
def test_a_wrong_assignment_of_cells_is_refused(into):
    with pytest.raises(MetricError, match="into must give one class"):
        corrected_share_box([600, 400], TABLE, into=into)


def test_the_bootstrap_agrees_with_the_score_interval():
    exact = corrected_share_box([600, 300, 100], np.diag([400, 300, 200]) + 20)
    again = corrected_share_bootstrap([600, 300, 100], np.diag([400, 300, 200]) + 20, rng=np.random.default_rng(0), resamples=4000)
    np.testing.assert_allclose(again.low, exact.low, atol=0.012)
    np.testing.assert_allclose(again.high, exact.high, atol=0.012)


def test_the_bootstrap_needs_resamples_and_an_invertible_table():
    with pytest.raises(MetricError, match="200 or more"):
        corrected_share_bootstrap([6, 4], TABLE, rng=np.random.default_rng(0), resamples=50)
    assert isinstance(corrected_share_bootstrap([6, 4], [[5, 5], [5, 5]], rng=np.random.default_rng(0)), NotMeasured)


@pytest.mark.parametrize("make", [lambda e: share_box([600, 400], design_effect=e), lambda e: corrected_share_box([600, 400], np.array(TABLE) * 1000, design_effect=e)])
def test_a_design_effect_of_four_doubles_the_width(make):
    plain, clustered = make(1.0), make(4.0)
    np.testing.assert_allclose(plain.value, clustered.value)
    assert (clustered.high - clustered.low)[0] / (plain.high - plain.low)[0] == pytest.approx(2, rel=0.05)
    assert "counted as one" in clustered.method and "counted as one" not in plain.method
    with pytest.raises(MetricError, match="design effect"):
        make(0.5)


def test_an_error_never_seen_is_not_an_error_rate_of_nothing():
    box = corrected_share_box([9000, 1000], [[50, 0], [0, 50]])
    raw = share_box([9000, 1000])
    assert box.high[0] - box.low[0] > 3 * (raw.high[0] - raw.low[0])


def test_a_share_of_exactly_nothing_needs_no_iteration():
    box = corrected_share_box([700, 300, 0], [[900, 100, 0], [50, 950, 0], [0, 0, 100]])
    assert box.value[2] == 0
