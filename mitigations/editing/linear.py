"""Straight moves in w: hyperplane normals, plain and conditional, and principal components.

InterFaceGAN (Shen et al. 2020, arXiv 1907.10786) moves w along the unit normal of the linear SVM that separates high from low scores of
an attribute; its conditional manipulation first takes from the normal what lies along the normals of other attributes. GANSpace
(Härkönen et al. 2020, arXiv 2004.02546) moves w along a principal component of many codes, in some layers only. Strength 1 is two
standard deviations of the generator's codes along the direction, for all of them: from the mean to where one code in fifty lies farther.
The papers use absolute steps, which would compare directions of unequal spread.

Departure: a GANSpace user looks at components and names them. Here the component and the layers are chosen by the second rater: those
whose move from -1 to 1 changes its mean score of the attribute most, among the first components. Nothing keeps that component from moving
other attributes as well.
"""

from dataclasses import dataclass

import numpy as np
import torch

from audit.sources.latent import LatentSource
from mitigations.editing.codes import BATCH, ScoredCodes, own_codes, rate
from mitigations.editing.rating import Rater
from mitigations.self_conditioning.directions import expected_index, fit_direction

DEVIATIONS = 2.0
"""Standard deviations of the codes that one unit of strength is worth."""


@dataclass(frozen=True, eq=False)
class Line:
    """A straight move: w + strength * step in some layers.

    Attributes:
        step: (w_dim,) what strength 1 adds.
        layers: first layer moved, and the first one after those; None = all.
        note: how it was found, for people.
    """

    step: np.ndarray
    layers: tuple[int, int] | None = None
    note: str = ""


def scaled(direction: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return the step of strength 1 along a direction: its length is :data:`DEVIATIONS` times the codes' spread along it."""
    unit = direction / np.linalg.norm(direction)
    return unit * DEVIATIONS * float((codes.astype(np.float64) @ unit).std(ddof=1))


def hyperplane_lines(scored: ScoredCodes, classes: dict[str, tuple[str, ...]], *, share: float, at_least: int, c: float,
                     rng: np.random.Generator) -> dict[str, Line]:  # fmt: skip
    """Return the plain move of every attribute; see :func:`mitigations.self_conditioning.directions.fit_direction`.

    Raises:
        SourceError: an attribute without both classes, or too few codes.
    """
    found = {}
    for attribute, names in classes.items():
        fit = fit_direction(scored.codes, scored.scores[attribute], attribute, names, rng=rng, share=share, at_least=at_least, c=c)
        note = f"{fit.accuracy:.1%} of held-out codes on the right side"
        found[attribute] = Line(scaled(fit.normal, scored.codes), note=note)
    return found


def conditional_line(attribute: str, lines: dict[str, Line], codes: np.ndarray) -> Line:
    """Return the move of an attribute that stays parallel to the hyperplanes of all others.

    With one other normal this is n1 - (n1 . n2) n2 of the paper; with several, n1 less its projection on their span.

    Args:
        attribute: whose.
        lines: the plain moves of it and of the others.
        codes: (n, w_dim), for the scale.
    """
    own = lines[attribute].step / np.linalg.norm(lines[attribute].step)
    others = np.stack([line.step for name, line in lines.items() if name != attribute] or [np.zeros_like(own)])
    basis = np.linalg.svd(others, full_matrices=False)[2][: np.linalg.matrix_rank(others)]
    left = own - basis.T @ (basis @ own)
    if np.linalg.norm(left) < 1e-6:  # the hyperplanes are one and the same
        return Line(np.zeros_like(own), note="nothing is left of the normal once those of the other attributes are taken from it")
    return Line(scaled(left, codes), note=f"{np.linalg.norm(left):.2f} of the plain normal's length is left")


def component_lines(source: LatentSource, rater: Rater, codes: np.ndarray, attributes: tuple[str, ...], *, components: int, images: int,
                    seed: int) -> dict[str, Line]:  # fmt: skip
    """Return for each attribute the principal component and layers that move the second rater's score most.

    Args:
        source: the generator.
        rater: the second rater.
        codes: (n, w_dim) whose components are taken.
        attributes: which.
        components: how many of the first components are tried.
        images: codes that each is tried on, of a stream of their own.
        seed: of those.
    """
    values, vectors = np.linalg.eigh(np.cov(codes.astype(np.float64).T))
    steps = [scaled(vectors[:, -1 - at], codes) for at in range(min(components, len(values)))]
    base = own_codes(source, images, seed=seed, stream="editing choice")
    shifts: dict[str, list[tuple[float, int, tuple[int, int]]]] = {a: [] for a in attributes}
    for at, step in enumerate(steps):
        for layers in layer_ranges(base.shape[1]):
            ends = [_mean_scores(source, rater, moved(base, Line(sign * step, layers), 1.0)) for sign in (-1, 1)]
            for a in attributes:
                shifts[a].append((ends[1][a] - ends[0][a], at, layers))
    found = {}
    for a, tried in shifts.items():
        shift, at, layers = max(tried, key=lambda one: abs(one[0]))
        note = f"component {at + 1} in layers {layers[0] + 1} to {layers[1]}: {shift:+.2f} in the second rater's mean score from -1 to 1"
        found[a] = Line(steps[at] * (1 if shift >= 0 else -1), layers, note)
    return found


def layer_ranges(layers: int) -> list[tuple[int, int]]:
    """Return the ranges that are tried: all layers, and the coarse, middle and fine third.

    Example:
        >>> layer_ranges(10)
        [(0, 10), (0, 3), (3, 7), (7, 10)]
    """
    first, second = round(layers / 3), round(2 * layers / 3)
    return [(0, layers), *((a, b) for a, b in ((0, first), (first, second), (second, layers)) if b > a and layers > 2)]


def moved(ws: torch.Tensor, line: Line, strength: float) -> torch.Tensor:
    """Return codes (n, num_ws, w_dim) moved along a line."""
    first, last = line.layers or (0, ws.shape[1])
    step = torch.zeros(ws.shape[1:], dtype=ws.dtype, device=ws.device)
    step[first:last] = torch.as_tensor(strength * line.step, dtype=ws.dtype, device=ws.device)
    return ws + step


def _mean_scores(source: LatentSource, rater: Rater, ws: torch.Tensor) -> dict[str, float]:
    said = [rate(source, rater, part) for part in ws.split(BATCH)]
    return {a: float(np.nanmean(np.concatenate([expected_index(s[a]) for s in said]))) for a in rater.attributes}
