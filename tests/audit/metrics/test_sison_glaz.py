import numpy as np
import pytest
from statsmodels.stats.proportion import multinomial_proportions_confint

from audit.metrics.shares import share_box
from audit.metrics.sison_glaz import sison_glaz

COUNTS = [[56, 72, 73, 59, 62, 87, 68], [5, 90, 5], [0, 50, 50], [500, 500], [3000, 4000, 2999, 1], [31_000, 36_000, 33_000]]


@pytest.mark.parametrize("counts", COUNTS, ids=str)
@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_it_agrees_with_statsmodels(counts, level):
    with np.errstate(invalid="ignore"):  # of widths that statsmodels tries and drops
        theirs = np.clip(multinomial_proportions_confint(counts, 1 - level, "sison-glaz"), 0, 1)
    low, high = sison_glaz(np.array(counts), level)
    np.testing.assert_allclose(low, theirs[:, 0], atol=1e-6)
    np.testing.assert_allclose(high, theirs[:, 1], atol=1e-6)


@pytest.mark.parametrize("counts", [c for c in COUNTS if len(c) > 2], ids=str)
def test_goodman_agrees_with_statsmodels(counts):
    theirs = multinomial_proportions_confint(counts, 0.05, "goodman")
    box = share_box(counts, method="goodman")
    np.testing.assert_allclose(np.stack([box.low, box.high], 1), np.clip(theirs, 0, 1), atol=1e-6)


def test_it_covers_equal_classes_jointly():
    rng = np.random.default_rng(8)
    held = [((box.low <= 0.2) & (box.high >= 0.2)).all() for c in rng.multinomial(400, [0.2] * 5, size=300)
            if (box := share_box(c, method="sison-glaz"))]  # fmt: skip
    assert 0.9 <= np.mean(held) <= 0.98


def test_a_collapsed_sample_and_a_single_image_have_an_interval():
    for counts in ([100, 0, 0], [1, 0, 0], [1, 1, 98]):
        box = share_box(counts, method="sison-glaz")
        assert (box.low <= box.value).all() and (box.value <= box.high).all()
