"""Sampling until decided: the same looks however often it is interrupted, and no limit that may not be looked at."""

import numpy as np
import pandas as pd
import pytest

from audit import metrics
from audit.attributes import ATTRIBUTES
from audit.collect import Pass, collect
from audit.engines.local import collect_all
from audit.errors import RecordError, SpecError
from audit.estimates import NotMeasured
from audit.metrics.sequences import sequence_box
from audit.quantities import measure_row
from audit.records import Run
from audit.sequential import check_sequential, collect_until_decided, drawing_spec, look_marks, paths_of
from audit.sources.base import OK, Batch
from audit.spec import Spec
from audit.verdicts import judge

SHARES = {"even": 0.5, "skewed": 0.9}


class Coins:
    """Draws no picture worth the name, but a gender with a known probability."""

    digest, count, caveats = "0", None, ()

    def __init__(self, name, dies_at=None):
        self.name, self.drawn, self._dies_at = name, [], dies_at

    def draw(self, ids, seeds):
        if self._dies_at is not None and ids[-1] >= self._dies_at:
            raise KeyboardInterrupt
        self.drawn += ids.tolist()
        luck = np.array([np.random.default_rng(int(s)).random() for s in seeds])
        return Batch(ids, seeds, [None] * len(ids), [OK] * len(ids), {"truth": (luck >= SHARES[self.name]).astype(float)})


class Reader:
    role, digest, caveats = "classifier", "0", ()

    def read(self, batch):
        first, second = ATTRIBUTES["gender"].classes
        return {f"classifier:gender:{first}": 1 - batch.columns["truth"], f"classifier:gender:{second}": batch.columns["truth"]}


def _spec(**changes):
    return Spec.model_validate({
        "name": "coins", "samples": 2000, "shard": 64, "batch": 64, "gallery": 0, "attributes": ["gender"],
        "generators": {name: {"source": "callable", "call": "here:there"} for name in SHARES},
        "limits": [{"metric": "fairness_discrepancy", "attribute": "gender", "at_most": 0.15}], **changes,
    })  # fmt: skip


def _judge(spec):
    def judged(paths):
        rows = []
        for (name, what), path in paths.items():
            if what == "gender":
                box = sequence_box(path, level=spec.level)
                rows.append(measure_row(name, "fairness_discrepancy", metrics.fairness_discrepancy(box), attribute=what))
            else:
                box = sequence_box(path, level=spec.level)
                rows.append(measure_row(name, what, box if isinstance(box, NotMeasured) else box.estimates()[0]))
        return judge(rows, spec.limits)

    return judged


def _walk(spec, run, sources):
    def draw(images):
        for name, source in sources.items():
            collect_all(drawing_spec(spec, run, name, images), run, {name: source}, [], [Reader()])

    def paths(images):
        return {(name, what): path for name in sources for what, path in paths_of(run.frame(name), spec, images).items()}

    return collect_until_decided(spec, draw=draw, paths=paths, judge=_judge(spec))


def _sources(**dies):
    return {name: Coins(name, dies.get(name)) for name in SHARES}


def test_it_stops_at_the_first_look_that_decides_every_limit(tmp_path):
    sources = _sources()
    walk = _walk(_spec(), Run(tmp_path, {"seed": 1}), sources)
    assert walk.decided
    assert {v.generator: v.outcome for v in walk.verdicts} == {"even": "held", "skewed": "broken"}
    assert walk.images < 1000
    assert all(len(s.drawn) == walk.images for s in sources.values())  # all keep pace, none is drawn twice
    last_but_one = [row["outcome"] for row in walk.looks[-4:-2]]
    assert "undecided" in last_but_one
    assert list(walk.looks[0]) == ["generator", "metric", "attribute", "group", "n", "low", "high", "outcome"]
    assert [row["n"] for row in walk.looks[::2]] == look_marks(walk.images, 64)


def test_an_interrupted_walk_sees_and_decides_the_same(tmp_path):
    whole = _walk(_spec(), Run(tmp_path / "a", {"seed": 1}), _sources())
    run = Run(tmp_path / "b", {"seed": 1})
    with pytest.raises(KeyboardInterrupt):
        _walk(_spec(), run, _sources(skewed=100))
    again = _sources()
    assert _walk(_spec(), run, again) == whole
    assert again["even"].drawn[0] == 128  # the two shards of it that were whole were not drawn again
    assert again["skewed"].drawn[0] == 64
    third = _sources()
    assert _walk(_spec(), run, third) == whole
    assert not any(s.drawn for s in third.values())


def test_more_stored_images_than_the_decision_took_are_neither_seen_nor_forgotten(tmp_path):
    run = Run(tmp_path, {"seed": 1})
    for name in SHARES:
        collect(Coins(name), [Reader()], run, plan=Pass(name, 1600, seed=0, shard=64))
    walk = _walk(_spec(), run, sources := _sources())
    assert walk == _walk(_spec(), Run(tmp_path / "fresh", {"seed": 1}), _sources())
    assert not any(s.drawn for s in sources.values())
    assert len(run.frame("even")) == 1600


def test_a_truth_at_the_limit_spends_the_budget_and_no_more(tmp_path):
    spec = _spec(samples=300, limits=[{"metric": "fairness_discrepancy", "attribute": "gender", "at_most": 0.02, "generator": "even"}])
    walk = _walk(spec, Run(tmp_path, {"seed": 1}), sources := _sources())
    assert not walk.decided
    assert walk.images == 300
    assert [row["n"] for row in walk.looks] == [64, 128, 192, 256, 300]
    assert max(sources["even"].drawn) == 299


def test_smaller_shards_look_earlier(tmp_path):
    fine = _walk(_spec(shard=32), Run(tmp_path / "fine", {"seed": 1}), _sources())
    coarse = _walk(_spec(shard=512), Run(tmp_path / "coarse", {"seed": 1}), _sources())
    assert fine.images < coarse.images == 512


def test_what_no_image_can_decide_does_not_hold_the_run_open(tmp_path):
    spec = _spec()
    judged = _judge(spec)

    def judge_too(paths):
        nobody = measure_row("even", "share", NotMeasured("the classifier confuses the classes"), attribute="gender", group="x")
        limits = _spec(limits=[{"metric": "share", "attribute": "gender", "at_least": 0.4}]).limits
        return [*judged(paths), *judge([nobody], limits)]

    run, sources = Run(tmp_path, {"seed": 1}), _sources()
    walk = collect_until_decided(
        spec, judge=judge_too,
        draw=lambda images: [collect_all(drawing_spec(spec, run, n, images), run, {n: s}, [], [Reader()]) for n, s in sources.items()],
        paths=lambda images: {(n, w): p for n in sources for w, p in paths_of(run.frame(n), spec, images).items()},
    )  # fmt: skip
    assert walk.images < 1000
    assert not walk.decided


def test_progress_is_told_on_stderr_alone(tmp_path, capsys):
    _walk(_spec(samples=64), Run(tmp_path, {"seed": 1}), _sources())
    said = capsys.readouterr()
    assert "64 images a generator: " in said.err
    assert said.out == ""


@pytest.mark.parametrize("shard", [1, 64, 500])
def test_looks_are_the_same_whatever_the_budget_and_thin_out(shard):
    whole, part = look_marks(100_000, shard), look_marks(3210, shard)
    assert part[:-1] == [m for m in whole if m < 3210]
    assert part[-1] == 3210
    assert whole[:40] == [shard * (i + 1) for i in range(40)]
    assert len(whole) < 600
    assert all(m % shard == 0 for m in whole[:-1])


def test_paths_count_every_class_at_every_look_and_who_was_not_read():
    said = np.array([0, 1, -1, 1, 1, 0, -1])
    frame = pd.DataFrame({"status": [OK] * 6 + ["unreadable: odd"], "face_finder:face": ["one"] * 2 + ["no_face"] + ["one"] * 4})
    for at, c in enumerate(ATTRIBUTES["gender"].classes):
        frame[f"classifier:gender:{c}"] = np.where(said < 0, np.nan, (said == at).astype(float))
    paths = paths_of(frame, _spec(shard=3, attributes=["gender", "smile"]))
    assert paths["gender"].tolist() == [[1, 1], [2, 3], [2, 3]]
    assert paths["unreadable"].tolist() == [[0, 3], [0, 6], [1, 6]]
    assert paths["no_face"].tolist() == [[1, 2], [1, 5], [1, 6]]
    assert "smile" not in paths  # nobody reads it
    assert paths_of(frame, _spec(shard=3), 4)["gender"].tolist() == [[1, 1], [1, 2]]


def test_relatives_are_refused():
    frame = pd.DataFrame({"status": [OK] * 3, "unit": [1, 2, 1]})
    with pytest.raises(SpecError, match="share the origin 1"):
        paths_of(frame, _spec())
    assert "unreadable" in paths_of(frame.iloc[:2], _spec())


@pytest.mark.parametrize(("changes", "words"), [
    ({"limits": []}, "no limit to decide"),
    ({"limits": [{"metric": "fid", "at_most": 20}]}, "limit on fid has no interval"),
    ({"limits": [{"metric": "kid", "at_most": 1}]}, "until: decided takes limits on share, fairness_discrepancy"),
    ({"generators": {"mine": {"source": "folder", "path": "x"}}}, "generators.mine is a folder"),
])  # fmt: skip
def test_what_cannot_be_sampled_until_decided_is_a_sentence(changes, words):
    with pytest.raises(SpecError, match=words):
        check_sequential(_spec(**changes))


def test_a_margin_against_a_baseline_is_refused():
    class Margin:
        metric, not_worse_than = "fairness_discrepancy", 0.05

    with pytest.raises(SpecError, match="not_worse_than a baseline"):
        check_sequential(_spec().model_copy(update={"limits": [Margin()]}))
    check_sequential(_spec())


def test_a_run_that_holds_nothing_yet_is_drawn_from_the_start(tmp_path):
    run = Run(tmp_path, {"seed": 1})
    with pytest.raises(RecordError):
        run.frame("even")
    assert drawing_spec(_spec(), run, "even", 128).samples == 128
