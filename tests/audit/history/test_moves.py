"""What a history says has moved: which measure, by how much, since which night, and what changed there."""

import numpy as np
import pytest

from audit.history import words
from audit.history.causes import causes, changes, renamed
from audit.history.moves import alarms, exact, is_worse, notable, watched
from audit.history.story import moved_to_the_worse, tell
from tests.audit.history.written import ERROR, day, night, row


def told(history):
    return tell(history.chronicle(), where="history.db")


def test_a_planted_step_is_said_with_its_size_its_night_and_its_cause(planted):
    history = planted(60, shifts={("plain", "gender"): lambda at: 4.0 * (at >= 50)}, weights=lambda at: {"plain": "old" if at < 50 else "new"},
                      commit=lambda at: "aaa" if at < 50 else "bbb")  # fmt: skip
    (move,) = told(history)["moves"]
    assert (move["generator"], move["attribute"], move["since"], move["worse"]) == ("plain", "gender", day(50), True)
    assert move["difference"] == pytest.approx(4 * ERROR, abs=1.5 * ERROR) and move["low"] < 4 * ERROR < move["high"]
    assert move["before"] == pytest.approx(0.3, abs=0.005) and move["after"] == pytest.approx(0.34, abs=0.012)
    assert [(c["what"], c["before"], c["after"], c["likely"]) for c in move["causes"]] == [("weights", "old", "new", True), ("commit", "aaa", "bbb", True)]
    sentence = f"{words.move(move)}; {words.cause(move)}"
    assert f"fairness discrepancy of gender, plain, uncorrected moved to the worse since {day(50)}" in sentence and "weights of plain (old to new) and commit (aaa to bbb)" in sentence


def test_weights_of_another_generator_are_no_cause(planted):
    history = planted(60, shifts={("plain", "gender"): lambda at: 5.0 * (at >= 50)}, weights=lambda at: {"other": "old" if at < 50 else "new"})
    (move,) = told(history)["moves"]
    assert move["causes"] == [] and "nothing that is recorded changed" in words.cause(move)


def test_a_change_on_a_night_nearly_as_likely_is_named_as_such(history):
    for at, commit in enumerate(["aaa", "aaa", "bbb", "bbb"]):
        history.put(night(at, [row("plain", "fid", None, float(at))], commit=commit))
    entries = history.chronicle().entries
    (at_once,), (nearly,) = causes(entries, 2, (2, 3), "plain"), causes(entries, 3, (2, 3), "plain")
    assert (at_once["night"], at_once["likely"], nearly["night"], nearly["likely"]) == (day(2), True, day(2), False)
    assert f"on {day(2)}, nearly as likely a beginning, changed: commit (aaa to bbb)" in words.cause({"causes": [nearly]})
    assert causes(entries, 3, (3,), "plain") == []


def test_quiet_nights_say_nothing(planted):
    document = told(planted(60, quiet=5))
    assert document["moves"] == [] and document["exact"] == [] and document["renamed"] == [] and document["missing"] == []


def test_a_step_to_the_better_is_no_reason_to_fail_and_old_ones_are_not_tonight_s(planted):
    history = planted(60, shifts={("plain", "gender"): lambda at: -5.0 * (at >= 55), ("other", "age"): lambda at: 5.0 * (at >= 40)})
    document = told(history)
    assert {(m["generator"], m["worse"]) for m in document["moves"]} == {("plain", False), ("other", True)}
    assert moved_to_the_worse(document, nights=7) == [] and [m["generator"] for m in moved_to_the_worse(document, nights=40)] == ["other"]


def test_levels_go_on_learning_after_the_step_was_found(planted):
    history = planted(120, shifts={("plain", "gender"): lambda at: 5.0 * (at >= 60)})
    (move,) = told(history)["moves"]
    assert move["high"] - move["low"] < 4 * 1.96 * ERROR * np.sqrt(2 / 60) and move["difference"] == pytest.approx(5 * ERROR, abs=4 * ERROR * np.sqrt(2 / 60))


def test_missing_nights_are_missing_and_change_nothing_else(planted):
    document = told(planted(60, missing=(20, 21, 40), shifts={("plain", "gender"): lambda at: 5.0 * (at >= 50)}))
    assert document["missing"] == [day(20), day(21), day(40)] and document["moves"][0]["since"] == day(50)
    assert words.missing(document["missing"]) == f"3 nights are missing: {day(20)}, {day(21)} and {day(40)}" and words.missing([]) == ""


def test_other_measures_that_moved_are_notable_and_no_alarm(history):
    rng = np.random.default_rng(3)
    for at in range(60):
        rows = [row("plain", "share", f"q{i}", 0.5 + ERROR * (rng.standard_normal() + (6.0 if i == 3 and at >= 52 else 0)), group="yes", watched=False, parity=0.5) for i in range(40)]
        history.put(night(at, [*rows, row("plain", "fid", None, 5 + ERROR * rng.standard_normal())]))
    found = notable(history.chronicle())
    assert [(m["attribute"], m["since"]) for m in found] == [("q3", day(52))] and found[0]["worse"] is True
    assert told(history)["moves"] == [] and told(history)["notable"] is None  # nobody has looked yet


def test_notable_lines_are_rarely_chance(history):
    rng = np.random.default_rng(5)
    for at in range(40):
        history.put(night(at, [row("plain", "share", f"q{i}", 0.5 + ERROR * rng.standard_normal(), group="yes", watched=False) for i in range(300)]))
    assert len(notable(history.chronicle())) <= 1


# Nights that say nothing new


def test_a_fixed_seed_gives_the_same_numbers_and_they_count_once(history):
    rng = np.random.default_rng(6)
    first, second = ([0.3 + ERROR * rng.standard_normal() for _ in range(4)] for _ in range(2))
    second[0] = first[0] + 3 * ERROR
    for at in range(60):
        numbers = first if at < 50 else second
        history.put(night(at, [row("plain", "fairness_discrepancy", f"a{i}", v) for i, v in enumerate(numbers)], seed=7, weights={"plain": "old" if at < 50 else "new"}))
    chronicle = history.chronicle()
    fresh = chronicle.news()
    assert fresh[0].all() and fresh[50].all() and not fresh[1:50].any() and not fresh[51:].any()
    assert alarms(chronicle, watched(chronicle)) == []  # two nights' worth of images, however many nights
    (change,) = exact(chronicle)
    assert (change["night"], change["same_since"], change["changed"], change["of"]) == (day(50), day(0), 4, 4)
    assert "weights of plain (old to new)" in words.exact(change) and "chance cannot do that" in words.exact(change)


def test_a_series_whose_interval_has_no_width_or_no_number_is_never_an_alarm(history):
    rng = np.random.default_rng(7)
    for at in range(40):
        history.put(night(at, [row("a", "fid", None, float(at > 30), error=0.0), row("a", "kid", None, None), row("a", "coverage", None, 0.5 + ERROR * rng.standard_normal())]))
    document = told(history)
    assert document["moves"] == [] and {s["metric"] for s in document["series"]} == {"fid", "coverage"}


# Who is who


def test_a_renamed_generator_is_recognised_by_its_weights(history):
    for at in range(4):
        name = "rebalanced" if at < 2 else "rebalanced_v2"
        history.put(night(at, [row(name, "fid", None, 1.0 + at), row("base", "fid", None, 2.0 + at)], weights={name: "same"}))
    (found,) = renamed(history.chronicle().entries)
    assert (found["before"], found["after"], found["night"]) == ("rebalanced", "rebalanced_v2", day(2))
    assert "seems to be renamed" in words.renaming(found) and told(history)["renamed"] == [found]


def test_a_twin_or_new_weights_under_a_new_name_are_no_renaming(history):
    history.put(night(0, [row("a", "fid", None, 1.0)], weights={"a": "x"}))
    history.put(night(1, [row("a", "fid", None, 1.0), row("b", "fid", None, 1.0)], weights={"a": "x", "b": "x"}))
    history.put(night(2, [row("c", "fid", None, 1.0)], weights={"c": "y"}))
    assert renamed(history.chronicle().entries) == []


def test_everything_that_is_recorded_can_be_a_cause(history):
    history.put(night(0, [row("a", "fid", None, 1.0)], packages={"torch": "2.6"}, python="3.11", references=["r1"], commit="g1"))
    after = night(1, [row("a", "fid", None, 1.0)], packages={"torch": "2.7"}, python="3.12", references=["r2"], weights={"a": "new"})
    after.facts["instruments"], after.facts["device"] = {"classifier": "b"}, "cuda"
    history.put(after)
    found = changes(*history.chronicle().entries)
    assert [c["what"] for c in found] == ["weights", "commit", "instrument", "reference", "package", "python", "device"]
    assert words.change(found[4]) == "torch (2.6 to 2.7)"


def test_worse_follows_the_metric():
    from audit.history.chronicle import Series

    def series(direction, parity=None, baseline=None):
        return Series(1, "a", "m", None, None, baseline, None, False, None, direction, "share", parity)

    assert is_worse(series("lower"), 1, 2) is True and is_worse(series("higher"), 1, 2) is False
    assert is_worse(series("target", 0.5), 0.4, 0.45) is False and is_worse(series("target", 0.5), 0.5, 0.7) is True
    assert is_worse(series("target"), 1, 2) is None and is_worse(series("target", 0.0, "base"), 1, 2) is None
