"""The whole study on the toy world: what was planted is found with the right size."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from audit.errors import SpecError
from audit.seeds import image_seeds
from audit.study import carry_out_study
from mitigations.editing import sampler
from mitigations.editing.fits import Fit, Settings
from mitigations.editing.linear import Line
from mitigations.editing.readings import edits_of

SLOPE = 2.0  # of the toy's scores


def _step(**parts):
    axes = {"smile": 0, "gender": 1, "age": 2, "skin_tone": 3, "who": 5}
    step = np.zeros(8)
    for name, size in parts.items():
        step[axes[name]] = size
    return step


@pytest.fixture(scope="session")
def planted(toy, tmp_path_factory):
    """Return a function: an edit of the toy by a known step, at a strength, as a source."""

    def make(step, strength, by="conditional", attribute="smile"):
        fit = Fit(toy.digest, Settings(), {by: {attribute: Line(step)}}, {}, 0.0)
        path = tmp_path_factory.mktemp("fit") / "fit.npz"
        fit.save(path)
        return sampler(toy, by=by, attribute=attribute, strength=strength, fit=str(path))

    return make


@pytest.fixture(scope="module")
def found(toy, planted, carried_out):
    """A pure edit called self-conditioned, one that drags gender along, one that changes who it is, and one that does nothing."""
    steps = {"self_conditioned": _step(smile=0.6), "interfacegan": _step(smile=0.6, gender=0.5), "ganspace": _step(smile=0.6, who=0.8),
             "learned": _step(smile=0.0)}  # fmt: skip
    sources, edits = {"plain": toy}, {}
    for by, step in steps.items():
        for s in (0.5, 1, 2):
            sources[f"{by}_{s}"] = planted(step, s)
            edits[f"{by}_{s}"] = (by, "smile", s, "plain")
    (one,) = carried_out(sources, edits)["edits"]
    return one | {"by": {c["by"]: c for c in one["curves"]}}


def _expected_change(shift):
    score = lambda w: 1 / (1 + np.exp(-SLOPE * w))  # noqa: E731
    return quad(lambda w: (score(w + shift) - score(w)) * norm.pdf(w), -8, 8)[0]


def test_the_attribute_is_reached_as_planted(found):
    assert (found["attribute"], found["towards"], found["side"], found["n"]) == ("smile", "smiling", 1, 300)
    for by in ("self_conditioned", "interfacegan", "ganspace"):
        points = found["by"][by]["points"]
        assert [p["strength"] for p in points] == [0, 0.5, 1, 2]
        for point in points[1:]:
            wanted = _expected_change(0.6 * point["strength"])
            # the curves share ids, so four standard errors of one mean are allowed
            assert abs(point["change"]["value"] - wanted) < 2 * (point["change"]["high"] - point["change"]["low"])
            labelled = point["labelled"]
            assert labelled["after"] - labelled["before"] == pytest.approx(labelled["value"])
            flipped = norm.cdf(0.6 * point["strength"]) - 0.5
            assert labelled["low"] <= flipped + 0.02 and flipped - 0.02 <= labelled["high"]


def test_an_edit_that_does_nothing_changes_nothing_and_keeps_everybody(found):
    nothing = found["by"]["learned"]
    for point in nothing["points"][1:]:
        assert point["change"]["value"] == 0 and point["identity"]["value"] == pytest.approx(1, abs=1e-6)
        assert point["labelled"]["value"] == 0 and all(d["value"] == 0 for d in point["drift"].values())
    assert nothing["equal"]["change"] == [0.0]


def test_a_planted_entangled_direction_drifts_with_the_right_size_and_the_others_do_not(found):
    """Labels of gender flip where w lies within the shift below 0: a share of Phi(shift) - 1/2."""
    for point in found["by"]["interfacegan"]["points"][1:]:
        wanted = norm.cdf(0.5 * point["strength"]) - 0.5
        drift = point["drift"]
        assert drift["gender"]["low"] <= wanted <= drift["gender"]["high"]
        assert drift["age"]["value"] == drift["skin_tone"]["value"] == 0
        assert point["drift_mean"]["value"] == pytest.approx(drift["gender"]["value"] / 3)
    for point in found["by"]["self_conditioned"]["points"][1:]:
        assert all(d["value"] == 0 for d in point["drift"].values())


def test_identity_is_lost_only_where_the_edit_changes_who_it_is(found, toy):
    assert all(p["identity"]["value"] > 0.9999 for p in found["by"]["self_conditioned"]["points"])
    w = toy.latents(image_seeds(1, np.arange(300)))
    before = np.concatenate([w[:, 5:], np.ones((300, 1))], axis=1)
    for point in found["by"]["ganspace"]["points"][1:]:
        after = before + np.array([0.8 * point["strength"], 0, 0, 0])
        cosine = (before * after).sum(axis=1) / np.linalg.norm(before, axis=1) / np.linalg.norm(after, axis=1)
        assert point["identity"]["value"] == pytest.approx(cosine.mean(), abs=2e-3)
        assert found["by"]["ganspace"]["strangers"] < point["identity"]["value"] < 1


def test_the_claim_holds_against_the_edit_that_changes_people_and_does_nothing_say_of_the_one_without_reach(found):
    claim = found["claim"]
    rivals = {r["by"]: r for r in claim["rivals"]}
    assert rivals["ganspace"]["low"] > 0 and rivals["learned"]["difference"] is None and "surely reaches" in rivals["learned"]["reason"]
    assert rivals["ganspace"]["high_change"] == pytest.approx(_expected_change(1.2), abs=0.05)


def test_the_band_at_equal_change_agrees_with_the_points(found):
    equal, points = found["by"]["ganspace"]["equal"], found["by"]["ganspace"]["points"]
    for point in points[:3]:  # the last strength's change is only just not surely reached
        assert np.interp(point["change"]["value"], equal["change"], equal["identity"]) == pytest.approx(
            point["identity"]["value"], abs=0.02
        )


def test_both_directions_are_rows_of_their_own_and_share_the_level(toy, planted, carried_out):
    sources, edits = {"plain": toy}, {}
    for s in (-1, 1):
        sources[f"c{s}"] = planted(_step(smile=0.6), s)
        edits[f"c{s}"] = ("conditional", "smile", s, "plain")
    found = carried_out(sources, edits, samples=80)
    assert [(e["side"], e["towards"]) for e in found["edits"]] == [(-1, "neutral"), (1, "smiling")] and found["claims"] == 2
    assert all(e["curves"][0]["points"][1]["change"]["value"] > 0.1 for e in found["edits"]), "change is counted towards the class"
    assert all(e["claim"]["level"] == pytest.approx(0.975) for e in found["edits"])


def test_strengths_that_leave_the_latent_space_are_flagged_and_not_refused(toy, planted, carried_out):
    sources, edits = {"plain": toy}, {}
    for s in (0.5, 30):
        sources[f"c{s}"] = planted(_step(smile=0.6), s)
        edits[f"c{s}"] = ("conditional", "smile", s, "plain")
    (one,) = carried_out(sources, edits, samples=120)["edits"]
    _, near, far = one["curves"][0]["points"]
    assert not near["outside"]["flagged"] and far["outside"]["flagged"] and far["outside"]["value"] == 1


def test_strips_are_the_first_ids_of_the_gallery_and_absent_without_one(toy, planted, carried_out):
    sources, edits = {"plain": toy, "c": planted(_step(smile=0.6), 1)}, {"c": ("conditional", "smile", 1, "plain")}
    (one,) = carried_out(sources, edits, samples=40, gallery=3)["edits"]
    assert one["curves"][0]["strip"].startswith("data:image/jpeg;base64,") and one["curves"][0]["ids"] == [0, 1]


def test_without_a_gallery_there_are_no_strips(toy, planted, carried_out):
    sources, edits = {"plain": toy, "c": planted(_step(smile=0.6), 1)}, {"c": ("conditional", "smile", 1, "plain")}
    assert carried_out(sources, edits, samples=40)["edits"][0]["curves"][0]["strip"] is None


def test_ids_that_one_edit_could_not_be_read_at_are_left_out_of_all(toy, planted, carried_out, monkeypatch):
    sources = {"plain": toy, "a": planted(_step(smile=0.6), 1), "b": planted(_step(smile=0.6), 2)}
    edits = {name: ("conditional", "smile", s, "plain") for name, s in (("a", 1), ("b", 2))}
    draw = sources["b"].draw

    def holed(ids, seeds):
        batch = draw(ids, seeds)
        for at in np.flatnonzero(ids % 10 == 0):
            batch.status[at] = "not finite"
        return batch

    monkeypatch.setattr(sources["b"], "draw", holed)
    (one,) = carried_out(sources, edits, samples=100)["edits"]
    assert one["n"] == 90
    assert all(
        np.isfinite([p["change"]["value"], p["identity"]["value"], p["drift"]["gender"]["value"]]).all()
        for p in one["curves"][0]["points"][1:]
    )


class _Spec:
    def __init__(self, **generators):
        self.attributes = ["smile"]
        self.generators = {k: _Generator(*v) for k, v in generators.items()}


class _Generator:
    def __init__(self, sampler, compare_to):
        self.sampler, self.compare_to = sampler, compare_to


def test_bad_specs_are_refused_with_a_sentence():
    edit = {"method": "edit", "by": "conditional", "attribute": "smile", "strength": 1}
    with pytest.raises(SpecError, match="no generator has `sampler"):
        edits_of(_Spec(a=({"method": "magnet"}, None), b=(None, None)))
    with pytest.raises(SpecError, match=r"generators\.a: an edit is held against the same people unedited; add `compare_to"):
        edits_of(_Spec(a=(edit, None)))
    with pytest.raises(SpecError, match="edits 'age', which this audit does not read"):
        edits_of(_Spec(a=({**edit, "attribute": "age"}, "b"), b=(None, None)))
    assert [e.name for e in edits_of(_Spec(a=(edit, "b"), b=({**edit, "strength": 0}, None)))] == ["a"]


def test_one_kind_needs_one_unedited_generator(toy, planted, carried_out):
    sources = {"plain": toy, "other": planted(_step(age=1.0), 1), "a": planted(_step(smile=0.6), 1), "b": planted(_step(smile=0.6), 2)}
    edits = {"a": ("conditional", "smile", 1, "plain"), "b": ("conditional", "smile", 2, "other")}
    with pytest.raises(SpecError, match="compared to 2 generators"):
        carried_out(sources, edits, samples=20)


def test_an_unknown_option_of_the_study_is_named():
    with pytest.raises(SpecError, match="editing takes no such option"):
        carry_out_study({"kind": "editing", "colour": 3}, None)
