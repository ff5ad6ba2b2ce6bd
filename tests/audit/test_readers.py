"""Several classifiers in one audit: each reads what the spec says it is used for, and no two read one attribute."""

import warnings

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from audit.audits import calibration_of
from audit.errors import InstrumentError, SpecError
from audit.instruments import open_instruments
from audit.readers import ReaderSpec, readers_in
from audit.sources.base import OK, Batch
from audit.spec import InstrumentsSpec, Spec, load_spec

HEADS = {
    "ages": [{"attribute": "gender", "kind": "logits", "columns": [0, 1], "classes": {"feminine": 0, "masculine": 1}},
             {"attribute": "age", "kind": "logits", "columns": [0, 1, 2], "classes": {"young": 0, "middle": 1, "old": 2}}],
    "smiles": [{"attribute": "gender", "kind": "sigmoid", "columns": [0], "classes": {"feminine": None, "masculine": 0}},
               {"attribute": "smile", "kind": "sigmoid", "columns": [1], "classes": {"neutral": None, "smiling": 1}}],
}  # fmt: skip


class Says(nn.Module):
    """Gives every image the same outputs."""

    def __init__(self, outputs: list[float]) -> None:
        super().__init__()
        self.outputs = nn.Parameter(torch.tensor(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.outputs.expand(x.shape[0], -1)


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """Write two tiny classifiers that both read gender, and contradict each other; return the paths of their manifests."""
    import hashlib

    root, paths = tmp_path_factory.mktemp("readers"), {}
    for name, outputs in (("ages", [2.0, -2.0, 0.0]), ("smiles", [9.0, 3.0])):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch announces the end of TorchScript
            torch.jit.script(Says(outputs)).save(root / f"{name}.pt")
        content = {"name": name, "kind": "classifier", "title": name, "format": "torchscript", "licence": "MIT",
                   "files": [{"name": f"{name}.pt", "path": f"{name}.pt", "sha256": hashlib.sha256((root / f"{name}.pt").read_bytes()).hexdigest()}],
                   "contract": {"input": {"layout": "nchw", "size": 8, "channels": "RGB", "range": [0.0, 1.0], "crop": {"from": "image"}},
                                "output": {"heads": HEADS[name]}}}  # fmt: skip
        (root / f"{name}.yaml").write_text(yaml.safe_dump(content))
        paths[name] = str(root / f"{name}.yaml")
    return paths


def read(instruments):
    batch = Batch(np.arange(2), np.arange(2, dtype=np.uint64), [torch.zeros(3, 8, 8, dtype=torch.uint8)] * 2, [OK] * 2)
    return {k: v for i in instruments for k, v in i.read(batch).items()}


def test_a_classifier_is_used_for_the_attributes_the_spec_says_and_for_no_others(named):
    spec = InstrumentsSpec(classifier=[named["ages"], {"manifest": named["smiles"], "attributes": ["smile"]}])
    columns = read(open_instruments(spec))
    assert columns["classifier:gender:feminine"] == pytest.approx(0.982, abs=1e-3)  # as "ages" says; "smiles" holds the contrary
    assert columns["classifier:smile:smiling"] == pytest.approx(0.953, abs=1e-3)


def test_two_classifiers_that_read_one_attribute_are_refused_by_name(named):
    with pytest.raises(SpecError, match=r"both read gender; say what each is used for, e\.g\. \{manifest: .*smiles\.yaml"):
        open_instruments(InstrumentsSpec(classifier=[named["ages"], named["smiles"]]))
    with pytest.raises(SpecError, match=r"portraits_a and .* both read smile"):
        open_instruments(InstrumentsSpec(second_rater=["portraits_a", {"manifest": named["smiles"], "attributes": ["smile"]}]))


def test_a_built_in_classifier_can_be_used_for_some_attributes_and_keeps_its_calibration(named):
    half = {"manifest": "portraits_a", "attributes": ["skin_tone", "age"]}
    whole, part = (open_instruments(InstrumentsSpec(classifier=c))[0] for c in ("portraits_a", half))
    assert whole.digest != part.digest
    assert set(read([part])) == {k for k in read([whole]) if ":skin_tone:" in k or ":age:" in k}
    assert len(read(open_instruments(InstrumentsSpec(classifier=[half, {"manifest": named["smiles"], "attributes": ["smile"]}])))) == 8
    spec = {"name": "x", "generators": {"a": {"source": "portraits", "population": "balanced"}}, "instruments": {"classifier": half}}
    assert calibration_of(Spec.model_validate(spec)).name == "portraits_a"


def test_an_attribute_that_a_classifier_does_not_read_is_a_sentence(named):
    with pytest.raises(InstrumentError, match="it cannot read smile"):
        open_instruments(InstrumentsSpec(classifier={"manifest": named["ages"], "attributes": ["smile"]}))
    with pytest.raises(InstrumentError, match="'portraits_a' reads gender, skin_tone, age, smile; it cannot read hats"):
        open_instruments(InstrumentsSpec(classifier={"manifest": "portraits_a", "attributes": ["hats"]}))


@pytest.mark.parametrize(("written", "words"), [
    ({"manifest": "portraits_a", "atributes": ["smile"]}, r"unknown key 'instruments\.classifier\.atributes' \(did you mean 'attributes'"),
    ([{"attributes": ["smile"]}], r"'instruments\.classifier\.0\.manifest' is missing"),
    ({"manifest": "portraits_a", "attributes": []}, r"instruments\.classifier\.attributes: List should have at least 1 item"),
    (5, r"instruments\.classifier: Input should be a valid string; found 5"),
])  # fmt: skip
def test_a_reader_written_wrongly_is_a_sentence_with_its_line(tmp_path, written, words):
    (tmp_path / "s.yaml").write_text(yaml.safe_dump({"name": "s", "generators": {"a": {"source": "portraits", "population": "balanced"}},
                                                     "instruments": {"classifier": written}}))  # fmt: skip
    with pytest.raises(SpecError, match=words):
        load_spec(str(tmp_path / "s.yaml"))


def test_names_stay_names_in_what_a_result_keeps_of_its_spec():
    assert InstrumentsSpec(classifier="portraits_a").model_dump()["classifier"] == "portraits_a"
    assert InstrumentsSpec(classifier=["a", "b"]).model_dump()["classifier"] == ["a", "b"]
    assert readers_in(None) == []
    assert readers_in(ReaderSpec(manifest="a")) == [ReaderSpec(manifest="a")]
