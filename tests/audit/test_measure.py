"""The audit audited: populations of known shares go in, and the measures must find them."""

import numpy as np
import pytest

from audit import metrics
from audit.audits import run
from audit.labels import labels
from audit.portraits import population
from audit.records import Run
from audit.result import load_result
from audit.spec import Spec

SPEC = Spec.model_validate({
    "name": "known truth", "seed": 5, "samples": 400, "gallery": 3, "shard": 128,
    "attributes": ["gender", "skin_tone", "age", "smile", "gender*skin_tone"],
    "instruments": {"classifier": "portraits_a", "second_rater": "portraits_b", "encoder": "portraits", "skin_tone": "monk"},
    "reference": {"source": "portraits", "population": "balanced", "role": "balanced"},
    "generators": {
        "balanced": {"source": "portraits", "population": "balanced", "trained_on": "balanced"},
        "professors": {"source": "portraits", "population": "professors", "compare_to": "balanced", "trained_on": "professors"},
    },
    "limits": [{"metric": "fairness_discrepancy", "attribute": "gender", "at_most": 0.2}],
})  # fmt: skip


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return run(SPEC, out=tmp_path_factory.mktemp("known") / "run")


def _rows(result, **where):
    frame = result.frame()
    for key, value in where.items():
        frame = frame[frame[key] == value]
    return frame


@pytest.mark.parametrize("generator", ["balanced", "professors"])
@pytest.mark.parametrize("attribute", ["gender", "skin_tone", "age", "smile"])
def test_corrected_intervals_contain_the_true_shares(result, generator, attribute):
    rows = _rows(result, generator=generator, metric="share", attribute=attribute, corrected=True)
    truth = population(generator).shares(attribute)
    assert ((rows["low"].to_numpy() <= truth) & (truth <= rows["high"].to_numpy())).all()
    assert np.abs(rows["value"].to_numpy() - truth).max() < 0.09


def test_raw_and_corrected_stand_side_by_side(result):
    rows = _rows(result, generator="professors", metric="fairness_discrepancy", attribute="gender")
    assert rows["corrected"].tolist() == [False, True]
    truth = np.sqrt(((population("professors").shares("gender") - 0.5) ** 2).sum())
    assert rows["low"].iloc[1] <= truth <= rows["high"].iloc[1]


def test_every_cell_of_an_intersection_is_a_row(result):
    rows = _rows(result, generator="professors", metric="share", attribute="gender*skin_tone", corrected=False)
    assert rows["group"].tolist() == [f"{g}*{t}" for g in ("feminine", "masculine") for t in ("light", "medium", "dark")]
    assert abs(rows["value"].sum() - 1) < 1e-9


def test_a_copy_of_the_training_data_amplifies_nothing(result):
    rows = _rows(result, generator="professors", metric="bias_amplification")
    assert ((rows["low"] <= 0) & (rows["high"] >= 0)).mean() > 0.95


def test_quality_is_there_for_the_reference_and_says_its_protocol(result):
    rows = _rows(result, generator="balanced", group="reference:balanced").set_index("metric")
    assert {"fid", "kid", "precision", "recall", "density", "coverage"} <= set(rows.index)
    assert "n=400" in rows.loc["fid", "protocol"]
    assert rows.loc["precision", "value"] > 0.6
    assert rows.loc["coverage", "value"] > 0.8
    worse = _rows(result, generator="professors", group="reference:balanced").set_index("metric")
    assert worse.loc["fid", "value"] > rows.loc["fid", "value"]


def test_two_raters_who_are_both_right_agree(result):
    assert (_rows(result, metric="agreement")["value"] > 0.95).all()


def test_candidate_and_baseline_are_paired_on_ids(result):
    found = {(c["metric"], c["attribute"], c["group"]): c for c in result.comparisons}
    change = found["fairness_discrepancy", "gender", None]
    assert change["n"] == 400
    assert change["low"] > 0
    assert change["p_value"] <= change["p_adjusted"] < 0.01


def test_pairs_are_of_one_id(result):
    store = Run(result.path)
    after, before = (labels(store.frame(name), "smile") for name in ("professors", "balanced"))
    expected = metrics.paired_share_difference(after, before, 2, 0.95).differences[1]
    found = next(c for c in result.comparisons if (c["attribute"], c["group"]) == ("smile", "smiling"))
    assert (found["difference"], found["low"], found["high"]) == (expected.value, expected.low, expected.high)


def test_limits_are_judged_on_intervals(result):
    outcomes = {v.generator: v.outcome for v in result.verdicts}
    assert outcomes == {"balanced": "held", "professors": "broken"}


def test_what_is_read_back_is_what_was_written(result):
    again = load_result(result.path)
    assert again.measures == result.measures
    assert again.verdicts == result.verdicts
    assert again.generators == result.generators


def test_the_same_run_again_gives_the_same_measures(result):
    assert run(SPEC, out=result.path).measures == result.measures


def test_an_attribute_nobody_reads_is_a_row_with_a_reason(tmp_path):
    spec = Spec.model_validate({
        "name": "tone only", "samples": 12, "attributes": ["smile", "skin_tone"], "gallery": 0, "instruments": {"skin_tone": "monk"},
        "generators": {"g": {"source": "portraits", "population": "balanced"}}})  # fmt: skip
    frame = run(spec, out=tmp_path / "r").frame()
    smile = frame[(frame["attribute"] == "smile") & (frame["metric"] == "share")]
    assert smile["value"].isna().all()
    assert set(smile["reason"]) == {"no instrument of this audit reads it"}
    assert not frame[frame["attribute"] == "skin_tone"]["value"].isna().any()
