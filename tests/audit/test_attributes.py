"""Attributes are data: shipped sets, a user's own in a spec, and files that are none."""

import pickle

import numpy as np
import pytest
import yaml

import audit
from audit.attributes import ATTRIBUTES, parts, read_set, shipped_sets
from audit.errors import SpecError
from audit.spec import Spec, load_spec

HATS = {"name": "hats", "title": "Hats", "attributes": {"hat": {"title": "Hat", "classes": ["none", "cap", "crown"], "caveat": "What is worn."}}}
GENERATORS = {"g": {"source": "folder", "path": "x"}}


@pytest.fixture(autouse=True)
def vocabulary(monkeypatch):
    """Forget what a test taught."""
    monkeypatch.setattr(ATTRIBUTES, "_further", dict(ATTRIBUTES._further))


@pytest.fixture
def written(tmp_path):
    def write(content, name="mine.yaml"):
        (tmp_path / name).write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
        return str(tmp_path / name)

    return write


def test_the_vocabulary_runs_over_faces_and_knows_further_attributes_by_name():
    assert list(ATTRIBUTES) == ["gender", "skin_tone", "age", "smile"]
    assert "cifar10" in ATTRIBUTES
    assert "cifar100" not in ATTRIBUTES
    assert ATTRIBUTES["cifar10"].k == ATTRIBUTES.get("cifar10").k == 10
    assert ATTRIBUTES.get("cifar100") is None


def test_the_order_of_classes_is_that_of_calibrations_and_weights_which_may_never_change():
    assert [(a.name, a.classes) for a in read_set("faces")] == [
        ("gender", ("feminine", "masculine")), ("skin_tone", ("light", "medium", "dark")), ("age", ("young", "middle", "old")),
        ("smile", ("neutral", "smiling"))]  # fmt: skip
    assert read_set("cifar10")[0].classes == ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    assert list(shipped_sets()) == ["cifar10", "faces"]


def test_a_spec_reads_faces_unless_it_names_something_further():
    assert Spec(name="x", generators=GENERATORS).attributes == ["gender", "skin_tone", "age", "smile"]
    assert Spec(name="x", generators=GENERATORS, attributes=["cifar10"]).attributes == ["cifar10"]


def test_a_users_set_is_known_to_the_spec_that_names_it_and_to_its_workers(written):
    path = written(HATS)
    with pytest.raises(SpecError, match=r"'hat' is not an attribute; there are gender, .*, cifar10; your own go into a file under attribute_sets"):
        load_spec(written({"name": "x", "generators": GENERATORS, "attributes": ["hat"]}, "spec.yaml"))
    spec = load_spec(written({"name": "x", "generators": GENERATORS, "attribute_sets": [path], "attributes": ["hat*gender"]}, "spec.yaml"))
    assert ATTRIBUTES["hat"].classes == ("none", "cap", "crown")
    assert list(ATTRIBUTES) == ["gender", "skin_tone", "age", "smile"]
    kept = pickle.dumps(spec)
    ATTRIBUTES._further.pop("hat")
    assert pickle.loads(kept).attributes == ["hat*gender"]
    assert "hat" in ATTRIBUTES


def test_a_set_that_was_edited_is_read_again_and_a_shipped_attribute_stays_as_it_is(written):
    ATTRIBUTES.learn([written(HATS)])
    changed = {**HATS, "attributes": {"hat": {**HATS["attributes"]["hat"], "classes": ["no", "hat"]}}}
    ATTRIBUTES.learn([written(changed)])
    assert ATTRIBUTES["hat"].classes == ("no", "hat")
    with pytest.raises(SpecError, match="'hat' is an attribute already, with the classes none, cap, crown"):
        ATTRIBUTES.learn([written(HATS), written(changed, "other.yaml")])
    smile = {**HATS, "attributes": {"smile": {"title": "Smile", "classes": ["smiling", "neutral"], "caveat": "Turned round."}}}
    with pytest.raises(ValueError, match="'smile' is an attribute already, with the classes neutral, smiling; give yours another name"):
        Spec(name="x", generators=GENERATORS, attribute_sets=[written(smile)])
    ATTRIBUTES.learn(["faces", "cifar10"])
    assert ATTRIBUTES["smile"].classes == ("neutral", "smiling")


def one(**changes):
    return {**HATS, "attributes": {"hat": {**HATS["attributes"]["hat"], **changes}}}


@pytest.mark.parametrize(("content", "words"), [
    ("- a\n- b", "expected exactly the keys name, title, attributes; found list"),
    ("{a: [", "is not YAML"),
    ({"name": "x", "title": "X"}, "found name, title"),
    ({**HATS, "attributes": []}, "attributes is a list; expected a mapping of names"),
    ({**HATS, "attributes": {"Hat size": {}}}, "'Hat size' is no name of an attribute"),
    ({**HATS, "attributes": {"hat": {"classes": ["a", "b"]}}}, "hat: expected exactly the keys title, classes, caveat; found classes"),
    (one(classes=["cap"]), r"classes is \['cap'\]; expected a list of two or more different names"),
    (one(classes=["cap", "cap"]), "two or more different names"),
    (one(classes=[True, False]), r"True is no name of a class; expected text .* \(put words like yes and no in quotes\)"),
    (one(classes=["a*b", "c"]), r"'a\*b' is no name of a class"),
    (one(caveat=""), "caveat is ''; expected a sentence, which the report prints"),
])  # fmt: skip
def test_a_file_that_is_no_attribute_set_is_a_sentence(written, content, words):
    with pytest.raises(SpecError, match=words):
        read_set(written(content))


def test_a_set_that_is_not_there_is_a_sentence_with_the_shipped_ones():
    with pytest.raises(SpecError, match=r"no attribute set 'none\.yaml'; give the path of a YAML file or one of: cifar10, faces"):
        read_set("none.yaml")


def test_a_users_attribute_is_measured_and_reported_with_its_title_and_caveat(written, tmp_path):
    import torch
    from PIL import Image
    from torchvision.models import mobilenet_v3_small

    torch.manual_seed(0)
    torch.save(mobilenet_v3_small(num_classes=3).state_dict(), tmp_path / "hats.pt")
    head = {"attribute": "hat", "kind": "logits", "columns": [0, 1, 2], "classes": {"crown": 0, "none": 1, "cap": 2}}
    manifest = {"name": "hats", "kind": "classifier", "title": "Hats", "format": "state_dict", "architecture": "torchvision.mobilenet_v3_small",
                "parameters": {"num_classes": 3}, "licence": "MIT", "files": [{"name": "hats.pt", "path": "hats.pt"}],
                "contract": {"input": {"layout": "nchw", "size": 32, "channels": "RGB", "range": [0.0, 1.0], "crop": {"from": "image"}},
                             "output": {"heads": [head]}}}  # fmt: skip
    (tmp_path / "pictures").mkdir()
    for i in range(6):
        pixels = np.random.default_rng(i).integers(0, 255, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{i}.png")
    spec = {"name": "hats", "attribute_sets": [written(HATS)], "attributes": ["hat"], "samples": 6, "gallery": 0,
            "instruments": {"classifier": written(manifest, "manifest.yaml")},
            "generators": {"g": {"source": "folder", "path": str(tmp_path / "pictures")}}}  # fmt: skip
    result = audit.run(written(spec, "spec.yaml"), out=tmp_path / "run", device="cpu")
    shares = result.frame().query("metric == 'share' and attribute == 'hat'")
    assert list(shares.group) == ["none", "cap", "crown"]
    assert shares.value.sum() == pytest.approx(1)
    assert result.attributes["hat"] == {"title": "Hat", "classes": ["none", "cap", "crown"], "caveat": "What is worn."}


def test_the_parts_of_an_intersection_come_in_order():
    assert parts("gender * age") == ("gender", "age")
