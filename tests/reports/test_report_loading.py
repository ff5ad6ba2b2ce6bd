"""Reading result.json: what is wrong is said in a sentence."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import reports
from audit.cli import main
from audit.errors import ReportError


def test_a_run_directory_and_its_file_are_read_alike(run_dir, example):
    assert reports.load(run_dir) == reports.load(run_dir / "result.json") == example


def test_a_missing_file_says_how_to_get_one(tmp_path):
    with pytest.raises(ReportError, match=r"no result at .*result\.json; .*genbias run"):
        reports.load(tmp_path)


def test_a_truncated_file_says_where_it_stops(run_dir):
    file = run_dir / "result.json"
    file.write_text(file.read_text()[:5000])
    with pytest.raises(ReportError, match=r"is not whole: JSON stops making sense at line 1, column \d+"):
        reports.load(run_dir)


def test_nan_in_a_file_is_refused(run_dir, example):
    example["measures"][0]["value"] = float("nan")
    (run_dir / "result.json").write_text(json.dumps(example))
    with pytest.raises(ReportError, match="holds NaN, which is not a number"):
        reports.load(run_dir)


def test_bytes_that_are_not_text_are_refused(tmp_path):
    (tmp_path / "result.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ReportError, match=r"cannot be read .*expected a result\.json"):
        reports.load(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "holds list; expected an object"),
        ({"schema": "lm-eval/3"}, r"schema 'lm-eval/3'; this version reads 'genbias\.result/1'"),
        ({"schema": "genbias.result/1", "generators": []}, "has no list of measures"),
        ({"schema": "genbias.result/1", "generators": ["a"], "measures": []}, "has no list of generators"),
    ],
)
def test_another_layout_is_refused_by_name(tmp_path, content, message):
    (tmp_path / "result.json").write_text(json.dumps(content))
    with pytest.raises(ReportError, match=message):
        reports.load(tmp_path)


@pytest.mark.parametrize(
    ("modules", "unwanted"),
    [("reports, reports.junit, reports.markdown, reports.tables", "torch matplotlib"), ("reports.html", "torch")],
)
def test_reports_load_no_more_than_they_need(modules, unwanted):
    code = f"import sys, {modules}; sys.exit(', '.join(set('{unwanted}'.split()) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.stderr.strip() == ""


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda text: text[: len(text) // 2], "is not whole"),
        (lambda text: text.replace("genbias.result/1", "genbias.result/2"), "has schema 'genbias.result/2'; this version reads 'genbias.result/1'"),
        (lambda text: "[]", "holds list; expected an object"),
        (lambda text: "", "is not whole"),
    ],
)
def test_a_result_that_cannot_be_read_is_one_sentence_and_exit_code_2_and_nothing_is_written(run_dir, damage, sentence):
    file = run_dir / "result.json"
    file.write_text(damage(file.read_text(encoding="utf-8")), encoding="utf-8")
    before = sorted(run_dir.iterdir())
    done = CliRunner().invoke(main, ["report", str(run_dir)])
    assert done.exit_code == 2 and sentence in done.output and len(done.output.strip().splitlines()) == 1
    assert sorted(run_dir.iterdir()) == before
