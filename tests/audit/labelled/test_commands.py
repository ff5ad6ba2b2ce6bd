"""``genbias calibrate``, ``genbias labels`` and the table half of ``genbias audit``, as a user types them."""

import json

import pandas as pd
import pytest
from click.testing import CliRunner

from audit.errors import SpecError
from audit.labelled.commands import audit_table, calibrate, labels, read_target


def typed(command, *words):
    return CliRunner().invoke(command, [str(w) for w in words], catch_exceptions=False)


@pytest.fixture
def labelled(tmp_path):
    path = tmp_path / "labelled.csv"
    given = ["neutral"] * 90 + ["smiling"] * 10 + ["smiling"] * 80 + ["neutral"] * 20
    pd.DataFrame({"smile:true": ["neutral"] * 100 + ["smiling"] * 100, "smile": given}).to_csv(path, index=False)
    return path


def test_calibrate_writes_one_file_and_says_how_often_the_classifier_is_right(labelled, tmp_path):
    done = typed(calibrate, labelled, "--out", tmp_path / "c.json", "--name", "c")
    assert done.exit_code == 0
    assert "90.0% of 100 images; 10.0% read as smiling" in done.stdout
    assert json.loads((tmp_path / "c.json").read_text())["schema"] == "genbias.calibration/1"


def test_json_on_stdout_is_the_calibration(labelled, tmp_path):
    done = typed(calibrate, labelled, "--out", tmp_path / "c.json", "--json")
    assert json.loads(done.stdout)["attributes"]["smile"]["confusion"] == [[90, 10], [20, 80]]


def test_a_table_is_audited_with_everything_the_command_offers(labelled, tmp_path):
    typed(calibrate, labelled, "--out", tmp_path / "c.json")
    half = ["neutral", "smiling"] * 50
    pd.DataFrame({"smile": half + ["neutral"] * 100, "id": [*range(100)] * 2, "generator": ["a"] * 100 + ["b"] * 100}).to_csv(tmp_path / "t.csv")
    (tmp_path / "target.yaml").write_text("smile: {neutral: 0.6, smiling: 0.4}\n")
    (tmp_path / "limits.yaml").write_text("- {metric: share, attribute: smile, group: neutral, generator: a, at_most: 0.99}\n")
    result = audit_table(str(tmp_path / "t.csv"), calibration=tmp_path / "c.json", target=str(tmp_path / "target.yaml"), attributes="smile",
                         limits=tmp_path / "limits.yaml", compare_to=("b=a",), out=tmp_path / "r")  # fmt: skip
    assert [v.outcome for v in result.verdicts] == ["held"]
    assert {m.parity for m in result.measures if m.metric == "share"} == {0.6, 0.4}
    assert {c["baseline"] for c in result.comparisons} == {"a"} and result.name == "t"
    assert (tmp_path / "r/result.json").is_file()


@pytest.mark.parametrize(("words", "sentence"), [("nowhere.yaml", "expected 'uniform' or a YAML file")])
def test_a_target_that_is_no_file_is_refused(words, sentence):
    with pytest.raises(SpecError, match=sentence):
        read_target(words)


def test_a_target_file_that_holds_no_shares_is_refused(tmp_path):
    (tmp_path / "t.yaml").write_text("- 1\n")
    with pytest.raises(SpecError, match="holds a list"):
        read_target(str(tmp_path / "t.yaml"))
    (tmp_path / "t.yaml").write_text("a: [")
    with pytest.raises(SpecError, match="is not YAML"):
        read_target(str(tmp_path / "t.yaml"))


def test_a_comparison_needs_both_names(labelled, tmp_path):
    with pytest.raises(SpecError, match="expected CANDIDATE=BASELINE"):
        audit_table(str(labelled), calibration=None, target=None, attributes=None, limits=None, compare_to=("a",), out=tmp_path / "r")


def test_labels_has_two_verbs():
    assert sorted(labels.commands) == ["export", "import"]
