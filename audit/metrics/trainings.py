"""Training runs as units: what another training of the same recipe would give, which no number of images of one run tells.

Source: Student 1908 (Biometrika 6); Davison and Hinkley 1997 (Bootstrap Methods and their Application, section 3.8) for two stages.
Formula: mean +- t_(R-1) s / sqrt R over the numbers of R trainings. Two stages: R runs drawn again, and within each its images; the
    standard deviation of the mean of the statistic, times sqrt(R/(R-1)) and t_(R-1).
Parity: as of the number.
Direction: none.
Blind to: trainings that share a data set, a checkpoint or a recipe share its luck, which none of them shows.
Departures: the two-stage bootstrap is widened by sqrt(R/(R-1)) and Student's factor, because resampling few runs understates how they
    vary. It counts the luck of the images twice, once in how runs differ and once within them: it leans wide where images are few.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from audit.errors import MetricError
from audit.estimates import Estimate, Measurement, NotMeasured
from audit.metrics.features import as_array
from audit.metrics.shares import check_level


def between_runs(values: Any, *, level: float = 0.95, unit: str = "share") -> Measurement:
    """Return the mean over independent trainings with its Student interval: what another training would give.

    Args:
        values: (R,) one number a training run.
        level: confidence level.
        unit: as in :class:`audit.estimates.Estimate`.

    Returns:
        The mean, n the runs; NotMeasured below two runs.

    Raises:
        MetricError: not one-dimensional, or not finite.

    Example:
        >>> round(between_runs([0.4, 0.5, 0.6]).high, 3)
        0.748
    """
    check_level(level)
    array = as_array(values)
    if array.ndim != 1 or array.dtype.kind not in "fiub" or not np.isfinite(array).all():
        raise MetricError(f"values must be one finite number a training run, got {array.dtype} of shape {array.shape}")
    count = len(array)
    if count < 2:
        return NotMeasured(f"{count} training runs; two or more are needed to tell how runs differ", count, unit)
    half = float(stdtrit(count - 1, 0.5 + level / 2) * array.std(ddof=1) / np.sqrt(count))
    mean = float(array.mean())
    return Estimate(mean, mean - half, mean + half, count, level, unit, f"Student interval over {count} training runs")


def hierarchical_bootstrap(runs: Sequence[Any], statistic: Callable[[NDArray], float] = np.mean, *, rng: np.random.Generator,
                           resamples: int = 1000, level: float = 0.95, unit: str = "share") -> Measurement:  # fmt: skip
    """Return the mean of a statistic over training runs, resampling runs and then the images of each.

    Args:
        runs: for each training the records of its images, (n_r, ...).
        statistic: makes a number of the records of one run.
        rng: draws runs and images.
        resamples: how often.
        level: confidence level.
        unit: as in :class:`audit.estimates.Estimate`.

    Returns:
        The mean over runs with a Student interval of the bootstrap standard error; NotMeasured below two runs or without images.

    Raises:
        MetricError: fewer than two resamples.

    Example:
        >>> found = hierarchical_bootstrap([np.arange(9), np.arange(9) + 3], rng=np.random.default_rng(0))
        >>> found.low < found.value == 5.5 < found.high
        True
    """
    check_level(level)
    if resamples < 2:
        raise MetricError(f"a bootstrap needs two resamples or more, got {resamples}")
    records = [as_array(run) for run in runs]
    count = len(records)
    if count < 2 or min(map(len, records)) == 0:
        reason = "a training run has no images" if count >= 2 else f"{count} training runs; two or more are needed to tell how runs differ"
        return NotMeasured(reason, count, unit)
    again = np.empty(resamples)
    for at in range(resamples):
        chosen = [records[r] for r in rng.integers(count, size=count)]
        again[at] = np.mean([statistic(run[rng.integers(len(run), size=len(run))]) for run in chosen])
    value = float(np.mean([statistic(run) for run in records]))
    half = float(stdtrit(count - 1, 0.5 + level / 2) * again.std(ddof=1) * np.sqrt(count / (count - 1)))
    method = f"two-stage bootstrap, {resamples} resamples of {count} training runs and their images"
    return Estimate(value, value - half, value + half, count, level, unit, method)
