"""The paired audit: what was planted is found, the identity is exact, controls stand beside, bad input is told in a sentence."""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import audit
from audit.cli import main
from audit.errors import GenbiasError
from audit.maps.auditing import as_map
from audit.metrics.multiplicity import holm
from audit.spec import Spec

BASE = {"source": "portraits", "population": "balanced"}
N = 60


def paint_lips_and_lighten(images):
    """A map of a user: the upper half lighter by a fixed amount."""
    changed = images.clone().int()
    changed[:, :, :40] += 12
    return changed.clamp(0, 255).to(torch.uint8)


@pytest.fixture(scope="module")
def spec():
    mapped = {"source": "mapped", "base": BASE, "compare_to": "before"}
    return Spec.model_validate({
        "name": "maps", "samples": N, "attributes": ["gender", "skin_tone"], "gallery": 6, "seed": 3,
        "instruments": {"classifier": "portraits_a", "skin_tone": "monk", "identity": "portraits"},
        "generators": {"before": {**BASE, "baseline": True, "title": "Before"},
                       "lighten": {**mapped, "map": {"filter": "lighten", "amount": 2}},
                       "warm": {**mapped, "map": {"filter": "warm", "amount": -6}},
                       "identity": {**mapped, "map": {"filter": "identity"}},
                       "jitter": {**mapped, "map": {"filter": "jitter", "amount": 4}},
                       "blur": {**mapped, "map": {"filter": "blur", "amount": 1}}},
        "study": {"kind": "paired_map"}})  # fmt: skip


@pytest.fixture(scope="module")
def result(spec, tmp_path_factory):
    return audit.run(spec, out=tmp_path_factory.mktemp("maps") / "run", device="cpu")


def found(result, name):
    return next(m for m in result.study["maps"] if m["generator"] == name)


def change(result, name, quantity, by="all", stratum=None):
    rows = [r for r in found(result, name)["changes"] if (r["quantity"], r["by"]) == (quantity, by) and stratum in (None, r["stratum"])]
    assert rows, (name, quantity, by)
    return rows[0]


def test_planted_changes_are_found_with_their_sign_and_size(result):
    lighter = change(result, "lighten", "L", "unclipped")
    assert lighter["value"] == pytest.approx(2, abs=0.1) and lighter["low"] > 1.8
    assert change(result, "lighten", "ita")["value"] > 0
    turned = change(result, "warm", "hue", "true_tone", "medium")
    assert turned["value"] == pytest.approx(-6, abs=0.5) and turned["high"] < -5
    assert abs(change(result, "warm", "L")["value"]) < 0.1
    assert change(result, "lighten", "background_L")["value"] == pytest.approx(2, abs=0.1)
    assert found(result, "lighten")["size"] == pytest.approx(2, abs=0.1)


def test_the_identity_changes_nothing_at_all(result):
    still = found(result, "identity")
    assert still["exact"] and still["control"] == "identity" and still["size"] == 0
    assert all(r["value"] == r["low"] == r["high"] == 0 for r in still["changes"] if r["value"] is not None)
    assert all(f["p_value"] == 1 and not any(f["gained"]) for f in still["flips"])
    assert still["identity"]["similarity"]["value"] == pytest.approx(1) and still["identity"]["lost"]["value"] == 0
    assert not found(result, "lighten")["exact"] and not found(result, "jitter")["exact"]


def test_the_jitter_is_as_large_as_asked_and_has_no_direction(result):
    assert found(result, "jitter")["size"] == pytest.approx(4, rel=0.2)
    chance = change(result, "jitter", "L")
    assert chance["low"] < 0 < chance["high"]


def test_strata_hold_all_pairs_and_the_true_tone_is_known(result):
    for by, names in (("true_tone", ("light", "medium", "dark")), ("input_tone", ("light", "medium", "dark")), ("true_gender", ("feminine", "masculine")),
                      ("input_L", ("darkest third", "middle third", "lightest third"))):  # fmt: skip
        assert sum(change(result, "lighten", "L", by, name)["n"] for name in names) == N
    assert "simultaneous over 3 strata" in change(result, "lighten", "L", "true_tone", "dark")["method"]


def test_a_map_is_held_against_its_controls_pair_by_pair(result):
    beyond = change(result, "lighten", "L", "beyond_blur")
    assert beyond["value"] == pytest.approx(change(result, "lighten", "L")["value"] - change(result, "blur", "L")["value"], abs=1e-6)
    flip = next(f for f in found(result, "lighten")["flips"] if f["attribute"] == "gender")
    assert set(flip["beyond"]) == {"jitter", "blur"}
    assert not next(f for f in found(result, "jitter")["flips"])["beyond"]


def test_labels_are_counted_by_true_class_and_p_values_adjusted_over_attributes(result):
    flips = found(result, "blur")["flips"]
    assert {(f["attribute"], f["reader"]) for f in flips} == {("gender", "classifier"), ("skin_tone", "classifier"), ("skin_tone", "skin_tone")}
    assert np.array(flips[0]["by_truth"]["before"]).sum() == N
    pairs = []
    for m in result.study["maps"]:
        ours = [f for f in m["flips"] if f["reader"] == "classifier"]
        assert [f["p_adjusted"] for f in ours] == holm([f["p_value"] for f in ours])
        pairs += [(f["p_value"], f["p_adjusted"]) for f in ours]
    assert any(p < adjusted for p, adjusted in pairs)


def test_what_was_clipped_is_counted_by_tone(result):
    rows = {r["stratum"]: r for r in found(result, "lighten")["saturation"]}
    assert rows["light"]["pixels"] > 0.02 and rows["dark"]["pixels"] == 0


def test_the_study_is_plain_json_and_holds_strips_of_the_first_ids(result):
    text = json.dumps(result.study, allow_nan=False)
    strips = json.loads(text)["strips"]
    assert [s["generator"] for s in strips] == ["before", "lighten", "warm", "identity", "jitter", "blur"]
    assert strips[0]["ids"] == list(range(6)) and strips[0]["picture"].startswith("data:image/jpeg;base64,")
    assert strips[0]["picture"] == strips[3]["picture"] != strips[1]["picture"]


@pytest.mark.slow
def test_the_same_call_resumes_and_says_the_same(spec, result):
    again = audit.run(spec, out=result.path, device="cpu")
    assert json.dumps(again.study, sort_keys=True) == json.dumps(result.study, sort_keys=True)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    from audit.portraits import draw, population
    from audit.seeds import image_seeds

    place, seeds = tmp_path_factory.mktemp("folders"), image_seeds(9, np.arange(16))
    images = draw(population("balanced").for_seeds(seeds), seeds)
    for side, shown in (("before", images), ("after", paint_lips_and_lighten(images))):
        (place / side).mkdir()
        for i, image in enumerate(shown):
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(place / side / f"{i:03d}.png")
    return place


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr("audit.sources.mapped.pilot.__defaults__", (8,))


def test_two_folders_are_audited_by_the_command(folders, tmp_path):
    done = CliRunner().invoke(main, ["audit", "--before", str(folders / "before"), "--after", str(folders / "after"), "--faces", "aligned",
                                     "--out", str(tmp_path / "run"), "--json"])  # fmt: skip
    assert done.exit_code == 0, done.output
    study = audit.load_result(tmp_path / "run").study
    assert [m["control"] for m in study["maps"]] == [None, "identity", "jitter", "blur"]
    assert study["maps"][0]["pairs"] == 16 and study["maps"][1]["exact"]
    lighter = next(r for r in study["maps"][0]["changes"] if (r["quantity"], r["by"]) == ("L", "all"))
    assert lighter["low"] > 2
    assert study["maps"][2]["map"]["amount"] == pytest.approx(study["maps"][0]["size"], rel=0.4)


def test_a_function_is_audited_from_python(folders, tmp_path):
    result = audit.audit_map(folders / "before", paint_lips_and_lighten, out=tmp_path / "run", faces="aligned", samples=4, device="cpu")
    assert result.study["maps"][0]["pairs"] == 4
    assert result.study["maps"][0]["title"].endswith("paint_lips_and_lighten")


@pytest.mark.parametrize(("words", "mapping"), [
    ("lighten:3", {"filter": "lighten", "amount": 3.0}), ("identity", {"filter": "identity"}), ("portraits/x", {"weights": "portraits/x"}),
    ("g.safetensors", {"weights": "g.safetensors"}), ("a.b:c", {"call": "a.b:c"}), ({"call": "x:y"}, {"call": "x:y"})])  # fmt: skip
def test_words_stand_for_maps(words, mapping):
    assert as_map(words) == mapping


@pytest.mark.parametrize(("options", "said"), [
    (["--after", "x"], "--after needs --before"), (["--map", "lighten:3"], "--map needs --before"), (["--before", "."], "found neither"),
    (["--before", ".", "--after", ".", "--map", "blur:1"], "found both"), (["--before", ".", "--after", "no_such"], "nothing at no_such"),
    (["--before", ".", "--map", "lighten:much"], "is no number"), (["--before", ".", "--map", "gloss"], "there is no map 'gloss'"),
    (["x", "--before", ".", "--map", "blur:1"], "IMAGES does not go"), (["--before", ".", "--map", "blur:1", "--target", "uniform"], "--target does not go"),
    ([], "give IMAGES"), (["x", "--identity", "portraits"], "--identity is for --before")])  # fmt: skip
def test_options_that_do_not_go_together_are_told(options, said, tmp_path):
    done = CliRunner().invoke(main, ["audit", *options, "--out", str(tmp_path / "run")])
    assert done.exit_code == 2
    assert said in done.output
    assert not (tmp_path / "run").exists()


def test_unequal_folders_stop_before_anything_is_written(folders, tmp_path):
    (tmp_path / "after").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "after" / "z.png")
    with pytest.raises(GenbiasError, match="16 have no image after"):
        audit.audit_map(folders / "before", tmp_path / "after", out=tmp_path / "run", faces="aligned")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("generators", "said"), [
    ({"a": BASE}, "needs generators of source 'mapped'"),
    ({"a": {"source": "mapped", "base": BASE, "map": {"filter": "identity"}}}, "compared to nothing"),
    ({"b": {**BASE, "population": "professors"}, "a": {"source": "mapped", "base": BASE, "map": {"filter": "identity"}, "compare_to": "b"}},
     "does not draw the images of its base")])  # fmt: skip
def test_a_study_without_pairs_is_refused(generators, said, tmp_path):
    spec = Spec.model_validate({"name": "x", "samples": 4, "attributes": ["skin_tone"], "instruments": {"skin_tone": "monk"}, "gallery": 0,
                                "generators": generators, "study": {"kind": "paired_map"}})  # fmt: skip
    with pytest.raises(GenbiasError, match=said):
        audit.run(spec, out=tmp_path / "run", device="cpu")
