"""The last green night as a baseline: which night that is, what the difference is worth, and what a test makes of it."""

import json
import math

import pytest
import yaml

from audit.errors import HistoryError, SpecError
from audit.history.last_green import against_last_green
from audit.pytest_plugin import LimitBroken, LimitUndecided, assert_held
from audit.quantities import Measure
from audit.result import Result
from tests.audit.history.written import ERROR, day, night, row

pytest_plugins = ["pytester"]


def result(value, *, error=ERROR, created="now", **known):
    half = 1.959964 * error
    measure = Measure("plain", "fairness_discrepancy", "gender", None, value, value - half, value + half, 0.95, 1000, "share", 0.0, "lower", "x",
                      known.get("protocol"), False, None)  # fmt: skip
    return Result("suite", [measure], provenance={"created": created}, spec={"level": 0.95})


def put(history, at, value, *, exit_code=0, **known):
    made = night(at, [row("plain", "fairness_discrepancy", "gender", value)], **known)
    history.put(made.__class__(**{**made.__dict__, "exit_code": exit_code}))


def test_the_last_green_night_is_the_last_on_which_every_limit_held(history):
    for at, (value, code) in enumerate([(0.1, 0), (0.2, 0), (0.3, 1), (0.4, 3)]):
        put(history, at, value, exit_code=code)
    (found,) = against_last_green(result(0.25), history.where)
    assert found["before"] == 0.2 and found["baseline"] == f"the last green night {day(1)}" and found["difference"] == pytest.approx(0.05)


def test_the_interval_is_that_of_two_independent_runs(history):
    put(history, 0, 0.2)
    (found,) = against_last_green(result(0.25, error=2 * ERROR), history.where)
    half = 1.959964 * ERROR * math.sqrt(1 + 4)
    assert (found["low"], found["high"]) == pytest.approx((0.05 - half, 0.05 + half))


def test_a_night_is_not_compared_with_itself(history):
    put(history, 0, 0.1)
    put(history, 1, 0.3, created="tonight")
    assert against_last_green(result(0.3, created="tonight"), history.where)[0]["before"] == 0.1
    assert against_last_green(result(0.3, created="later"), history.where)[0]["before"] == 0.3


def test_a_night_on_which_something_moved_to_the_worse_is_not_green(planted):
    history = planted(60, shifts={("plain", "gender"): lambda at: 30.0 * (at >= 59)}, generators=("plain",))
    assert against_last_green(result(0.6), history.where)[0]["baseline"].endswith(day(58))


def test_no_green_night_and_no_history_are_sentences(history, tmp_path):
    put(history, 0, 0.1, exit_code=1)
    with pytest.raises(HistoryError, match=r"no night of 'suite' in .* is green yet"):
        against_last_green(result(0.1), history.where)
    with pytest.raises(HistoryError, match="there is no history at"):
        against_last_green(result(0.1), str(tmp_path / "none.db"))


def held(found, history, **known):
    return assert_held(found, metric="fairness_discrepancy", attribute="gender", history=history.where, **known)


def test_worse_than_last_green_fails_and_not_shown_to_be_worse_passes(history):
    put(history, 0, 0.2)
    with pytest.raises(LimitBroken, match=f"not worse than the last green night {day(0)} by more than 0"):
        held(result(0.3), history, not_worse_than="last-green")
    assert held(result(0.2), history, not_worse_than="last-green")[0].outcome == "undecided"
    assert held(result(0.1), history, not_worse_than="last-green")[0].outcome == "held"
    with pytest.raises(LimitUndecided):
        held(result(0.2), history, not_worse_than="last-green", undecided="fail")


def test_a_margin_asks_for_proof(history):
    put(history, 0, 0.2)
    assert held(result(0.2), history, not_worse_than=0.05, than="last-green")[0].outcome == "held"
    with pytest.raises(LimitUndecided):
        held(result(0.2), history, not_worse_than=0.02, than="last-green")


def test_what_was_measured_by_another_protocol_is_not_compared(history):
    put(history, 0, 0.2)
    with pytest.raises(SpecError, match="was measured then by the same protocol"):
        held(result(0.2, protocol="another"), history, not_worse_than="last-green")


def test_without_a_history_and_with_a_misspelt_word_it_is_a_sentence(monkeypatch):
    monkeypatch.delenv("GENBIAS_HISTORY", raising=False)
    with pytest.raises(SpecError, match="needs a history; name one"):
        assert_held(result(0.2), metric="fairness_discrepancy", attribute="gender", not_worse_than="last-green")
    with pytest.raises(SpecError, match="not_worse_than is 'last-gren'; expected a margin of 0 or more, or last-green"):
        assert_held(result(0.2), metric="fairness_discrepancy", attribute="gender", not_worse_than="last-gren")
    with pytest.raises(SpecError, match="goes with not_worse_than"):
        assert_held(result(0.2), metric="fairness_discrepancy", attribute="gender", at_most=1, than="last-green")


def test_a_spec_s_own_limits_cannot_ask_for_it():
    from audit.spec import load_spec

    with pytest.raises(SpecError, match="last-green needs a history"):
        load_spec("smoke", {"limits": [{"metric": "fairness_discrepancy", "attribute": "gender", "not_worse_than": "last-green"}]})


@pytest.mark.parametrize(("value", "outcomes"), [(0.3, {"failed": 1}), (0.2, {"passed": 1})])
def test_a_limits_file_reads_the_history_beside_it(pytester, history, value, outcomes):
    put(history, 0, 0.2)
    history.close()
    (pytester.path / "run").mkdir()
    (pytester.path / "run" / "result.json").write_text(json.dumps(result(value).to_dict()))
    limit = {"metric": "fairness_discrepancy", "attribute": "gender", "not_worse_than": "last-green"}
    (pytester.path / "fairness_limits.yaml").write_text(yaml.safe_dump({"run": "run", "history": history.where, "limits": [limit]}))
    done = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    done.assert_outcomes(**outcomes)
    assert "the last green night" in done.stdout.str() or outcomes == {"passed": 1}


def test_a_limits_file_with_a_wrong_history_says_so(pytester):
    (pytester.path / "fairness_limits.yaml").write_text("run: run\nhistory: [a]\nlimits: [{metric: fid, at_most: 1}]\n")
    done = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    assert "history is ['a']; expected a path or URL" in done.stdout.str()
