"""What a spec may ask of its statistics, end to end on the built-in world: sampling until decided, calibrations, plans, label tables."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

import audit
from audit.cli import main
from audit.errors import RecordError, SpecError
from audit.labelled.calibrating import calibrate
from audit.measure import reading
from audit.spec import Spec

BASE = {
    "version": 1, "name": "s", "seed": 5, "samples": 192, "attributes": ["gender"], "gallery": 0, "batch": 64,
    "instruments": {"classifier": "portraits_b"},
    "generators": {"professors": {"source": "portraits", "population": "professors"}},
}  # fmt: skip
LIMIT = {"metric": "fairness_discrepancy", "attribute": "gender", "at_most": 0.15}


@pytest.fixture
def spec(tmp_path):
    def write(**changes):
        path = tmp_path / "spec.yaml"
        path.write_text(yaml.safe_dump({**BASE, **changes}))
        return str(path)

    return write


def _row(result, metric, *, group=None, corrected=False):
    return next(m for m in result.measures if (m.metric, m.group, m.corrected) == (metric, group, corrected))


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """A labelled table of the classifier's probabilities, and the calibration made from it."""
    rng = np.random.default_rng(0)
    true = rng.choice(["feminine", "masculine"], 800)
    right = np.where(rng.random(800) < 0.97, 0.9, 0.2) + rng.uniform(-0.05, 0.05, 800)
    feminine = np.where(true == "feminine", right, 1 - right)
    table = pd.DataFrame({"gender:true": true, "gender:feminine": feminine, "gender:masculine": 1 - feminine})
    folder = tmp_path_factory.mktemp("labelled")
    table.to_csv(folder / "labelled.csv", index=False)
    calibrate(table, name="c", domain="test").write(folder / "calibration.json")
    return folder


def test_sampling_stops_when_decided_and_a_second_run_sees_the_same(spec, tmp_path):
    path = spec(until="decided", samples=4000, shard=64, limits=[LIMIT])
    first = audit.run(path, out=tmp_path / "run")
    again = audit.run(path, out=tmp_path / "run")
    assert first.generators[0]["images"] < 1000
    assert first.spec["samples"] == 4000  # the budget, as it was asked for
    assert [v.outcome for v in first.verdicts] == ["broken"]
    assert first.looks == again.looks
    assert first.looks[-1]["outcome"] == "broken" and first.looks[0]["n"] == 64
    assert "confidence sequence" in _row(first, "share", group="feminine").method
    assert [v.__dict__ for v in first.verdicts] == [v.__dict__ for v in again.verdicts]


def test_sampling_until_decided_spends_no_more_than_its_budget(spec, tmp_path):
    far = {**LIMIT, "at_most": 0.36}
    result = audit.run(spec(until="decided", samples=128, shard=64, limits=[far]), out=tmp_path / "run")
    assert result.generators[0]["images"] == 128
    assert result.verdicts[0].outcome == "undecided"
    assert result.verdicts[0].images_to_decide > 128


@pytest.mark.parametrize(("changes", "words"), [
    ({"until": "decided"}, "needs limits"),
    ({"until": "decided", "limits": [{"metric": "fid", "at_most": 3}]}, "looked at again and again"),
    ({"correct_within": "height"}, "not an attribute")])  # fmt: skip
def test_what_cannot_be_decided_is_refused_before_an_image_is_drawn(spec, tmp_path, changes, words):
    with pytest.raises(SpecError, match=words):
        audit.run(spec(**changes), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_calibration_of_ones_own_takes_the_place_of_the_shipped_one(spec, tmp_path, labelled):
    given = audit.run(spec(calibration=str(labelled / "calibration.json")), out=tmp_path / "a")
    assert given.calibration["gender"] != audit.run(spec(), out=tmp_path / "b").calibration["gender"]
    assert sum(map(sum, given.calibration["gender"])) == 800
    assert "calibration of 800 images" in _row(given, "share", group="feminine", corrected=True).method


def test_probabilities_are_corrected_where_asked_for(spec, tmp_path, labelled):
    path = spec(calibration=str(labelled / "calibration.json"), correct="probabilities")
    assert "mean probabilities" in _row(audit.run(path, out=tmp_path / "a"), "share", group="feminine", corrected=True).method


def test_each_skin_tone_is_corrected_by_its_own_errors_where_asked_for(spec, tmp_path):
    result = audit.run(spec(attributes=["gender", "skin_tone"], correct_within="skin_tone"), out=tmp_path / "a")
    rows = {m.attribute: m for m in result.measures if m.metric == "share" and m.corrected}
    assert "6 cells corrected apart" in rows["gender"].method
    assert "apart" not in rows["skin_tone"].method


def test_a_calibration_for_other_classes_is_refused(spec, tmp_path, labelled):
    raw = json.loads((labelled / "calibration.json").read_text())
    raw["attributes"]["gender"]["classes"] = ["woman", "man"]
    (tmp_path / "other.json").write_text(json.dumps(raw))
    with pytest.raises(RecordError, match=r"classes woman, man of gender; expected feminine, masculine"):
        audit.run(spec(calibration=str(tmp_path / "other.json")), out=tmp_path / "a")
    with pytest.raises(RecordError, match="no calibration at"):
        audit.run(spec(calibration=str(tmp_path / "none.json")), out=tmp_path / "a")


def test_a_plan_says_images_before_any_is_drawn(spec, tmp_path):
    done = CliRunner().invoke(main, ["plan", spec(limits=[LIMIT, {"metric": "fid", "at_most": 3}]), "--json"])
    assert done.exit_code == 0, done.output
    rows = json.loads(done.output)
    own = [r for r in rows if r["limit"].startswith("fairness")]
    assert {r["outcome"] for r in own} == {"held", "broken"}
    for outcome in ("held", "broken"):
        images = [r["images"] for r in sorted(own, key=lambda r: -abs(r["truth"] - 0.15)) if r["outcome"] == outcome]
        assert images == sorted(images)
    assert "run a pilot" in next(r for r in rows if r["limit"].startswith("fid"))["why"]


def test_a_plan_from_a_pilot_takes_its_shares(spec, tmp_path):
    path = spec(limits=[LIMIT])
    audit.run(path, out=tmp_path / "pilot")
    done = CliRunner().invoke(main, ["plan", path, "--from", str(tmp_path / "pilot"), "--json"])
    (row,) = json.loads(done.output)
    assert row["generator"] == "professors" and row["truth"] > 0.25 and row["outcome"] == "broken"
    assert row["images"] < 500


def test_a_plan_without_limits_is_one_sentence(spec):
    done = CliRunner().invoke(main, ["plan", spec()], standalone_mode=True)
    assert done.exit_code == 2
    assert "no limits" in done.output


def test_a_table_of_labels_is_audited_by_the_same_verb(tmp_path, labelled):
    rows = pd.DataFrame({"gender": ["feminine"] * 70 + ["masculine"] * 30})
    rows.to_csv(tmp_path / "labels.csv", index=False)
    (tmp_path / "limits.yaml").write_text("- {metric: share, attribute: gender, group: feminine, at_most: 0.55}\n")
    done = CliRunner().invoke(main, ["audit", str(tmp_path / "labels.csv"), "--out", str(tmp_path / "run"), "--limits", str(tmp_path / "limits.yaml"),
                                     "--calibration", str(labelled / "calibration.json")])  # fmt: skip
    assert done.exit_code == 1, done.output
    assert (tmp_path / "run" / "report.html").is_file()
    assert "broken" in done.output


def test_options_for_tables_are_refused_for_images(tmp_path):
    (tmp_path / "faces").mkdir()
    done = CliRunner().invoke(main, ["audit", str(tmp_path / "faces"), "--limits", str(tmp_path / "x.yaml")])
    assert done.exit_code == 2
    assert "--limits is for a table of labels" in done.output


def test_a_limit_file_is_judged_from_the_result_alone(spec, tmp_path):
    audit.run(spec(), out=tmp_path / "run")
    (tmp_path / "limits.yaml").write_text("- {metric: share, attribute: gender, group: feminine, between: [0.2, 0.4]}\n")
    done = CliRunner().invoke(main, ["check", str(tmp_path / "run"), "--limits", str(tmp_path / "limits.yaml"), "--json"])
    (verdict,) = json.loads(done.output)
    assert done.exit_code == {"held": 0, "broken": 1, "undecided": 3}[verdict["outcome"]]
    if verdict["outcome"] == "undecided":
        assert verdict["images_to_decide"] > 192


def test_more_limits_ask_for_more_images(spec):
    def images(count):
        done = CliRunner().invoke(main, ["plan", spec(limits=[LIMIT, *[{"metric": "share_gap", "attribute": "gender", "at_most": 0.5}] * count]), "--json"])
        return min(r["images"] for r in json.loads(done.output) if r["limit"].startswith("fairness") and r["outcome"] == "broken")

    assert images(19) > 1.3 * images(0)


def test_a_correction_within_skin_tones_stays_near_the_plain_one(spec, tmp_path):
    result = audit.run(spec(attributes=["gender"], correct_within="skin_tone"), out=tmp_path / "a")
    raw, better = _row(result, "share", group="feminine"), _row(result, "share", group="feminine", corrected=True)
    assert abs(raw.value - better.value) < 0.03


def test_images_of_one_unit_count_as_fewer():
    frame = pd.DataFrame({"classifier:gender:feminine": np.repeat([0.9, 0.1], [120, 80]), "unit": np.arange(200) // 4})
    frame["classifier:gender:masculine"] = 1 - frame["classifier:gender:feminine"]
    asked = Spec.model_validate(BASE)
    together = reading(frame, "gender", asked)
    assert 3.5 < together.design_effect < 5.0
    assert reading(frame.drop(columns="unit"), "gender", asked).design_effect == 1.0
    assert reading(frame.assign(unit=7), "gender", asked).design_effect == 200
