"""The study of quality intervals: its closed forms, its rows, and a coverage that a broken interval would not have."""

import numpy as np
import pytest

from audit.errors import MetricError
from audit.metrics import frechet_distance, kernel_distance_full
from audit.studies import quality
from audit.studies.quality import SETTINGS, frechet_population, kernel_population, quality_study


def test_closed_forms_are_what_many_images_come_to():
    rng, n = np.random.default_rng(0), 40_000
    variances = np.array([1.0, 0.5, 0.2])
    x, y = (rng.standard_normal((n, 3)) * np.sqrt(variances) for _ in range(2))
    moved = x * 0.7 + 0.4 * np.sqrt(variances)
    assert frechet_distance(moved, y) == pytest.approx(frechet_population(0.7, 0.4, variances), rel=0.05)
    few = kernel_distance_full(moved[:5000], y[:5000])
    assert few == pytest.approx(kernel_population(0.7, 0.4, variances), rel=0.15)
    assert kernel_population(1.0, 0.0, variances) == pytest.approx(0)


def test_rows_say_what_was_studied():
    rows = quality_study(rng=np.random.default_rng(1), repeats=2, n=(40, 50), d=(3,), settings=SETTINGS[:1], truths=2)
    assert {(row["n"], row["d"], row["repeats"]) for row in rows} == {(40, 3, 2), (50, 3, 2)}
    said = {(row["metric"], row["estimand"], row["difference"]) for row in rows}
    assert {("fid", "population", True), ("fid", "at this n", False), ("kid", "population", True), ("recall", "at this n", True)} <= said
    assert ("fid", "population", False) not in said  # a distance of n images is not that of the populations
    assert set(rows[0]) == {"metric", "estimand", "difference", "setting", "n", "d", "repeats", "coverage", "mean_width", "truth"}
    with pytest.raises(MetricError, match="two repeats or more"):
        quality_study(rng=np.random.default_rng(1), repeats=1)


def test_differences_cover_and_would_not_with_pulls_half_as_long(monkeypatch):
    def covered():
        rows = quality_study(rng=np.random.default_rng(2), repeats=40, n=(120,), d=(4,), settings=SETTINGS[2:3], truths=40)
        return {row["metric"]: row["coverage"] for row in rows if row["difference"] and row["estimand"] == "population"}

    assert min(covered().values()) >= 0.85
    short = quality.frechet_replicates

    def half(*sides, **more):
        found = short(*sides, **more)
        found.own[:] *= 0.4
        found.reference[:] *= 0.4
        return found

    monkeypatch.setattr(quality, "frechet_replicates", half)
    assert covered()["fid"] < 0.8
