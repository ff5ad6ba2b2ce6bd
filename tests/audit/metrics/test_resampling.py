"""Units: of one image each they change nothing, of several they widen, of one they say so; and what they name is covered."""

import numpy as np
import pytest

from audit.errors import MetricError
from audit.estimates import NotMeasured
from audit.metrics.resampling import effective_counts, independent_units, linear_bootstrap, unit_sums
from audit.metrics.shares import share_box


def test_units_of_one_image_each_give_the_counts_themselves():
    found = effective_counts([0, 1, 1, -1, 2], ["a", "b", "c", "d", "e"], 3)
    assert (found.counts.tolist(), found.n) == ([1, 2, 1], 4)
    alone = effective_counts([0, 1, 1, -1, 2], [-1, -1, -1, -1, -1], 3)
    assert (alone.counts.tolist(), alone.n) == ([1, 2, 1], 4)


def test_repeated_pictures_count_once():
    said = np.random.default_rng(0).integers(0, 3, 400)
    found = effective_counts(np.repeat(said, 5), np.repeat(np.arange(400), 5), 3)
    assert found.n == pytest.approx(400, rel=0.02)
    assert found.counts / found.n == pytest.approx(np.bincount(said) / 400)


def test_units_that_agree_no_more_than_chance_never_narrow():
    rng = np.random.default_rng(1)
    for _ in range(20):
        found = effective_counts(rng.integers(0, 2, 300), rng.integers(0, 100, 300), 2)
        assert 150 < found.n <= 300
    split = effective_counts(np.tile([0, 1], 100), np.repeat(np.arange(100), 2), 2)  # each unit one of each: less than chance
    assert 190 < split.n <= 200


def test_one_class_only_does_not_make_units_independent():
    assert effective_counts(np.zeros(100, dtype=int), np.repeat(np.arange(50), 2), 2).n < 50


def test_one_unit_or_no_image_is_not_measured():
    assert effective_counts([0, 1, 1], [4, 4, 4], 2) == NotMeasured("all 3 images are of one unit; an interval needs two units or more", 3)
    assert effective_counts([-1, -1], [1, 2], 2) == NotMeasured("no image was counted")
    assert linear_bootstrap(1.0, (np.ones(3), np.zeros(3, dtype=int)), rng=np.random.default_rng(0)) == NotMeasured(
        "all 3 images are of one unit; an interval needs two units or more", 3, "distance")  # fmt: skip


def test_wrong_units_are_a_sentence():
    with pytest.raises(MetricError, match="3 labels and 2 units"):
        effective_counts([0, 1, 1], [0, 1], 2)
    with pytest.raises(MetricError, match="one-dimensional"):
        effective_counts([0, 1], [[0], [1]], 2)
    with pytest.raises(MetricError, match="two resamples or more"):
        linear_bootstrap(1.0, (np.ones(3), None), rng=np.random.default_rng(0), resamples=1)


def test_nothing_and_negative_numbers_are_units_of_their_own():
    assert len(set(independent_units([None, "x", float("nan"), "x"]).tolist())) == 3
    assert len(set(independent_units(np.array([np.nan, 2.0, -1.0, 2.0])).tolist())) == 3
    assert len(set(independent_units(np.array(["b", "a", "b"])).tolist())) == 2


def test_shares_of_prompts_are_covered_and_raw_intervals_are_not():
    rng, held, raw, rounds = np.random.default_rng(2), 0, 0, 300
    for _ in range(rounds):
        chance = rng.beta(2, 2, 60).repeat(10)  # how a prompt leans, on average 1/2
        said, units = (rng.random(600) < chance).astype(int), np.arange(600) // 10
        found = effective_counts(said, units, 2)
        half = 1.959964 * 0.5 / np.sqrt(found.n)
        held += abs(found.counts[1] / found.n - 0.5) <= half
        box = share_box(np.bincount(said, minlength=2))
        raw += box.low[1] <= 0.5 <= box.high[1]
    assert raw < 0.8 * rounds
    assert held >= 0.92 * rounds


def test_sums_over_units_add_up_to_the_variance_of_independent_units():
    rng = np.random.default_rng(3)
    own = rng.standard_normal(200)
    assert unit_sums(own, None) is own
    assert unit_sums(own, rng.permutation(200)) is own
    whole = unit_sums(np.repeat(own / 4, 4), np.repeat(np.arange(200), 4))
    assert (whole**2).sum() == pytest.approx((own**2).sum() * 200 / 199)


def test_a_bootstrap_of_pulls_has_their_standard_error():
    rng = np.random.default_rng(4)
    own, other = rng.standard_normal(300) / 300, rng.standard_normal(200) / 200
    own, other = own - own.mean(), other - other.mean()
    found = linear_bootstrap(0.5, (own, None), (other, None), rng=rng, resamples=4000)
    error = np.sqrt((own**2).sum() + (other**2).sum())
    assert (found.high - found.low) / (2 * 1.96 * error) == pytest.approx(1, abs=0.04)
    units = np.arange(300) // 30
    grouped = linear_bootstrap(0.5, (own + np.sin(units) / 300, units), (other, None), rng=rng)
    assert grouped.high - grouped.low > 1.5 * (found.high - found.low)
    assert grouped.method == "bootstrap of pulls, 1000 resamples of 10 units"
