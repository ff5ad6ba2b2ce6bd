"""The command as a user types it: exit codes, sentences, and nothing half-written."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from audit.cli import main


def genbias(*words):
    return CliRunner().invoke(main, [str(w) for w in words])


@pytest.fixture
def pictures(tmp_path):
    from audit.portraits import draw, population

    folder = tmp_path / "faces"
    folder.mkdir()
    faces = population("balanced").for_seeds(np.arange(6, dtype=np.uint64))
    for i, image in enumerate(draw(faces, np.arange(6))):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{i}.png")
    return folder


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "spec.yaml"
    path.write_text(
        "version: 1\nname: t\nsamples: 24\nattributes: [gender]\ngallery: 2\ninstruments: {classifier: portraits_b}\n"
        "generators:\n  g: {source: portraits, population: professors}\n"
        "limits:\n  - {metric: fairness_discrepancy, attribute: gender, at_most: 0.7}\n"
    )
    return path


def test_a_run_ends_with_a_report_and_exit_code_0(spec, tmp_path):
    done = genbias("run", spec, "--out", tmp_path / "r")
    assert done.exit_code == 0, done.output
    assert {"report.html", "summary.md", "junit.xml", "measures.csv", "result.json"} <= {p.name for p in (tmp_path / "r").iterdir()}


@pytest.mark.parametrize(("bound", "code"), [("at_most: 0.7", 0), ("at_most: 0.01", 1), ("at_most: 0.42", 3)])
def test_check_exits_by_the_worst_verdict(spec, tmp_path, bound, code):
    genbias("run", spec, "--out", tmp_path / "r")
    limits = tmp_path / "limits.yaml"
    limits.write_text(f"- {{metric: fairness_discrepancy, attribute: gender, {bound}}}\n")
    done = genbias("check", tmp_path / "r", "--limits", limits)
    assert done.exit_code == code, done.output


def test_json_on_stdout_is_one_document(spec, tmp_path):
    done = genbias("run", spec, "--out", tmp_path / "r", "--json")
    assert json.loads(done.stdout)["schema"] == "genbias.result/1"


def test_another_spec_in_the_same_directory_is_refused(spec, tmp_path):
    genbias("run", spec, "--out", tmp_path / "r")
    done = genbias("run", spec, "--out", tmp_path / "r", "--seed", "9")
    assert done.exit_code == 2
    assert "holds another run" in done.output


def test_a_folder_is_audited_without_a_spec(pictures, tmp_path):
    done = genbias("audit", pictures, "--faces", "aligned", "--classifier", "portraits_b", "--out", tmp_path / "r")
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "r/result.json").read_text())["generators"][0]["images"] == 6


def test_broken_files_are_counted_and_named_and_not_fatal(pictures, tmp_path):
    (pictures / "text.png").write_text("not a picture")
    good = (pictures / "0.png").read_bytes()
    (pictures / "cut.png").write_bytes(good[: len(good) // 2])
    done = genbias("audit", pictures, "--faces", "aligned", "--out", tmp_path / "r")
    assert done.exit_code == 0, done.output
    row = json.loads((tmp_path / "r/result.json").read_text())["generators"][0]
    assert (row["images"], row["unreadable"]) == (8, 2)
    assert [f.split(":")[0] for f in row["files_unreadable"]] == ["cut.png", "text.png"]


@pytest.mark.parametrize(("words", "sentence"), [
    (["run", "embeded"], "did you mean 'embedded'"),
    (["run", "smoke", "--set", "samples"], "expected key=value"),
    (["run", "smoke", "--set", "sampels=3"], "did you mean 'samples'"),
    (["run", "smoke", "--device", "cuda:99", "--out", "{tmp}/x"], "is not there"),
    (["run", "smoke", "--device", "toaster", "--out", "{tmp}/x"], "is unknown"),
    (["run", "smoke", "--set", "generators.balanced.source=magic", "--out", "{tmp}/x"], "unknown source 'magic'"),
    (["run", "smoke", "--set", "generators.balanced.population=all", "--out", "{tmp}/x"], "no population is called 'all'"),
    (["run", "smoke", "--set", "generators.balanced.sampler={method: dice}", "--out", "{tmp}/x"], "no method 'dice'"),
    (["run", "smoke", "--set", "instruments.classifier=oracle", "--out", "{tmp}/x"], "oracle"),
    (["audit", "{tmp}/nowhere", "--out", "{tmp}/x"], "nowhere"),
    (["audit", "{tmp}", "--out", "{tmp}/x"], "image"),
    (["check", "{tmp}", "--limits", "{tmp}/limits.yaml"], "no result at"),
    (["report", "{tmp}/nothing"], "result.json"),
    (["train", "nothing"], "shipped recipes"),
    (["validate", "{tmp}/no.yaml"], "no spec"),
])  # fmt: skip
def test_a_mistake_is_one_sentence_and_exit_code_2(words, sentence, tmp_path):
    command = [sys.executable, "-m", "audit", *(w.replace("{tmp}", str(tmp_path)) for w in words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).resolve().parents[2])
    assert done.returncode == 2, done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "x").exists()


def test_validate_draws_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = genbias("validate", "smoke", "--json")
    assert json.loads(done.stdout)["generators"].keys() == {"balanced", "professors"}
    assert list(tmp_path.iterdir()) == []


def test_assets_are_listed_with_their_licence():
    done = genbias("assets", "list", "--json")
    rows = {r["name"]: r for r in json.loads(done.stdout)}
    assert rows["face_age_gender"]["licence"] == "MIT"


def test_doctor_finds_what_is_installed():
    rows = {r["what"]: r for r in json.loads(genbias("doctor", "--json").stdout)}
    assert rows["torch"]["ok"]
    assert rows["built-in models"]["ok"], rows["built-in models"]


@pytest.mark.parametrize("verb", ["run", "audit", "check", "report", "validate", "train", "assets", "doctor"])
def test_every_verb_explains_itself(verb):
    done = genbias(verb, "--help")
    assert done.exit_code == 0
    assert "Usage" in done.output


def test_a_report_is_rendered_again_from_the_result_alone(spec, tmp_path):
    genbias("run", spec, "--out", tmp_path / "r")
    before = (tmp_path / "r/report.html").read_bytes()
    for name in ("report.html", "summary.md"):
        (tmp_path / "r" / name).unlink()
    assert genbias("report", tmp_path / "r").exit_code == 0
    assert (tmp_path / "r/report.html").read_bytes() == before
