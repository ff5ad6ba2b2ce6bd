"""Warps by hand, and class shares that come out equal although scores are skewed, noisy and leave cells empty."""

import numpy as np
import pytest

from audit.errors import SourceError
from mitigations.self_conditioning.calibrating import Warp, class_warp, even_warps
from mitigations.self_conditioning.resampling import uniform_resample


def test_the_warp_sends_boundaries_to_equal_shares():
    warp = Warp((0.1, 0.9))
    assert warp(np.array([0.0, 0.05, 0.1, 0.5, 0.9, 1.0])) == pytest.approx([0, 1 / 6, 1 / 3, 0.5, 2 / 3, 1])
    assert warp.cuts == pytest.approx([1 / 3, 2 / 3])
    assert Warp()(np.array([0.3])) == pytest.approx([0.3])


def test_a_warp_may_send_boundaries_elsewhere():
    warp = Warp((0.1, 0.9), (0.4, 0.5))
    assert warp(np.array([0.1, 0.5, 0.9, 0.95])) == pytest.approx([0.4, 0.45, 0.5, 0.75])
    assert warp.cuts == pytest.approx([0.4, 0.5])


def test_boundaries_of_separate_classes_lie_between_them():
    scores, labels = np.array([0.1, 0.2, 0.3, 0.7, 0.8]), np.array([0, 0, 0, 1, 2])
    assert class_warp(scores, labels, ("a", "b", "c")).boundaries == pytest.approx((0.5, 0.75))


def test_the_boundary_does_not_follow_how_common_a_class_is():
    rng = np.random.default_rng(0)
    scores = np.concatenate([rng.normal(0.3, 0.1, 9000), rng.normal(0.6, 0.1, 300)]).clip(0, 1)
    labels = np.repeat([0, 1], [9000, 300])
    (found,) = class_warp(scores, labels, ("a", "b")).boundaries
    assert found == pytest.approx(0.45, abs=0.02)  # half way, where both errors are equal


def test_calibrated_resampling_gives_classes_equal_shares():
    rng = np.random.default_rng(1)
    scores = rng.beta(2, 5, size=(8000, 1))
    labels = (scores[:, 0] > 0.2).astype(int) + (scores[:, 0] > 0.55)
    plain, _ = uniform_resample(scores, 6000, rng=rng)
    warped, _ = uniform_resample(class_warp(scores[:, 0], labels, ("a", "b", "c"))(scores), 6000, rng=rng)
    assert np.abs(np.bincount(labels[plain]) / 6000 - 1 / 3).max() > 0.09
    assert np.abs(np.bincount(labels[warped]) / 6000 - 1 / 3).max() < 0.03


def test_boundaries_keep_apart_even_where_scores_pile_up():
    warp = class_warp(np.array([0.0, 0.0, 0.0, 1.0]), np.array([0, 1, 2, 2]), ("a", "b", "c"))
    assert 0 < warp.boundaries[0] < warp.boundaries[1] < 1
    assert (np.diff(warp(np.linspace(0, 1, 50))) > 0).all()


def test_a_class_without_images_is_named_and_unread_images_do_not_count():
    with pytest.raises(SourceError, match="none of 2 training images is labelled c"):
        class_warp(np.array([0.1, 0.5, 0.9]), np.array([0, 1, -1]), ("a", "b", "c"))


def _crossed(n=6000, seed=3):
    """Two attributes that nearly leave a corner of the square empty, read with errors by their scores."""
    rng = np.random.default_rng(seed)
    labels = np.stack([rng.random(n) < 0.15, rng.random(n) < 0.15], axis=1).astype(np.int64)
    labels[labels.all(axis=1) & (rng.random(n) < 0.9)] = 0
    scores = (0.3 + 0.35 * labels + 0.12 * rng.standard_normal((n, 2))).clip(0, 1)
    return scores, labels


def test_places_move_until_the_list_is_even():
    scores, labels = _crossed()

    def resample(t):
        return uniform_resample(t, 3000, rng=np.random.default_rng(0))[0]

    def off(warps):
        picks = resample(np.stack([w(c) for w, c in zip(warps, scores.T, strict=True)], axis=1))
        return max(abs(labels[picks, i].mean() - 0.5) for i in range(2))

    first = [class_warp(scores[:, i], labels[:, i], ("a", "b")) for i in range(2)]
    found = even_warps(scores, labels, first, 8, resample)
    assert off(first) > 0.08
    assert off(found) < 0.03
    assert [w.boundaries for w in found] == [w.boundaries for w in first]
    assert all(w.cuts[0] < 0.5 for w in found)  # the rare class was given more room


def test_no_rounds_and_an_even_list_change_nothing():
    scores, labels = _crossed()
    first = [class_warp(scores[:, i], labels[:, i], ("a", "b")) for i in range(2)]
    assert even_warps(scores, labels, first, 0, lambda t: np.arange(10)) == first
    even = np.concatenate([np.flatnonzero(labels[:, 0])[:50], np.flatnonzero(labels[:, 1])[:50]])
    assert even_warps(scores, labels, first, 5, lambda t: even) == first


def test_a_class_that_never_comes_is_given_a_bounded_room():
    scores, labels = _crossed()
    first = [class_warp(scores[:, i], labels[:, i], ("a", "b")) for i in range(2)]
    common = np.flatnonzero(~labels.any(axis=1))[:20]
    seen = []

    def resample(t):
        seen.append(t)
        return common

    even_warps(scores, labels, first, 6, resample)
    assert len(seen) == 7
    assert all(np.isfinite(t).all() and t.min() >= 0 and t.max() <= 1 for t in seen)
