"""One entry of a spec that stands for a grid, and studies that answer a spec's question."""

import pytest

from audit.errors import SpecError
from audit.spec import load_spec
from audit.study import carry_out_study, find_study
from audit.sweeps import expand_sweeps


def test_a_grid_is_the_product_in_order_with_texts_filled_and_numbers_kept():
    grid = {"g": {"sweep": {"share": ["50", "05"], "psi": [1, 0.5]}, "weights": "p/{share}", "truncation_psi": "{psi}", "sampler": {"a": ["{psi}x"]}}}
    out = expand_sweeps(grid)
    assert list(out) == ["g_50_1", "g_50_0.5", "g_05_1", "g_05_0.5"]
    assert out["g_05_0.5"] == {"weights": "p/05", "truncation_psi": 0.5, "sampler": {"a": ["0.5x"]}}


def test_entries_without_a_sweep_are_left_alone_and_keep_their_place():
    out = expand_sweeps({"a": {"source": "x"}, "b": {"sweep": {"i": [1]}, "name": "{entry}-{i}"}, "c": {"source": "{not a slot"}})
    assert list(out) == ["a", "b-1", "c"]


@pytest.mark.parametrize(("generators", "said"), [
    ({"g": {"sweep": {"i": 3}}}, "expected lists of values by key"),
    ({"g": {"sweep": {}}}, "expected lists of values by key"),
    ({"g": {"sweep": {"i": []}}}, "expected lists of values by key"),
    ({"g": {"sweep": {"i": [1]}, "weights": "{j}"}}, r"asks for \{j\}, which is not swept"),
    ({"g": {"sweep": {"i": [1, 2]}, "name": "same"}}, "two generators would be called 'same'"),
    ({"g_1": {"source": "x"}, "g": {"sweep": {"i": [1]}}}, "two generators would be called 'g_1'"),
])  # fmt: skip
def test_a_sweep_that_cannot_be_meant_is_one_sentence(generators, said):
    with pytest.raises(SpecError, match=said):
        expand_sweeps(generators)


def test_a_spec_file_is_read_with_its_sweeps_expanded(tmp_path):
    file = tmp_path / "s.yaml"
    file.write_text("name: s\ngenerators:\n  p:\n    sweep: {share: ['0.5', '0.05']}\n    source: portraits\n    population: professors:{share}\n    size: 32\n")
    spec = load_spec(str(file))
    assert [g.population for g in spec.generators.values()] == ["professors:0.5", "professors:0.05"]


def test_an_unknown_study_names_those_there_are():
    with pytest.raises(SpecError, match=r"no study .amplifikation.; there are: .*amplification"):
        find_study({"kind": "amplifikation"})


def test_a_study_option_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr("audit.study.find_study", lambda study: lambda context, *, depth=1: {"depth": depth})
    assert carry_out_study({"kind": "k", "depth": 3}, None) == {"kind": "k", "depth": 3}
    with pytest.raises(SpecError, match=r"takes no such option: .height."):
        carry_out_study({"kind": "k", "height": 3}, None)
