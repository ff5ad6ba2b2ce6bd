"""Groups: coverage by brute force, a group never drawn, parts that add up, and how alike people are."""

import numpy as np
import pytest

from audit.errors import MetricError
from audit.estimates import NotMeasured
from audit.metrics.groups import LEAST_REFERENCE, group_coverage, identity_similarity
from audit.metrics.replicates import difference, estimate
from audit.metrics.shared import neighbour_replicates, prepare


def held(gen, ref, rng, subsets=6):
    def keep(n):
        rows = np.zeros((subsets + 1, n), dtype=bool)
        rows[0] = True
        for row in rows[1:]:
            row[rng.permutation(n)[: n // 2]] = True
        return rows

    sides = [prepare(x, np.arange(len(x)), keep(len(x))) for x in (gen, ref)]
    return neighbour_replicates(*sides, block=13)


@pytest.fixture
def world():
    rng = np.random.default_rng(0)
    group = np.repeat([0, 1], [70, 30])
    ref = rng.standard_normal((100, 4)) + 12 * group[:, None]
    return rng, ref, group


def test_coverage_of_a_group_agrees_with_the_definition_written_out(world):
    rng, ref, group = world
    gen = rng.standard_normal((100, 4)) * 0.5 + 12 * rng.integers(0, 2, 100)[:, None]
    found = held(gen, ref, rng)
    radii = np.sort(np.linalg.norm(ref[:, None] - ref[None], axis=2), axis=1)[:, 5]
    reached = (np.linalg.norm(ref[:, None] - gen[None], axis=2) < radii[:, None]).any(axis=1)
    for g in (0, 1):
        assert group_coverage(found, group == g).value == pytest.approx(reached[group == g].mean())


def test_a_group_that_is_never_drawn_is_not_covered(world):
    rng, ref, group = world
    found = held(rng.standard_normal((100, 4)), ref, rng)
    never = estimate(group_coverage(found, group == 1))
    assert never.value == never.low == 0
    assert 0 < never.high < 0.2
    assert group_coverage(found, group == 0).value > 0.8


def test_the_coverage_of_the_whole_is_the_mean_of_its_groups(world):
    rng, ref, group = world
    found = held(rng.standard_normal((100, 4)) + 6 * rng.integers(0, 3, 100)[:, None], ref, rng)
    parts = [group_coverage(found, group == g) for g in (0, 1)]
    assert sum(p.value * p.n for p in parts) / 100 == pytest.approx(found.coverage.value)
    assert [p.n for p in parts] == [70, 30]


def test_a_group_with_few_reference_images_is_not_measured(world):
    rng, ref, group = world
    found = held(rng.standard_normal((100, 4)), ref, rng)
    few = np.arange(100) < LEAST_REFERENCE - 1
    assert group_coverage(found, few) == NotMeasured("19 reference images of this group; 20 are needed", 19)
    assert isinstance(group_coverage(found, np.zeros(100, dtype=bool)), NotMeasured)
    with pytest.raises(MetricError, match="100 flags"):
        group_coverage(found, group)


def test_equal_people_are_alike_and_orthogonal_ones_are_not():
    same = estimate(identity_similarity(np.tile([3.0, 4.0], (10, 1))))
    assert (same.value, same.low, same.high) == pytest.approx((1, 1, 1))
    assert identity_similarity(np.eye(8) * 7).value == pytest.approx(0, abs=1e-12)
    assert identity_similarity([[1.0, 0], [-1.0, 0], [1.0, 0], [-1.0, 0]]).value == pytest.approx(-1 / 3)


def test_similarity_and_its_pulls_agree_with_pairs_written_out():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((15, 4)) + 0.4
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)

    def mean(rows):
        return np.mean([a @ b for i, a in enumerate(rows) for j, b in enumerate(rows) if i != j])

    found = identity_similarity(x)
    assert found.value == pytest.approx(mean(unit))
    without = np.array([mean(np.delete(unit, i, axis=0)) for i in range(15)])
    assert (found.own**2).sum() == pytest.approx(14 / 15 * ((without - without.mean()) ** 2).sum())


def test_the_interval_of_similarity_covers():
    rng = np.random.default_rng(2)
    centre = np.array([1.0, 0, 0, 0])

    def draw(n):
        return rng.standard_normal((n, 4)) + centre

    many = draw(200_000)
    direction = (many / np.linalg.norm(many, axis=1, keepdims=True)).mean(axis=0)
    truth = direction @ direction
    hit = sum(e.low <= truth <= e.high for e in (estimate(identity_similarity(draw(60))) for _ in range(300)))
    assert hit / 300 >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 300)


def test_a_generator_that_draws_one_person_is_less_diverse_by_a_settled_difference():
    rng = np.random.default_rng(3)
    base = rng.standard_normal((60, 5))
    found = difference(identity_similarity(0.3 * base + 1), identity_similarity(base))
    assert found.difference.low > 0.3
    assert found.p_value < 1e-6


@pytest.mark.parametrize("n", [0, 1, 2])
def test_two_people_say_nothing_of_diversity(n):
    assert identity_similarity(np.ones((n, 3))) == NotMeasured(f"{n} images of this group; 3 are needed", n, "ratio")


def test_features_without_direction_or_number_are_refused():
    with pytest.raises(MetricError, match="length 0"):
        identity_similarity([[1.0, 0], [0, 0], [0, 1]])
    with pytest.raises(MetricError, match="NaN"):
        identity_similarity([[1.0, 0], [np.nan, 0], [0, 1]])
    with pytest.raises(MetricError, match="one id a feature"):
        identity_similarity(np.eye(3), np.arange(4))
