from dataclasses import replace

import numpy as np
import pytest
import torch

from audit.attributes import ATTRIBUTES
from audit.errors import SourceError, SpecError
from mitigations.editing.codes import ScoredCodes, own_codes
from mitigations.editing.fits import Settings, cached_fit, load_fit, make_fit, settings_of
from mitigations.editing.linear import DEVIATIONS, Line, component_lines, conditional_line, hyperplane_lines, moved, scaled
from mitigations.self_conditioning.directions import expected_index

AXES = {"smile": 0, "gender": 1, "age": 2, "skin_tone": 3}


def _cosine(step, at):
    return float(step[at] / np.linalg.norm(step))


@pytest.fixture
def fit(toy, rater, settings):
    return make_fit(toy, rater, settings)


def test_planted_directions_are_recovered(fit):
    for by in ("interfacegan", "conditional"):
        for attribute, line in fit.lines[by].items():
            assert _cosine(line.step, AXES[attribute]) > 0.97, (by, attribute)
            assert np.linalg.norm(line.step) == pytest.approx(DEVIATIONS, rel=0.1)  # w has unit spread


@pytest.mark.parametrize("sign", [1, -1])
def test_the_component_that_moves_an_attribute_most_is_chosen_with_its_sign(toy, rater, settings, monkeypatch, sign):
    """Of all eight components the one nearest to the attribute's axis moves it most, whichever way the eigenvectors come out."""
    eigh = np.linalg.eigh
    monkeypatch.setattr(np.linalg, "eigh", lambda matrix: (eigh(matrix)[0], sign * eigh(matrix)[1]))
    codes = own_codes(toy, settings.codes, seed=0)[:, 0].numpy()
    lines = component_lines(toy, rater, codes, settings.attributes, components=8, images=24, seed=0)
    vectors = eigh(np.cov(codes.T))[1]
    for attribute, line in lines.items():
        assert _cosine(line.step, AXES[attribute]) == pytest.approx(np.abs(vectors[AXES[attribute]]).max(), abs=0.02)
        assert "in layers 1 to" in line.note


def test_conditional_moves_are_parallel_to_the_other_hyperplanes():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(500, 6))
    lines = {a: Line(rng.normal(size=6)) for a in ("a", "b", "c")}
    found = conditional_line("a", lines, codes)
    assert abs(found.step @ lines["b"].step) < 1e-9 and abs(found.step @ lines["c"].step) < 1e-9 and found.step @ lines["a"].step > 0
    pair = conditional_line("a", {k: lines[k] for k in "ab"}, codes)
    n1, n2 = (lines[k].step / np.linalg.norm(lines[k].step) for k in "ab")
    paper = n1 - (n1 @ n2) * n2
    assert pair.step / np.linalg.norm(pair.step) == pytest.approx(paper / np.linalg.norm(paper))


def test_nothing_is_left_where_two_hyperplanes_are_one():
    step = np.array([1.0, 0.0])
    found = conditional_line("a", {"a": Line(step), "b": Line(2 * step)}, np.eye(2))
    assert not found.step.any() and "nothing is left" in found.note


def test_a_move_touches_its_layers_only():
    ws = torch.zeros(3, 5, 2)
    found = moved(ws, Line(np.array([1.0, -1.0]), (1, 3)), 2.0)
    assert found[:, 1:3].eq(torch.tensor([2.0, -2.0])).all() and not found[:, [0, 3, 4]].any()
    assert not ws.any()


def test_strength_one_is_two_standard_deviations():
    rng = np.random.default_rng(1)
    codes = rng.normal(size=(20_000, 3)) * [1.0, 5.0, 0.2]
    assert np.linalg.norm(scaled(np.array([0.0, 7.0, 0.0]), codes)) == pytest.approx(10.0, rel=0.02)


def test_an_attribute_without_both_classes_is_named():
    rng = np.random.default_rng(0)
    scores = np.tile([0.9, 0.1], (50, 1))
    with pytest.raises(SourceError, match="all 50 codes are labelled 'neutral' in smile"):
        hyperplane_lines(ScoredCodes(rng.normal(size=(50, 4)), {"smile": scores}), {"smile": ATTRIBUTES["smile"].classes}, share=0.1, at_least=5,
                         c=0.01, rng=rng)  # fmt: skip


def test_an_attribute_nobody_reads_is_refused(toy, rater, settings):
    with pytest.raises(SourceError, match="does not read 'cifar10'"):
        make_fit(toy, rater, replace(settings, attributes=("cifar10",)))


def test_a_fit_is_the_same_from_disk_and_another_file_is_refused(toy, rater, settings, tmp_path):
    fit = make_fit(toy, rater, replace(settings, steps=3))
    fit.save(tmp_path / "fit.npz")
    again = load_fit(tmp_path / "fit.npz")
    assert again.digest == fit.digest and again.settings == fit.settings
    for by, lines in fit.lines.items():
        for a, line in lines.items():
            assert (again.lines[by][a].step == line.step).all() and again.lines[by][a].layers == line.layers
    w = torch.randn(4, 8)
    for a, bend in fit.bends.items():
        assert (again.bends[a](w, torch.ones(4, 1)) == bend(w, torch.ones(4, 1))).all()
    (tmp_path / "half.npz").write_bytes((tmp_path / "fit.npz").read_bytes()[:900])
    np.savez(tmp_path / "other.npz", about=np.array("{}"))
    for name in ("half.npz", "other.npz", "absent.npz"):
        with pytest.raises(SourceError, match=r"holds no edits .*genbias mitigate editing"):
            load_fit(tmp_path / name)


def test_a_fit_is_made_once_for_a_generator(toy, rater, settings, monkeypatch):
    calls = []
    monkeypatch.setattr("mitigations.editing.fits.Rater", lambda *a, **k: calls.append(1) or rater)
    first, again = cached_fit(toy, settings), cached_fit(toy, settings)
    assert first.digest == again.digest and len(calls) == 2
    monkeypatch.setattr("mitigations.editing.fits.make_fit", lambda *a: pytest.fail("made again"))
    assert cached_fit(toy, settings).digest == first.digest


@pytest.mark.parametrize(("given", "said"), [({"stepz": 3}, "no option 'stepz'"), ({"codes": 0}, "codes is 0"), ({"codes": True}, "codes is True"),
                                             ({"share": -0.1}, "share is -0.1"), ({"attributes": ["mood"]}, "mood"), ({"attributes": []}, "attributes are")])  # fmt: skip
def test_a_wrong_setting_is_named(given, said):
    with pytest.raises(SpecError, match=said.replace("[", r"\[")):
        settings_of(given)


def test_settings_without_words_are_the_defaults():
    assert settings_of({}) == Settings()


def test_scores_of_three_classes_run_from_the_first_to_the_last(toy, rater):
    from mitigations.editing.codes import score_codes

    scored = score_codes(toy, rater, 200, seed=3)
    assert np.corrcoef(expected_index(scored.scores["age"]), scored.codes[:, AXES["age"]])[0, 1] > 0.9
