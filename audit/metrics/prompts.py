"""How a prompt goes with what is drawn from it: shares prompt by prompt, against all prompts, and tests that any differ at all.

Source: Clopper and Pearson 1934 (Biometrika 26) with Bonferroni's inequality; Donner and Zou 2012 (Statistical Methods in Medical
    Research 21) for the interval of a difference from the intervals of its parts; Pearson 1900 (Philosophical Magazine 50) with
    permutation for homogeneity; Patefield 1981 (Applied Statistics 30) for tables with given margins.
Formula: images of one prompt are independent draws, so shares of P prompts and K classes have Clopper-Pearson intervals at
    1 - (1-level) / (P c), c = K comparisons (1 for two classes), and all hold together. Difference from the whole with w = n_p / n:
    d = (1-w)(q_p - q_rest), its ends (1-w)(d - sqrt((q_p-l_p)^2 + (u_r-q_r)^2)) and likewise above. Homogeneity: X2 = sum (O-E)^2 / E of
    the table of prompts by classes against random tables of the same margins, p = (1 + those as large) / (1 + tables). Words: T = sum over
    words of m_w sum_k (mean of q_pk over the m_w prompts with the word - mean over all)^2 against the words exchanged between prompts.
Parity: a difference of 0; a large p.
Direction: none; who ought to be drawn for a prompt is no question of statistics.
Blind to: the classifier's own errors, prompts nobody asked, and, in the test of prompts, what the words of a prompt have in common.
Departures: Donner and Zou take score intervals; exact ones are taken here, which are wider for few images.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import random_table

from audit.errors import MetricError
from audit.estimates import Estimate, NotMeasured
from audit.metrics.features import MISSING, as_labels
from audit.metrics.shares import ShareBox, check_level, comparisons, proportion, share_box

SHUFFLES = 4000
"""Random tables behind a p-value; the smallest it can be is 1 in 4,001."""


class Association(NamedTuple):
    """Whether anything differs.

    Attributes:
        statistic: X2, or T.
        p_value: how often chance alone gives as much.
        units: what was exchanged: images, or prompts.
        shuffles: random tables.
    """

    statistic: float
    p_value: float
    units: int
    shuffles: int


def prompt_counts(labels: Any, codes: Any, k: int, prompts: int) -> NDArray[np.int64]:
    """Return (P, K) images of each prompt labelled as each class.

    Args:
        labels: (n,) integers 0..k-1, -1 = not read.
        codes: (n,) prompts 0..P-1.
        k: classes.
        prompts: P.

    Raises:
        MetricError: lengths differ, or a number is out of range.
    """
    said, asked = as_labels(labels, k), as_labels(codes, prompts)
    if said.shape != asked.shape:
        raise MetricError(f"{said.size} labels and {asked.size} prompts; give one prompt a label")
    table = np.zeros((prompts, k), dtype=np.int64)
    read = (said != MISSING) & (asked != MISSING)
    np.add.at(table, (asked[read], said[read]), 1)
    return table


def prompt_boxes(counts: NDArray[np.int64], *, level: float = 0.95) -> list[ShareBox | NotMeasured]:
    """Return the shares of each prompt; with probability ``level`` all intervals of all prompts and classes hold together.

    Args:
        counts: (P, K).
        level: of all together.

    Example:
        >>> boxes = prompt_boxes(np.array([[10, 0], [5, 5]]))
        >>> [round(float(x), 3) for x in (boxes[1].low[0], boxes[1].high[0])]
        [0.159, 0.841]
    """
    check_level(level)
    return [share_box(row, level=1 - (1 - level) / len(counts)) for row in counts]


def differences_from_whole(counts: NDArray[np.int64], *, level: float = 0.95) -> list[list[Estimate | NotMeasured]]:
    """Return, a row a prompt and a column a class, the share of a prompt minus that of all images; all intervals hold together.

    Args:
        counts: (P, K).
        level: of all together.
    """
    check_level(level)
    p, k = counts.shape
    each = 1 - (1 - level) / (p * comparisons(k))
    total, sizes = counts.sum(axis=0), counts.sum(axis=1)
    return [[_difference(int(counts[i, j]), int(sizes[i]), int(total[j]), int(sizes.sum()), each, level) for j in range(k)] for i in range(p)]


def _difference(own: int, n: int, total: int, whole: int, each: float, level: float) -> Estimate | NotMeasured:
    if n == 0 or n == whole:
        return NotMeasured("no image of this prompt was read" if n == 0 else "no image of another prompt was read", n)
    mine, rest = proportion(own, n, each), proportion(total - own, whole - n, each)
    if isinstance(mine, NotMeasured) or isinstance(rest, NotMeasured):
        return NotMeasured("no image was read", n)
    left, d = 1 - n / whole, mine.value - rest.value
    below = np.hypot(mine.value - mine.low, rest.high - rest.value)
    above = np.hypot(mine.high - mine.value, rest.value - rest.low)
    return Estimate(left * d, left * max(d - below, -1.0), left * min(d + above, 1.0), n, level, "share",
                    "Donner and Zou of Clopper-Pearson, simultaneous over prompts and classes")  # fmt: skip


def homogeneity(counts: NDArray[np.int64], *, rng: np.random.Generator, shuffles: int = SHUFFLES) -> Association | NotMeasured:
    """Test whether any prompt goes with other shares than the rest; the images of all prompts are exchanged.

    Args:
        counts: (P, K).
        rng: for the random tables.
        shuffles: how many.

    Example:
        >>> homogeneity(np.array([[30, 0], [0, 30]]), rng=np.random.default_rng(0), shuffles=999).p_value
        0.001
    """
    table = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0]
    if table.shape[0] < 2:
        return NotMeasured("images of two or more prompts are needed", int(counts.sum()))
    if table.shape[1] < 2:
        return NotMeasured("every image was labelled alike", int(counts.sum()))
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    expected = np.outer(rows, columns) / table.sum()

    def chi_squared(tables: NDArray) -> NDArray[np.float64]:
        return (np.square(tables - expected) / expected).sum(axis=(-2, -1))

    found = float(chi_squared(table))
    drawn = chi_squared(random_table(rows, columns).rvs(size=shuffles, random_state=rng))
    return Association(found, _p_value(found, drawn), int(table.sum()), shuffles)


def word_effect(counts: NDArray[np.int64], words: Sequence[str | None], strata: Sequence[Any], *, rng: np.random.Generator,
                shuffles: int = SHUFFLES) -> Association | NotMeasured:  # fmt: skip
    """Test whether the word in a slot matters beside the rest of the prompt; whole prompts are exchanged, their images together.

    Args:
        counts: (P, K).
        words: P words, None where a prompt has no such slot.
        strata: P things that stay as they are (the template and the other words); words are exchanged between prompts that share one.
        rng: for the exchanges.
        shuffles: how many.

    Raises:
        MetricError: not one word and stratum a prompt.
    """
    if not len(counts) == len(words) == len(strata):
        raise MetricError(f"{len(counts)} prompts, {len(words)} words and {len(strata)} strata; give one of each a prompt")
    kept = [i for i in range(len(counts)) if words[i] is not None and counts[i].sum() > 0]
    names = sorted({str(words[i]) for i in kept})
    code = np.array([names.index(str(words[i])) for i in kept], dtype=np.int64)
    met = np.bincount(code, minlength=len(names))
    if len(names) < 2 or met.min() < 2:
        return NotMeasured("every word must stand in two or more prompts, so that what is the word's can be told from what is the prompt's", len(kept))
    places: dict[Any, list[int]] = {}
    for at, i in enumerate(kept):
        places.setdefault(strata[i], []).append(at)
    shares = counts[kept] / counts[kept].sum(axis=1, keepdims=True)
    mean = shares.mean(axis=0)

    def spread(order: NDArray[np.int64]) -> float:
        sums = np.zeros((len(names), counts.shape[1]))
        np.add.at(sums, order, shares)
        return float((met[:, None] * np.square(sums / met[:, None] - mean)).sum())

    drawn = []
    for _ in range(shuffles):
        order = code.copy()
        for members in places.values():
            order[members] = rng.permutation(code[members])
        drawn.append(spread(order))
    found = spread(code)
    return Association(found, _p_value(found, np.array(drawn)), len(kept), shuffles)


def _p_value(found: float, drawn: NDArray[np.float64]) -> float:
    as_large = int((drawn >= found * (1 - 1e-9) - 1e-12).sum())
    return (1 + as_large) / (1 + len(drawn))
