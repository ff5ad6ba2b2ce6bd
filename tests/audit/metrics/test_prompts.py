"""Shares by prompt: closed forms, coverage and false alarms where the truth was chosen, and the unit that each test exchanges."""

import numpy as np
import pytest
from scipy.stats import beta, chi2_contingency

from audit.errors import MetricError
from audit.estimates import NotMeasured
from audit.metrics.prompts import differences_from_whole, homogeneity, prompt_boxes, prompt_counts, word_effect


def test_counts_are_by_prompt_and_class_and_leave_out_what_was_not_read():
    table = prompt_counts([0, 1, 1, -1, 2], [0, 0, 2, 2, 2], 3, 4)
    assert table.tolist() == [[1, 1, 0], [0, 0, 0], [0, 1, 1], [0, 0, 0]]
    with pytest.raises(MetricError, match="2 labels and 1 prompts"):
        prompt_counts([0, 1], [0], 2, 1)


def test_the_intervals_of_two_classes_are_exact_ones_at_a_level_shared_by_the_prompts():
    boxes = prompt_boxes(np.array([[3, 17], [0, 20], [0, 0], [8, 12]]), level=0.96)
    a = 0.04 / 4 / 2
    assert boxes[0].low[0] == pytest.approx(beta.ppf(a, 3, 18))
    assert boxes[0].high[0] == pytest.approx(beta.ppf(1 - a, 4, 17))
    assert boxes[1].low[0] == 0
    assert isinstance(boxes[2], NotMeasured)


def test_a_difference_is_the_share_minus_that_of_all_images_and_turns_round_with_the_classes():
    counts = np.array([[9, 1], [2, 8], [0, 0], [5, 15]])
    rows = differences_from_whole(counts)
    assert rows[0][0].value == pytest.approx(0.9 - 16 / 40)
    for first, second in (rows[0], rows[1], rows[3]):
        assert (first.value, first.low, first.high) == pytest.approx((-second.value, -second.high, -second.low))
        assert first.low < first.value < first.high
    assert rows[2][0].reason == "no image of this prompt was read"
    assert differences_from_whole(np.array([[4, 4], [0, 0]]))[0][0].reason == "no image of another prompt was read"


def test_all_intervals_hold_together_as_often_as_they_say():
    rng = np.random.default_rng(0)
    truth = np.array([0.05, 0.3, 0.5, 0.5, 0.9])
    shares = held = 0
    for _ in range(250):
        yes = rng.binomial(30, truth)
        counts = np.stack([yes, 30 - yes], axis=1)
        shares += all(b.low[0] <= q <= b.high[0] for b, q in zip(prompt_boxes(counts), truth, strict=True))
        rows = differences_from_whole(counts)
        held += all(r[0].low <= q - truth.mean() <= r[0].high for r, q in zip(rows, truth, strict=True))
    assert shares / 250 >= 0.93
    assert held / 250 >= 0.93


def test_the_test_of_prompts_agrees_with_chi_squared_where_that_holds():
    counts = np.array([[40, 60], [55, 45], [48, 52]])
    found = homogeneity(counts, rng=np.random.default_rng(0))
    known = chi2_contingency(counts, correction=False)
    assert found.statistic == pytest.approx(known.statistic)
    assert found.p_value == pytest.approx(known.pvalue, abs=0.02)
    assert found.units == 300


def test_the_test_of_prompts_rarely_alarms_where_prompts_are_alike_and_finds_one_that_differs():
    rng = np.random.default_rng(1)
    alike, apart = [], []
    for _ in range(200):
        for kept, truth in ((alike, np.full(8, 0.1)), (apart, np.array([0.1] * 7 + [0.75]))):
            yes = rng.binomial(12, truth)
            found = homogeneity(np.stack([yes, 12 - yes], axis=1), rng=rng, shuffles=199)
            kept.append(1.0 if isinstance(found, NotMeasured) else found.p_value)
    assert np.mean(np.array(alike) <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)
    assert np.mean(np.array(apart) <= 0.05) >= 0.9


@pytest.mark.parametrize(("counts", "reason"), [
    ([[5, 5], [0, 0]], "images of two or more prompts are needed"), ([[5, 0], [4, 0]], "every image was labelled alike"), ([[0, 0]], "two or more"),
])  # fmt: skip
def test_what_cannot_be_tested_says_why(counts, reason):
    found = homogeneity(np.array(counts), rng=np.random.default_rng(0))
    assert isinstance(found, NotMeasured) and reason in found.reason


def words_of(templates, jobs):
    return [j for _ in range(templates) for j in jobs], [t for t in range(templates) for _ in jobs]


def test_the_test_of_words_takes_the_prompt_and_not_the_image_for_the_unit():
    """Prompts scatter by chance, the word means nothing: with images as units nearly every such table would be a finding."""
    rng = np.random.default_rng(2)
    words, strata = words_of(4, ["nurse", "pilot", "baker"])
    by_prompt, by_image = [], []
    for _ in range(150):
        yes = rng.binomial(200, rng.uniform(0.1, 0.9, 12))
        counts = np.stack([yes, 200 - yes], axis=1)
        by_prompt.append(word_effect(counts, words, strata, rng=rng, shuffles=199).p_value)
        pooled = np.stack([counts[[w == j for w in words]].sum(axis=0) for j in ("nurse", "pilot", "baker")])
        by_image.append(homogeneity(pooled, rng=rng, shuffles=199).p_value)
    assert np.mean(np.array(by_prompt) <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 150)
    assert np.mean(np.array(by_image) <= 0.05) > 0.8


def test_the_test_of_words_finds_a_word_that_matters_beside_templates_that_matter_too():
    rng = np.random.default_rng(3)
    words, strata = words_of(4, ["nurse", "pilot", "baker"])
    truth = np.array([0.2 + 0.1 * t + {"nurse": 0.3, "pilot": 0.0, "baker": 0.05}[w] for w, t in zip(words, strata, strict=True)])
    yes = rng.binomial(50, truth)
    found = word_effect(np.stack([yes, 50 - yes], axis=1), words, strata, rng=rng, shuffles=999)
    assert found.p_value <= 0.01
    assert found.units == 12


def test_a_word_of_one_prompt_cannot_be_told_from_its_prompt():
    counts = np.full((3, 2), 5)
    found = word_effect(counts, ["a", "b", "c"], [0, 0, 0], rng=np.random.default_rng(0))
    assert found.reason.startswith("every word must stand in two or more prompts")
    assert isinstance(word_effect(counts, ["a", "a", None], [0, 1, 2], rng=np.random.default_rng(0)), NotMeasured)
    with pytest.raises(MetricError, match="3 prompts, 2 words"):
        word_effect(counts, ["a", "b"], [0, 0, 0], rng=np.random.default_rng(0))


def test_the_same_rng_gives_the_same_p_value():
    counts = np.array([[5, 15], [9, 11], [12, 8]])
    first, again = (homogeneity(counts, rng=np.random.default_rng(5)).p_value for _ in range(2))
    assert first == again
