"""Labels find their images whatever the table calls things, and a classifier's errors on them are counted."""

import hashlib
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from torch import nn

from audit.errors import RecordError, SpecError
from audit.labelled.pictures import calibrate_images, open_labelled


class Bright(nn.Module):
    """The share of red is the probability of the first class."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        red = x[:, 0].mean(dim=(1, 2))
        return torch.stack([red, 1 - red], dim=1)


@pytest.fixture
def pictures(tmp_path):
    for i, red in enumerate((230, 20, 240, 30, 250, 10)):
        (tmp_path / "faces" / ("woman", "man")[i % 2]).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (red, 0, 0)).save(tmp_path / "faces" / ("woman", "man")[i % 2] / f"{i}.png")
    return tmp_path / "faces"


def classifier(folder, attribute, first, second):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces the end of the format
        torch.jit.save(torch.jit.trace(Bright(), torch.zeros(2, 3, 8, 8)), folder / "bright.pt")
    file = {"name": "bright.pt", "path": "bright.pt", "sha256": hashlib.sha256((folder / "bright.pt").read_bytes()).hexdigest()}
    head = {"attribute": attribute, "kind": "probabilities", "columns": [0, 1], "classes": {first: 0, second: 1}}
    content = {"name": "bright", "kind": "classifier", "title": "Bright", "format": "torchscript", "licence": "MIT", "files": [file],
               "contract": {"input": {"size": 8}, "output": {"heads": [head]}}}  # fmt: skip
    (folder / "bright.yaml").write_text(yaml.safe_dump(content))
    return str(folder / "bright.yaml")


def table(tmp_path, **columns):
    pd.DataFrame(columns).to_csv(tmp_path / "labels.csv", index=False)
    return tmp_path / "labels.csv"


def test_folders_are_classes_in_the_words_people_use(pictures):
    source, frame = open_labelled(pictures, attributes=["gender"])
    assert source.count == 6
    assert dict(zip(frame["file"], frame["gender:true"], strict=True))["man/1.png"] == "masculine"
    assert frame["gender:true"].tolist().count("feminine") == 3


def test_a_table_is_matched_by_name_with_or_without_folders_and_dates_of_spreadsheets_are_ages(pictures, tmp_path):
    labels = table(tmp_path, face_name_align=[f"elsewhere/{i}.png" for i in (5, 3, 1, 0)], age=["03-Sep", "50-59", "more than 70", "Oct-19"])
    _, frame = open_labelled(pictures, labels)
    read = dict(zip(frame["file"], frame["age:true"], strict=True))
    assert {k: v for k, v in read.items() if isinstance(v, str)} == {
        "man/5.png": "young", "man/3.png": "middle", "man/1.png": "old", "woman/0.png": "young"}  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "options", "error", "sentence"),
    [
        ({"picture": ["0.png"], "gender": ["female"]}, {}, RecordError, "has no column that names the images; expected one of file"),
        ({"file": ["x.png"], "gender": ["female"]}, {}, RecordError, r"no image is called as .* 'x.png'; the images are called like 'man/1.png'"),
        ({"file": ["0.png", "0.png"], "gender": ["f", "m"]}, {}, RecordError, "'0.png' in more than one row"),
        ({"file": ["0.png"], "gender": ["androgynous"]}, {}, RecordError, "gender holds 'androgynous', which is not known; .*--word"),
        ({"file": ["0.png"], "mood": ["good"]}, {}, RecordError, "has no column of an attribute"),
        ({"file": ["0.png"], "gender": ["f"]}, {"attributes": ["smile"]}, RecordError, "has no column 'smile'"),
        ({"file": ["0.png"], "gender": ["f"]}, {"group": "race"}, RecordError, "no column 'race' to take groups from"),
    ],
)
def test_labels_that_do_not_fit_are_told_in_a_sentence(pictures, tmp_path, columns, options, error, sentence):
    with pytest.raises(error, match=sentence):
        open_labelled(pictures, table(tmp_path, **columns), **options)


def test_folders_without_an_attribute_are_refused(pictures):
    with pytest.raises(SpecError, match="stand for one attribute; give it"):
        open_labelled(pictures)


def test_a_word_of_ones_own_is_understood(pictures, tmp_path):
    labels = table(tmp_path, file=["0.png"], gender=["Frau"])
    _, frame = open_labelled(pictures, labels, words={"Frau": "feminine"})
    assert frame["gender:true"].dropna().tolist() == ["feminine"]


def test_the_errors_of_a_classifier_on_labelled_images_are_counted(pictures, tmp_path):
    labels = table(tmp_path, file=[f"{i}.png" for i in range(5)], gender=["female", "male", "male", "male", "female"], kind=list("aabbb"))
    made, read = calibrate_images(pictures, labels, classifier=classifier(tmp_path, "gender", "feminine", "masculine"), faces="aligned", group="kind")
    assert made.confusion("gender").tolist() == [[2, 0], [1, 2]]  # image 2 is bright and labelled male
    assert {g: t.tolist() for g, t in made.groups("gender").items()} == {"a": [[1, 0], [0, 1]], "b": [[1, 0], [1, 1]]}
    assert made.attributes["gender"].left_out == 1
    assert read.columns.tolist() == ["file", "group", "gender:true", "gender:feminine", "gender:masculine"]
    assert np.allclose(read["gender:feminine"].sort_values(), np.array([10, 20, 30, 230, 240, 250]) / 255, atol=1e-3)


def test_images_without_a_face_are_left_out_and_counted(pictures, tmp_path):
    labels = table(tmp_path, file=[f"{i}.png" for i in range(6)], gender=["female", "male"] * 3)
    with pytest.raises(RecordError, match="never seen among the true ones"):
        calibrate_images(pictures, labels, classifier=classifier(tmp_path, "gender", "feminine", "masculine"), faces="find")


def test_classes_outside_the_vocabulary_are_matched_as_the_classifier_spells_them(pictures, tmp_path):
    labels = table(tmp_path, file=[f"{i}.png" for i in range(6)], race=["East Asian", "White"] * 3)
    made, _ = calibrate_images(pictures, labels, classifier=classifier(tmp_path, "race", "east_asian", "white"), attributes=["race"], faces="aligned")
    assert made.classes("race") == ("east_asian", "white")
    assert made.confusion("race").tolist() == [[3, 0], [0, 3]]
