import pytest
import yaml

from audit.errors import SpecError
from audit.spec import load_spec

GOOD = """\
version: 1
name: tiny
generators:
  a: {source: portraits, population: balanced}
  b: {source: portraits, population: balanced, compare_to: a}
limits:
  - {metric: fairness_discrepancy, attribute: gender, at_most: 0.1}
"""


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "spec.yaml"
        path.write_text(text)
        return str(path)

    return write


def test_a_good_spec_loads_with_its_defaults(written):
    spec = load_spec(written(GOOD))
    assert (spec.samples, spec.level, spec.limits[0].at_most) == (2000, 0.95, 0.1)


@pytest.mark.parametrize(("old", "new", "words"), [
    ("population: balanced}", "populaton: balanced}", ["line 4", "'generators.a.populaton'", "did you mean 'population'"]),
    ("version: 1", "version: 1\nsamples: many", ["line 2", "samples", "found 'many'"]),
    ("version: 1", "version: 1\nsampels: 5", ["line 2", "unknown key 'sampels'", "did you mean 'samples'"]),
    ("version: 1", "version: 1\nattributes: [gendre]", ["'gendre' is not an attribute"]),
    ("compare_to: a", "compare_to: aa", ["there is no generator 'aa'", "did you mean 'a'"]),
    ("at_most: 0.1}", "at_most: 0.1, at_least: 0.05}", ["exactly one of at_most, at_least, between, not_worse_than; found at_most and at_least"]),
    ("at_most: 0.1}", "atmost: 0.1}", ["line 7", "did you mean 'at_most'"]),
    ("  a: {", "  a/b: {", ["becomes a folder"]),
    ("name: tiny", "title: tiny", ["'name' is missing"]),
    ("version: 1", "version: 1\ntarget: {gender: {feminine: 0.7, masculine: 0.7}}", ["add up to 1.4"]),
    ("version: 1", "version: 1\ntarget: {gender: {feminine: 1.0}}", ["a share for each of feminine, masculine"]),
    ("version: 1", "version: 1\ninstruments: {classifer: x}", ["did you mean 'classifier'"]),
])  # fmt: skip
def test_a_mistake_is_named_with_its_place_and_the_nearest_valid_word(written, old, new, words):
    with pytest.raises(SpecError) as caught:
        load_spec(written(GOOD.replace(old, new, 1)))
    for word in words:
        assert word in str(caught.value)


def test_text_that_is_not_yaml_says_where(written):
    with pytest.raises(SpecError, match="not YAML at line 2"):
        load_spec(written("name: x\n  bad: [1,\n"))


def test_a_list_is_not_a_spec(written):
    with pytest.raises(SpecError, match="holds a list"):
        load_spec(written("- 1\n"))


def test_an_unknown_name_offers_the_shipped_ones():
    with pytest.raises(SpecError, match="did you mean 'embedded'"):
        load_spec("embeded")


def test_changes_come_on_top(written):
    spec = load_spec(written(GOOD), {"samples": 5, "generators.a.population": "professors"})
    assert (spec.samples, spec.generators["a"].population) == (5, "professors")


@pytest.mark.parametrize("name", ["embedded", "smoke"])
def test_shipped_specs_are_valid(name):
    assert load_spec(name).generators


def test_the_spec_survives_its_own_yaml(tmp_path):
    path = tmp_path / "again.yaml"
    spec = load_spec("embedded")
    path.write_text(yaml.safe_dump(spec.model_dump(mode="json", exclude_none=True)))
    assert load_spec(str(path)) == spec
