"""Pulls of the Frechet distance: leaving out one image, moving its weight, closed forms, permutations, collapse, speed."""

import time

import numpy as np
import pytest

from audit.metrics.frechet import frechet_distance
from audit.metrics.frechet_pulls import cloud, frechet_pulls
from audit.metrics.resampling import linear_bootstrap


def none(n):
    return np.zeros((0, n), dtype=bool)


def halves(rng, n, splits=2):
    return np.stack([rng.permutation(n) < n // 2 for _ in range(splits)])


def pulls(x, y):
    return frechet_pulls(cloud(x, none(len(x))), cloud(y, none(len(y))))


def weighted(x, w, y):
    """The distance of weighted moments, weights adding up to n, from those of y; covariances scaled as over n - 1."""
    n, mean = len(x), w @ x / len(x)
    s1 = (x - mean).T @ ((x - mean) * w[:, None]) / (n - 1)
    s2 = np.cov(y.T)
    values, vectors = np.linalg.eigh(s1)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    overlap = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ s2 @ root), 0)).sum()
    return ((mean - y.mean(axis=0)) ** 2).sum() + np.trace(s1 + s2) - 2 * overlap


def test_the_value_is_the_distance_with_more_and_with_fewer_images_than_dimensions():
    rng = np.random.default_rng(0)
    for n, d in ((80, 5), (12, 30)):
        x, y = rng.standard_normal((n, d)) * 1.4, rng.standard_normal((n, d)) + 0.3
        assert pulls(x, y).value == pytest.approx(frechet_distance(x, y), rel=1e-10)


def test_pulls_are_the_derivative_by_the_weight_of_an_image():
    rng = np.random.default_rng(1)
    n, d = 50, 4
    x, y = rng.standard_normal((n, d)) * np.array([0.5, 1, 2, 3]) + 0.4, rng.standard_normal((n, d))
    found, step = pulls(x, y), 1e-5
    for i in (0, 7, 49):
        change = []
        for sign in (1, -1):
            w = np.full(n, 1 - sign * step / n)
            w[i] += sign * step
            change.append(weighted(x, w, y))
        slope = (change[0] - change[1]) / (2 * step)
        assert found.generated[i] == pytest.approx(slope, rel=2e-2, abs=2e-4)


def test_the_sum_of_squares_is_the_variance_of_leaving_out_one():
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((150, 4)) * 1.3 + 0.5, rng.standard_normal((150, 4))
    without = np.array([frechet_distance(np.delete(x, i, axis=0), y) for i in range(150)])
    jackknife = (without.mean() - without) * (149 / 150)
    found = pulls(x, y).generated
    assert np.corrcoef(jackknife, found)[0, 1] > 0.998
    assert (found**2).sum() == pytest.approx((jackknife**2).sum(), rel=0.05)


def test_the_mirror_is_the_other_side():
    rng = np.random.default_rng(3)
    for n, d in ((60, 5), (15, 40)):
        x, y = rng.standard_normal((n, d)) * 1.4, rng.standard_normal((n, d)) + 0.3
        one, other = pulls(x, y), pulls(y, x)
        assert one.generated == pytest.approx(other.reference, rel=1e-7)
        assert one.reference == pytest.approx(other.generated, rel=1e-7)
        assert one.generated.sum() == pytest.approx(0, abs=1e-12)


def test_equal_sets_pull_nothing_and_order_does_not_matter():
    rng = np.random.default_rng(4)
    x, y, order = rng.standard_normal((40, 3)), rng.standard_normal((40, 3)), rng.permutation(40)
    assert np.abs(pulls(x, x).generated).max() < 1e-9
    assert pulls(x[order], y).generated == pytest.approx(pulls(x, y).generated[order], rel=1e-9)


def test_a_set_collapsed_onto_a_point_or_a_line_has_pulls():
    rng = np.random.default_rng(5)
    y, point = rng.standard_normal((40, 3)), np.ones((40, 3))
    found = pulls(point, y)
    assert np.abs(found.generated).max() < 1e-12
    assert found.value == pytest.approx(((1 - y.mean(axis=0)) ** 2).sum() + np.trace(np.cov(y.T)))
    line = point * rng.standard_normal((40, 1))
    assert np.isfinite(pulls(line, y).generated).all() and np.isfinite(pulls(line, y).reference).all()


def test_float32_features_are_read_as_exactly_as_float64():
    rng = np.random.default_rng(6)
    x, y = ((rng.standard_normal((90, 6)) + 50).astype(np.float32) for _ in range(2))
    assert pulls(x, y).generated == pytest.approx(pulls(x.astype(np.float64), y.astype(np.float64)).generated, rel=1e-9)


@pytest.mark.parametrize(("spread", "shift"), [(1.0, 0.0), (0.8, 0.0), (1.0, 0.3)])
def test_the_distance_less_its_bias_is_that_of_the_populations(spread, shift):
    rng, n, d = np.random.default_rng(7), 200, 10
    found = []
    for _ in range(120):
        x, y = rng.standard_normal((n, d)) * spread + shift, rng.standard_normal((n, d))
        made = frechet_pulls(cloud(x, halves(rng, n)), cloud(y, halves(rng, n)))
        found.append((made.value, made.value - made.bias))
    plain, corrected = np.mean(found, axis=0)
    known, error = d * ((spread - 1) ** 2 + shift**2), np.std(found, axis=0)[1] / np.sqrt(120)
    assert abs(corrected - known) < 4 * error
    assert plain - known > 8 * error


@pytest.mark.slow
def test_a_thousand_resamples_of_inception_size_take_less_than_a_minute():
    rng, n, d = np.random.default_rng(8), 10_000, 2048
    scale = (1.0 + np.arange(d)) ** -0.5
    x, y = ((rng.standard_normal((n, d)) * scale * s).astype(np.float32) for s in (0.9, 1.0))
    began = time.perf_counter()
    made = frechet_pulls(cloud(x, halves(rng, n)), cloud(y, halves(rng, n)))
    found = linear_bootstrap(made.value, (made.generated, None), (made.reference, None), rng=rng)
    seconds = time.perf_counter() - began
    assert found.low < found.value < found.high
    assert seconds < 60, f"{seconds:.0f} s"
