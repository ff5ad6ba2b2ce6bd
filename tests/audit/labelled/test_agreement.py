"""Krippendorff's alpha against published numbers, closed forms, and what it cannot know."""

import numpy as np
import pytest

from audit.errors import MetricError
from audit.estimates import NotMeasured
from audit.labelled.agreement import accuracy_of_raters, krippendorff_alpha, majority, summary

_ = -1
PUBLISHED = np.array([
    [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
    [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
])  # fmt: skip
"""Krippendorff 2011, section C: four observers, twelve units, missing labels; the twelfth has one label and drops out."""


def alpha(labels, k=2):
    return krippendorff_alpha(labels, k, rng=np.random.default_rng(0))


def test_the_published_example_has_alpha_0_743():
    found = alpha(np.where(_ == PUBLISHED, -1, PUBLISHED - 1), 5)
    assert found.value == pytest.approx(0.743, abs=5e-4)
    assert found.n == 11


def test_the_published_example_of_two_observers_has_alpha_0_095():
    # the same paper, section A: ten units, two classes
    assert alpha([[0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]]).value == pytest.approx(0.095, abs=5e-4)


def test_alpha_does_not_depend_on_the_order_of_raters_or_classes():
    plain = alpha(np.where(_ == PUBLISHED, -1, PUBLISHED - 1), 5).value
    assert alpha(np.where(_ == PUBLISHED, -1, 5 - PUBLISHED)[::-1], 5).value == pytest.approx(plain, abs=1e-12)


def test_labels_handed_out_at_random_give_alpha_near_0_and_the_interval_says_so():
    found = alpha(np.random.default_rng(1).integers(0, 3, (4, 3000)), 3)
    assert found.low < 0 < found.high and abs(found.value) < 0.03


def test_raters_who_never_disagreed_are_not_known_to_agree_always():
    found = alpha([[0, 1] * 15] * 2)
    assert found.value == found.high == 1
    assert found.low == pytest.approx(1 - (1 - 0.025 ** (1 / 30)) / 0.5)


def test_the_interval_covers_the_alpha_of_many_images():
    rng, hits = np.random.default_rng(2), 0

    def drawn(n):
        truth = rng.integers(0, 3, n)
        return np.where(rng.random((3, n)) < 0.8, truth, rng.integers(0, 3, (3, n)))

    wide = _large(drawn)
    for _try in range(60):
        found = krippendorff_alpha(drawn(200), 3, rng=rng)
        hits += found.low <= wide <= found.high
    assert hits >= 52


def _large(drawn):
    from audit.labelled.agreement import _alpha

    counts = (drawn(100_000)[:, :, None] == np.arange(3)).sum(axis=0)
    return float(_alpha(counts, np.ones((1, len(counts))))[0])


@pytest.mark.parametrize(("labels", "reason"), [
    ([[0, 1, -1], [-1, -1, 0]], "no image was labelled by two raters"),
    ([[0, 0], [0, 0]], "only one class was ever used"),
    ([[0, 1, 1]], "no image was labelled by two raters"),
])  # fmt: skip
def test_what_cannot_be_known_is_not_measured(labels, reason):
    found = alpha(labels)
    assert isinstance(found, NotMeasured) and reason in found.reason
    assert reason in summary(found, raters=1)["sentence"]


def test_a_label_outside_the_classes_is_refused():
    with pytest.raises(MetricError, match=r"class indices in -1..1"):
        alpha([[0, 2], [0, 1]])


def test_the_majority_leaves_ties_out_and_counts_them():
    true, tied = majority([[0, 0, 0, -1], [0, 1, 1, -1], [1, 1, -1, -1]], 2)
    assert true.tolist() == [0, 1, -1, -1] and tied == 1
    assert accuracy_of_raters({"a": np.array([0, 0, 0, -1]), "b": np.full(4, -1)}, true) == {"a": 0.5, "b": None}
