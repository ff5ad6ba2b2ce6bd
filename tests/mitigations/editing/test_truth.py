from types import SimpleNamespace

import numpy as np
import pytest

from audit.portraits import draw, population
from audit.spec import load_spec
from mitigations.editing.truth import given, redrawn

SEEDS = np.arange(60, dtype=np.uint64)


@pytest.mark.parametrize(("attribute", "towards", "column"), [("smile", "neutral", None), ("gender", "feminine", None), ("age", "old", "years"),
                                                              ("skin_tone", "dark", "monk")])  # fmt: skip
def test_one_attribute_is_set_and_everything_else_kept(attribute, towards, column):
    people = population("balanced").for_seeds(SEEDS)
    changed = given(people, attribute, towards)
    assert (changed[attribute] == towards).all()
    had = people[attribute] == towards
    assert (people[had].to_numpy() == changed[had].to_numpy()).all() and 0 < had.sum() < len(people)
    kept = [c for c in people if c not in (attribute, column)]
    assert (people[kept] == changed[kept]).all().all()
    if column:
        assert set(changed[column]) == set(people.loc[had, column])
    assert (draw(people, SEEDS) != draw(changed, SEEDS)).flatten(1).any(dim=1).numpy().tolist() == (~had).tolist()


def test_a_perfect_edit_reaches_the_attribute_and_smiling_hardly_changes_who_it_is():
    context = SimpleNamespace(spec=load_spec("editing"), device="cpu")
    found = redrawn(context, "smile", "neutral", "stylegan2", images=48)
    assert found["change"] > 0.3 and 0.98 < found["identity"] <= 1 and found["images"] == 48


def test_where_the_truth_is_not_known_there_is_no_perfect_edit():
    spec = load_spec("editing")
    unknown = spec.model_copy(update={"generators": {"stylegan2": spec.generators["stylegan2"].model_copy(update={"trained_on": None})}})
    context = SimpleNamespace(spec=unknown, device="cpu")
    assert redrawn(context, "smile", "neutral", "stylegan2", images=48) is None
    other = spec.model_copy(update={"instruments": spec.instruments.model_copy(update={"identity": "facenet_vggface2"})})
    assert redrawn(SimpleNamespace(spec=other, device="cpu"), "smile", "neutral", "stylegan2", images=48) is None
