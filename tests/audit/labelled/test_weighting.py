"""Images chosen by the classifier's label: the weights give back its true error rates, and intervals that cover."""

import numpy as np
import pytest

from audit.errors import RecordError
from audit.labelled.weighting import weighted_table
from audit.metrics.correction import corrected_share_box
from audit.metrics.error_model import ErrorModel

RATES = np.array([[0.95, 0.10, 0.04], [0.03, 0.85, 0.04], [0.02, 0.05, 0.92]])
"""Column = true class."""

SHARES = np.array([0.8, 0.15, 0.05])


def drawn(n, per, *, rng):
    """Return true classes and labels of the rated images, and the sizes of the strata."""
    true = rng.choice(3, n, p=SHARES)
    label = (rng.random(n)[:, None] > np.cumsum(RATES[:, true], axis=0).T).sum(axis=1)
    chosen = np.concatenate([rng.permutation(np.flatnonzero(label == i))[:per] for i in range(3)])
    return true[chosen], label[chosen], np.bincount(label, minlength=3)


def test_the_weights_give_back_the_error_rates_that_the_choice_had_bent():
    true, label, sizes = drawn(400_000, 8_000, rng=np.random.default_rng(0))
    table = weighted_table(true, label, label, sizes, 3)
    rates = (table / table.sum(axis=1, keepdims=True)).T
    unweighted = np.array([[((true == j) & (label == i)).sum() / (true == j).sum() for j in range(3)] for i in range(3)])
    assert np.abs(rates - RATES).max() < 0.012
    assert np.abs(unweighted - RATES).max() > 0.1


def test_for_two_classes_it_is_bayes_rule():
    true, label = np.repeat([0, 1, 0, 1], [90, 10, 20, 80]), np.repeat([0, 1], 100)
    table = weighted_table(true, label, label, np.array([900, 100]), 2)
    assert table[0, 1] / table[0].sum() == pytest.approx(0.1 * 0.2 / (0.9 * 0.9 + 0.1 * 0.2))


def test_strata_drawn_in_proportion_count_a_little_more_than_were_rated():  # because the shares of the labels are known
    rng = np.random.default_rng(3)
    true = np.repeat([0, 1], [500, 500])
    label = np.where(rng.random(1000) < 0.9, true, 1 - true)
    sizes = np.bincount(label) * 1000
    table = weighted_table(true, label, label, sizes, 2)
    assert ((table.sum(axis=1) >= 500) & (table.sum(axis=1) <= 650)).all()


def test_the_effective_size_is_that_of_a_plain_sample_as_uncertain():
    rng = np.random.default_rng(4)
    tables = [weighted_table(*sample[:2], sample[1], sample[2], 3) for sample in (drawn(4_000, 200, rng=rng) for _ in range(400))]
    rates = np.array([t[0] / t[0].sum() for t in tables])
    as_uncertain = (rates.mean(axis=0) * (1 - rates.mean(axis=0)) / rates.var(axis=0)).min()
    assert np.mean([t[0].sum() for t in tables]) == pytest.approx(as_uncertain, rel=0.25)


def test_corrected_shares_cover_the_truth_of_the_run_and_of_another_generator():
    rng, hits, other = np.random.default_rng(5), 0, np.array([0.4, 0.3, 0.3])
    for _ in range(200):
        true, label, sizes = drawn(4_000, 200, rng=rng)
        model = ErrorModel.from_confusion(weighted_table(true, label, label, sizes, 3), whole=False)
        same, apart = corrected_share_box(sizes, model), corrected_share_box(rng.multinomial(4_000, RATES @ other), model)
        hits += np.array([((b.low <= p) & (p <= b.high)).all() for b, p in ((same, SHARES), (apart, other))])
    assert (hits >= 185).all()


def test_strata_may_be_those_of_another_attribute():
    rng = np.random.default_rng(6)
    stratum = rng.integers(0, 2, 40_000)
    true = (rng.random(40_000) < np.where(stratum == 0, 0.2, 0.7)).astype(int)
    label = np.where(rng.random(40_000) < 0.9, true, 1 - true)
    few = np.concatenate([np.flatnonzero(stratum == 0)[:9_000], np.flatnonzero(stratum == 1)[:1_000]])
    table = weighted_table(true[few], label[few], stratum[few], np.bincount(stratum), 2)
    assert np.diag(table) / table.sum(axis=1) == pytest.approx([0.9, 0.9], abs=0.015)
    assert table.sum(axis=1).max() < 8_000


def test_a_stratum_nobody_rated_is_refused_by_name():
    with pytest.raises(RecordError, match=r"put into 'smiling' has an answer .* the run has 40 of them"):
        weighted_table(np.array([0, 1]), np.array([0, 0]), np.array([0, 0]), np.array([60, 40]), 2, names=("neutral", "smiling"))


def test_an_empty_stratum_of_the_run_needs_no_rating():
    table = weighted_table(np.array([0, 1, 1]), np.array([0, 0, 1]), np.array([0, 0, 1]), np.array([60, 40, 0]), 2)
    assert (table.sum(axis=1) > 0).all()
