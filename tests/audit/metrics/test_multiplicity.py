"""Holm: the order given, missing passes through, and one false finding in the family is as rare as promised."""

import numpy as np
import pytest

from audit.errors import MetricError
from audit.metrics.multiplicity import holm


def test_the_textbook_steps():
    assert holm([0.04, 0.01, 0.03, 0.005]) == pytest.approx([0.06, 0.03, 0.06, 0.02])


def test_what_was_not_measured_passes_through_and_is_not_counted():
    assert holm([None, 0.02, None]) == [None, 0.02, None]
    assert holm([]) == []
    assert holm([None]) == [None]


def test_nothing_exceeds_one():
    assert holm([0.9, 0.8, 0.7]) == [1.0, 1.0, 1.0]


def test_the_family_is_protected_when_nothing_is_different():
    rng = np.random.default_rng(0)
    found = sum(min(holm(list(rng.random(12)))) < 0.05 for _ in range(2000))
    assert found / 2000 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 2000)


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_what_is_no_p_value_is_refused(p):
    with pytest.raises(MetricError):
        holm([0.5, p])
