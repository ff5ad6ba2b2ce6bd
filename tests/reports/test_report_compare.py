"""Several runs on one page: differences with intervals that add up by squares, and refusals where numbers cannot be compared."""

import copy
import json
import math
import re

import pytest
from click.testing import CliRunner

from audit.cli import main
from audit.errors import ReportError
from reports import compare
from reports.compare_page import differences, headline, render


@pytest.fixture
def folders(small, tmp_path):
    """Two run directories; the second has another commit, another seed, and a shift of one discrepancy."""
    other = copy.deepcopy(small)
    other["provenance"].update(commit="fedcba9", seed=7)
    for row in other["measures"]:
        if (row["metric"], row["attribute"], row["generator"]) == ("fairness_discrepancy", "gender", "stylegan2"):
            row.update({k: row[k] + 0.2 for k in ("value", "low", "high")})
    return [keep(tmp_path / name, result) for name, result in (("monday", small), ("tuesday", other))]


def keep(folder, result):
    folder.mkdir()
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return folder


def change(folder, **wanted):
    """Change rows of measures: ``metric`` says which, the rest is set."""
    result, metric = json.loads((folder / "result.json").read_text()), wanted.pop("metric")
    for row in result["measures"]:
        if row["metric"] == metric:
            row.update(wanted)
    (folder / "result.json").write_text(json.dumps(result))


def test_the_interval_of_a_difference_adds_by_squares(folders):
    line = compare.lines(compare.open_runs(folders), metric="fairness_discrepancy", attribute="gender")[0]
    first, second = line.rows
    d = line.differences()[0]
    assert d["difference"] == pytest.approx(0.2)
    assert d["low"] == pytest.approx(0.2 - math.hypot(second["value"] - second["low"], first["high"] - first["value"]))
    assert d["high"] == pytest.approx(0.2 + math.hypot(second["high"] - second["value"], first["value"] - first["low"]))


def test_a_run_and_its_copy_differ_in_nothing(folders, small):
    twin = keep(folders[0].parent / "twin", small)
    runs = compare.open_runs([folders[0], twin])
    for line in compare.headline(runs):
        d = line.differences()[0]
        assert d["difference"] == 0 and d["low"] <= 0 <= d["high"]
    assert compare.apart(runs) == [] and "differences of the headline hold 0" in headline(runs)


def test_intervals_of_independent_runs_cover_their_difference():
    import numpy as np

    rng, hits = np.random.default_rng(5), 0
    for _ in range(2000):
        a, b = rng.normal(0.3, 0.02), rng.normal(0.4, 0.03)
        rows = [{"metric": "fid", "value": v, "low": v - 1.96 * s, "high": v + 1.96 * s} for v, s in ((a, 0.02), (b, 0.03))]
        d = compare.Line("g", "fid", None, None, rows).differences()[0]
        hits += d["low"] <= 0.1 <= d["high"]
    assert 0.935 <= hits / 2000 <= 0.965


def test_the_page_says_what_moved_and_what_sets_the_runs_apart(folders):
    page = render(compare.open_runs(folders))
    assert "B against A, StyleGAN2: fairness discrepancy of perceived gender presentation +0.200 (+0.158 to +0.242), farther from the target." in page
    assert "other 7 differences of the headline hold 0" in page
    assert re.search(r"<bdi>Commit</bdi>.*?<bdi>0123abc</bdi>.*?<bdi>fedcba9</bdi>", page, re.DOTALL) and "<bdi>Python</bdi>" not in page
    assert page.count("<script>") == 1 and not re.search(r"https?:", page)


def test_a_generator_in_one_run_only_is_said_and_not_compared(folders):
    result = json.loads((folders[1] / "result.json").read_text())
    result["generators"] = result["generators"][:1]
    result["measures"] = [m for m in result["measures"] if m["generator"] == "stylegan2"]
    (folders[1] / "result.json").write_text(json.dumps(result))
    runs = compare.open_runs(folders)
    assert "Self-conditioned is not in every run." in render(runs) and "not in this run" in render(runs)
    assert [row["difference"] for row in differences(runs) if row["generator"] == "self_conditioned"] == [None] * 4


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ({"metric": "fid", "protocol": "other encoder"}, r"FID of StyleGAN2? ?.*protocol 'portraits encoder.*in monday and 'other encoder' in tuesday.*--fairness-only"),
        ({"metric": "share", "parity": 0.25}, r"Share of images of gender .*target 0\.5 in monday and 0\.25 in tuesday"),
        ({"metric": "fairness_discrepancy", "level": 0.9}, r"level of its interval 0\.95 in monday and 0\.9 in tuesday"),
    ],
)
def test_numbers_made_in_different_ways_are_refused_in_a_sentence(folders, wanted, sentence):
    change(folders[1], **wanted)
    with pytest.raises(ReportError, match=sentence.replace("StyleGAN2? ?", "stylegan2")):
        compare.open_runs(folders)


def test_unequal_protocols_of_quality_do_not_matter_where_quality_is_left_out(folders):
    change(folders[1], metric="fid", protocol="other encoder")
    page = render(compare.open_runs(folders, fairness_only=True), fairness_only=True)
    assert 'id="quality"' not in page and "FID" not in page


def test_shares_read_by_another_classifier_are_refused(folders):
    for folder, digest in zip(folders, ("aa" * 32, "bb" * 32), strict=True):
        result = json.loads((folder / "result.json").read_text())
        result["provenance"]["weights"] = [{"name": "portraits_a", "role": "classifier", "sha256": digest}]
        (folder / "result.json").write_text(json.dumps(result))
    with pytest.raises(ReportError, match=r"classifier of monday is 'portraits_a \(aaaaaaaaaaaa\)' and that of tuesday is .*bbbb"):
        compare.open_runs(folders)


def test_a_run_alone_or_named_twice_is_refused(folders):
    with pytest.raises(ReportError, match="1 run to compare; expected two or more"):
        compare.open_runs(folders[:1])
    with pytest.raises(ReportError, match="is named twice"):
        compare.open_runs([folders[0], folders[0] / "."])


def test_runs_of_one_name_are_told_apart_by_the_folders_above(small, tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    pair = [keep(tmp_path / name / "run", small) for name in ("a", "b")]
    assert [run.name for run in compare.open_runs(pair)] == ["a/run", "b/run"]


def test_the_command_writes_a_page_and_refuses_with_exit_code_2(folders, tmp_path):
    out = tmp_path / "page.html"
    done = CliRunner().invoke(main, ["compare", *map(str, folders), "--out", str(out), "--json"])
    assert done.exit_code == 0 and out.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    told = json.loads(done.output)
    assert told["runs"] == ["monday", "tuesday"] and len(told["differences"]) == 8
    new = tmp_path / "new.html"
    done = CliRunner().invoke(main, ["compare", *map(str, folders), "--out", str(tmp_path / "no" / "x.html")])
    assert done.exit_code == 2 and "is no directory to write x.html into" in done.output
    (folders[1] / "result.json").write_text((folders[0] / "result.json").read_text()[:5000])
    for second, sentence in ((folders[1], "is not whole"), (tmp_path, "no result at")):
        done = CliRunner().invoke(main, ["compare", str(folders[0]), str(second), "--out", str(new)])
        assert done.exit_code == 2 and sentence in done.output and not new.exists()
