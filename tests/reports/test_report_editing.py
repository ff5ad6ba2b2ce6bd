"""The page's section of the editing study: what it says, what it draws, and what it does with what is missing."""

import base64
import copy
import re

import pytest

from audit.errors import ReportError
from reports.html import render
from reports.markdown import render as summary
from reports.studies import editing, editing_picture

PICTURE = "data:image/jpeg;base64," + base64.b64encode(b"\xff\xd8\xff not really a picture").decode()


def _number(value, half=0.02):
    return {"value": value, "low": value - half, "high": value + half}


def _curve(by, title, reach, kept, drift):
    points = [{"generator": "stylegan2", "strength": 0.0, "change": _number(0, 0), "identity": _number(1, 0), "fid": _number(8.0, 0.5)}]
    for i, s in enumerate((-1, -2), start=1):
        points.append({
            "generator": f"{by}_{s}", "strength": s, "change": _number(reach * i / 2), "identity": _number(1 - (1 - kept) * i / 2),
            "labelled": {"before": 0.25, "after": 0.25 + reach * i / 2, **_number(reach * i / 2)},
            "drift": {"age": _number(drift, 0.01), "gender": _number(2 * drift, 0.01)}, "drift_mean": _number(1.5 * drift, 0.01),
            "fid": _number(8.0 + i, 0.5), "outside": {**_number(0.2 if s == -2 else 0.0, 0.0), "flagged": s == -2}, "beyond": s == -2,
        })  # fmt: skip
    grid = [0.0, reach / 2, reach]
    values = [1.0, (1 + kept) / 2, kept]
    return {"by": by, "title": title, "unedited": "stylegan2", "points": points, "strangers": 0.05,
            "equal": {"change": grid, "identity": values, "low": [v - 0.03 for v in values], "high": [v + 0.03 for v in values]},
            "strip": PICTURE, "ids": [0, 1]}  # fmt: skip


@pytest.fixture
def study():
    curves = [_curve("self_conditioned", "self-conditioned label", 0.3, 0.5, 0.1), _curve("conditional", "hyperplane, conditional", 0.4, 0.9, 0.02),
              _curve("ganspace", "component (GANSpace)", 0.35, 0.1, 0.3)]  # fmt: skip
    rivals = [{"by": "conditional", "low_change": 0.14, "high_change": 0.28, "own": 0.62, "other": 0.93, "difference": -0.31, "low": -0.36,
               "high": -0.26, "reason": None},
              {"by": "ganspace", "low_change": 0.14, "high_change": 0.28, "own": 0.62, "other": 0.41, "difference": 0.21, "low": 0.15, "high": 0.27,
               "reason": None}]  # fmt: skip
    claim = {"level": 0.983, "reach": {}, "rivals": rivals, "best": "conditional", "outcome": "broken", "why": "an interval lies below 0"}
    edit = {"attribute": "smile", "title": "Smile", "towards": "neutral", "side": -1, "n": 400, "curves": curves, "claim": claim,
            "redrawn": {"change": 0.5, "identity": 0.81, "images": 200}}  # fmt: skip
    return {"kind": "editing", "edits": [edit], "level": 0.95, "images": 400, "judge": "portraits_a", "reference": "balanced",
            "fitted_by": "portraits_b", "quantile": 0.999, "claims": 3}  # fmt: skip


def _page(study, small):
    small["study"] = study
    return render(small)


def test_the_section_says_the_verdict_with_its_numbers(study, small):
    page = _page(study, small)
    assert '<a href="#study">Which edit keeps the person?</a>' in page
    assert "Not held. A move of the code keeps the person better than the self-conditioned label." in page
    assert "Over changes of 0.14 to 0.28" in page and "0.62 against 0.93" in page and "−0.31 (−0.36 to −0.26)" in page
    assert "best move of the code is not held for smile (neutral)." in page
    assert "portraits_a" in page and "portraits_b" in page


@pytest.mark.parametrize(
    ("outcome", "begins", "says"), [("held", "Held.", "at least as well as every move"), ("undecided", "Undecided.", "cannot tell")]
)
def test_each_outcome_has_its_words(study, outcome, begins, says):
    study["edits"][0]["claim"]["outcome"] = outcome
    told = editing.verdict(study["edits"][0])
    assert told.startswith(begins) and says in told


def test_what_could_not_be_tested_says_why(study, small):
    study["edits"][0]["claim"] |= {
        "outcome": "not_tested",
        "best": None,
        "why": "self-conditioned edits surely change the judge's mean score by no more than 0.020",
    }
    for rival in study["edits"][0]["claim"]["rivals"]:
        rival |= {"difference": None, "reason": "no common range"}
    page = _page(study, small)
    assert "Not tested. Self-conditioned edits surely change the judge&#39;s mean score by no more than 0.020." in page
    assert "not compared" in page and "no common range" in page


def test_four_drawings_an_attribute_carry_their_numbers_in_words(study, small):
    page = _page(study, small)
    titles = re.findall(r'<title id="editing-0-[a-z]+-title">([^<]*)</title>', page)
    assert titles == ["Smile: attribute reached against strength", "Smile: identity at equal change", "Smile: drift of other attributes",
                      "Smile: FID of edited images"]  # fmt: skip
    assert "self-conditioned label: 0.50 at a change of 0.30" in page and "hyperplane, conditional: 0.90 at a change of 0.40" in page
    assert len(set(re.findall(r'id="(editing[^"]*)"', page))) == len(re.findall(r'id="(editing[^"]*)"', page))


def test_a_perfect_edit_is_shown_where_the_truth_is_known(study, small):
    page = _page(study, small)
    assert "the same 200 people" in page and "moves the mean score by +0.50 and keeps a similarity of 0.81" in page
    assert "The same people redrawn: 0.81 at a change of +0.50." in page
    study["edits"][0]["redrawn"] = None
    assert "redrawn" not in _page(study, small)


def test_strengths_that_leave_the_latent_space_are_flagged_in_the_table(study, small):
    page = _page(study, small)
    assert page.count("leaves the latent space") == 3 and "Codes outside" in page
    study["edits"][0]["curves"] = study["edits"][0]["curves"][:1]
    study["edits"][0]["curves"][0]["points"][2]["outside"]["flagged"] = False
    assert "beyond what it was made on" in _page(study, small)


def test_strips_are_shown_and_what_is_no_picture_is_not(study, small):
    page = _page(study, small)
    assert page.count(PICTURE) == 3 and 'alt="self-conditioned label: images 0 and 1, a row each, at strengths 0, −1 and −2"' in page
    for curve in study["edits"][0]["curves"]:
        curve["strip"] = 'data:image/svg+xml;base64,"><script>alert(1)</script>'
    page = _page(study, small)
    assert "alert(1)" not in page and "kept no thumbnails" in page


def test_names_from_outside_are_escaped(study, small):
    study["edits"][0]["curves"][1]["title"] = study["judge"] = study["edits"][0]["towards"] = "<b>bold</b>"
    study["edits"][0]["claim"]["best"] = "conditional"
    assert "<b>bold" not in _page(study, small)


def test_missing_numbers_are_said_and_never_drawn_as_zero(study, small):
    missing = {"value": None, "low": None, "high": None, "reason": "no reference to measure against"}
    for curve in study["edits"][0]["curves"]:
        for point in curve["points"]:
            point["fid"] = missing
    page = _page(study, small)
    assert "FID of edited images" not in page and "no reference to measure against" in page


def test_an_edit_that_changes_nothing_is_named_as_such(study, small):
    study["edits"][0]["curves"][0]["equal"] = {"change": [0.0], "identity": [1.0], "low": [1.0], "high": [1.0]}
    assert "self-conditioned label: does not change the attribute" in _page(study, small)


def test_the_summary_has_a_line_an_attribute(study, small):
    study["edits"].append(copy.deepcopy(study["edits"][0]) | {"attribute": "age", "title": "Perceived age", "towards": "old"})
    small["study"] = study
    text = summary(small)
    assert "- **Smile, towards neutral**: Not held." in text and "- **Perceived age, towards old**: Not held." in text


def test_a_study_without_edits_is_refused(small):
    small["study"] = {"kind": "editing"}
    with pytest.raises(ReportError, match="lists no edits"):
        render(small)


def test_the_picture_for_the_readme_has_a_panel_an_attribute_and_says_its_numbers(study):
    study["edits"].append(copy.deepcopy(study["edits"][0]) | {"attribute": "age", "title": "Perceived age", "towards": "old"})
    text = editing_picture.picture(study)
    assert text == editing_picture.picture(study) and text.count("change of the judge's mean score") == 2
    assert "Perceived age towards old: self-conditioned label 0.50 at 0.30" in text and ">hyperplane, conditional</text>" in text
    with pytest.raises(ReportError, match="genbias run editing"):
        editing_picture.picture({"kind": "amplification"})
