from audit.attributes import ATTRIBUTES, parts
from audit.spec import Spec


def test_the_vocabulary_runs_over_faces_and_knows_further_attributes_by_name():
    assert list(ATTRIBUTES) == ["gender", "skin_tone", "age", "smile"]
    assert "cifar10" in ATTRIBUTES
    assert "cifar100" not in ATTRIBUTES
    assert ATTRIBUTES["cifar10"].k == ATTRIBUTES.get("cifar10").k == 10
    assert ATTRIBUTES.get("cifar100") is None


def test_a_spec_reads_faces_unless_it_names_something_further():
    generators = {"g": {"source": "folder", "path": "x"}}
    assert Spec(name="x", generators=generators).attributes == ["gender", "skin_tone", "age", "smile"]
    assert Spec(name="x", generators=generators, attributes=["cifar10"]).attributes == ["cifar10"]


def test_the_parts_of_an_intersection_come_in_order():
    assert parts("gender * age") == ("gender", "age")
