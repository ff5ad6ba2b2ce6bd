"""Intervals for shares, Holm's steps and McNemar's test equal those of statsmodels."""

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import multinomial_proportions_confint, proportion_confint

from audit.metrics import holm, paired_share_difference, proportion, share_box


@pytest.mark.parametrize(("successes", "n"), [(0, 20), (3, 20), (20, 20), (512, 1000)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_one_share_has_the_clopper_pearson_interval(successes, n, level):
    estimate = proportion(successes, n, level)
    theirs = proportion_confint(successes, n, alpha=1 - level, method="beta")
    assert (estimate.low, estimate.high) == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize("counts", [[5, 20, 75], [1, 0, 9, 40, 50]])
def test_several_shares_divide_the_error_between_them(counts):
    box, n = share_box(counts), sum(counts)
    theirs = [proportion_confint(c, n, alpha=0.05 / len(counts), method="beta") for c in counts]
    assert np.stack([box.low, box.high], axis=1) == pytest.approx(np.array(theirs), abs=1e-9)


@pytest.mark.parametrize("counts", [[5, 20, 75], [1, 3, 9, 40, 50]])
def test_goodman_is_goodman(counts):
    box = share_box(counts, method="goodman")
    theirs = multinomial_proportions_confint(np.array(counts), method="goodman")
    assert np.stack([box.low, box.high], axis=1) == pytest.approx(theirs, abs=1e-9)


def test_holm_is_holm():
    p_values = np.random.default_rng(0).random(30) ** 3
    assert holm(p_values.tolist()) == pytest.approx(multipletests(p_values, method="holm")[1])


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (3, 3), (10, 2), (0, 7), (400, 350)])
def test_the_mid_p_is_half_way_between_two_exact_tests(gained, lost):
    candidate = np.repeat([0, 1, 0, 1], [gained, lost, 50, 50])
    baseline = np.repeat([1, 0, 0, 1], [gained, lost, 50, 50])
    ours = paired_share_difference(candidate, baseline, 2).p_values[0]
    exact = float(mcnemar([[50, gained], [lost, 50]], exact=True).pvalue)
    if gained == lost:
        assert ours == exact == 1
    else:
        changed, fewer = gained + lost, min(gained, lost)
        fewest = float(mcnemar([[50, changed - fewer + 1], [fewer - 1, 50]], exact=True).pvalue) if fewer else 0.0
        assert ours == pytest.approx((exact + fewest) / 2, rel=1e-9)
