"""Precision, recall, density, coverage: brute force, ties, collapse, swap, blocks, and intervals that cover."""

import numpy as np
import pytest

from audit.errors import MetricError
from audit.estimates import NotMeasured
from audit.metrics import nearest
from audit.metrics.neighbours import density_coverage, neighbour_estimates, neighbour_metrics, precision_recall


def by_hand(gen, ref, k_pr, k_dc):
    def radii(x, k):
        distances = np.linalg.norm(x[:, None] - x[None], axis=2)
        return np.sort(distances, axis=1)[:, k]

    across = np.linalg.norm(ref[:, None] - gen[None], axis=2)
    inside = across < radii(ref, k_dc)[:, None]
    return (
        (across <= radii(ref, k_pr)[:, None]).any(axis=0).mean(),
        (across <= radii(gen, k_pr)[None]).any(axis=1).mean(),
        inside.sum() / (k_dc * len(gen)),
        inside.any(axis=1).mean(),
    )


@pytest.mark.parametrize(("n", "m", "d"), [(60, 60, 3), (80, 50, 10), (30, 90, 40)])
def test_the_blocks_agree_with_the_definition_written_out(n, m, d):
    rng = np.random.default_rng(n)
    gen, ref = rng.standard_normal((n, d)) * 1.2 + 0.3, rng.standard_normal((m, d))
    assert neighbour_metrics(gen, ref, block=17) == pytest.approx(by_hand(gen, ref, 3, 5))
    assert precision_recall(gen, ref, k=4) == pytest.approx(by_hand(gen, ref, 4, 4)[:2])
    assert density_coverage(gen, ref, k=4) == pytest.approx(by_hand(gen, ref, 4, 4)[2:])


def test_edges_belong_to_precision_and_recall_and_not_to_density_and_coverage():
    lattice = np.array([[float(i), float(j)] for i in range(9) for j in range(9)])  # every ball ends on other images
    expected = by_hand(lattice + np.array([1.0, 0.0]), lattice, 3, 5)
    for scale, offset in ((1.0, 0.0), (0.1, 0.0), (np.pi, 1000.0)):  # where coordinates and products round
        points, shifted = lattice * scale + offset, (lattice + np.array([1.0, 0.0])) * scale + offset
        assert neighbour_metrics(shifted, points) == pytest.approx(expected)


def test_a_collapsed_generator_has_precision_near_one_and_recall_near_zero():
    rng = np.random.default_rng(1)
    ref = rng.standard_normal((300, 8))
    collapsed = ref.mean(axis=0) + 1e-3 * rng.standard_normal((300, 8))
    metrics = neighbour_metrics(collapsed, ref)
    assert metrics.precision > 0.99
    assert metrics.recall < 0.01


def test_swapping_the_sets_swaps_precision_and_recall():
    rng = np.random.default_rng(2)
    one, two = rng.standard_normal((100, 5)), rng.standard_normal((120, 5)) * 1.5
    forth, back = precision_recall(generated=one, reference=two), precision_recall(generated=two, reference=one)
    assert (forth.precision, forth.recall) == (back.recall, back.precision)
    assert forth.precision != forth.recall


def test_identical_sets_are_perfect():
    x = np.random.default_rng(3).standard_normal((90, 6)) + 50
    assert neighbour_metrics(x, x) == (1, 1, 1, 1)
    same = np.tile(x[:1], (30, 1))
    assert neighbour_metrics(same, same)[:2] == (1, 1)


def test_equal_distributions_have_a_density_near_one_and_the_known_coverage():
    rng = np.random.default_rng(4)
    values = [density_coverage(rng.standard_normal((400, 8)), rng.standard_normal((400, 8))) for _ in range(8)]
    density, coverage = np.mean(values, axis=0)
    n = 400
    expected = 1 - np.prod([(n - j) / (2 * n - j) for j in range(1, 6)])
    assert density == pytest.approx(1, abs=0.05)
    assert coverage == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("block", [1, 7, 64, 1000])
def test_neither_the_block_nor_the_order_matters(block):
    rng = np.random.default_rng(5)
    gen, ref = rng.standard_normal((90, 4)).astype(np.float32), rng.standard_normal((80, 4)).astype(np.float32)
    whole = neighbour_metrics(gen, ref)
    assert neighbour_metrics(gen, ref, block=block) == whole
    assert neighbour_metrics(gen[rng.permutation(90)], ref[rng.permutation(80)], block=block) == whole


@pytest.mark.parametrize("kind", ["same", "narrow", "wide"])
def test_the_intervals_cover_the_mean_at_this_n(kind):
    rng = np.random.default_rng(6)
    scale = {"same": 1.0, "narrow": 0.6, "wide": 1.4}[kind]

    def pair():
        return rng.standard_normal((120, 6)) * scale, rng.standard_normal((120, 6))

    truth = np.mean([neighbour_metrics(*pair()) for _ in range(150)], axis=0)
    held = np.zeros(4)
    for _ in range(50):
        estimates = neighbour_estimates(*pair(), rng=rng)
        held += [e.low <= t <= e.high for e, t in zip(estimates, truth, strict=True)]
    assert (held >= 43).all()  # 47.5 expected; 3 standard errors below


def test_halves_find_their_own_neighbours(monkeypatch):
    rng = np.random.default_rng(7)
    x = rng.standard_normal((40, 3))
    keep = np.zeros((6, 40), dtype=bool)
    for row in keep:
        row[rng.permutation(40)[:20]] = True
    for listed in (4, 1):  # with a short list nearly every row has to be searched
        monkeypatch.setattr(nearest, "_LISTED", listed)
        (radii,) = nearest.squared_radii(x, (5,), keep, block=16)
        for held, row in zip(keep, radii, strict=True):
            distances = np.linalg.norm(x[held][:, None] - x[held][None], axis=2)
            assert row[held] == pytest.approx(np.sort(distances, axis=1)[:, 5] ** 2)
            assert (row[~held] == -np.inf).all()


@pytest.mark.parametrize("block", [64, 300, 1500])
def test_each_pair_of_a_set_is_looked_at_once_and_no_neighbour_is_missed(block, monkeypatch):
    rng = np.random.default_rng(12)
    x = np.concatenate([rng.standard_normal((1200, 8)), np.repeat(rng.standard_normal((1, 8)), 6, axis=0)]).astype(np.float32)
    n, looked = len(x), []
    multiplied = nearest._multiplied
    monkeypatch.setattr(nearest, "_multiplied", lambda a, b: looked.append(len(a) * len(b)) or multiplied(a, b))
    keep = np.ones((3, n), dtype=bool)
    keep[1, rng.permutation(n)[: n // 2]] = keep[2, ::2] = False
    (whole,) = nearest.squared_radii(x, (5,), keep[:1], block=block)
    assert sum(looked) == sum(min(block, n - s) * (n - s) for s in range(0, n, block))
    radii = nearest.squared_radii(x, (3, 5), keep, block=block)
    x = x.astype(np.float64)
    for k, found in zip((3, 5), radii, strict=True):
        for held, row in zip(keep, found, strict=True):
            distances = np.linalg.norm(x[held][:, None] - x[held][None], axis=2)
            assert row[held] == pytest.approx(np.sort(distances, axis=1)[:, k] ** 2, abs=1e-12)
    assert whole == pytest.approx(radii[1][:1], rel=1e-12)


def test_estimates_repeat_with_their_random_numbers_and_hold_the_plain_values():
    rng = np.random.default_rng(8)
    x, y = rng.standard_normal((60, 4)), rng.standard_normal((60, 4))
    first, again, other = (neighbour_estimates(x, y, rng=np.random.default_rng(s)) for s in (1, 1, 2))
    assert first == again
    assert first != other
    assert tuple(e.value for e in first) == neighbour_metrics(x, y)


def test_sets_far_apart_are_at_zero_with_a_width():
    rng = np.random.default_rng(9)
    estimates = neighbour_estimates(rng.standard_normal((60, 4)) + 99, rng.standard_normal((60, 4)), rng=rng)
    assert all(e.value == e.low == 0 and 0 < e.high < 0.1 for e in estimates)


def test_too_few_images_are_refused_or_not_measured():
    x = np.random.default_rng(10).standard_normal((8, 2))
    with pytest.raises(MetricError, match="neighbour number 5"):
        neighbour_metrics(x[:5], x)
    assert all(isinstance(e, NotMeasured) for e in neighbour_estimates(x, x, rng=np.random.default_rng(0)))


@pytest.mark.parametrize("arguments", [{"k_pr": 0}, {"k_dc": 0}, {"block": 0}])
def test_impossible_neighbours_are_refused(arguments):
    with pytest.raises(MetricError):
        neighbour_metrics(np.ones((9, 2)), np.ones((9, 2)), **arguments)


@pytest.mark.parametrize("width", [1.0, 1e-2])
def test_what_float32_cannot_tell_apart_is_told_apart_in_float64(width):
    rng = np.random.default_rng(11)  # sets large enough that the first look is in float32, and clusters narrower than it sees
    gen, ref = (rng.integers(0, 3, (900, 1)) * 2.0 + width * rng.standard_normal((900, 5)) + 30 for _ in range(2))
    assert neighbour_metrics(gen, ref) == pytest.approx(by_hand(gen, ref, 3, 5), abs=1e-12)
