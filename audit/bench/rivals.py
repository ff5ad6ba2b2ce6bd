"""Metrics of genbias beside those of clean-fid, torch-fidelity and prdc: the same arrays, the same process, in turn.

clean-fid passes ``disp=`` to SciPy's matrix square root, which SciPy 1.18 no longer takes. There its formula is called with a square root
that takes the argument and returns what it used to; the row says so.
"""

import io
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from audit.bench.clock import in_turn, one_thread
from audit.bench.features import pair
from audit.metrics import frechet_distance, frechet_distance_from_moments, kernel_distance_full, moments, neighbour_metrics
from audit.metrics.frechet import Moments

K = 5
PACKAGES = {"clean-fid": "cleanfid", "torch-fidelity": "torch_fidelity", "prdc": "prdc"}


class Contest(NamedTuple):
    """One metric, ours and that of a package.

    Attributes:
        metric: what is measured.
        package: who else measures it.
        ours, theirs: keys of :data:`WORKS`.
        target: how many times as fast ours is to be; None = none was set.
        digits: that both are to share; None = none was set.
        moments: whether both are handed means and covariances, made beforehand.
    """

    metric: str
    package: str
    ours: str
    theirs: str
    target: float | None = None
    digits: int | None = None
    moments: bool = False


CONTESTS = (
    Contest("Frechet distance", "clean-fid", "frechet", "frechet_clean_fid", 5, 8),
    Contest("Frechet distance", "torch-fidelity", "frechet", "frechet_torch_fidelity", 2, 8),
    Contest("Frechet distance of moments", "clean-fid", "frechet_of_moments", "frechet_of_moments_clean_fid", 5, 8, moments=True),
    Contest("Frechet distance of moments", "torch-fidelity", "frechet_of_moments", "frechet_of_moments_torch_fidelity", 2, 8, moments=True),
    Contest("precision, recall, density, coverage", "prdc", "neighbours", "neighbours_prdc", 5, 6),
    Contest("precision, recall", "torch-fidelity", "precision_recall", "precision_recall_torch_fidelity"),
    Contest("kernel distance, all pairs", "clean-fid", "kernel", "kernel_clean_fid"),
)


def hold_against_rivals(n: int, d: int, *, repeats: int = 3, memory: bool = True, only: Sequence[Contest] = CONTESTS) -> list[dict]:
    """Return a row for each metric and each installed package that has it.

    Args:
        n: images a set.
        d: dimensions.
        repeats: rounds; medians are shown.
        memory: measure peak memory too, each in a process of its own.
        only: which of :data:`CONTESTS`.

    Returns:
        Rows with ``metric, package, version, n, d, seconds, seconds_theirs`` (processor time), ``wall, wall_theirs, ratio, digits,
        memory, memory_theirs`` (bytes), ``target, note``. Packages that are not installed have a row that says so.
    """
    from audit.bench.peak import peak_of

    generated, reference = pair(n, d)
    rows: list[dict] = []
    for contest in only:
        row = {"metric": contest.metric, "package": contest.package, "n": n, "d": d, "target": contest.target, "target_digits": contest.digits}
        if find_spec(PACKAGES[contest.package]) is None:
            rows.append(row | {"note": f"{contest.package} is not installed"})
            continue
        sides = [moments(x) for x in (generated, reference)] if contest.moments else [generated, reference]
        with one_thread(), redirect_stdout(io.StringIO()):
            for key in (contest.ours, contest.theirs):
                WORKS[key](*([moments(x) for x in pair(64, 16)] if contest.moments else pair(64, 16)))  # imports are nobody's work
            took, found = in_turn({key: lambda key=key, sides=sides: WORKS[key](*sides) for key in (contest.ours, contest.theirs)}, repeats=repeats)  # type: ignore[misc]
        ours, theirs = took[contest.ours], took[contest.theirs]
        row |= {"version": version(contest.package), "seconds": ours.cpu, "seconds_theirs": theirs.cpu, "wall": ours.wall, "wall_theirs": theirs.wall,
                "ratio": theirs.cpu / max(ours.cpu, 1e-9), "digits": shared_digits(found[contest.ours], found[contest.theirs]),
                "note": _note(contest)}  # fmt: skip
        if memory and not contest.moments:
            row |= {"memory": peak_of(contest.ours, n, d), "memory_theirs": peak_of(contest.theirs, n, d)}
        rows.append(row)
    return rows


def shared_digits(ours: Any, theirs: Any) -> float:
    """Return to how many digits two numbers, or the worst pair of two rows of numbers, agree; 16 = all.

    Example:
        >>> shared_digits((1.0, 2.0), (1.0, 2.002))
        3.0
    """
    apart = [abs(a - b) / max(abs(a), abs(b), 1e-300) for a, b in zip(np.ravel(ours).tolist(), np.ravel(theirs).tolist(), strict=True)]
    return 16.0 if max(apart) < 1e-16 else round(-math.log10(max(apart)), 1)


def _note(contest: Contest) -> str:
    if contest.package == "clean-fid" and "Frechet" in contest.metric and not _takes_disp():
        return "its formula with a matrix square root that takes the argument disp, which SciPy no longer does"
    return ""


def _takes_disp() -> bool:
    import inspect

    from scipy.linalg import sqrtm

    return "disp" in inspect.signature(sqrtm).parameters


@contextmanager
def clean_fid() -> Iterator[Any]:
    """Hand out ``cleanfid.fid``, with a square root that it can call."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its imports and of SciPy about its arguments
        from cleanfid import fid

        kept = fid.linalg
        if not _takes_disp():
            fid.linalg = _SquareRoots(kept)
        try:
            yield fid
        finally:
            fid.linalg = kept


class _SquareRoots:
    """What clean-fid asks of ``scipy.linalg``: a square root, with an estimate of its error where ``disp`` is False."""

    def __init__(self, linalg: Any) -> None:
        self._linalg = linalg

    def sqrtm(self, matrix: NDArray, disp: bool = True) -> Any:
        root = self._linalg.sqrtm(matrix)
        return root if disp else (root, None)


def _frechet_clean_fid(generated: NDArray, reference: NDArray) -> float:
    with clean_fid() as fid:
        sides = [x.astype(np.float64) for x in (generated, reference)]
        return float(fid.frechet_distance(*(part for x in sides for part in (x.mean(axis=0), np.cov(x, rowvar=False)))))


def _of_moments_clean_fid(generated: Moments, reference: Moments) -> float:
    with clean_fid() as fid:
        return float(fid.frechet_distance(generated.mean, generated.covariance, reference.mean, reference.covariance))


def _of_moments_torch_fidelity(generated: Moments, reference: Moments) -> float:
    from torch_fidelity.metric_fid import fid_statistics_to_metric

    sides = [{"mu": side.mean, "sigma": side.covariance} for side in (generated, reference)]
    return float(fid_statistics_to_metric(*sides, verbose=False)["frechet_inception_distance"])


def _kernel_clean_fid(generated: NDArray, reference: NDArray) -> float:
    with clean_fid() as fid:
        return float(fid.kernel_distance(*(x.astype(np.float64) for x in (generated, reference)), num_subsets=1, max_subset_size=len(generated)))


def _frechet_torch_fidelity(generated: NDArray, reference: NDArray) -> float:
    import torch
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    sides = [fid_features_to_statistics(torch.from_numpy(x.astype(np.float64))) for x in (generated, reference)]
    return float(fid_statistics_to_metric(*sides, verbose=False)["frechet_inception_distance"])


def _precision_recall_torch_fidelity(generated: NDArray, reference: NDArray) -> tuple[float, float]:
    import torch
    from torch_fidelity.metric_prc import prc_features_to_metric

    found = prc_features_to_metric(*(torch.from_numpy(x) for x in (generated, reference)), prc_neighborhood=K, prc_batch_size=10_000,
                                   save_cpu_ram=False, verbose=False)  # fmt: skip
    return float(found["precision"]), float(found["recall"])


def _neighbours_prdc(generated: NDArray, reference: NDArray) -> tuple[float, ...]:
    from prdc import compute_prdc

    with redirect_stdout(io.StringIO()):
        found = compute_prdc(real_features=reference, fake_features=generated, nearest_k=K)
    return tuple(float(found[key]) for key in ("precision", "recall", "density", "coverage"))


WORKS: dict[str, Callable[[Any, Any], Any]] = {
    "frechet_of_moments": frechet_distance_from_moments,
    "frechet_of_moments_clean_fid": _of_moments_clean_fid,
    "frechet_of_moments_torch_fidelity": _of_moments_torch_fidelity,
    "frechet": frechet_distance,
    "frechet_clean_fid": _frechet_clean_fid,
    "frechet_torch_fidelity": _frechet_torch_fidelity,
    "neighbours": lambda generated, reference: neighbour_metrics(generated, reference, k_pr=K, k_dc=K),
    "neighbours_prdc": _neighbours_prdc,
    "precision_recall": lambda generated, reference: neighbour_metrics(generated, reference, k_pr=K, k_dc=K)[:2],
    "precision_recall_torch_fidelity": _precision_recall_torch_fidelity,
    "kernel": kernel_distance_full,
    "kernel_clean_fid": _kernel_clean_fid,
}
"""Pieces of work by name: (n, d) generated and reference features, or their moments -> a number or a row of numbers."""
