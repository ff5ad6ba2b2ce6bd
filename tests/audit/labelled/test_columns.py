"""Columns become class indices, or a sentence that says which row is wrong."""

import numpy as np
import pandas as pd
import pytest

from audit.errors import RecordError, SpecError
from audit.labelled.columns import attributes_of, cross, read_labels, target_of


def test_built_in_classes_keep_their_order_and_empty_cells_are_missing():
    found = read_labels(pd.DataFrame({"skin_tone": ["dark", None, "light", "  "]}), "skin_tone")
    assert found.codes.tolist() == [2, -1, 0, -1]
    assert found.missing == 2 and not found.guessed


@pytest.mark.parametrize(("values", "classes", "codes"), [
    (["b", "a", None, "b"], ("a", "b"), [1, 0, -1, 1]),
    (pd.Categorical(["b", "a", None, "b"], categories=["z", "b", "a"]), ("b", "a"), [0, 1, -1, 0]),
    ([10, 2, 2, 10], ("2", "10"), [1, 0, 0, 1]),
    ([10.0, 2.0, np.nan, 10.0], ("2", "10"), [1, 0, -1, 1]),
    ([True, False, False, True], ("False", "True"), [1, 0, 0, 1]),
])  # fmt: skip
def test_classes_of_ones_own_are_those_found_and_said_to_be_guessed(values, classes, codes):
    found = read_labels(pd.DataFrame({"x": values}), "x")
    assert sorted(found.classes) == sorted(classes) and found.guessed
    assert [found.classes[c] if c >= 0 else None for c in found.codes] == [classes[c] if c >= 0 else None for c in codes]


def test_probabilities_become_labels_and_whole_rows_of_nan_are_missing():
    frame = pd.DataFrame({"smile:smiling": [0.9, 0.2, np.nan], "smile:neutral": [0.1, 0.8, np.nan], "smile:true": ["neutral"] * 3})
    found = read_labels(frame, "smile")
    assert found.codes.tolist() == [1, 0, -1]
    assert found.scores[:, 0].tolist()[:2] == [0.1, 0.8]


@pytest.mark.parametrize(("columns", "sentence"), [
    ({"smile": ["neutral", "grinning"]}, r"holds 'grinning' .*row 2; 1 rows are outside.*expected neutral, smiling"),
    ({"smile": ["neutral", "smilin"]}, "did you mean 'smiling'"),
    ({"smile:neutral": [0.5, 0.7], "smile:smiling": [0.5, 0.7]}, r"row 2 holds probabilities of 'smile' that add up to 1.4"),
    ({"smile:neutral": [0.5, -0.1], "smile:smiling": [0.5, 1.1]}, "row 2 holds a probability of 'smile' outside 0..1"),
    ({"smile:neutral": [0.5, np.nan], "smile:smiling": [0.5, 0.5]}, "row 2 holds NaN for some classes of 'smile'"),
    ({"smile:neutral": ["a", "b"], "smile:smiling": [0.5, 0.5]}, "hold text; expected probabilities"),
    ({"smile:neutral": [0.5, 0.5]}, "probabilities of 'smile' for neutral; expected one column for each of neutral, smiling"),
    ({"smile:neutral": [1.0], "smile:smiling": [0.0], "smile": ["neutral"]}, "keep one of the two"),
    ({"smiles": ["neutral"]}, r"neither a column 'smile'.*did you mean 'smiles'"),
    ({"smile": [0.3, 0.7]}, r"holds 0.3 \(row 1\); expected class labels"),
])  # fmt: skip
def test_bad_columns_are_refused_in_a_sentence(columns, sentence):
    with pytest.raises(RecordError, match=sentence):
        read_labels(pd.DataFrame(columns), "smile")


@pytest.mark.parametrize(("values", "sentence"), [
    (["a"] * 4, "holds only a; expected 2 to 64 classes"),
    ([None] * 4, "holds no label at all"),
    ([f"face{i}.png" for i in range(70)], "holds 70 different values"),
])  # fmt: skip
def test_a_column_that_holds_no_classes_is_refused(values, sentence):
    with pytest.raises(RecordError, match=sentence):
        read_labels(pd.DataFrame({"x": values}), "x")


def test_an_intersection_is_missing_where_any_part_is_and_its_cells_run_in_c_order():
    frame = pd.DataFrame({"smile": ["neutral", "smiling", None], "race": ["a", "c", "b"]})
    both = cross({a: read_labels(frame, a) for a in ("smile", "race")}, "smile*race")
    assert both.classes[5] == "smiling*c"
    assert both.codes.tolist() == [0, 5, -1]


def test_what_is_no_attribute_is_not_taken_for_one():
    frame = pd.DataFrame(columns=["id", "generator", "unit", "group", "race", "smile:neutral", "smile:smiling", "age:true"])
    assert attributes_of(frame) == ["race", "smile"]


def test_a_target_of_an_intersection_is_the_product_of_its_parts():
    classes = {"smile": ("neutral", "smiling"), "race": ("a", "b")}
    wished = target_of({"smile": {"smiling": 0.2, "neutral": 0.8}}, "smile*race", classes)
    assert np.allclose(wished, [0.4, 0.4, 0.1, 0.1])
    assert target_of({"smile": {}}, "race", classes) is None and target_of("uniform", "race", classes) is None


@pytest.mark.parametrize(("target", "sentence"), [
    ("parity", "target is 'parity'; expected 'uniform'"),
    ({"race": {"a": 1.0}}, "expected a share for each of a, b; found a"),
    ({"race": {"a": 0.7, "b": 0.7}}, "add up to 1"),
    ({"race": {"a": -0.5, "b": 1.5}}, "numbers in 0..1"),
    ({"race": {"a": "half", "b": 0.5}}, "a share is a number"),
])  # fmt: skip
def test_a_target_that_is_none_is_refused(target, sentence):
    with pytest.raises(SpecError, match=sentence):
        target_of(target, "race", {"race": ("a", "b")})
