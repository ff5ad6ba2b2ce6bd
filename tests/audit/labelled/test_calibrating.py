"""A labelled table becomes a calibration file, and the file comes back as it was; what cannot be is refused in a sentence."""

import json

import numpy as np
import pandas as pd
import pytest

from audit.errors import RecordError
from audit.labelled.calibrating import calibrate, calibrate_table
from audit.labelled.calibration_file import read_calibration_file
from audit.metrics.error_model import ErrorModel


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    n = 600
    true, smile = rng.integers(0, 2, n), rng.integers(0, 2, n)
    sure = np.where(rng.random(n) < 0.9, 0.8, 0.3)
    feminine = np.where(true == 0, sure, 1 - sure)
    return pd.DataFrame({
        "gender:true": np.array(["feminine", "masculine"])[true], "gender:feminine": feminine, "gender:masculine": 1 - feminine,
        "smile:true": np.array(["neutral", "smiling"])[smile], "smile": np.array(["neutral", "smiling"])[np.where(rng.random(n) < 0.9, smile, 1 - smile)],
        "tone": np.where(np.arange(n) % 3 == 0, "dark", "light"),
    })  # fmt: skip


def test_counts_are_those_of_a_cross_table(table):
    found = calibrate(table, attributes=["smile"]).confusion("smile")
    assert (found == pd.crosstab(table["smile:true"], table["smile"]).to_numpy()).all()


def test_probabilities_are_kept_as_moments_as_the_error_model_makes_them(table):
    soft = calibrate(table).soft("gender")
    scores = table[["gender:feminine", "gender:masculine"]].to_numpy()
    own = ErrorModel.from_scores(scores, (table["gender:true"] == "masculine").to_numpy(dtype=int))
    assert np.allclose(soft.rates, own.rates) and np.allclose(soft.second, own.second) and (soft.m == own.m).all()
    assert calibrate(table).soft("smile") is None


def test_pairs_are_calibrated_jointly_and_groups_apart(table):
    made = calibrate(table, group="tone")
    assert made.confusion("gender*smile").shape == (4, 4)
    groups = made.groups("smile")
    assert set(groups) == {"dark", "light"}
    assert (groups["dark"] + groups["light"] == made.confusion("smile")).all()


def test_a_file_comes_back_as_it_was_written(table, tmp_path):
    table.to_csv(tmp_path / "t.csv", index=False)
    made = calibrate_table(tmp_path / "t.csv", group="tone", domain="drawn faces")
    back = read_calibration_file(made.write(tmp_path / "c.json"))
    assert (back.name, back.domain, back.images) == ("t", "drawn faces", 600) and len(back.source) == 64
    for attribute in made.attributes:
        assert back.classes(attribute) == made.classes(attribute)
        assert (back.confusion(attribute) == made.confusion(attribute)).all()
    assert np.allclose(back.soft("gender").second, made.soft("gender").second)
    assert back.confusion("age") is None and back.error_model("age") is None and back.groups("age") == {}


def test_effective_counts_keep_their_fractions_in_the_error_model(table, tmp_path):
    made = calibrate(table)
    object.__setattr__(made.attributes["smile"], "table", np.array([[10.5, 0.25], [1.5, 30.0]]))
    back = read_calibration_file(made.write(tmp_path / "c.json"))
    assert back.error_model("smile").m.tolist() == [10.75, 31.5]
    assert back.confusion("smile").tolist() == [[10, 0], [2, 30]]


def test_rows_without_a_class_on_either_side_are_left_out_and_counted(table):
    table.loc[:9, "smile"] = None
    table.loc[5:19, "smile:true"] = None
    made = calibrate(table)
    assert made.attributes["smile"].left_out == 20
    assert made.confusion("smile").sum() == 580


def test_the_summary_says_how_often_each_class_is_read_rightly():
    table = pd.DataFrame({"smile:true": ["neutral"] * 10 + ["smiling"] * 10, "smile": ["neutral"] * 9 + ["smiling"] * 11})
    lines = calibrate(table).summary().splitlines()
    assert "classes read rightly 95.0% on average" in lines[1]
    assert "90.0% of 10 images; 10.0% read as smiling" in lines[2]


@pytest.mark.parametrize(("change", "sentence"), [
    (lambda t: t.iloc[:0], "holds 0 rows"),
    (lambda t: t.iloc[:1], "holds 1 row;"),
    (lambda t: t.drop(columns=["gender:true", "smile:true"]), "no column 'ATTRIBUTE:true'"),
    (lambda t: t[t["smile:true"] == "neutral"], "class 'smiling' of 'smile' was never seen among the true ones"),
    (lambda t: t.assign(smile="grin"), "holds 'grin'.*expected neutral, smiling"),
    (lambda t: t.assign(**{"smile:true": "grin"}), "holds 'grin'.*expected neutral, smiling"),
    (lambda t: t.assign(**{"gender:feminine": 0.9}), "add up to"),
    (lambda t: t.drop(columns="smile"), "neither a column 'smile'"),
])  # fmt: skip
def test_a_table_that_cannot_calibrate_is_refused_in_a_sentence(table, change, sentence):
    with pytest.raises(RecordError, match=sentence):
        calibrate(change(table))


def test_a_class_that_is_given_but_never_true_is_refused_for_ones_own_classes_too():
    table = pd.DataFrame({"race:true": ["a", "b"] * 5, "race": ["a", "b", "c", "b", "a"] * 2})
    with pytest.raises(RecordError, match="class 'c' of 'race' was never seen"):
        calibrate(table)


@pytest.mark.parametrize(("options", "sentence"), [
    ({"attributes": ["age"]}, "no column 'age:true'; there are true classes of gender, smile"),
    ({"group": "tones"}, "no column 'tones' to take groups from"),
])  # fmt: skip
def test_what_is_asked_for_and_not_there_is_refused(table, options, sentence):
    with pytest.raises(RecordError, match=sentence):
        calibrate(table, **options)


@pytest.mark.parametrize(("change", "sentence"), [
    (lambda raw: {**raw, "schema": "other/1"}, "has schema 'other/1'"),
    (lambda raw: [], "has schema 'list'"),
    (lambda raw: {k: v for k, v in raw.items() if k != "domain"}, "lacks or garbles 'domain'"),
    (lambda raw: _with(raw, confusion=[[1, 2]]), "must hold 2 x 2 counts >= 0 for neutral, smiling"),
    (lambda raw: _with(raw, confusion=[[1, -2], [3, 4]]), "must hold 2 x 2 counts >= 0"),
    (lambda raw: _with(raw, confusion=[[9, 1], [0, 0]]), "class 'smiling' of 'smile' was never seen among the true ones"),
    (lambda raw: _with(raw, soft={"mean": [[1]], "covariance": [[[1]]], "images": [1]}), "other shapes than 2 classes need"),
])  # fmt: skip
def test_a_file_that_is_no_calibration_is_refused_in_a_sentence(table, tmp_path, change, sentence):
    path = calibrate(table).write(tmp_path / "c.json")
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(RecordError, match=sentence):
        read_calibration_file(path)


def test_no_file_and_half_a_file_are_refused(table, tmp_path):
    path = calibrate(table).write(tmp_path / "c.json")
    path.write_text(path.read_text()[:100])
    with pytest.raises(RecordError, match="is not whole JSON"):
        read_calibration_file(path)
    with pytest.raises(RecordError, match=r"no calibration at .*make one with `genbias calibrate"):
        read_calibration_file(tmp_path / "absent.json")


def _with(raw, **row):
    return {**raw, "attributes": {**raw["attributes"], "smile": {**raw["attributes"]["smile"], **row}}}
