import json

import numpy as np
import pytest

from audit.attributes import ATTRIBUTES
from audit.calibrations import calibration_json, read_calibration
from audit.portraits import models


def _labels(**given):
    n = len(next(iter(given.values())))
    return {a: np.array(given.get(a, [0] * n)) for a in ATTRIBUTES}


@pytest.fixture
def calibration(tmp_path):
    path = tmp_path / "c.json"
    true = _labels(gender=[0, 0, 0, 1, 1], smile=[0, 1, 1, 0, 1])
    given = _labels(gender=[0, 1, 1, 1, 1], smile=[0, 1, 1, 0, 0])
    path.write_text(calibration_json("c", "test images", true, given))
    return read_calibration(path)


def test_rows_are_true_classes_and_columns_what_was_said(calibration):
    assert calibration.confusion("gender").tolist() == [[1, 2], [0, 2]]
    assert calibration.images == 5


def test_an_intersection_has_a_confusion_of_its_own(calibration):
    table = calibration.confusion("gender*smile")
    assert table.shape == (4, 4)
    assert table[1].tolist() == [0, 0, 0, 2]  # feminine and smiling, twice read as masculine and smiling
    assert table[3].tolist() == [0, 0, 1, 0]


def test_what_was_not_calibrated_has_none(calibration):
    assert calibration.confusion("gender*height") is None


@pytest.mark.parametrize("name", ["portraits_a", "portraits_b"])
def test_shipped_classifiers_reach_their_bar_on_20000_held_out_portraits(name):
    raw = json.loads(models.calibration(name).read_text())
    assert raw["images"] == 20_000
    for attribute, bar in (("gender", 0.97), ("smile", 0.97), ("skin_tone", 0.95), ("age", 0.95)):
        assert raw["accuracy"][attribute]["all"] >= bar
        assert read_calibration(models.calibration(name)).confusion(attribute).sum() == 20_000
