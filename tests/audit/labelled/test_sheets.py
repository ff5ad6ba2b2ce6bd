"""A run's images go out to raters without the classifier's labels, and come back as a calibration."""

import base64
import csv
import io
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from audit.audits import run
from audit.errors import GenbiasError
from audit.label_audits import audit_labels
from audit.labelled.rating import import_sheets
from audit.labelled.sheets import export_sheet
from audit.labelled.weighting import weighted_table
from audit.labels import labels
from audit.records import Run
from audit.spec import Spec

CLASSES = {"gender": ["feminine", "masculine"], "smile": ["neutral", "smiling"]}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of two small generators."""
    folder = tmp_path_factory.mktemp("sheets") / "run"
    spec = Spec.model_validate({
        "name": "small", "samples": 130, "attributes": list(CLASSES), "gallery": 0, "instruments": {"classifier": "portraits_b"},
        "generators": {n: {"source": "portraits", "population": p} for n, p in (("one", "professors"), ("two", "balanced"))},
    })  # fmt: skip
    run(spec, out=folder, device="cpu")
    return folder


@pytest.fixture(scope="module")
def sent(made, tmp_path_factory):
    """The run with a sheet gone out, the sheet, and what the classifier said; importing changes none of them."""
    folder = shutil.copytree(made, tmp_path_factory.mktemp("sent") / "run")
    return folder, export_sheet(folder, folder.parent / "sheet", per_class=60), frame_of(folder)


@pytest.fixture
def copy(made, tmp_path):
    return shutil.copytree(made, tmp_path / "run")


def rows_of(sheet):
    return list(csv.DictReader(io.StringIO((sheet / "sheet.csv").read_text(encoding="utf-8-sig"))))


def frame_of(folder, names=("one", "two")):
    frames = {n: Run(folder).frame(n) for n in names}
    return {(n, int(i)): {a: int(v) for a, v in zip(CLASSES, said, strict=True)} for n, f in frames.items()
            for i, *said in zip(f["id"], *(labels(f, a) for a in CLASSES), strict=True)}  # fmt: skip


def filled(sheet, path, answer, *, rater="r"):
    """Write a copy of the sheet in which ``answer(number, key, attribute)`` is a class index or None."""
    rows = rows_of(sheet)
    for row in rows:
        for a in CLASSES:
            said = answer(int(row["number"]), (row["generator"], int(row["id"])), a)
            row[a] = "" if said is None else CLASSES[a][said]
        row["rater"] = rater if row["number"] == "1" else ""
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def test_each_label_of_the_classifier_sends_so_many_images_and_the_label_is_not_told(copy, tmp_path):
    sheet = export_sheet(copy, tmp_path / "s", per_class=40)
    rows, said = rows_of(sheet), frame_of(copy)
    assert [row["number"] for row in rows] == [str(i + 1) for i in range(80)]
    of = [said[row["generator"], int(row["id"])]["gender"] for row in rows]
    assert np.bincount(of).tolist() == [40, 40]
    assert 10 < sum(of[:40]) < 30  # in random order, not label by label
    assert all(row["gender"] == row["smile"] == row["rater"] == "" for row in rows)
    assert len({(r["generator"], r["id"]) for r in rows}) == 80 and {r["generator"] for r in rows} == {"one", "two"}
    told = (sheet / "page-1.html").read_text()
    assert told.count("feminine") == told.count("masculine") == 1  # in the question, beside no image


def test_the_pictures_are_the_images_of_the_run(copy, tmp_path):
    from audit.portraits import draw, population
    from audit.seeds import image_seeds

    sheet = export_sheet(copy, tmp_path / "s", per_class=5, generators=["two"])
    uris = re.findall(r'src="data:image/png;base64,([^"]+)" alt="image (\d+)"', (sheet / "page-1.html").read_text())
    row = rows_of(sheet)[3]
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(uris[3][0]))))
    seeds = image_seeds(0, np.array([int(row["id"])]))
    assert uris[3][1] == row["number"]
    assert (picture == draw(population("balanced").for_seeds(seeds), seeds)[0].permute(1, 2, 0).numpy()).all()


def test_pages_hold_at_most_200_images_and_need_no_network(copy, tmp_path):
    sheet = export_sheet(copy, tmp_path / "s", per_class=110)
    pages = [(sheet / f"page-{i}.html").read_text() for i in (1, 2)]
    assert pages[0].count("<figure>") == 200 and 0 < pages[1].count("<figure>") <= 20
    assert not re.search(r"https?://|<script", pages[0])
    assert "perceived" in (sheet / "README.txt").read_text().lower()


def test_the_same_seed_gives_the_same_sheet(copy, tmp_path):
    first, again, other = (export_sheet(copy, tmp_path / n, per_class=9, seed=s) for n, s in (("a", 1), ("b", 1), ("c", 2)))
    assert (first / "sheet.csv").read_bytes() == (again / "sheet.csv").read_bytes() != (other / "sheet.csv").read_bytes()


def test_a_sheet_answered_as_the_classifier_did_finds_no_error(sent, tmp_path):
    copy, sheet, said = sent
    path = filled(sheet, tmp_path / "a.csv", lambda _, key, a: said[key][a])
    found = import_sheets(copy, [path], rng=np.random.default_rng(0))
    assert (np.diag(found.error_model("gender").rates) == 1).all() and (np.diag(found.error_model("smile").rates) == 1).all()
    assert "only one" not in found.summary() and "not measured: no image was labelled by two raters" in found.summary()
    assert found.name == "portraits_b" and found.images == 120


def test_answers_are_weighed_by_the_labels_of_the_run(sent, tmp_path):
    copy, sheet, said = sent
    path = filled(sheet, tmp_path / "a.csv", lambda number, key, a: 1 - said[key][a] if number % 7 == 0 else said[key][a])
    found = import_sheets(copy, [path], rng=np.random.default_rng(0))
    rows = rows_of(sheet)
    given = np.array([said[r["generator"], int(r["id"])]["gender"] for r in rows])
    true = np.where(np.arange(1, len(rows) + 1) % 7 == 0, 1 - given, given)
    sizes = np.bincount([v["gender"] for v in said.values()])
    joint = np.array([[((given == i) & (true == j)).sum() / (given == i).sum() * sizes[i] for j in (0, 1)] for i in (0, 1)])
    assert np.allclose(found.error_model("gender").rates, joint / joint.sum(axis=0))
    assert np.allclose(found.attributes["gender"].table, weighted_table(true, given, given, sizes, 2))


def test_several_raters_make_a_majority_and_an_alpha(sent, tmp_path):
    copy, sheet, said = sent
    answers = {"a": lambda n, k, a: said[k][a], "b": lambda n, k, a: 1 - said[k][a] if n % 10 == 0 else said[k][a],
               "c": lambda n, k, a: None if n % 2 == 0 else said[k][a]}  # fmt: skip
    paths = [filled(sheet, tmp_path / f"{r}.csv", f, rater=r) for r, f in answers.items()]
    agreed = import_sheets(copy, paths, rng=np.random.default_rng(0)).attributes["gender"].agreement
    assert agreed["raters"] == 3 and agreed["tied"] == 12 and agreed["rated"] == 108
    assert agreed["low"] < agreed["alpha"] < agreed["high"] and 0.8 < agreed["alpha"] < 1
    assert agreed["with_majority"] == {"a": 1, "b": 1, "c": 1}


def test_a_calibration_from_raters_corrects_an_audit(sent, tmp_path):
    copy, sheet, said = sent
    path = filled(sheet, tmp_path / "a.csv", lambda n, k, a: 1 - said[k][a] if n % 9 == 0 else said[k][a])
    file = import_sheets(copy, [path], rng=np.random.default_rng(0)).write(tmp_path / "c.json")
    rows = audit_labels(pd.DataFrame({"gender": ["feminine"] * 300 + ["masculine"] * 200}), calibration=file).frame()
    assert rows.query("corrected and metric == 'share'").value.notna().all()


def test_an_intersection_makes_the_strata_and_is_calibrated_with_its_parts(copy, tmp_path):
    sheet, said = export_sheet(copy, tmp_path / "s", per_class=12, attributes=["gender*smile"]), frame_of(copy)
    path = filled(sheet, tmp_path / "a.csv", lambda _, key, a: said[key][a])
    found = import_sheets(copy, [path], rng=np.random.default_rng(0))
    assert set(found.attributes) == {"gender", "smile", "gender*smile"}
    assert (np.diag(found.error_model("gender*smile").rates) == 1).all()


def test_a_spreadsheet_with_semicolons_and_capitals_is_read(sent, tmp_path):
    copy, sheet, said = sent
    table = pd.read_csv(filled(sheet, tmp_path / "a.csv", lambda _, key, a: said[key][a]), dtype=str)
    table["gender"] = table["gender"].str.upper() + " "
    table.to_csv(tmp_path / "b.csv", sep=";", index=False)
    assert import_sheets(copy, [tmp_path / "b.csv"], rng=np.random.default_rng(0)).images == 120


@pytest.mark.parametrize(("change", "sentence"), [
    (lambda t: t.assign(gender="woman"), r"line 2: 'woman' is no class of 'gender'; expected feminine, masculine"),
    (lambda t: t.drop(columns="sheet"), "no column 'sheet'"),
    (lambda t: t.drop(columns="gender"), "no column 'gender'"),
    (lambda t: t.assign(sheet="0123456789"), "knows no sheet '0123456789'"),
    (lambda t: t.assign(sheet="../x"), "knows no sheet"),
    (lambda t: t.assign(id="x1"), "line 2: the id is 'x1'"),
    (lambda t: t.assign(id=lambda f: f["id"].astype(int) + 9000), "which the run at"),
    (lambda t: pd.concat([t, t.assign(gender=t["gender"].map({"feminine": "masculine", "masculine": "feminine"}))]), "already gave another answer"),
    (lambda t: t.assign(gender="", smile=""), "hold no answer in gender, smile"),
    (lambda t: t.assign(gender="feminine"), "class 'masculine' of 'gender' was never seen by the raters"),
    (lambda t: t.iloc[:0], "has no column 'id'"),
    (lambda t: t.assign(sheet=["a", "b"] * 60), "rows of 2 sheets"),
])  # fmt: skip
def test_a_sheet_that_cannot_be_read_is_refused_in_a_sentence(sent, tmp_path, change, sentence):
    copy, sheet, said = sent
    table = pd.read_csv(filled(sheet, tmp_path / "a.csv", lambda _, key, a: said[key][a]), dtype=str)
    change(table.assign(rater="r")).to_csv(tmp_path / "b.csv", index=False)
    with pytest.raises(GenbiasError, match=sentence):
        import_sheets(copy, [tmp_path / "b.csv"], rng=np.random.default_rng(0))


def test_answers_to_one_attribute_can_be_taken_alone(sent, tmp_path):
    copy, sheet, said = sent
    path = filled(sheet, tmp_path / "a.csv", lambda _, key, a: said[key][a] if a == "gender" else 0)
    assert set(import_sheets(copy, [path], rng=np.random.default_rng(0), attributes=["gender"]).attributes) == {"gender"}
    with pytest.raises(GenbiasError, match="did not ask for 'age'"):
        import_sheets(copy, [path], rng=np.random.default_rng(0), attributes=["age"])


@pytest.mark.parametrize(("options", "sentence"), [
    ({"per_class": 0}, "--per-class is 0"),
    ({"attributes": ["age"]}, "has no attribute 'age'; it has gender, smile"),
    ({"generators": ["three"]}, "no generator 'three'; it has one, two"),
])  # fmt: skip
def test_what_the_run_does_not_have_is_refused(copy, tmp_path, options, sentence):
    with pytest.raises(GenbiasError, match=sentence):
        export_sheet(copy, tmp_path / "s", **options)
    assert not (tmp_path / "s").exists()


def test_answers_are_not_written_over_and_a_changed_source_is_refused(copy, tmp_path):
    export_sheet(copy, tmp_path / "s", per_class=2)
    with pytest.raises(GenbiasError, match="is not empty"):
        export_sheet(copy, tmp_path / "s", per_class=2)
    facts = json.loads((copy / "run.json").read_text())
    facts["identity"]["generators"]["one"] = "0" * 64
    (copy / "run.json").write_text(json.dumps(facts))
    with pytest.raises(GenbiasError, match="'one' has changed since the run"):
        export_sheet(copy, tmp_path / "t", per_class=60)


def test_an_audit_of_a_table_has_no_images_to_show(tmp_path):
    audit_labels(pd.DataFrame({"smile": CLASSES["smile"] * 9}), out=tmp_path / "r")
    with pytest.raises(GenbiasError, match="made from a table of labels and has no images"):
        export_sheet(tmp_path / "r", tmp_path / "s")
