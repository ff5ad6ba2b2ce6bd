"""Do the intervals of quality cover? Gaussians, where the distances are known in closed form.

Two generators are drawn at each repeat from common latents, as a candidate and its baseline are, and held against one
reference. Numbers of populations are known exactly; numbers at this n (a Frechet distance, precision, recall, density, coverage) have
the mean over many further draws as their truth.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audit.errors import MetricError
from audit.estimates import Estimate
from audit.metrics.replicates import Replicated, difference, estimate
from audit.metrics.shared import NEIGHBOURS, frechet_replicates, kernel_pulls, neighbour_replicates, prepare

HALVES = 40
ALIKE = 0.6
"""Correlation of a candidate's image with the baseline's of the same id."""


class Setting(NamedTuple):
    """A candidate and a baseline, each (spread, shift) in standard deviations of the reference, and the reference's spectrum.

    ``decay``: the variance of dimension i is (1 + i)^-decay.
    """

    name: str
    candidate: tuple[float, float]
    baseline: tuple[float, float]
    decay: float = 1.0


SETTINGS = (
    Setting("both as the reference", (1.0, 0.0), (1.0, 0.0)),
    Setting("narrow against the reference", (0.8, 0.0), (1.0, 0.0)),
    Setting("moved against narrow", (1.0, 0.3), (0.8, 0.0)),
    Setting("both far, one a little nearer", (0.7, 0.3), (0.8, 0.4)),
)


def quality_study(*, rng: np.random.Generator, repeats: int, n: Iterable[int] = (500,), d: Iterable[int] = (16,),
                  settings: Iterable[Setting] = SETTINGS, level: float = 0.95, truths: int | None = None) -> list[dict]:  # fmt: skip
    """Return how often nominal intervals of quality numbers, and of their paired differences, hold the truth.

    Args:
        rng: draws everything.
        repeats: of each setting, two or more.
        n: images a set, one after another.
        d: dimensions of the features, one after another.
        settings: which generators.
        level: nominal coverage.
        truths: further draws behind numbers at this n that have no closed form; None = 3 times ``repeats``.

    Returns:
        Rows with keys metric, estimand ("population" or "at this n"), difference (whether of two generators), setting, n, d,
        repeats, coverage, mean_width, truth.

    Raises:
        MetricError: fewer than two repeats.

    Example:
        >>> rows = quality_study(rng=np.random.default_rng(0), repeats=2, n=(40,), d=(2,), settings=SETTINGS[:1], truths=2)
        >>> sorted({row["metric"] for row in rows})
        ['coverage', 'density', 'fid', 'kid', 'precision', 'recall']
    """
    if repeats < 2:
        raise MetricError(f"a study needs two repeats or more, got {repeats}")
    sizes = [(images, dimensions) for images in n for dimensions in d]
    return [row for setting in settings for size in sizes for row in _rows(setting, *size, repeats, truths or 3 * repeats, level, rng)]


def frechet_population(spread: float, shift: float, variances: NDArray[np.float64]) -> float:
    """Return the Frechet distance of N(shift s, spread^2 s^2) from N(0, s^2), s^2 the variances of the dimensions.

    Example:
        >>> frechet_population(0.5, 0.0, np.array([4.0]))
        1.0
    """
    return float(((shift**2 + (spread - 1) ** 2) * variances).sum())


def kernel_population(spread: float, shift: float, variances: NDArray[np.float64]) -> float:
    """Return the squared discrepancy of the cubic kernel between the same two, from their first three moments.

    Example:
        >>> kernel_population(1.0, 1.0, np.array([1.0]))  # E (1 + xy)^3: 7 + 3 + 6 + 3 + 3, 1 + 3, and across 4
        22.0
    """
    mean, own = shift * np.sqrt(variances), spread**2 * variances
    none = np.zeros_like(mean)
    return _expected_kernel(mean, own, mean, own) + _expected_kernel(none, variances, none, variances) - 2 * _expected_kernel(
        mean, own, none, variances)  # fmt: skip


def _expected_kernel(m: NDArray, s: NDArray, o: NDArray, t: NDArray) -> float:
    """Return E (x.y/d + 1)^3 for x ~ N(m, diag s) and y ~ N(o, diag t), independent."""
    a, v = m @ o, (o * s * o).sum()
    quadratic = (s * t).sum() + (m * t * m).sum()
    cube = a**3 + 3 * a * v + 3 * a * quadratic + 6 * (o * s * t * m).sum()
    d = len(m)
    return float(1 + 3 * a / d + 3 * (a**2 + v + quadratic) / d**2 + cube / d**3)


def _rows(setting: Setting, n: int, d: int, repeats: int, truths: int, level: float, rng: np.random.Generator) -> Iterator[dict]:
    variances = (1.0 + np.arange(d)) ** -setting.decay
    truth = {key: [float(np.mean(values)), len(values)] for key, values in _means(setting, n, variances, truths, rng).items()}
    known = _closed_forms(setting, variances)
    kept: dict[tuple, list[tuple[float, float]]] = {}
    for _ in range(repeats):
        candidate, baseline = _numbers(*_draw(setting, n, variances, rng), rng=rng)
        for metric, found in candidate.items():
            change = difference(found, baseline[metric], level=level).difference
            for paired, made in ((False, estimate(found, level=level)), (True, change)):
                if isinstance(made, Estimate):
                    kept.setdefault((metric, paired), []).append((made.low, made.high))
    for (metric, paired), intervals in kept.items():
        for estimand, value in (("population", known.get((metric, paired))), ("at this n", truth.get((metric, paired), [None])[0])):
            if value is not None:
                ends = np.array(intervals)
                yield {"metric": metric, "estimand": estimand, "difference": paired, "setting": setting.name, "n": n, "d": d,
                       "repeats": len(ends), "coverage": float(((ends[:, 0] <= value) & (value <= ends[:, 1])).mean()),
                       "mean_width": float((ends[:, 1] - ends[:, 0]).mean()), "truth": float(value)}  # fmt: skip


def _closed_forms(setting: Setting, variances: NDArray) -> dict[tuple[str, bool], float]:
    """Return what is known of populations; a Frechet distance itself is about this n, so only its difference is here."""
    kid = [kernel_population(*side, variances) for side in (setting.candidate, setting.baseline)]
    fid = [frechet_population(*side, variances) for side in (setting.candidate, setting.baseline)]
    return {("kid", False): kid[0], ("kid", True): kid[0] - kid[1], ("fid", True): fid[0] - fid[1]}


def _means(setting: Setting, n: int, variances: NDArray, truths: int, rng: np.random.Generator) -> dict[tuple[str, bool], list[float]]:
    """Return the numbers of further draws that have no closed form."""
    from audit.metrics.frechet import frechet_distance
    from audit.metrics.neighbours import neighbour_metrics

    found: dict[tuple[str, bool], list[float]] = {}
    for _ in range(truths):
        *sides, reference = _draw(setting, n, variances, rng)
        near = [neighbour_metrics(side, reference)._asdict() for side in sides]
        found.setdefault(("fid", False), []).append(frechet_distance(sides[0], reference))
        for metric in NEIGHBOURS:
            found.setdefault((metric, False), []).append(near[0][metric])
            found.setdefault((metric, True), []).append(near[0][metric] - near[1][metric])
    return found


def _draw(setting: Setting, n: int, variances: NDArray, rng: np.random.Generator) -> list[NDArray]:
    """Return features of candidate, baseline and reference."""
    scale = np.sqrt(variances)
    latent, fresh, other = rng.standard_normal((3, n, len(scale)))
    own = ALIKE * latent + np.sqrt(1 - ALIKE**2) * fresh
    pairs = zip((own, latent), (setting.candidate, setting.baseline), strict=True)
    return [*((z * spread + shift) * scale for z, (spread, shift) in pairs), other * scale]


def _numbers(candidate: NDArray, baseline: NDArray, reference: NDArray, *, rng: np.random.Generator) -> list[dict[str, Replicated]]:
    ids = np.arange(len(reference))
    keeps = [_halves(len(ids), rng) for _ in range(2)]
    *sides, held = [prepare(x, ids, keeps[at]) for x, at in ((candidate, 0), (baseline, 0), (reference, 1))]
    found: list[dict[str, Replicated]] = []
    for side in sides:
        near = neighbour_replicates(side, held)
        kid = kernel_pulls(side.features, held.features, ids, within=side.within, within_reference=held.within)
        found.append({"fid": frechet_replicates(side.cloud, held.cloud, ids), "kid": kid, **{m: getattr(near, m) for m in NEIGHBOURS}})
    return found


def _halves(n: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    keep = np.ones((HALVES + 1, n), dtype=bool)
    keep[1:] = rng.random((HALVES, n)).argsort(axis=1) < n // 2
    return keep
