"""Cost against the number of images: what is linear, what is quadratic, and where a subsample of pairs ends the growth.

Features are simulated, and the pass is timed on images that cost nothing to draw or to read, so that what is seen is the harness.
"""

import math
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from audit.bench.clock import one_thread, timed
from audit.bench.features import pair
from audit.collect import Pass, collect
from audit.metrics import frechet_distance, kernel_distance_full, neighbour_metrics
from audit.records import Run
from audit.sources.base import OK, Batch

SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)
DIMENSIONS = 64
GROWTH = ("no further", "linear", "quadratic")
SUBSAMPLE = 5_000
"""Images of each set that the last line compares, as ``pairwise: 5000`` in a spec does."""


def growth_rows(sizes: tuple[int, ...] = SIZES, *, quadratic_up_to: int = 30_000) -> list[dict]:
    """Return a row for each piece of work: seconds of processor time at each size, and the exponent from the last two.

    Args:
        sizes: images, increasing, two or more.
        quadratic_up_to: largest size at which all pairs are compared; beyond it the row holds None.
    """
    rows = []
    with one_thread():
        for what, (work, order) in WORKS.items():
            seconds = [None if order == 2 and n > quadratic_up_to else _seconds(work, n) for n in sizes]
            rows.append({"what": what, "grows": GROWTH[order], "seconds": dict(zip(sizes, seconds, strict=True)),
                         "exponent": exponent(sizes, seconds)})  # fmt: skip
    return rows


def exponent(sizes: tuple[int, ...], seconds: list[float | None]) -> float | None:
    """Return p where the last two measured sizes cost as n^p.

    Example:
        >>> exponent((10, 100), [1.0, 100.0])
        2.0
    """
    known = [(n, s) for n, s in zip(sizes, seconds, strict=True) if s is not None][-2:]
    if len(known) < 2 or min(s for _, s in known) <= 0:
        return None
    (n, s), (m, t) = known
    return round(math.log(t / s) / math.log(m / n), 2)


def _seconds(work: Callable[[int], Callable[[], Any]], n: int) -> float:
    return timed(work(n))[0].cpu


def _on_features(metric: Callable[..., Any], most: int | None = None) -> Callable[[int], Callable[[], Any]]:
    def prepared(n: int) -> Callable[[], Any]:
        generated, reference = pair(n, DIMENSIONS)
        return lambda: metric(generated[:most], reference[:most])

    return prepared


class _Blank:
    """Draws one grey picture again and again."""

    name, digest, count, caveats = "blank", "blank", None, ()

    def draw(self, ids: np.ndarray, seeds: np.ndarray) -> Batch:
        picture = torch.full((3, 8, 8), 128, dtype=torch.uint8)
        return Batch(ids, seeds, [picture] * len(ids), [OK] * len(ids), {})


class _Ready:
    """Reads nothing: seven probabilities and 64 features an image."""

    role, digest, caveats = "classifier", "ready", ()

    def read(self, batch: Batch) -> dict[str, np.ndarray]:
        n = len(batch.ids)
        return {f"classifier:{i}": np.zeros(n, dtype=np.float32) for i in range(7)} | {"encoder": np.zeros((n, DIMENSIONS), dtype=np.float32)}


def _a_pass(n: int) -> Callable[[], None]:
    def work() -> None:
        with TemporaryDirectory() as folder:
            collect(_Blank(), [_Ready()], Run(Path(folder) / "run", {"bench": n}), plan=Pass("blank", n, 0))

    return work


WORKS: dict[str, tuple[Callable[[int], Callable[[], Any]], int]] = {
    "the pass, drawing and networks apart": (_a_pass, 1),
    "Frechet distance": (_on_features(frechet_distance), 1),
    "kernel distance, all pairs": (_on_features(kernel_distance_full), 2),
    "precision, recall, density, coverage": (_on_features(neighbour_metrics), 2),
    f"the same of {SUBSAMPLE:,} images": (_on_features(neighbour_metrics, SUBSAMPLE), 0),
}
"""What is timed, and the power of n that it is to cost."""
