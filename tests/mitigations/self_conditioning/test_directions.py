"""A linear SVM finds the hyperplane we planted, keeps its intercept, and says when there is none."""

import numpy as np
import pytest

from audit.errors import SourceError
from mitigations.self_conditioning.directions import expected_index, fit_direction


def _world(n=4000, width=8, offset=0.7, seed=0):
    rng = np.random.default_rng(seed)
    codes, normal = rng.standard_normal((n, width)), rng.standard_normal(width)
    normal /= np.linalg.norm(normal)
    second = 1 / (1 + np.exp(-4 * (codes @ normal + offset)))
    return codes, normal, np.stack([1 - second, second], axis=1)


def fit(codes, probabilities, **options):
    return fit_direction(codes, probabilities, "gender", ("feminine", "masculine"), rng=np.random.default_rng(1), **options)


def test_the_planted_hyperplane_is_recovered():
    codes, normal, said = _world()
    found = fit(codes, said, share=0.3)
    assert np.linalg.norm(found.normal) == pytest.approx(1)
    assert found.normal @ normal > 0.99
    assert found.intercept == pytest.approx(0, abs=0.2)  # half way between the two ends, not where the classifier turns
    assert found.accuracy > 0.99
    assert found.fitted_on == round(0.7 * 2 * 1200)


def test_the_intercept_lies_between_the_two_ends():
    codes, normal, said = _world(offset=0.0)
    codes = codes + 5 * normal  # everything shifted along the normal: the hyperplane moves with it
    found = fit(codes, said, share=0.3)
    assert found.intercept == pytest.approx(-5, abs=0.2)


def test_the_normal_points_to_the_last_class():
    codes, normal, said = _world()
    assert fit(codes, said[:, ::-1]).normal @ normal < -0.9


def test_ordered_classes_are_scored_by_their_expected_index():
    said = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0, 0.5]])
    assert expected_index(said) == pytest.approx([0, 0.5, 1, 0.5])
    assert expected_index(np.array([[0.3, 0.7]])) == pytest.approx([0.7])


def test_the_ends_are_as_large_as_asked_and_no_smaller_than_the_least():
    codes, _, said = _world(n=1000)
    assert fit(codes, said, share=0.02, at_least=100).fitted_on == 140
    assert fit(codes, said, share=0.25, at_least=100).fitted_on == 350


def test_accuracy_is_measured_on_codes_the_machine_has_not_seen():
    codes, _, _ = _world(n=400, width=300)
    noise = np.random.default_rng(5).random(400)  # scores that have nothing to do with the codes
    found = fit(codes, np.stack([1 - noise, noise], axis=1), at_least=100)
    assert found.accuracy < 0.7


def test_a_smaller_c_keeps_out_axes_along_which_codes_hardly_move():
    rng = np.random.default_rng(0)
    codes, normal = rng.standard_normal((2000, 20)), rng.standard_normal(20)
    normal /= np.linalg.norm(normal)
    second = 1 / (1 + np.exp(-(codes @ normal + 2 * rng.standard_normal(2000))))
    codes[:, -1] *= 0.05
    free, steady = (fit(codes, np.stack([1 - second, second], axis=1), at_least=900, c=c).normal @ normal for c in (10.0, 0.01))
    assert steady > 0.9 > 0.7 > free


def test_unread_codes_are_left_out():
    codes, normal, said = _world()
    said[::2] = np.nan
    assert fit(codes, said).normal @ normal > 0.9


def test_one_class_among_the_codes_is_a_sentence():
    codes, _, said = _world()
    said = np.stack([0.6 + 0.3 * said[:, 0], 0.4 - 0.3 * said[:, 0]], axis=1)
    with pytest.raises(SourceError, match="all 4000 codes are labelled 'feminine' in gender"):
        fit(codes, said)


def test_too_few_codes_are_a_sentence():
    codes, _, said = _world(n=100)
    with pytest.raises(SourceError, match="100 scored codes are too few for 300 at each end of gender; expected at least 600"):
        fit(codes, said)
