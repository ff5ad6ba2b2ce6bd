"""Attribute directions in W: a linear SVM between the codes a classifier is surest about.

Shen, Gu, Tang and Zhou 2020, "Interpreting the Latent Space of GANs for Semantic Face Editing" (InterFaceGAN), arXiv 1907.10786:
sort codes by score, take the top and the bottom share, split 70 / 30, fit, normalise the normal to unit length. Departures: the
intercept, which that code drops, is kept; the score of an attribute with ordered classes is the expected class index, so
that one direction runs from its first class to its last.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.svm import LinearSVC

from audit.errors import SourceError


@dataclass(frozen=True)
class Direction:
    """A hyperplane <w, n> + b = 0 that separates low from high scores of one attribute.

    Attributes:
        attribute: what it separates.
        normal: (w_dim,) unit length, pointing to the last class.
        intercept: b, in the units of w.
        accuracy: share of held-out codes on the right side, 0..1.
        fitted_on: codes the SVM saw.
    """

    attribute: str
    normal: np.ndarray
    intercept: float
    accuracy: float
    fitted_on: int


def expected_index(probabilities: np.ndarray) -> np.ndarray:
    """Return (n,) expected class index, scaled to 0..1; for two classes the probability of the second."""
    k = probabilities.shape[1]
    return probabilities @ np.arange(k) / (k - 1)


def fit_direction(codes: np.ndarray, probabilities: np.ndarray, attribute: str, classes: tuple[str, ...], *, rng: np.random.Generator,
                  share: float = 0.02, at_least: int = 300, c: float = 1.0) -> Direction:  # fmt: skip
    """Fit the direction of one attribute.

    Args:
        codes: (n, w_dim).
        probabilities: (n, K) of the attribute's classes; rows with NaN are left out.
        attribute: name.
        classes: names of the K classes.
        rng: makes the split.
        share: share of the codes taken at each end, 0..0.5.
        at_least: codes at each end at least, where ``share`` gives fewer.
        c: weight of the errors against the width of the margin; smaller is steadier where codes are few or classes overlap.

    Raises:
        SourceError: too few codes, or all of one class.
    """
    good = ~np.isnan(probabilities).any(axis=1)
    codes, probabilities = codes[good].astype(np.float64), probabilities[good]
    each = max(at_least, round(share * len(codes)))
    if each < 4 or 2 * each > len(codes):
        raise SourceError(
            f"{len(codes)} scored codes are too few for {each} at each end of {attribute}; expected at least {max(2 * each, 8)}"
        )
    labels = probabilities.argmax(axis=1)
    if len(set(labels.tolist())) < 2:
        raise SourceError(f"all {len(codes)} codes are labelled {classes[labels[0]]!r} in {attribute}, and a hyperplane needs two classes; "
                          "score more codes, or leave the attribute out")  # fmt: skip
    order = np.argsort(expected_index(probabilities), kind="stable")
    chosen = np.concatenate([order[:each], order[-each:]])
    side = np.repeat([0, 1], each)
    mixed = rng.permutation(2 * each)
    fitted = round(0.7 * 2 * each)
    learn, check = mixed[:fitted], mixed[fitted:]
    machine = LinearSVC(C=c, dual=False, max_iter=20_000).fit(codes[chosen[learn]], side[learn])
    accuracy = float(machine.score(codes[chosen[check]], side[check]))
    length = float(np.linalg.norm(machine.coef_))
    return Direction(attribute, machine.coef_[0] / length, float(machine.intercept_[0]) / length, accuracy, fitted)
