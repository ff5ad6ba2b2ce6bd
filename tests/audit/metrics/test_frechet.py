"""Frechet distance: closed forms, identical sets, few images in many dimensions, and an interval for this n."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from audit.errors import MetricError
from audit.estimates import NotMeasured
from audit.metrics import frechet
from audit.metrics.features import identical_inputs
from audit.metrics.frechet import (
    Moments,
    frechet_distance,
    frechet_distance_from_moments,
    frechet_estimate,
    moments,
)


def gaussian(rng, n, d, *, steep=0.7):
    return rng.standard_normal((n, d)) * np.arange(1, d + 1.0) ** -steep


def test_equal_covariances_leave_the_distance_of_the_means():
    x = gaussian(np.random.default_rng(0), 300, 8)
    shift = np.arange(8.0)
    assert frechet_distance(x + shift, x) == pytest.approx((shift**2).sum())


def test_commuting_covariances_leave_the_distance_of_the_standard_deviations():
    one, two = np.array([1.0, 4.0, 9.0]), np.array([4.0, 1.0, 0.0])
    moved = frechet_distance_from_moments(Moments(np.zeros(3), np.diag(one), 9), Moments(np.ones(3), np.diag(two), 9))
    assert moved == pytest.approx(3 + ((np.sqrt(one) - np.sqrt(two)) ** 2).sum())


def test_scaling_the_features_scales_the_distance_by_the_square():
    rng = np.random.default_rng(1)
    x, y = gaussian(rng, 200, 12), gaussian(rng, 200, 12)
    assert frechet_distance(3 * x, 3 * y) == pytest.approx(9 * frechet_distance(x, y))
    assert frechet_distance(y, x) == pytest.approx(frechet_distance(x, y))


@pytest.mark.parametrize(("n", "d"), [(300, 20), (20, 300), (50, 50)])
def test_identical_sets_are_at_zero_and_can_be_recognised(n, d):
    x = gaussian(np.random.default_rng(2), n, d)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-10)
    assert identical_inputs(x, x)


@pytest.mark.parametrize("steep", [0.0, 1.0, 2.5])
@pytest.mark.parametrize(("n", "d"), [(60, 200), (200, 60), (61, 60)])
def test_features_and_moments_agree_whichever_is_wider(n, d, steep):
    rng = np.random.default_rng(3)
    x, y = gaussian(rng, n, d, steep=steep), gaussian(rng, n, d, steep=steep) + 0.1
    assert frechet_distance(x, y) == pytest.approx(frechet_distance_from_moments(moments(x), moments(y)), rel=1e-8)


def test_empty_directions_add_nothing():
    rng = np.random.default_rng(4)
    x, y = gaussian(rng, 200, 10), gaussian(rng, 200, 10) * 1.2
    padded = [np.concatenate([a, np.zeros((200, 50))], axis=1) for a in (x, y)]
    assert frechet_distance(*padded) == pytest.approx(frechet_distance(x, y), rel=1e-10)
    constant = np.ones((50, 4))
    assert frechet_distance(constant, constant + 1) == pytest.approx(4)


def test_moments_are_those_of_numpy_in_parts_too():
    x = gaussian(np.random.default_rng(5), 5000, 6).astype(np.float32)
    found = moments(x)
    assert found.covariance == pytest.approx(np.cov(x.astype(np.float64), rowvar=False))
    assert found.mean == pytest.approx(x.mean(axis=0, dtype=np.float64))
    assert found.n == 5000


def test_tensors_are_taken_as_arrays_are():
    rng = np.random.default_rng(6)
    x, y = gaussian(rng, 80, 5), gaussian(rng, 80, 5)
    assert frechet_distance(torch.from_numpy(x), torch.from_numpy(y)) == frechet_distance(x, y)


@pytest.mark.parametrize(("n", "d"), [(200, 16), (60, 100)])
@pytest.mark.parametrize("shift", [0.0, 0.6])
def test_the_interval_covers_the_mean_distance_at_this_n(n, d, shift):
    rng = np.random.default_rng(7)
    scale = 1.1 if shift else 1.0

    def pair():
        return gaussian(rng, n, d) * scale + shift * (np.arange(d) == 0), gaussian(rng, n, d)

    truth = np.mean([frechet_distance(*pair()) for _ in range(120)])
    estimates = [frechet_estimate(*pair(), rng=rng) for _ in range(60)]
    assert sum(e.low <= truth <= e.high for e in estimates) >= 53  # 57 expected; 3 standard errors below
    widths = np.mean([e.high - e.low for e in estimates])
    spread = np.std([e.value for e in estimates])
    assert widths < 2 * 2.1 * 2 * spread  # not bought by width


@pytest.mark.parametrize(("n", "d"), [(62, 8), (60, 90)])
def test_the_interval_is_that_of_leaving_out_a_group_of_both_sets_at_a_time(n, d):
    rng = np.random.default_rng(12)
    sets = [gaussian(rng, n, d) + shift for shift in (0.3, 0.0)]
    groups, size = 10, n // 10
    dealer = np.random.default_rng(5)
    deals = [dealer.permutation(n)[: groups * size].reshape(groups, size) for _ in sets]
    left = [[np.delete(x, deal[g], axis=0) for x, deal in zip(sets, deals, strict=True)] for g in range(groups)]
    values = np.array([frechet_distance(*pair) for pair in left])
    error = np.sqrt((groups - 1) / groups * ((values - values.mean()) ** 2).sum() * n / (groups * size))
    estimate = frechet_estimate(*sets, rng=np.random.default_rng(5), groups=groups)
    assert estimate.high - estimate.value == pytest.approx(2.262157 * error, rel=1e-5)


def test_the_interval_repeats_with_its_random_numbers_and_the_value_does_not_need_them():
    rng = np.random.default_rng(8)
    x, y = gaussian(rng, 100, 8), gaussian(rng, 100, 8)
    first, again, other = (frechet_estimate(x, y, rng=np.random.default_rng(s)) for s in (1, 1, 2))
    assert first == again
    assert first != other
    assert first.value == other.value == frechet_distance(x, y)


def test_identical_sets_keep_an_interval():
    x = gaussian(np.random.default_rng(9), 100, 8)
    estimate = frechet_estimate(x, x, rng=np.random.default_rng(0))
    assert estimate.low == 0
    assert estimate.high > 0


def test_unequal_numbers_of_images_are_refused_for_an_estimate():
    x = gaussian(np.random.default_rng(10), 100, 4)
    with pytest.raises(MetricError, match="equal numbers"):
        frechet_estimate(x, x[:-1], rng=np.random.default_rng(0))


def test_too_few_images_for_an_interval_are_not_measured():
    x = gaussian(np.random.default_rng(11), 30, 4)
    assert isinstance(frechet_estimate(x, x + 1, rng=np.random.default_rng(0)), NotMeasured)


@pytest.mark.parametrize(
    ("generated", "reference"),
    [
        (np.ones(9), np.ones(9)),
        (np.ones((1, 3)), np.ones((5, 3))),
        (np.ones((5, 3)), np.ones((5, 4))),
        (np.full((5, 3), np.nan), np.ones((5, 3))),
    ],
)
def test_what_has_no_distance_is_refused(generated, reference):
    with pytest.raises(MetricError):
        frechet_distance(generated, reference)


@pytest.mark.parametrize(
    "bad",
    [
        Moments(np.zeros(2), np.eye(3), 5),
        Moments(np.zeros(3), np.full((3, 3), np.inf), 5),
        Moments(np.zeros(2), np.eye(2), 5),
    ],
)
def test_moments_that_do_not_fit_are_refused(bad):
    with pytest.raises(MetricError):
        frechet_distance_from_moments(bad, Moments(np.zeros(3), np.eye(3), 5))


def test_plain_cholesky_serves_full_covariances_and_pivoting_the_others(monkeypatch):
    rng = np.random.default_rng(13)
    full = np.cov(rng.standard_normal((200, 30)), rowvar=False)
    thin = np.cov(rng.standard_normal((200, 29)) @ rng.standard_normal((29, 30)), rowvar=False)  # one direction is empty
    asked = []
    pivoted = frechet.pivoted_factor
    monkeypatch.setattr(frechet, "pivoted_factor", lambda c: asked.append(len(c)) or pivoted(c))
    for covariance, expected in ((full, []), (thin, [30]), (thin + 1e-15 * np.eye(30), [30])):
        asked.clear()
        factor = frechet._factor(covariance)
        assert asked == expected
        assert np.allclose(factor @ factor.T, covariance, atol=1e-12 * np.abs(covariance).max())


def test_the_distance_is_the_same_whether_torch_is_loaded_or_not(monkeypatch):
    pytest.importorskip("torch")
    rng = np.random.default_rng(14)
    gen, ref = rng.standard_normal((300, 40)) * 1.3, rng.standard_normal((300, 40))
    with_torch = frechet.frechet_distance(gen, ref)
    monkeypatch.setattr(frechet, "sys", SimpleNamespace(modules={}))
    assert frechet.frechet_distance(gen, ref) == pytest.approx(with_torch, rel=1e-12)
