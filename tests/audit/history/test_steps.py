"""The scan for a step: closed forms, identities, an independent library, and edges."""

import numpy as np
import pytest
from scipy import stats

from audit.history.dispersion import Prior, fit_prior
from audit.history.steps import CANDIDATES, Panel, plausible, scan
from audit.history.thresholds import alarm_threshold, doubt_threshold
from audit.history.watch import Watch, watch

NO_PRIOR = Prior(1.0, 0.0, least=0.0)


def scanned(values, weights=None, *, prior=NO_PRIOR, start=0):
    y = np.asarray(values, dtype=float).reshape(len(values), -1)
    w = np.ones_like(y) if weights is None else np.asarray(weights, dtype=float).reshape(y.shape)
    return scan(Panel(y, w).sums(), len(y), np.full(y.shape[1], start), prior)


def test_a_candidate_s_t_is_the_two_sample_t_of_scipy():
    y = np.random.default_rng(1).standard_normal(40)
    found = scanned(y)
    for at, n in enumerate(CANDIDATES):
        if n <= 36:
            assert found.all[at, 0] == pytest.approx(stats.ttest_ind(y[-n:], y[:-n]).statistic if n > 1 else _one_against_many(y), abs=1e-9)


def _one_against_many(y):
    return (y[-1] - y[:-1].mean()) / np.sqrt(y[:-1].var(ddof=1) * (1 + 1 / (len(y) - 1)))


def test_the_score_has_the_tail_probability_of_the_best_t():
    y = np.random.default_rng(2).standard_normal(30)
    found = scanned(y)
    t, df = np.nanmax(np.abs(found.all[:, 0])), 28
    assert stats.norm.sf(abs(found.score[0])) == pytest.approx(stats.t.sf(t, df), rel=1e-6)


def test_a_strong_prior_makes_the_variance_known():
    y = np.random.default_rng(3).standard_normal(50)
    at = CANDIDATES.index(5)
    known = scanned(y, prior=Prior(1.0, 1e9)).all[at, 0]
    assert known == pytest.approx((y[-5:].mean() - y[:-5].mean()) / np.sqrt(1 / 5 + 1 / 45), rel=1e-4)


def test_a_night_of_four_times_the_images_counts_as_four_nights():
    y = [0.0, 1, -1, 0.5, -0.5, 0.2, 0.1, -0.3, 0.4, -0.2, 2.0]
    heavy = scanned(y, [1.0] * 10 + [4.0], prior=Prior(1.0, 1e9)).all[0, 0]
    assert heavy == pytest.approx((2.0 - np.mean(y[:10])) / np.sqrt(1 / 4 + 1 / 10), rel=1e-4)


def test_scale_and_level_change_nothing_and_a_mirrored_series_steps_the_other_way():
    y = np.random.default_rng(4).standard_normal(30)
    plain, moved, mirrored = (scanned(v) for v in (y, 100 + 7 * y, -y))
    assert moved.score[0] == pytest.approx(plain.score[0]) and mirrored.score[0] == pytest.approx(-plain.score[0])


def test_missing_nights_are_as_if_they_had_not_been():
    y = np.random.default_rng(5).standard_normal(30)
    gappy, weights = np.insert(y, [3, 12], 99.0), np.insert(np.ones(30), [3, 12], 0.0)
    assert np.nanmax(np.abs(scanned(gappy, weights).all[:6, 0])) == pytest.approx(np.nanmax(np.abs(scanned(y).all[:6, 0])))


@pytest.mark.parametrize("values", [[], [1.0], [1.0] * 9, list(range(9))])
def test_too_few_nights_say_nothing(values):
    found = scanned(np.array(values, dtype=float).reshape(-1, 1)) if len(values) else scan(np.zeros((4, 1, 1)), 0, np.zeros(1, dtype=int), NO_PRIOR)
    assert found.score.tolist() == [0.0]


def test_an_old_level_needs_four_nights_before_a_new_one_is_tried():
    tried = dict(zip(CANDIDATES, scanned(np.random.default_rng(15).standard_normal(11)).all[:, 0], strict=False))
    assert np.isfinite(tried[6]) and np.isnan(tried[8]) and np.isnan(tried[10])


def test_the_same_number_every_night_is_no_step_and_no_division_by_zero():
    assert scanned([0.3] * 40).score[0] == 0
    assert scanned([0.3] * 40, prior=Prior(1.0, 3.0)).score[0] == pytest.approx(0, abs=1e-9)


def test_nights_before_the_regime_do_not_count():
    y = np.concatenate([np.full(20, 50.0), np.random.default_rng(6).standard_normal(30)])
    assert scanned(y, start=20).score[0] == pytest.approx(scanned(y[20:]).score[0], abs=1e-6)


def test_plausible_beginnings_are_those_the_likelihood_cannot_tell_apart():
    t = np.array([1.0, 5.0, 4.9, 3.0, np.nan])
    assert plausible(t, candidates=(1, 2, 3, 4, 5)) == [2, 3]


# The prior


def test_the_prior_finds_a_planted_distribution_of_variances():
    rng = np.random.default_rng(7)
    truth = 2.0 * 4 / rng.chisquare(4, 4000)  # scaled inverse chi-square, d0 = 4, s0^2 = 2
    found = fit_prior(truth * rng.chisquare(40, 4000) / 40, np.full(4000, 40.0))
    assert found.variance == pytest.approx(2.0, rel=0.06) and found.df == pytest.approx(4, rel=0.1)


def test_few_series_or_none_that_vary_leave_the_intervals_their_say():
    assert fit_prior(np.array([4.0, 4.0]), np.array([50.0, 50.0])) == Prior(1.0, 3.0)
    assert fit_prior(np.zeros(20), np.full(20, 50.0)) == Prior(1.0, 3.0)
    assert fit_prior(np.ones(20), np.full(20, 2.0)) == Prior(1.0, 3.0)


def test_families_seen_side_by_side_know_nothing_of_one_another():
    rng = np.random.default_rng(8)
    both = rng.standard_normal((60, 12)) * np.repeat([1.0, 3.0], 6)
    together = Watch(6, families=2)
    for row in both:
        together.see(row, np.ones(12))
    alone = watch(both[:, :6], np.ones((60, 6)))
    assert together.scores.score[:6] == pytest.approx(alone.scores.score) and together.prior.variance[:6] == pytest.approx(alone.prior.variance)


# Thresholds


def test_thresholds_rise_with_the_family_and_keep_odd_below_alarm():
    alarms = [alarm_threshold(n) for n in (1, 5, 20, 200, 2000)]
    assert alarms == sorted(alarms) and all(doubt_threshold(n) < alarm_threshold(n) - 0.9 for n in (1, 20, 2000))
    assert alarm_threshold(20, chance=0.01) > alarm_threshold(20, chance=0.05)


def test_the_threshold_of_one_series_is_passed_as_often_as_it_says():
    rng = np.random.default_rng(9)  # known variance, 60 quiet nights, then a year
    y = rng.standard_normal((1500, 425))
    sums = np.concatenate([np.zeros((1500, 1)), y.cumsum(axis=1)], axis=1)
    best = np.zeros(1500)
    for n in CANDIDATES:
        t = np.arange(max(61, n + 4), 426)
        best = np.maximum(best, np.abs(((sums[:, t] - sums[:, t - n]) / n - sums[:, t - n] / (t - n)) / np.sqrt(1 / n + 1 / (t - n))).max(axis=1))
    passed = (best > alarm_threshold(1, chance=0.2)).mean()
    assert passed == pytest.approx(0.2, abs=0.035)  # 3.4 standard errors


# Watching


def test_a_step_is_found_dated_and_becomes_the_new_normal():
    rng = np.random.default_rng(10)
    y = rng.standard_normal((120, 6))
    y[80:, 2] += 4
    seen = watch(y, np.ones_like(y))
    assert [s.series for s in seen.steps] == [2]
    step = seen.steps[0]
    assert step.since == 80 and 80 <= step.found <= 84 and step.score > 0 and step.difference == pytest.approx(4, abs=1.5)
    assert step.since in step.others and seen.starts.tolist() == [0, 0, 80, 0, 0, 0]


def test_a_small_step_is_found_late_and_its_beginning_is_not_sure():
    rng = np.random.default_rng(16)
    y = rng.standard_normal((120, 6))
    y[80:, 2] += 1.6
    (step,) = watch(y, np.ones_like(y)).steps
    assert step.found - 80 >= 5 and {step.since, 80} <= set(step.others) and len(step.others) > 1


def test_a_step_that_goes_back_is_found_twice():
    rng = np.random.default_rng(11)
    y = rng.standard_normal((140, 6))
    y[80:100, 0] -= 5
    steps = watch(y, np.ones_like(y)).steps
    assert [(s.series, s.since, s.score > 0) for s in steps] == [(0, 80, False), (0, 100, True)]


def test_what_was_said_on_a_night_is_said_again_when_the_history_is_read():
    rng = np.random.default_rng(12)
    y = rng.standard_normal((100, 8))
    y[60:, 1] += 5
    early, late = watch(y[:70], np.ones((70, 8))), watch(y, np.ones((100, 8)))
    assert early.steps and early.steps == late.steps[: len(early.steps)]


def test_a_night_looks_odd_before_it_is_an_alarm_and_not_when_all_is_quiet():
    rng = np.random.default_rng(13)
    seen = watch(rng.standard_normal((60, 4)) * 0.8, np.ones((60, 4)))
    quiet = seen.is_odd()
    for _ in range(4):
        seen.see(np.array([1.9, 0, 0, 0]), np.ones(4))
    assert not quiet and seen.is_odd() and not seen.steps
    seen.see(np.array([30.0, 0, 0, 0]), np.ones(4))
    assert seen.steps and seen.oddness()[0] == 0  # it is an alarm now, nothing is left to decide


def test_nights_are_never_taken_to_differ_by_less_than_their_intervals_say():
    rng = np.random.default_rng(14)
    y = rng.standard_normal((90, 8)) * 0.3
    y[89, 0] += 3  # ten times the spread, three standard errors of the interval
    assert watch(y, np.ones_like(y)).steps == []
    y[70:, 1] += 3
    assert [s.series for s in watch(y, np.ones_like(y)).steps] == [1]
