"""Whatever is in a spec, a table, an image or a weights file: it is read, or refused in a sentence; never another exception."""

import contextlib
import copy
import random

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.errors import GenbiasError, ManifestError, SpecError
from audit.generators.weights import kind_of, names_in, read_weights
from audit.label_audits import audit_labels
from audit.labelled.tables import read_table
from audit.sources.base import OK
from audit.sources.decode import decode
from audit.spec import Spec, load_spec
from tests.fuzz.mutations import misfitted, mutated

lucky = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
seeds = st.integers(0, 2**32).map(random.Random)


def loads_or_says_why(text, path):
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    try:
        found = load_spec(str(path))
    except SpecError as problem:
        found = str(problem)
    assert isinstance(found, Spec) or ("\n" not in found and len(found) > len(str(path)) + 10)
    return isinstance(found, Spec)


@lucky
@given(luck=seeds)
def test_a_misfitted_spec_is_valid_or_refused(luck, spec_trees, tmp_path):
    tree = misfitted(copy.deepcopy(luck.choice(list(spec_trees.values()))), luck)
    loads_or_says_why(yaml.safe_dump(tree, allow_unicode=True), tmp_path / "spec.yaml")


@lucky
@given(luck=seeds)
def test_a_spec_with_bytes_put_wrong_is_valid_or_refused(luck, spec_texts, tmp_path):
    loads_or_says_why(mutated(luck.choice(list(spec_texts.values())).encode(), luck), tmp_path / "spec.yaml")


@lucky
@given(text=st.text(max_size=80))
def test_any_text_as_a_spec_is_refused(text, tmp_path):
    assert not loads_or_says_why(text, tmp_path / "spec.yaml")


@pytest.mark.parametrize("text", [b"name: \x80", "\x1f", "seed: 2024-13-45", "[" * 3000, "seed: " + "9" * 5000, "? [a]\n: 1"],
                         ids=["not UTF-8", "control character", "no such date", "nested", "too long a number", "list as a key"])
def test_what_was_found_by_mutation_is_refused_in_one_line(text, tmp_path):
    assert not loads_or_says_why(text, tmp_path / "spec.yaml")


def test_the_shipped_specs_pass_the_same_gate(spec_texts, tmp_path):
    assert all(loads_or_says_why(text, tmp_path / name) for name, text in spec_texts.items() if "attribute_sets" not in text)


cell = st.one_of(st.none(), st.booleans(), st.integers(-3, 10**12), st.floats(), st.text(max_size=4),
                 st.sampled_from(["feminine", "masculine", "", "nan", "light", "1e400"]))  # fmt: skip
columns = st.sampled_from(["gender", "smile", "skin_tone", "gender:feminine", "gender:masculine", "generator", "id", "unit", "group", "", "a:b", "other"])


@lucky
@given(data=st.data())
def test_any_table_of_labels_is_audited_or_refused(data):
    names = data.draw(st.lists(columns, min_size=1, max_size=4))
    n = data.draw(st.integers(0, 5))
    frame = pd.DataFrame({name: pd.Series(data.draw(st.lists(cell, min_size=n, max_size=n)), dtype=object) for name in names})
    with contextlib.suppress(GenbiasError):  # anything else fails
        assert audit_labels(frame).measures


@lucky
@given(luck=seeds)
def test_a_csv_with_bytes_put_wrong_is_read_or_refused(luck, tmp_path):
    text = b"id,generator,gender,smile:smiling,smile:not smiling\n" + b"".join(b"%d,a,feminine,0.25,0.75\n" % i for i in range(6))
    (tmp_path / "labels.csv").write_bytes(mutated(text, luck))
    with contextlib.suppress(GenbiasError):  # anything else fails
        assert audit_labels(read_table(tmp_path / "labels.csv")).measures


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(luck=seeds)
def test_an_image_with_bytes_put_wrong_is_pixels_or_a_status(luck, pictures):
    found = decode(mutated(luck.choice(list(pictures.values())), luck))
    assert found.image.ndim == 3
    assert found.image.shape[0] == 3
    assert found.status == OK or found.status.startswith("unreadable: ")


def test_pictures_as_they_are_can_be_read(pictures):
    assert {decode(data).status for data in pictures.values()} == {OK}


@lucky
@given(luck=seeds)
def test_weights_with_bytes_put_wrong_are_read_or_refused(luck, weights, tmp_path):
    path = tmp_path / "w.safetensors"
    head = 8 + int.from_bytes(weights[:8], "little")
    path.write_bytes(mutated(weights[:head], luck) + weights[head:] if luck.random() < 0.8 else mutated(weights, luck))
    assert isinstance(names_in(path), list)
    kind_of(path)
    try:
        kind, network, tensors = read_weights(path)
    except ManifestError:
        return
    assert isinstance(kind, str)
    assert isinstance(network, dict)
    assert all(np.ndim(t) >= 0 for t in tensors.values())


def test_weights_as_they_are_can_be_read(weights, tmp_path):
    (tmp_path / "w.safetensors").write_bytes(weights)
    assert read_weights(tmp_path / "w.safetensors")[:2] == ("dcgan", {"z_dim": 8, "channels": 4})


@pytest.mark.parametrize("seed", range(3))
def test_mutations_change_something_and_repeat(seed, pictures):
    one, two = (mutated(pictures["PNG"], random.Random(seed)) for _ in range(2))
    assert one == two != pictures["PNG"]
