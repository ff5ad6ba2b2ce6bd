import numpy as np
import pandas as pd
import pytest
import torch

from audit.errors import SourceError
from audit.portraits import POPULATIONS, draw, population
from audit.portraits.palette import MONK_RGB


def _faces(n, **fixed):
    frame = pd.DataFrame({"gender": "feminine", "smile": "neutral", "monk": 5, "years": 30.0}, index=range(n))
    for key, value in fixed.items():
        frame[key] = value
    return frame


def test_a_portrait_depends_on_its_own_row_and_seed_alone():
    faces = population("celeb_like").for_seeds(np.arange(70, dtype=np.uint64))
    together = draw(faces, np.arange(70))
    for i in (0, 31, 32, 69):
        assert torch.equal(draw(faces.iloc[i : i + 1], np.array([i])), together[i : i + 1])


def test_size_is_free():
    assert draw(_faces(2), np.arange(2), size=32).shape == (2, 3, 32, 32)


@pytest.mark.parametrize("monk", range(1, 11))
def test_the_forehead_shows_the_monk_swatch(monk):
    # The middle of the forehead, above the nose: no blush, no beard, little shading.
    images = draw(_faces(40, monk=monk), np.arange(40)).float() / 255
    patch = images[:, :, 24:28, 31:34].flatten(2).median(dim=2).values.median(dim=0).values.numpy()
    distance = np.linalg.norm(MONK_RGB - patch, axis=1)
    assert abs(int(distance.argmin()) + 1 - monk) <= 1


@pytest.mark.parametrize(("key", "one", "other"), [
    ("gender", "feminine", "masculine"), ("smile", "neutral", "smiling"), ("years", 25.0, 75.0), ("monk", 2, 9)])  # fmt: skip
def test_each_attribute_changes_the_picture_of_the_same_person(key, one, other):
    seeds = np.arange(20)
    before, after = (draw(_faces(20, **{key: value}), seeds).float() for value in (one, other))
    changed = ((before - after).abs().amax(dim=1) > 30).float().mean(dim=[1, 2])
    assert changed.min() > 0.005


@pytest.mark.parametrize("monk", [1, 10])
def test_features_stay_visible_on_the_lightest_and_the_darkest_skin(monk):
    images = draw(_faces(40, monk=monk, gender="masculine"), np.arange(40)).float().mean(dim=1)
    features = images[:, 24:46, 22:42]  # brows to chin
    assert features.flatten(1).std(dim=1).min() > 12


def test_two_shots_of_one_person_differ_and_keep_the_eyes_apart_alike():
    who = np.full(2, 7, dtype=np.uint64)
    two = draw(_faces(2), np.array([1, 2]), identities=who)
    assert not torch.equal(two[0], two[1])


def test_missing_columns_are_named():
    with pytest.raises(SourceError, match="missing: monk, years"):
        draw(pd.DataFrame({"gender": ["feminine"], "smile": ["neutral"]}), np.arange(1))


def test_rows_and_seeds_must_agree():
    with pytest.raises(SourceError, match="2 rows of attributes for 3 seeds"):
        draw(_faces(2), np.arange(3))


@pytest.mark.parametrize("name", sorted(POPULATIONS))
def test_a_population_draws_the_shares_its_table_states(name):
    drawn = population(name).for_seeds(np.arange(20_000, dtype=np.uint64))
    for attribute in ("gender", "skin_tone", "age", "smile"):
        expected = population(name).shares(attribute)
        classes = {"gender": ["feminine", "masculine"], "skin_tone": ["light", "medium", "dark"],
                   "age": ["young", "middle", "old"], "smile": ["neutral", "smiling"]}[attribute]  # fmt: skip
        found = np.array([(drawn[attribute] == c).mean() for c in classes])
        assert np.abs(found - expected).max() < 0.015


def test_shares_of_an_intersection_follow_the_order_asked_for():
    both = population("celeb_like").shares("gender*smile").reshape(2, 2)
    swapped = population("celeb_like").shares("smile*gender").reshape(2, 2)
    assert np.allclose(both, swapped.T)
    assert np.allclose(both.sum(axis=1), population("celeb_like").shares("gender"))


def test_an_unknown_population_lists_those_there_are():
    with pytest.raises(SourceError, match="balanced, celeb_like, professors"):
        population("everyone")


def test_sampling_takes_its_randomness_as_an_argument():
    one, two, three = (population("balanced").sample(50, rng=np.random.default_rng(s)) for s in (1, 1, 2))
    assert one.equals(two)
    assert not one.equals(three)
