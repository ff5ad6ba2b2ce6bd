import numpy as np
import pytest

from audit.errors import MetricError
from audit.metrics.error_model import ErrorModel

TABLE = np.array([[90, 10, 0], [5, 80, 15], [0, 4, 36]])


def test_a_label_is_a_score_of_one():
    labels = np.repeat(np.tile(np.arange(3), 3), TABLE.ravel())
    true = np.repeat(np.repeat(np.arange(3), 3), TABLE.ravel())
    scores, counts = ErrorModel.from_scores(np.eye(3)[labels], true), ErrorModel.from_confusion(TABLE)
    np.testing.assert_allclose(scores.rates, counts.rates)
    np.testing.assert_allclose(scores.second, counts.second)
    np.testing.assert_allclose(scores.m, [100, 100, 40])


def test_the_columns_of_rates_are_the_classes():
    np.testing.assert_allclose(ErrorModel.from_confusion(TABLE).rates[:, 2], [0, 0.1, 0.9])


def test_stored_moments_give_the_same_model_back():
    rng = np.random.default_rng(1)
    model = ErrorModel.from_scores(rng.dirichlet([2, 1, 1], size=60), np.arange(60) % 3)
    spread = model.second - np.einsum("il,jl->lij", model.rates, model.rates)
    again = ErrorModel.from_moments(model.rates, spread, model.m)
    np.testing.assert_allclose(again.second, model.second)


def test_the_covariance_is_that_of_simulated_corrections():
    rng = np.random.default_rng(4)
    rates = np.array([[0.9, 0.15, 0.05], [0.06, 0.8, 0.1], [0.04, 0.05, 0.85]])
    shares, n, m = np.array([0.5, 0.3, 0.2]), 800, 900
    drawn = []
    for _ in range(4000):
        table = np.stack([rng.multinomial(m, column) for column in rates.T])
        drawn.append(np.linalg.solve((table / m).T, rng.multinomial(n, rates @ shares) / n))
    exact = ErrorModel.from_confusion(np.round(rates.T * m * 1000).astype(int))
    model = ErrorModel(exact.rates, exact.second, np.full(3, float(m)))
    np.testing.assert_allclose(model.covariance(n, 0.0)(shares), np.cov(np.array(drawn).T), rtol=0.12, atol=2e-5)


def test_imagined_images_widen_and_never_narrow():
    model = ErrorModel.from_confusion(np.diag([50, 50, 50]))
    plain, softened = (np.diag(model.covariance(1000, s)(np.full(3, 1 / 3))) for s in (0.0, 4.0))
    assert (softened > plain * 1.05).all()


@pytest.mark.parametrize(("table", "words"), [
    ([[5, 1, 0], [1, 5, 0]], "square"), ([[5, -1], [1, 5]], "whole numbers"), ([[5, np.nan], [1, 5]], "whole numbers"), ([[0.9, 0.1], [0.1, 0.9]], "not rates"),
])  # fmt: skip
def test_what_is_no_table_of_counts_is_refused(table, words):
    with pytest.raises(MetricError, match=words):
        ErrorModel.from_confusion(table)


def test_why_not_names_an_absent_class_and_a_useless_classifier():
    assert "no image of class 1" in ErrorModel.from_confusion([[9, 1], [0, 0]]).why_not(20)
    assert "condition number" in ErrorModel.from_confusion([[51, 49], [49, 51]]).why_not(20)
    assert ErrorModel.from_confusion([[9, 1], [1, 9]]).why_not(20) is None
