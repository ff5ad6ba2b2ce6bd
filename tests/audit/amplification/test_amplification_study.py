"""The study of amplification on generators whose truth is known: the renderer drawing from another population than it was trained on."""

import pytest

import audit
from audit.amplification.study import training_arms
from audit.errors import SpecError
from audit.spec import Spec

ATTRIBUTES = ["gender", "skin_tone"]


def spec(generators, **study):
    return {"name": "planted", "seed": 3, "samples": 700, "gallery": 0, "attributes": ATTRIBUTES,
            "instruments": {"classifier": "portraits_a", "second_rater": "portraits_b"},
            "study": {"kind": "amplification", "minority": {"gender": "feminine"}, **study}, "generators": generators}  # fmt: skip


def drawn(share, trained, title):
    return {"source": "portraits", "population": f"professors:{share}", "size": 16, "trained_on": f"professors:{trained}", "title": title}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    arm = {"source": "portraits", "population": "professors:0.3", "size": 16}
    generators = {
        "data": arm,
        "shrunk_a": drawn(0.16, 0.3, "Shrinks"),
        "shrunk_b": drawn(0.18, 0.3, "Shrinks"),
        "grown_a": drawn(0.42, 0.3, "Grows"),
        "grown_b": drawn(0.44, 0.3, "Grows"),
        "copied_a": drawn(0.299, 0.3, "Copies"),
        "copied_b": drawn(0.301, 0.3, "Copies"),
        "untold": drawn(0.1, 0.2, "No data arm"),
        "control": {"source": "mapped", "base": arm, "map": {"filter": "blur", "amount": 0.5}, "trained_on": "professors:0.3", "family": "Blurred"},
    }
    return audit.run(Spec.model_validate(spec(generators, training_images=10_000)), out=tmp_path_factory.mktemp("run") / "r").study


def rows(found, name, reader="classifier, corrected"):
    return next(r for r in found["rows"] if (r["generator"], r["reader"]) == (name, reader))


@pytest.mark.parametrize(("name", "outcome"), [("shrunk_a", "shrinks"), ("grown_a", "grows"), ("copied_a", "cannot tell"), ("untold", "shrinks")])
def test_what_was_planted_is_found(found, name, outcome):
    for reader in ("classifier", "classifier, corrected", "second rater"):
        assert rows(found, name, reader)["outcome"] == outcome


def test_the_planted_change_lies_in_every_interval(found):
    for name, share, trained in (("shrunk_a", 0.16, 0.3), ("grown_b", 0.44, 0.3), ("copied_a", 0.299, 0.3), ("untold", 0.1, 0.2)):
        row = rows(found, name)
        assert row["true_share"] == pytest.approx(trained)
        assert row["difference"]["low"] < share - trained < row["difference"]["high"]
        assert row["ratio"]["low"] < share / trained < row["ratio"]["high"]


def test_a_family_is_judged_over_its_runs(found):
    families = {f["family"]: f for f in found["families"] if f["reader"] == "classifier"}
    assert families["Shrinks"]["log_odds"]["value"] < -0.5
    assert families["Copies"]["outcome"] == "cannot tell"
    assert families["No data arm"]["outcome"] == "not measured"  # one run tells nothing of how runs differ
    assert families["Shrinks"]["measured"] == families["Shrinks"]["runs"] == 2
    each = [f["p_value"] for f in families.values() if f["p_value"] is not None]
    assert all(f["p_adjusted"] >= f["p_value"] for f in families.values() if f["p_value"] is not None)
    adjusted = [f["p_adjusted"] for f in families.values() if f["p_adjusted"] is not None]
    assert len(each) == 3
    assert min(adjusted) == pytest.approx(min(1, 3 * min(each)))


def test_a_mapped_source_is_a_control_and_no_generator(found):
    assert {r["family"]: r["control"] for r in found["rows"]} == {"Shrinks": False, "Grows": False, "Copies": False, "No data arm": False, "Blurred": True}


def test_a_run_that_never_drew_the_minority_counts_most_of_all_and_is_not_left_out():
    from audit.amplification.study import _family, _smoothed
    from audit.estimates import Estimate

    none, some, data = Estimate(0.0, 0.0, 0.002, 2000), Estimate(0.01, 0.006, 0.016, 2000), Estimate(0.05, 0.04, 0.06, 2000)
    values = [_smoothed(none, data), _smoothed(some, data)]
    assert values[0] < values[1] < 0
    assert values[1] == pytest.approx(-1.65, abs=0.05)  # log odds of 1 % less those of 5 %
    rows = [{"true_share": 0.05, "smoothed": v, "control": False} for v in values]
    assert _family("f", rows, 0.95)["measured"] == 2


def test_without_a_training_arm_the_shares_are_exactly_known_but_for_the_training_sets_luck(found):
    row = rows(found, "untold")
    assert row["data"] is None
    assert row["training_share"]["value"] == pytest.approx(0.2)


def test_the_missing_mode_bound_stands_beside_the_classifiers_labels_only(found):
    row = rows(found, "shrunk_a", "classifier")
    assert row["share"]["value"] < row["at_most"]["high"] < row["share"]["high"] + 0.02
    assert rows(found, "shrunk_a", "second rater")["at_most"] is None


@pytest.mark.parametrize(("study", "said"), [
    ({"minority": {"gender": "purple"}}, "is no attribute of this spec with one of its classes"),
    ({"minority": {"age": "old"}}, "the spec reads gender, skin_tone"),
])  # fmt: skip
def test_a_minority_that_is_not_read_is_one_sentence(tmp_path, study, said):
    raw = spec({"a": drawn(0.2, 0.3, "A")}) | {"samples": 20}
    raw["study"] |= study
    with pytest.raises(SpecError, match=said):
        audit.run(Spec.model_validate(raw), out=tmp_path / "r")


def test_no_generator_with_known_training_data_is_one_sentence(tmp_path):
    raw = spec({"a": {"source": "portraits", "population": "balanced", "size": 16}}) | {"samples": 20}
    with pytest.raises(SpecError, match="no generator says what it was trained on"):
        audit.run(Spec.model_validate(raw), out=tmp_path / "r")


def test_the_shipped_study_pairs_every_generator_with_the_data_of_its_share():
    from types import SimpleNamespace

    from audit.spec import load_spec

    shipped = load_spec("professors")
    arms = training_arms(SimpleNamespace(spec=shipped))
    assert len(arms) == 44 + 3
    assert arms["vae_05_seed2"] == "data_0.05"
    assert set(arms.values()) == {"data_0.5", "data_0.3", "data_0.2", "data_0.1", "data_0.05"}
