"""A classifier's columns say what its network says, class by class, and nothing where there was nothing to read."""

import numpy as np
import pytest
import torch
from torch import nn

from audit.errors import InstrumentError
from audit.instruments.attribute_classifier import AttributeClassifier
from audit.manifests import Manifest
from audit.sources.base import Batch

GENDER = {"attribute": "gender", "kind": "probabilities", "columns": [0, 1], "classes": {"feminine": 1, "masculine": 0}}
YEARS = {
    "attribute": "age",
    "kind": "value",
    "columns": [2],
    "unit": "years",
    "bins": {"young": [None, 35], "middle": [35, 60], "old": [60, None]},
}


class Says(nn.Module):
    """Answers with the given rows, chosen by the red value of the image's first pixel."""

    def __init__(self, rows):
        super().__init__()
        self.register_buffer("rows", torch.tensor(rows, dtype=torch.float32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.rows[x[:, 0, 0, 0].round().long()]


def manifest(*heads, **changes):
    contract = {"input": {"size": 4, "range": [0, 255]}, "output": {"heads": list(heads)}}
    return Manifest(**{"name": "toy", "kind": "classifier", "title": "Toy", "licence": "MIT", "contract": contract, **changes})


def batch(n, status=None, boxes=None):
    images = [torch.full((3, 4, 4), i, dtype=torch.uint8) for i in range(n)]
    return Batch(np.arange(n), np.arange(n, dtype=np.uint64), images, status or ["ok"] * n, boxes=boxes)


def read(heads, rows, **options):
    said = AttributeClassifier("c", manifest(*heads), module=Says(rows), **options)
    return said.read(batch(len(rows)))


def test_probabilities_are_written_by_class_name_and_not_by_position():
    out = read([GENDER], [[0.9, 0.1], [0.3, 0.7]])
    assert list(out) == ["c:gender:feminine", "c:gender:masculine"]
    assert out["c:gender:feminine"].dtype == np.float32
    assert out["c:gender:feminine"].tolist() == pytest.approx([0.1, 0.7])
    assert out["c:gender:masculine"].tolist() == pytest.approx([0.9, 0.3])


def test_logits_become_probabilities_over_their_own_columns():
    head = {**GENDER, "kind": "logits", "columns": [1, 2], "classes": {"feminine": 2, "masculine": 1}}
    out = read([head], [[50.0, 0.0, np.log(3.0)]])
    assert out["c:gender:feminine"].tolist() == pytest.approx([0.75])


def test_a_sigmoid_column_answers_one_question_and_the_rest_is_the_other_class():
    head = {"attribute": "smile", "kind": "sigmoid", "columns": [1], "classes": {"neutral": None, "smiling": 1}}
    out = read([head], [[9.0, 0.0], [9.0, np.log(4.0)]])
    assert out["c:smile:smiling"].tolist() == pytest.approx([0.5, 0.8])
    assert out["c:smile:neutral"].tolist() == pytest.approx([0.5, 0.2])


def test_several_columns_can_make_one_class_and_null_takes_what_is_left():
    head = {"attribute": "smile", "kind": "probabilities", "columns": [0, 1, 2, 3], "classes": {"neutral": None, "smiling": [1, 3]}}
    out = read([head], [[0.1, 0.2, 0.3, 0.4]])
    assert out["c:smile:smiling"].tolist() == pytest.approx([0.6])
    assert out["c:smile:neutral"].tolist() == pytest.approx([0.4])


def test_years_are_kept_and_cut_into_groups_at_35_and_60():
    out = read([YEARS], [[0, 0, y] for y in (4, 34.99, 35, 59.9, 60, 90)])
    assert out["c:age:years"].tolist() == pytest.approx([4, 34.99, 35, 59.9, 60, 90])
    assert out["c:age:young"].tolist() == [1, 1, 0, 0, 0, 0]
    assert out["c:age:middle"].tolist() == [0, 0, 1, 1, 0, 0]
    assert out["c:age:old"].tolist() == [0, 0, 0, 0, 1, 1]


def test_a_stated_spread_makes_the_groups_soft():
    out = read([{**YEARS, "spread": 6.4}], [[0, 0, 35.0], [0, 0, 35 + 6.4], [0, 0, 20.0]])
    assert out["c:age:young"].tolist() == pytest.approx([0.5, 0.1587, 0.9905], abs=1e-3)
    assert (out["c:age:young"] + out["c:age:middle"] + out["c:age:old"]).tolist() == pytest.approx([1, 1, 1])


def test_rows_without_an_image_or_a_box_are_missing():
    said = AttributeClassifier("c", manifest(GENDER, YEARS), module=Says([[0.9, 0.1, 20]] * 3))
    boxes = np.array([[0, 0, 4, 4], [np.nan] * 4, [0, 0, 4, 4]])
    out = said.read(batch(3, status=["ok", "ok", "not finite"], boxes=boxes))
    for name, values in out.items():
        assert np.isfinite(values).tolist() == [True, False, False], name
    nothing = said.read(batch(2, status=["not finite"] * 2))
    assert set(nothing) == set(out)
    assert all(np.isnan(v).all() for v in nothing.values())


def test_a_network_that_is_not_sure_of_anything_leaves_a_missing_value():
    out = read([GENDER, YEARS], [[np.nan] * 3, [0.5, 0.5, 40]])
    assert np.isnan(out["c:gender:feminine"]).tolist() == [True, False]
    assert np.isnan(out["c:age:young"]).tolist() == [True, False]


def test_only_the_attributes_asked_for_are_read():
    assert list(read([GENDER, YEARS], [[1, 0, 20]], attributes=["gender"])) == ["c:gender:feminine", "c:gender:masculine"]


def test_an_attribute_that_the_manifest_does_not_read_is_refused():
    with pytest.raises(InstrumentError, match="manifest 'toy' reads gender; it cannot read smile"):
        read([GENDER], [[1, 0]], attributes=["smile"])


def test_classes_must_be_those_of_the_vocabulary():
    with pytest.raises(InstrumentError, match="gives gender the classes female, male; expected feminine, masculine"):
        read([{**GENDER, "classes": {"male": 0, "female": 1}}], [[1, 0]])


def test_an_attribute_of_ones_own_keeps_the_order_of_the_manifest():
    head = {"attribute": "hat", "kind": "probabilities", "columns": [0, 1], "classes": {"with": 1, "without": 0}}
    assert list(read([head], [[0.2, 0.8]])) == ["c:hat:with", "c:hat:without"]


def test_logits_taken_for_probabilities_are_noticed():
    with pytest.raises(InstrumentError, match=r"'probabilities', but the network gave -2\.\.5, summing to 3; say kind: logits"):
        read([GENDER], [[-2.0, 5.0]])


def test_a_network_with_too_few_columns_is_refused():
    with pytest.raises(InstrumentError, match="reads column 2, but the network returns 2 columns"):
        read([YEARS], [[0.0, 1.0]])


def test_a_manifest_without_heads_is_refused():
    with pytest.raises(InstrumentError, match="has no contract with an input and heads"):
        AttributeClassifier("c", manifest(contract=None), module=Says([[0]]))


def test_the_digest_changes_with_weights_contract_and_attributes():
    weights = Says([[0.5, 0.5, 1]])
    base = AttributeClassifier("c", manifest(GENDER, YEARS), module=weights).digest
    assert AttributeClassifier("d", manifest(GENDER, YEARS, title="New title"), module=weights).digest == base
    others = {
        AttributeClassifier("c", manifest(GENDER, YEARS), module=Says([[0.4, 0.6, 1]])).digest,
        AttributeClassifier("c", manifest(GENDER, {**YEARS, "spread": 3}), module=weights).digest,
        AttributeClassifier("c", manifest(GENDER, YEARS), module=weights, attributes=["gender"]).digest,
    }
    assert len(others | {base}) == 4


def test_the_report_is_told_licence_terms_and_caveats():
    said = AttributeClassifier("c", manifest(GENDER, caveats=["Errs on Mondays."], terms="research only"), module=Says([[1, 0]]))
    assert said.caveats == ("Errs on Mondays.", "Toy: licence MIT; research only")


def test_a_manifest_without_the_order_of_its_classes_is_refused_in_a_sentence(tmp_path):
    import yaml

    from audit.errors import ManifestError
    from audit.manifests import load_manifest

    head = {"attribute": "gender", "kind": "logits", "columns": [0, 1]}
    content = {"name": "mine", "kind": "classifier", "title": "Mine", "licence": "MIT", "contract": {"input": {"size": 4}, "output": {"heads": [head]}}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ManifestError, match="head 'gender' does not say which column is which class; state them as its publisher does"):
        load_manifest(tmp_path / "mine.yaml")
