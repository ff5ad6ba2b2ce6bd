"""Resampling skewed scores: uniform afterwards, never above the cap, and honest about what it used."""

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from audit.errors import SourceError
from mitigations.self_conditioning.distances import Percentiles
from mitigations.self_conditioning.resampling import effective_size, uniform_resample


def test_the_effective_size_is_kish_s():
    assert effective_size(np.array([3, 1, 0, 2])) == pytest.approx(36 / 14)
    assert effective_size(np.full(7, 4)) == pytest.approx(7)
    assert effective_size(np.zeros(3)) == 0


@pytest.mark.parametrize("dimensions", [1, 2])
def test_a_skewed_sample_becomes_uniform_on_every_axis(dimensions):
    rng = np.random.default_rng(0)
    scores = rng.beta(2, 7, size=(6000, dimensions))
    scores = np.stack([Percentiles.of(column)(column) for column in scores.T], axis=1)
    picks, report = uniform_resample(scores, 4000, rng=rng)
    for axis in range(dimensions):
        before, after = kstest(scores[:, axis], "uniform").statistic, kstest(scores[picks, axis], "uniform").statistic
        assert before > 0.25
        assert after < (0.03 if dimensions == 1 else 0.13)  # in two dimensions the rare corner is filled with what is nearest
    assert report.placed == len(picks) == report.queries == 4000


def test_the_report_counts_the_picks():
    rng = np.random.default_rng(2)
    scores = rng.random((50, 1)) ** 3
    picks, report = uniform_resample(scores, 500, k=3, rng=rng)
    counts = np.bincount(picks, minlength=50)
    assert report.effective == pytest.approx(500**2 / np.square(counts).sum())
    assert report.unique == (counts > 0).mean()
    assert report.max_repeats == counts.max()


def test_no_image_is_picked_more_often_than_the_cap_and_the_rest_is_told():
    rng = np.random.default_rng(3)
    scores = np.concatenate([rng.random((990, 1)) * 0.2, 0.5 + rng.random((10, 1)) * 0.5])
    free, loose = uniform_resample(scores, 1000, rng=np.random.default_rng(4))
    picks, report = uniform_resample(scores, 1000, cap=5, rng=np.random.default_rng(4))
    assert loose.max_repeats > 50 and len(free) == 1000
    assert np.bincount(picks).max() == report.max_repeats == 5
    assert report.placed == len(picks) < 1000
    assert report.effective > loose.effective
    assert report.unique >= np.isin(np.arange(990, 1000), picks).mean() * 0.01


def test_a_full_image_hands_its_turn_to_a_neighbour():
    scores = np.array([[0.2], [0.4], [0.6], [0.8]])
    picks, report = uniform_resample(scores, 8, k=4, cap=2, rng=np.random.default_rng(0))
    assert np.bincount(picks).tolist() == [2, 2, 2, 2]
    assert report.placed == 8


def test_each_query_takes_one_of_its_k_nearest():
    scores = np.linspace(0, 1, 101)[:, None]
    _, report = uniform_resample(scores, 2000, k=1, rng=np.random.default_rng(0))
    assert report.reach <= 0.005
    picks, wide = uniform_resample(scores, 2000, k=101, rng=np.random.default_rng(0))
    assert wide.reach > 0.2
    assert len(set(picks.tolist())) == 101


def test_the_same_generator_state_gives_the_same_list():
    scores = np.random.default_rng(5).random((40, 2))
    one, other = (uniform_resample(scores, 100, cap=9, rng=np.random.default_rng(1))[0] for _ in range(2))
    assert np.array_equal(one, other)


def test_images_clipped_to_the_same_corner_do_not_bring_it_down_while_denormals_are_flushed():
    torch.set_flush_denormal(True)  # as training runs; SciPy's tree recursed without end here
    try:
        scores = np.concatenate([np.zeros((60, 1)), np.random.default_rng(0).random((200, 1))])
        assert uniform_resample(scores, 500, rng=np.random.default_rng(0))[1].placed == 500
    finally:
        torch.set_flush_denormal(False)


def test_a_single_image_is_all_there_is():
    picks, report = uniform_resample(np.array([[0.5, 0.5]]), 3, rng=np.random.default_rng(0))
    assert picks.tolist() == [0, 0, 0]
    assert (report.effective, report.unique, report.max_repeats) == (1.0, 1.0, 3)


@pytest.mark.parametrize(("scores", "queries", "cap", "words"), [
    (np.zeros((0, 2)), 5, None, "at least one of each"),
    (np.zeros(4), 5, None, "at least one of each"),
    (np.full((4, 1), np.nan), 5, None, "without gaps"),
    (np.full((4, 1), 1.2), 5, None, "in 0..1"),
    (np.zeros((4, 1)), 9, 2, "4 images picked at most 2 times give 8 picks, fewer than the 9"),
    (np.zeros((4, 1)), 0, None, "at least 1"),
])  # fmt: skip
def test_what_cannot_be_resampled_is_said(scores, queries, cap, words):
    with pytest.raises(SourceError, match=words):
        uniform_resample(scores, queries, cap=cap, rng=np.random.default_rng(0))
