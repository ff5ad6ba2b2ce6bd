import numpy as np
import pytest

from mitigations.editing.curves import Curve, at_change, equal_band, mean_over, resampled_ids


def test_a_straight_curve_is_read_off_exactly():
    s = np.linspace(0, 2, 5)
    wanted = np.array([0.0, 0.05, 0.1, 0.33, 0.4])
    assert at_change(0.2 * s, 1 - 0.3 * s, wanted) == pytest.approx(1 - 1.5 * wanted)


def test_a_bent_curve_is_read_off_on_its_chords():
    """Identity 1 - c^2 at c = 0, .2, .4: chords 1 - .2 c and 1 - .08 - .6 (c - .2) hold in closed form."""
    c = np.array([0.0, 0.2, 0.4])
    assert at_change(c, 1 - c**2, np.array([0.1, 0.3])) == pytest.approx([1 - 0.2 * 0.1, 0.96 - 0.6 * 0.1])


def test_where_a_curve_turns_back_the_first_strength_that_reaches_a_change_counts():
    change, identity = np.array([0.0, 0.4, 0.1, 0.6]), np.array([1.0, 0.8, 0.1, 0.0])
    assert at_change(change, identity, np.array([0.2, 0.5])) == pytest.approx([0.9, 0.1 - 0.1 * 0.8])


def test_a_change_that_is_never_reached_has_no_quality():
    assert np.isnan(at_change(np.array([0.0, 0.0, -0.2]), np.ones(3), np.array([0.1]))).all()


def test_mean_over_a_range_is_the_area_over_its_width():
    """Identity 1 - 1.5 c is straight, so its mean over [.2, .4] is its middle; beyond the end the last strength stands in."""
    s = np.array([0.0, 1.0, 2.0])
    assert mean_over(0.2 * s, 1 - 0.3 * s, 0.2, 0.4) == pytest.approx(1 - 1.5 * 0.3)
    assert mean_over(0.2 * s, 1 - 0.3 * s, 0.5, 0.6) == pytest.approx(0.4)


def test_curves_are_read_row_by_row():
    rng = np.random.default_rng(0)
    change = np.concatenate([np.zeros((6, 1)), rng.normal(0.3, 0.3, (6, 3)).cumsum(axis=1)], axis=1)
    quality = rng.random((6, 4))
    wanted = np.array([0.1, 0.2, 0.5])
    assert at_change(change, quality, wanted) == pytest.approx(
        np.stack([at_change(c, q, wanted) for c, q in zip(change, quality, strict=True)]), nan_ok=True
    )


def _curve(rng, n):
    """Change s/5 and identity 1 - .3 s on average, images scattered about them."""
    s = np.array([0.0, 1.0, 2.0])
    return Curve("conditional", s, 0.2 * s + 0.2 * s * rng.normal(size=(n, 1)), 1 - 0.3 * s + 0.1 * s * rng.normal(size=(n, 1)))


def test_the_band_holds_the_truth_as_often_as_it_says():
    rng, held, total = np.random.default_rng(1), 0, 0
    for _ in range(100):
        curve = _curve(rng, 100)
        band = equal_band(curve, resampled_ids(100, 150, rng), level=0.9, points=9)
        truth = 1 - 1.5 * band.change
        inner = slice(1, 7)
        held += int(((band.low <= truth) & (truth <= band.high))[inner].sum())
        total += len(truth[inner])
    assert 0.84 <= held / total <= 0.96


def test_a_band_begins_at_no_change_with_identity_one_and_ends_where_change_is_sure():
    rng = np.random.default_rng(2)
    curve = _curve(rng, 400)
    weights = resampled_ids(400, 300, rng)
    band = equal_band(curve, weights, level=0.95)
    assert (band.change[0], band.identity[0]) == (0, 1) and [band.low[0], band.high[0]] == pytest.approx([1, 1])
    assert band.change[-1] < curve.change.mean(axis=0)[-1] and band.change[-1] == pytest.approx(curve.reach(weights, 0.975))


def test_an_edit_that_changes_nothing_has_a_band_of_one_point():
    curve = Curve("learned", np.array([0.0, 1.0]), np.zeros((20, 2)), np.ones((20, 2)))
    band = equal_band(curve, resampled_ids(20, 50, np.random.default_rng(0)), level=0.95)
    assert band.change.tolist() == [0] and band.identity.tolist() == [1]
