"""Quality and groups of planted runs: each distance once, equal n, a group never drawn, what is too few."""

import re

import numpy as np
import pandas as pd
import pytest

from audit import metrics
from audit.group_quality import LEAST_OF_GROUP, UNREAD, GroupQuality
from audit.measure import measure
from audit.metrics import shared
from audit.paired_quality import quality_rows
from audit.quality import HALVES, Quality


def quality_of(run, spec, seed=0):
    return Quality(run, spec, rng=np.random.default_rng(seed))


def rows_of(run, spec, **more):
    return [m for m in measure(run, spec, rng=np.random.default_rng(0), **more) if m.metric in (*GROUPED, "fid", "coverage")]


GROUPED = ("group_coverage", "group_fid", "group_kid", "identity_similarity")


@pytest.fixture(scope="module")
def large(planted):
    return planted(n=900, base=(0.6, 1.0, 0.0), never=(1.0, 1.0, 0.0), few=(0.95, 1.0, 0.0))


@pytest.fixture(scope="module")
def rows(large):
    return {(m.generator, m.metric, m.attribute, m.group): m for m in rows_of(*large)}


def test_every_group_is_held_against_the_reference_at_one_n(rows, large):
    run, _ = large
    one = [rows["base", "group_fid", "gender", g] for g in ("feminine", "masculine")]
    assert all("n=" in m.protocol for m in one)
    assert one[0].n == one[1].n >= LEAST_OF_GROUP
    assert one[0].protocol == one[1].protocol == rows["never", "group_kid", "gender", "feminine"].protocol
    gender = run.frame("base")["classifier:gender:masculine"].to_numpy() > 0.5
    sides = [run.features("base", "encoder")[gender], run.features("reference-balanced", "encoder")[1::2]]
    by_hand = metrics.frechet_distance(*(s[: one[1].n] for s in sides))
    assert one[1].value == pytest.approx(by_hand)
    assert rows["base", "group_kid", "gender", "masculine"].value == pytest.approx(
        metrics.kernel_distance_full(*(s[: one[1].n] for s in sides)))  # fmt: skip


def test_a_group_that_is_never_drawn_is_not_covered_and_has_no_distance(rows):
    assert rows["never", "group_coverage", "gender", "masculine"].value == 0
    assert rows["never", "group_coverage", "gender*skin_tone", "masculine*dark"].value == 0
    assert rows["base", "group_coverage", "gender", "masculine"].low > 0.5
    for metric in ("group_fid", "group_kid"):
        absent = rows["never", metric, "gender", "masculine"]
        assert (absent.value, absent.n, absent.reason) == (None, 0, "0 images of this group; 200 are needed")
    few = rows["few", "group_fid", "gender", "masculine"]
    assert 3 < few.n < LEAST_OF_GROUP and few.value is None and few.reason == f"{few.n} images of this group; 200 are needed"
    assert rows["never", "identity_similarity", "gender", "masculine"].reason == "0 images of this group; 3 are needed"


def test_directions_and_protocols_come_with_the_numbers(rows):
    alike = rows["base", "identity_similarity", None, None]
    assert alike.direction == "lower" and alike.low < alike.value < alike.high and "identity features" in alike.protocol
    assert rows["base", "group_coverage", "skin_tone", "dark"].direction == "higher"


def test_measures_agree_with_the_plain_metrics(rows, large):
    run, _ = large
    sides = [run.features(name, "encoder") for name in ("base", "reference-balanced")]
    assert rows["base", "fid", None, "reference:balanced"].value == pytest.approx(metrics.frechet_distance(*sides), rel=1e-9)
    assert rows["base", "coverage", None, "reference:balanced"].value == metrics.density_coverage(*sides).coverage


def test_each_generator_meets_each_reference_once(large, monkeypatch):
    run, spec = large
    calls = []
    real = shared.neighbour_replicates
    monkeypatch.setattr(shared, "neighbour_replicates", lambda *sides: calls.append(1) or real(*sides))
    quality = quality_of(run, spec)
    groups = GroupQuality(quality)
    measure(run, spec, rng=np.random.default_rng(0), quality=quality, groups=groups)
    for label in quality.references:
        quality.against("never", label, quality.common("never", "base"))
    assert len(calls) == 6


def test_halves_are_the_same_for_all_and_hold_half_of_each(large):
    quality = quality_of(*large)
    keep = quality.halves(np.arange(301), "generated")
    assert keep.shape == (HALVES + 1, 301)
    assert keep.sum(axis=1).tolist() == [301] + [150] * HALVES
    assert len({row.tobytes() for row in keep}) == HALVES + 1
    assert (quality.halves(np.arange(301), "generated") == keep).all()
    assert not (quality.halves(np.arange(301), "reference") == keep).all()


def test_the_same_random_numbers_give_the_same_rows(large):
    assert rows_of(*large) == rows_of(*large)


def test_groups_go_by_the_balanced_reference(large, planted):
    assert quality_of(*large).group_reference() == "balanced"
    only = planted(n=30, references=("training",), base=(0.6, 1.0, 0.0))
    assert quality_of(*only).group_reference() == "training"


def test_a_reference_that_nobody_labelled_has_no_groups(planted):
    run, spec = planted(n=60, base=(0.6, 1.0, 0.0))
    frame = run.frame("reference-balanced")[["id", "status"]]
    run.write_shard("reference-balanced", 0, frame, {"encoder": run.features("reference-balanced", "encoder")}, {})
    found = [m for m in rows_of(run, spec) if m.metric in ("group_fid", "group_coverage")]
    assert {m.reason for m in found} == {UNREAD}


def test_without_encoder_or_identity_there_are_no_such_rows(planted):
    run, spec = planted(n=30, references=(), identity=False, base=(0.6, 1.0, 0.0))
    assert rows_of(run, spec) == []


@pytest.mark.parametrize("n", [1, 11])
def test_a_handful_of_images_is_not_measured_and_says_so(planted, n):
    found = [m for m in rows_of(*planted(n=n, base=(0.6, 1.0, 0.0))) if m.metric in ("fid", "coverage")]
    assert len(found) == 4
    assert all(m.reason == f"{n} images with features on one side; at least 12 are needed" for m in found)


def test_images_without_features_are_left_out(planted):
    run, spec = planted(n=80, base=(0.6, 1.0, 0.0))
    features = run.features("base", "encoder").copy()
    features[3] = np.nan
    run.write_shard("base", 0, run.frame("base"), {"encoder": features, "identity": run.features("base", "identity") * np.nan}, {})
    found = {(m.metric, m.group): m for m in rows_of(run, spec)}
    assert found["fid", "reference:balanced"].n == 79
    assert found["identity_similarity", None].reason == "0 images of this group; 3 are needed"


def with_units(run, name, units):
    """Write a generator again, its record naming what each image belongs to."""
    features = {role: run.features(name, role) for role in ("encoder", "identity")}
    run.write_shard(name, 0, run.frame(name).assign(unit=units), features, {})


def test_images_of_a_unit_are_in_a_half_together(planted):
    run, spec = planted(n=60, base=(0.6, 1.0, 0.0))
    with_units(run, "base", np.where(np.arange(60) < 40, np.arange(60) // 4, -1))
    quality = quality_of(run, spec)
    units = quality.units("base", np.arange(60))
    assert len(set(units.tolist())) == 30 and (units[40:] == -1 - np.arange(40, 60)).all()
    keep = quality.halves(np.arange(60), "generated", units)[1:]
    assert (keep[:, :40].reshape(HALVES, 10, 4) == keep[:, :40:4, None]).all()
    assert keep.sum(axis=1).min() >= 28 and keep.sum(axis=1).max() <= 32
    assert len({row.tobytes() for row in keep}) > HALVES / 2


def test_intervals_rest_on_units_and_say_so(planted):
    run, spec = planted(n=80, base=(0.6, 1.0, 0.0), made=(0.5, 1.0, 0.0))
    before = {m.metric: m for m in rows_of(run, spec) if m.generator == "made" and m.group == "reference:balanced"}
    with_units(run, "made", [f"prompt {i // 8}" for i in range(80)])
    after = {m.metric: m for m in rows_of(run, spec) if m.generator == "made" and m.group == "reference:balanced"}
    for metric in ("fid", "coverage"):
        assert after[metric].value == before[metric].value and after[metric].n == 80
        assert after[metric].method == before[metric].method + ", over 10 units"
    quality = quality_of(run, spec)
    rows = {r["metric"]: r for r in quality_rows(quality, GroupQuality(quality), spec, "made", "base") if r["method"]}
    for metric in ("fid", "kid", "precision", "recall", "density", "coverage", "group_coverage", "identity_similarity"):
        assert re.search(r", over (9|10) units", rows[metric]["method"]), metric  # a group may hold no image of a prompt
    assert quality.paired_units("made", "base") == {"made": "made", "base": "made"}


def test_units_that_read_alike_are_one_whatever_their_column_holds(planted):
    run, spec = planted(n=40, base=(0.6, 1.0, 0.0), made=(0.5, 1.0, 0.0))
    with_units(run, "base", np.arange(40) // 2)
    with_units(run, "made", pd.Series(np.arange(40) // 2, dtype=float).where(np.arange(40) > 1))
    quality = quality_of(run, spec)
    one, two = (quality.units(name, np.arange(40)) for name in ("base", "made"))
    assert (one[2:] == two[2:]).all() and two[:2].tolist() == [-1, -2]


@pytest.mark.parametrize(("units", "said"), [(np.zeros(40), "all 40 images are of one unit; an interval needs two units or more"),
                                             (np.maximum(np.arange(40) - 30, 0), "31 of 40 images are of one unit; an interval needs 12 of others")])  # fmt: skip
def test_one_unit_is_not_measured_and_says_so(planted, units, said):
    run, spec = planted(n=40, base=(0.6, 1.0, 0.0))
    with_units(run, "base", units)
    assert {m.reason for m in rows_of(run, spec) if m.metric in ("fid", "coverage")} == {said}


def test_pairs_of_a_subsample_leave_the_frechet_distance_alone_and_say_so(large):
    run, spec = large
    part = spec.model_copy(update={"pairwise": 300})
    whole, held = quality_of(run, spec).against("base", "balanced"), quality_of(run, part).against("base", "balanced")
    assert held.numbers["fid"].value == whole.numbers["fid"].value
    assert np.array_equal(held.numbers["fid"].own, whole.numbers["fid"].own)
    sides = [run.features(name, "encoder")[:300] for name in ("base", "reference-balanced")]
    expected = metrics.neighbour_metrics(*sides)
    for metric in shared.NEIGHBOURS:
        assert held.numbers[metric].value == pytest.approx(getattr(expected, metric))
        assert held.numbers[metric].n == 300
    assert held.numbers["kid"].value == pytest.approx(metrics.kernel_distance_full(*sides))
    assert held.protocol_for("kid") == f"{whole.protocol}, pairs of the first 300" != held.protocol_for("fid") == whole.protocol
    found = {(m.generator, m.metric, m.group): m for m in measure(run, part, rng=np.random.default_rng(0)) if m.attribute in (None, "gender")}
    assert found["base", "precision", "reference:balanced"].n == 300
    assert "pairs of the first 300" in found["base", "group_coverage", "masculine"].protocol
    assert "pairs" not in found["base", "fid", "reference:balanced"].protocol


def test_more_pairs_than_images_are_all_pairs(large):
    run, spec = large
    held = quality_of(run, spec.model_copy(update={"pairwise": 10**6})).against("base", "balanced")
    assert held.pairs is None
    assert held.protocol_for("recall") == held.protocol
