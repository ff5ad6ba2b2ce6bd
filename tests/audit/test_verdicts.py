import numpy as np
import pytest
from pydantic import ValidationError

from audit.attribute_rows import About, Reading, attribute_rows
from audit.errors import SpecError
from audit.estimates import Estimate, NotMeasured
from audit.limits import as_limits, load_limits
from audit.metrics.error_model import ErrorModel
from audit.quantities import measure_row
from audit.result import readings_of
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


def _share(generator, count, n=1000, **given):
    rows = attribute_rows(About(generator, "gender", ("feminine", "masculine")), Reading(np.array([count, n - count]), **given))
    return [r for r in rows if (r.metric, r.group) == ("share", "feminine")]


def _limit(**given):
    return LimitSpec.model_validate({"metric": "share", "attribute": "gender", "group": "feminine", **given})


@pytest.mark.parametrize(("count", "outcome"), [(500, "held"), (410, "undecided"), (300, "broken"), (700, "broken"), (590, "undecided")])
def test_between_needs_the_whole_interval_on_the_inside_or_outside(count, outcome):
    verdict = judge(_share("g", count), [_limit(between=(0.4, 0.6))])[0]
    assert (verdict.outcome, verdict.bound, verdict.bound_high) == (outcome, 0.4, 0.6)


def test_twenty_limits_are_adjusted_for_one_another():
    rows = [m for i in range(20) for m in _share(f"g{i}", 535)]  # each alone would be broken: 0.504 to 0.566
    alone = judge(_share("g", 535), [_limit(at_most=0.5)])[0]
    together = judge(rows, [_limit(at_most=0.5)])
    assert alone.outcome == "broken"
    assert {v.outcome for v in together} == {"undecided"}
    assert together[0].p_adjusted == pytest.approx(20 * alone.p_value, rel=1e-6)
    assert "among 20 open limits that may be chance" in together[0].why


def test_holm_keeps_a_clear_case_clear():
    rows = _share("clear", 700) + [m for i in range(19) for m in _share(f"g{i}", 505)]
    assert {v.generator: v.outcome for v in judge(rows, [_limit(at_most=0.5)])}["clear"] == "broken"


def test_the_undecided_are_told_how_many_images_would_do():
    rows = _share("g", 480)
    verdict = judge(rows, [_limit(at_most=0.5)], readings=readings_of(attribute_rows(About("g", "gender", ("feminine", "masculine")),
                                                                                    Reading(np.array([480, 520]))), {}))[0]  # fmt: skip
    assert verdict.outcome == "undecided"
    needed = verdict.images_to_decide
    assert judge(_share("g", round(0.48 * needed * 1.01), round(needed * 1.01)), [_limit(at_most=0.5)])[0].outcome == "held"
    assert judge(_share("g", round(0.48 * needed * 0.95), round(needed * 0.95)), [_limit(at_most=0.5)])[0].outcome == "undecided"
    assert f"{needed:,}"[:2] in verdict.why


def test_a_small_calibration_is_named_where_no_number_of_images_would_do():
    model = ErrorModel.from_confusion([[45, 5], [5, 45]])
    rows = attribute_rows(About("g", "gender", ("feminine", "masculine")), Reading(np.array([480, 520]), errors=model))
    readings = readings_of(rows, {"gender": [[45, 5], [5, 45]]})
    verdict = judge(rows, [_limit(at_most=0.5)], readings=readings)[0]
    assert verdict.images_to_decide is None
    assert "calibration is too small" in verdict.why


def _compared(metric, difference, low, high):
    return {"generator": "c", "baseline": "b", "metric": metric, "attribute": None, "group": "reference:balanced", "difference": difference,
            "low": low, "high": high, "level": 0.95, "n": 500, "corrected": False, "reader": None, "curve": None, "reason": None}  # fmt: skip


@pytest.mark.parametrize(("metric", "ends", "outcome"), [
    ("fid", (-1.0, 1.5), "held"), ("fid", (1.0, 3.0), "undecided"), ("fid", (2.5, 3.0), "broken"),
    ("recall", (-1.5, 3.0), "held"), ("recall", (-3.0, -1.0), "undecided"), ("recall", (-4.0, -2.1), "broken")])  # fmt: skip
def test_not_worse_than_knows_which_way_is_worse(metric, ends, outcome):
    limit = LimitSpec(metric=metric, not_worse_than=2.0)
    verdict = judge([], [limit], [_compared(metric, sum(ends) / 2, *ends)])[0]
    assert (verdict.outcome, verdict.baseline, verdict.bound) == (outcome, "b", 2.0)
    assert verdict.limit == f"{metric} not worse than b by more than 2"


def test_not_worse_than_needs_a_direction_and_a_comparison():
    with pytest.raises(SpecError, match="neither more nor less"):
        judge([], [LimitSpec(metric="share", attribute="gender", not_worse_than=0.1)])
    with pytest.raises(SpecError, match="give it compare_to"):
        judge([], [LimitSpec(metric="fid", not_worse_than=0.1)])


@pytest.mark.parametrize(("given", "words"), [
    ({"between": (0.6, 0.4)}, "lower end first"), ({"not_worse_than": -1}, "margin of 0 or more"), ({"at_most": float("nan")}, "finite"),
    ({"at_most": 1, "between": (0, 1)}, "found at_most and between")])  # fmt: skip
def test_an_impossible_limit_is_refused(given, words):
    with pytest.raises(ValidationError, match=words):
        _limit(**given)
