import json

import numpy as np
import pytest
from click.testing import CliRunner

from audit.cli import main
from audit.errors import RecordError
from audit.studies.findings import findings
from audit.studies.running import run_studies, tasks
from audit.studies.shares import Setting, comonotone, settings, share_study
from audit.studies.verdicts import verdict_study


def _small(out, **changes):
    return run_studies(["shares"], full=False, repeats=20, seed=1, out=out, **{"workers": 1, **changes})


def test_finished_parts_are_kept_and_give_the_same_rows(tmp_path, monkeypatch):
    first = _small(tmp_path)
    kept = (tmp_path / "rows.jsonl").read_text().splitlines()
    (tmp_path / "rows.jsonl").write_text("\n".join(kept[:3]) + "\n")
    done = []
    monkeypatch.setattr("audit.studies.running.Task.run", lambda self: done.append(self.at) or json.loads(kept[self.at])["rows"])
    assert _small(tmp_path) == first
    assert done == [3, 4, 5]


def test_another_file_in_the_folder_is_not_taken_for_rows(tmp_path):
    (tmp_path / "rows.jsonl").write_text("not json\n")
    with pytest.raises(RecordError, match="not written by genbias selfcheck"):
        _small(tmp_path)


def test_the_full_study_has_every_setting_of_the_design():
    grid = settings(full=True)
    assert len(grid) == 3 * 3 * 2 * 3 * 2 == len(set(grid))
    assert len(tasks(["shares", "quality", "verdicts", "sequences"], full=True, repeats=None, seed=0)) > len(grid)


@pytest.mark.parametrize("setting", [Setting(3, 10, "far", 0.85, 200), Setting(2, 10, "parity", 1.0, 200), Setting(7, 10, "far", 0.95, 200)])
def test_a_setting_is_a_classifier_of_the_stated_accuracy(setting):
    errors = setting.errors()
    np.testing.assert_allclose(errors.sum(axis=0), 1)
    assert abs(np.diag(errors).mean() - setting.accuracy) < 0.02


def test_two_generators_cut_from_one_number_keep_their_shares():
    ours, theirs = np.array([0.6, 0.3, 0.1]), np.array([0.2, 0.3, 0.5])
    joint = comonotone(ours, theirs)
    np.testing.assert_allclose(joint.sum(axis=1), ours)
    np.testing.assert_allclose(joint.sum(axis=0), theirs)


def test_corrected_intervals_cover_where_labels_as_they_came_do_not():
    rows = share_study(rng=np.random.default_rng(2), repeats=150, over=[Setting(3, 1000, "far", 0.85, 2000)], quiet=True)
    by = {(r["quantity"], r["corrected"]): r["coverage"] for r in rows}
    for quantity in ("share", "fairness discrepancy", "difference of shares", "difference of discrepancies"):
        assert by[quantity, True] >= 0.9, quantity
        assert by[quantity, False] < 0.3, quantity


def test_verdicts_at_the_limit_are_seldom_wrong_and_often_without_adjustment():
    (row,) = verdict_study(rng=np.random.default_rng(3), repeats=80, only=6)
    assert row["limits"] == 20
    assert row["wrong"] <= 0.15 < 0.3 < row["wrong_unadjusted"]


def _row(coverage, **given):
    return {"study": "shares", "quantity": "share", "corrected": True, "coverage": coverage, "repeats": 2000, **given}


@pytest.mark.parametrize(("coverage", "kept", "missed"), [(0.95, True, 0), (0.925, True, 1), (0.90, False, 1)])
def test_a_finding_allows_for_chance_and_no_more(coverage, kept, missed):
    (found,) = findings([_row(0.96), _row(coverage)])
    assert (found.kept, found.missed, found.worst) == (kept, missed, coverage)


def test_raw_labels_and_fixed_plans_are_shown_and_not_judged():
    looked = {"study": "sequences", "name": "a fixed-n interval, looked at after every image", "ever_wrong": 0.5, "repeats": 400}
    assert findings([_row(0.1, corrected=False), looked]) == []


def test_a_wrong_verdict_is_a_finding():
    row = {"study": "verdicts", "case": "c", "limits": 20, "wrong": 0.2, "repeats": 1000}
    (found,) = findings([row])
    assert not found.kept and "20" in found.words


def test_the_command_writes_table_and_picture(tmp_path):
    done = CliRunner().invoke(main, ["selfcheck", "--study", "shares", "--repeats", "20", "--workers", "1", "--out", str(tmp_path)])
    assert done.exit_code in (0, 1), done.output
    assert "corrected share: nominal 95 % intervals cover" in done.output
    assert (tmp_path / "coverage.csv").read_text().startswith("repeats,study")
    picture = (tmp_path / "coverage.svg").read_text()
    assert "labels as they came" in picture and "aria-label" in picture
