import pytest

from audit.errors import SpecError
from audit.estimates import Estimate, NotMeasured
from audit.limits import as_limits, load_limits
from audit.quantities import measure_row
from audit.spec import LimitSpec
from audit.verdicts import exit_code, judge


def _row(low, high, **given):
    return measure_row("g", "fairness_discrepancy", Estimate((low + high) / 2, low, high, 100, unit="distance"), attribute="gender", **given)


AT_MOST = LimitSpec(metric="fairness_discrepancy", attribute="gender", at_most=0.1)
AT_LEAST = LimitSpec(metric="fairness_discrepancy", attribute="gender", at_least=0.1)


@pytest.mark.parametrize(("low", "high", "most", "least"), [
    (0.01, 0.05, "held", "broken"), (0.05, 0.10, "held", "undecided"), (0.05, 0.15, "undecided", "undecided"),
    (0.10, 0.15, "undecided", "held"), (0.11, 0.20, "broken", "held")])  # fmt: skip
def test_the_interval_decides_and_not_the_point(low, high, most, least):
    assert judge([_row(low, high)], [AT_MOST])[0].outcome == most
    assert judge([_row(low, high)], [AT_LEAST])[0].outcome == least


def test_what_was_not_measured_is_undecided_with_its_reason():
    row = measure_row("g", "fairness_discrepancy", NotMeasured("no image was counted"), attribute="gender")
    verdict = judge([row], [AT_MOST])[0]
    assert verdict.outcome == "undecided"
    assert "no image was counted" in verdict.why


def test_the_corrected_row_is_judged_where_there_is_one():
    rows = [_row(0.2, 0.3), _row(0.01, 0.02, corrected=True)]
    assert [v.outcome for v in judge(rows, [AT_MOST])] == ["held"]


def test_a_limit_on_nothing_is_an_error_that_says_what_there_is():
    with pytest.raises(SpecError, match=r"fairness_discrepancy of gender"):
        judge([_row(0, 1)], [LimitSpec(metric="fairness_discrepancy", attribute="smile", at_most=0.1)])


def test_broken_outranks_undecided_outranks_held():
    held, undecided, broken = (judge([_row(*ends)], [AT_MOST]) for ends in ((0, 0.05), (0.05, 0.2), (0.2, 0.3)))
    assert [exit_code(v) for v in ([], held, held + undecided, held + undecided + broken)] == [0, 0, 3, 1]


@pytest.mark.parametrize(("text", "words"), [
    ("- {metric: fid, at_mst: 3}", "limit 1: at_mst"), ("[]", "no list of limits"), ("a: [", "not YAML"), ("- {metric: fid}", "exactly one")])  # fmt: skip
def test_a_bad_limits_file_is_one_sentence(tmp_path, text, words):
    path = tmp_path / "limits.yaml"
    path.write_text(text)
    with pytest.raises(SpecError, match=words):
        load_limits(path)


def test_limits_may_be_dictionaries():
    assert as_limits([{"metric": "fid", "at_most": 3}])[0].at_most == 3
