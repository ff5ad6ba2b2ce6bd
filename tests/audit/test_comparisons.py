"""Comparisons of planted runs: both readers, corrected, quality and groups, families of p-values, honest gaps."""

import numpy as np
import pandas as pd
import pytest

from audit import metrics
from audit.comparisons import compare_pairs
from audit.labels import labels
from audit.metrics.paired_corrected import corrected_discrepancy_difference
from audit.quality import Quality


@pytest.fixture(scope="module")
def run_and_spec(planted):
    return planted(base=(0.8, 1.0, 0.0), better=(0.5, 1.0, 0.0), worse=(0.95, 0.3, 0.5), copy=(0.8, 1.0, 0.0))


@pytest.fixture(scope="module")
def found(run_and_spec, calibration):
    run, spec = run_and_spec
    return pd.DataFrame(compare_pairs(run, spec, calibration=calibration, quality=Quality(run, spec, rng=np.random.default_rng(0))))


def pick(frame, **where):
    for key, value in where.items():
        frame = frame[frame[key].isna()] if value is None else frame[frame[key] == value]
    return frame


def test_each_number_has_a_row_for_each_reader_raw_and_corrected(found):
    rows = pick(found, generator="better", metric="fairness_discrepancy", attribute="gender")
    assert list(zip(rows["reader"], rows["corrected"], strict=True)) == [("classifier", False), ("classifier", True), ("second_rater", False)]
    assert (rows["high"] < 0).all()
    assert rows["before"].iloc[0] == pytest.approx(np.sqrt(2) * 0.3, abs=0.05)
    assert (rows["after"] - rows["before"]).to_numpy() == pytest.approx(rows["difference"].to_numpy())
    assert rows["difference"].iloc[2] > rows["difference"].iloc[0]  # a rater with errors sees less of it


def test_rows_are_what_the_metrics_say_of_the_labels(run_and_spec, calibration, found):
    run, spec = run_and_spec
    after, before = (labels(run.frame(name), "gender*skin_tone") for name in ("better", "base"))
    plain = metrics.paired_discrepancy_difference(after, before, 6, None, spec.level).difference
    better = corrected_discrepancy_difference(after, before, calibration.confusion("gender*skin_tone"), level=spec.level).difference
    rows = pick(found, generator="better", metric="fairness_discrepancy", attribute="gender*skin_tone", reader="classifier")
    assert rows[["difference", "low", "high"]].to_numpy().tolist() == [[e.value, e.low, e.high] for e in (plain, better)]


def test_a_copy_of_the_baseline_differs_in_nothing(found):
    rows = pick(found, generator="copy")
    rows = rows[(rows["reader"] != "second_rater") & rows["difference"].notna()]  # the second rater errs anew
    assert set(rows["metric"]) >= {"fid", "kid", "recall", "group_coverage", "identity_similarity", "share"}
    assert (rows["difference"] == 0).all()
    assert (rows["p_value"] == 1).all() and (rows["p_adjusted"] == 1).all()
    assert ((rows["low"] <= 0) & (rows["high"] >= 0)).all()


def test_what_was_made_worse_is_found_so(found):
    rows = pick(found, generator="worse", group="reference:balanced").set_index("metric")
    assert rows.loc["fid", "low"] > 0
    assert rows.loc["coverage", "high"] < 0
    assert "n=260" in rows.loc["fid", "protocol"]
    people = pick(found, generator="worse", metric="identity_similarity", attribute=None)
    assert people["low"].item() > 0
    assert {"reference:balanced", "reference:training"} <= set(found["group"].dropna())


def test_a_group_that_is_drawn_less_is_covered_less(found):
    rows = pick(found, generator="better", metric="group_coverage", attribute="gender").set_index("group")
    assert rows.loc["masculine", "low"] > 0  # 20 % of the baseline, half of the candidate
    assert "gender*skin_tone" not in set(pick(found, metric="group_coverage")["attribute"])


def test_p_values_are_adjusted_within_a_family(found):
    assert set(found["family"]) == {"fairness", "quality"}
    for _, rows in found.groupby("family"):
        asked = [None if np.isnan(p) else p for p in rows["p_value"]]
        assert rows["p_adjusted"].to_numpy(float) == pytest.approx(np.array(metrics.holm(asked), float), nan_ok=True)


def test_what_was_not_compared_says_why_on_whose_side(found):
    rows = pick(found, generator="better", metric="group_fid", attribute="gender", group="masculine")
    assert rows["difference"].isna().all()
    assert rows["reason"].item().startswith("candidate: ") and rows["reason"].item().endswith("200 are needed")


def test_without_features_and_calibration_the_labels_are_still_compared(run_and_spec):
    rows = compare_pairs(*run_and_spec)
    assert {row["family"] for row in rows} == {"fairness"}
    assert not any(row["corrected"] for row in rows)


def test_a_second_calibration_corrects_the_second_rater(run_and_spec, calibration):
    rows = pd.DataFrame(compare_pairs(*run_and_spec, second_calibration=calibration))
    assert set(pick(rows, corrected=True)["reader"]) == {"second_rater"}


def test_ids_that_one_side_lacks_are_left_out_of_both(planted):
    run, spec = planted(base=(0.8, 1.0, 0.0), other=(0.5, 1.0, 0.2))
    holes = run.features("other", "encoder").copy()
    holes[::5] = np.nan
    run.write_shard("other", 0, run.frame("other"), {"encoder": holes, "identity": run.features("other", "identity")}, {})
    quality = Quality(run, spec, rng=np.random.default_rng(1))
    rows = pd.DataFrame(compare_pairs(run, spec, quality=quality))
    fid = pick(rows, metric="fid", group="reference:balanced")
    assert fid["n"].item() == 208 and "n=208" in fid["protocol"].item()
    kept = np.flatnonzero(np.arange(260) % 5)
    reference = run.features("reference-balanced", "encoder")[:208]
    assert fid["before"].item() == pytest.approx(metrics.frechet_distance(run.features("base", "encoder")[kept], reference))


def test_one_image_compares_nothing_and_says_so(planted):
    run, spec = planted(n=1, base=(0.8, 1.0, 0.0), other=(0.5, 1.0, 0.2))
    rows = compare_pairs(run, spec, quality=Quality(run, spec, rng=np.random.default_rng(0)))
    quality = [row for row in rows if row["family"] == "quality"]
    assert len(quality) == 2 * 6 + 5 + 10 + 6
    assert all(row["difference"] is None and row["reason"] and row["p_adjusted"] is None for row in quality)
