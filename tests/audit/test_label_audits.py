"""A table of labels is audited as a run is: the same numbers, without torch, and every bad table gets its sentence."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from audit import metrics
from audit.errors import GenbiasError
from audit.label_audits import audit_labels
from audit.labelled.calibrating import calibrate

SMILE = np.array(["neutral", "smiling"])


def row(result, metric, *, attribute="smile", group=None, corrected=False, generator="labels"):
    found = [m for m in result.measures if (m.generator, m.metric, m.attribute, m.group, m.corrected) == (generator, metric, attribute, group, corrected)]
    assert len(found) == 1, (metric, attribute, group, corrected)
    return found[0]


@pytest.fixture
def known():
    """A labeller that takes 10 % of either class for the other."""
    true = np.repeat([0, 1], 2000)
    return calibrate(pd.DataFrame({"smile:true": SMILE[true], "smile": SMILE[np.where(np.arange(4000) % 10 == 0, 1 - true, true)]}))


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    n = 3000
    luck = rng.random(n)
    return pd.DataFrame({
        "id": np.tile(np.arange(n), 2), "generator": np.repeat(["before", "after"], n),
        "smile": SMILE[np.concatenate([luck < 0.8, luck < 0.6]).astype(int)],
        "race": np.array(list("abcdefg"))[rng.integers(0, 7, 2 * n)],
    })  # fmt: skip


def test_shares_and_discrepancies_are_those_of_the_metrics():
    result = audit_labels(pd.DataFrame({"smile": SMILE[[0] * 300 + [1] * 700]}))
    box = metrics.share_box([300, 700])
    assert row(result, "share", group="smiling").value == 0.7
    assert row(result, "share", group="smiling").low == pytest.approx(box.low[1])
    assert row(result, "fairness_discrepancy").high == pytest.approx(metrics.fairness_discrepancy(box).high)


def test_attributes_of_ones_own_and_intersections_of_both_are_measured(table):
    result = audit_labels(table, attributes=["race", "smile*race"])
    assert len([m for m in result.measures if m.metric == "share" and m.attribute == "smile*race"]) == 2 * 14
    assert row(result, "share", attribute="race", group="g", generator="after").parity == pytest.approx(1 / 7)
    assert any("a class that never occurs could not be counted" in c for c in result.provenance["caveats"])


def test_classes_that_are_named_are_counted_even_if_absent():
    result = audit_labels(pd.DataFrame({"race": ["a", "b"] * 50}), classes={"race": ["a", "b", "c"]})
    assert row(result, "share", attribute="race", group="c").value == 0
    assert not any("never occurs" in c for c in result.provenance["caveats"])


def test_shares_are_corrected_for_the_errors_of_the_labeller(known):
    labels = pd.DataFrame({"smile": SMILE[[0] * 740 + [1] * 260]})  # .8 neutral, each class misread once in ten
    result = audit_labels(labels, calibration=known)
    found = row(result, "share", group="neutral", corrected=True)
    assert found.value == pytest.approx(0.8) and found.low < 0.8 < found.high
    assert row(result, "share", group="neutral").value == pytest.approx(0.74)


def test_probabilities_are_corrected_by_their_own_errors():
    rng = np.random.default_rng(1)

    def scores(true):
        p = np.clip(np.where(true == 1, 0.75, 0.35) + 0.1 * rng.standard_normal(len(true)), 0, 1)
        return pd.DataFrame({"smile:neutral": 1 - p, "smile:smiling": p})

    labelled = np.repeat([0, 1], 1000)
    known = calibrate(scores(labelled).assign(**{"smile:true": SMILE[labelled]}))
    result = audit_labels(scores((rng.random(5000) < 0.3).astype(int)), calibration=known)
    found = row(result, "share", group="smiling", corrected=True)
    assert "mean probabilities" in found.method
    assert found.low < 0.3 < found.high and found.high - found.low < 0.1


def test_each_known_subgroup_is_corrected_by_its_own_errors():
    def labelled(true, wrong, group):
        return pd.DataFrame({"smile:true": SMILE[true], "smile": SMILE[np.where(np.arange(len(true)) % 10 < wrong, 1 - true, true)], "group": group})

    classes = np.repeat([0, 1], 1000)
    made = calibrate(pd.concat([labelled(classes, 0, "x"), labelled(classes, 4, "y")]), group="group")
    true = np.repeat([1, 0, 1, 0], [1000, 1000, 200, 1800])  # half of group x smiles, a tenth of group y
    seen = pd.concat([labelled(true[:2000], 0, "x"), labelled(true[2000:], 4, "y")])
    found = row(audit_labels(seen, calibration=made), "share", group="smiling", corrected=True)
    alone = row(audit_labels(seen.drop(columns="group"), calibration=made), "share", group="smiling", corrected=True)
    assert found.value == pytest.approx(0.3)
    assert alone.value == pytest.approx((0.5 + 0.42 - 0.4) / 2 / 0.6)  # the groups' labels through their common error rate of .2


def test_images_that_were_not_read_are_counted_and_bound_the_shares():
    result = audit_labels(pd.DataFrame({"smile": ["neutral"] * 450 + ["smiling"] * 450 + [None] * 100}))
    assert row(result, "share", group="smiling").n == 900
    worst = row(result, "share_worst_case", group="smiling")
    assert worst.low < 0.45 and worst.high > 0.55
    assert result.generators[0]["unreadable"] == 100
    assert any("100 of 1,000 images have no label of smile" in c for c in result.generators[0]["caveats"])


def test_images_of_one_unit_are_not_so_many_witnesses():
    labels = pd.DataFrame({"smile": np.repeat(SMILE[np.arange(200) % 2], 10)})
    plain = row(audit_labels(labels), "share", group="smiling")
    units = row(audit_labels(labels.assign(unit=np.repeat(np.arange(200), 10))), "share", group="smiling")
    assert units.value == plain.value
    assert (units.high - units.low) / (plain.high - plain.low) == pytest.approx(np.sqrt(10), rel=0.1)


def test_a_candidate_is_compared_with_its_baseline_on_the_same_ids(table, known):
    shuffled = table.sample(frac=1, random_state=0)
    result = audit_labels(shuffled, compare_to={"after": "before"}, calibration=known, attributes=["smile"])
    raw, corrected = [c for c in result.comparisons if c["metric"] == "share" and c["group"] == "smiling"]
    before, after = ((table["smile"] == "smiling")[table["generator"] == g].mean() for g in ("before", "after"))
    assert raw["difference"] == pytest.approx(after - before) and raw["n"] == 3000
    assert corrected["corrected"] and corrected["difference"] == pytest.approx((after - before) / 0.8)
    by_hand = metrics.paired_share_difference(*((table["smile"] == "smiling")[table["generator"] == g].astype(int) for g in ("after", "before")), 2)
    assert raw["low"] == pytest.approx(by_hand.differences[1].low)
    assert raw["p_adjusted"] >= raw["p_value"]
    levels = [level for level, _, _ in raw["curve"]]
    assert levels == sorted(levels) and raw["curve"][-1][1] < raw["low"] < raw["curve"][0][1]


def test_limits_are_decided(table):
    limits = [{"metric": "share", "attribute": "smile", "group": "smiling", "generator": g, "at_most": 0.7} for g in ("before", "after")]
    assert [v.outcome for v in audit_labels(table, limits=limits).verdicts] == ["broken", "held"]


def test_a_result_on_disk_is_read_back_and_another_table_is_refused_there(table, tmp_path):
    from audit.result import load_result

    made = audit_labels(table, out=tmp_path / "r")
    back = load_result(tmp_path / "r")
    assert back.measures[3].row().keys() == made.measures[3].row().keys()
    assert back.spec["attributes"] == ["smile", "race"]
    audit_labels(table, out=tmp_path / "r", level=0.9)
    with pytest.raises(GenbiasError, match="holds another run"):
        audit_labels(table.iloc[:100], out=tmp_path / "r")


def test_the_report_shows_an_audit_of_a_table(table, known, tmp_path):
    from reports import write_all

    table.loc[:50, "smile"] = None
    limits = [{"metric": "fairness_discrepancy", "attribute": "smile", "at_most": 0.2}]
    audit_labels(table, attributes=["smile", "race", "smile*race"], calibration=known, compare_to={"after": "before"}, limits=limits, out=tmp_path / "r")
    pages = {p.name: p.read_text() for p in write_all(tmp_path / "r")}
    assert "race" in pages["report.html"] and "smiling" in pages["summary.md"]


def test_a_table_is_audited_without_torch(tmp_path):
    code = ("import pandas as pd, sys; from audit.label_audits import audit_labels; "
            f"audit_labels(pd.DataFrame({{'smile': ['neutral', 'smiling'] * 9}}), out={str(tmp_path / 'r')!r}); "
            "print(sorted({'torch', 'matplotlib', 'torchvision'} & set(sys.modules)))")  # fmt: skip
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


@pytest.mark.parametrize(("columns", "options", "sentence"), [
    ({"smile": []}, {}, "holds 0 images; expected 2 or more"),
    ({"smile": ["neutral"]}, {}, "holds 1 image; expected 2 or more"),
    ({"id": [1, 2]}, {}, "has no column of labels; it has id"),
    ({"smile": ["neutral", "grin"]}, {}, "holds 'grin'"),
    ({"smile:neutral": [0.5, 0.5], "smile:smiling": [0.5, 0.6]}, {}, "row 2 .*add up to 1.1"),
    ({"smile:neutral": [0.5, 0.5], "smile:smiling": [0.5, np.nan]}, {}, "NaN for some classes"),
    ({"smile": ["neutral", "smiling"]}, {"attributes": ["smile*age"]}, "neither a column 'age'"),
    ({"smile": ["neutral", "smiling"]}, {"target": {"race": {"a": 1}}}, "'race' is not audited here"),
    ({"smile": ["neutral", "smiling"]}, {"level": 1.5}, "confidence level lies between"),
    ({"smile": ["neutral", "smiling"]}, {"limits": [{"metric": "fid", "at_most": 9}]}, "matches no measure"),
    ({"smile": ["neutral", "smiling"]}, {"compare_to": {"a": "b"}}, "no generator 'a' in the table"),
    ({"smile": ["neutral", "smiling"], "generator": ["a", None]}, {}, "'generator' is empty in row 2"),
    ({"smile": ["neutral", "smiling"], "unit": [1, None]}, {}, "'unit' is empty in row 2"),
    ({"smile": ["neutral", "smiling"], "unit": [1, 1]}, {}, "all images of a generator are of one unit"),
    ({"smile": ["neutral", "smiling"] * 2, "generator": list("abab")}, {"compare_to": {"a": "b"}}, "needs a column 'id'"),
    ({"smile": ["neutral", "smiling"] * 2, "generator": list("aabb"), "id": [1, 1, 1, 2]}, {"compare_to": {"a": "b"}}, "'a' has an id twice"),
    ({"smile": ["neutral", "smiling"] * 2, "generator": list("aabb"), "id": [1, 2, 3, 4]}, {"compare_to": {"a": "b"}}, "share no id"),
    ({"smile": ["neutral", "smiling"] * 2, "generator": list("aabb"), "id": [1, 2, 3, 4]}, {"compare_to": {"a": "a"}}, "compared with itself"),
])  # fmt: skip
def test_bad_input_is_refused_in_a_sentence(columns, options, sentence):
    with pytest.raises(GenbiasError, match=sentence) as refused:
        audit_labels(pd.DataFrame(columns), **options)
    assert refused.value.exit_code == 2


def test_a_calibration_for_other_classes_is_refused(known):
    with pytest.raises(GenbiasError, match=r"calibration is for other classes of 'smile' \(neutral, smiling\); this audit has yes, no"):
        audit_labels(pd.DataFrame({"smile": ["yes", "no"]}), classes={"smile": ["yes", "no"]}, calibration=known)
    own = calibrate(pd.DataFrame({"race:true": ["a", "b"] * 5, "race": ["a", "b"] * 5}))
    with pytest.raises(GenbiasError, match=r"other classes of 'race' than the table: .*holds 'c'"):
        audit_labels(pd.DataFrame({"race": ["a", "b", "c"]}), calibration=own)


@pytest.mark.parametrize(("group", "sentence"), [("z", "has group 'z', for which"), (None, "images without a group, for which"),
                                                ("y", "never saw 'smiling' of 'smile' in group 'y'")])  # fmt: skip
def test_a_subgroup_that_was_not_calibrated_is_refused(group, sentence):
    labelled = pd.DataFrame({"smile:true": ["neutral", "smiling", "neutral"], "smile": ["neutral", "smiling", "neutral"], "group": ["x", "x", "y"]})
    made = calibrate(labelled, group="group")
    with pytest.raises(GenbiasError, match=sentence):
        audit_labels(pd.DataFrame({"smile": ["neutral", "smiling"], "group": ["x", group]}), calibration=made)


@pytest.mark.slow
def test_a_million_rows_take_less_than_ten_seconds(tmp_path):
    import time

    rng, n = np.random.default_rng(0), 1_000_000
    columns = {a: np.array(c)[rng.integers(0, len(c), n)] for a, c in
               {"gender": ["feminine", "masculine"], "skin_tone": ["light", "medium", "dark"], "smile": list(SMILE), "race": list("abcdefg")}.items()}
    pd.DataFrame(columns).to_csv(tmp_path / "t.csv", index=False)
    began = time.perf_counter()
    audit_labels(tmp_path / "t.csv", out=tmp_path / "r")
    assert time.perf_counter() - began < 10
    assert json.loads((tmp_path / "r/result.json").read_text())["generators"][0]["images"] == n
