"""The section of the amplification study: what it says, draws and refuses."""

import pytest

from audit.errors import ReportError
from reports.studies import MARKDOWN, SECTIONS
from reports.studies.amplification import finding


def number(value, half=0.1, n=7):
    return {"value": value, "low": None if value is None else value - half, "high": None if value is None else value + half, "n": n, "reason": None}


def row(family, share, value, outcome, reader="classifier, corrected"):
    return {"generator": f"{family}_{share}", "family": family, "trained_on": f"professors:{share}", "data": "d", "true_share": share, "attribute": "gender",
            "group": "feminine", "reader": reader, "share": number(value, 0.01), "training_share": number(share, 0.01), "difference": number(value - share),
            "ratio": number(value / share), "log_odds": number(-0.4), "at_most": {"high": 0.12, "value": 0.1} if reader == "classifier" else None, "outcome": outcome}  # fmt: skip


def family(name, outcome, value, p):
    return {"family": name, "attribute": "gender", "group": "feminine", "reader": "classifier, corrected", "runs": 3, "measured": 3, "log_odds": number(value),
            "p_value": p, "p_adjusted": p, "outcome": outcome, "by_share": []}  # fmt: skip


@pytest.fixture
def study():
    names = {"DCGAN": ("shrinks", -0.5), "VAE": ("cannot tell", 0.01), "<b>Pro</b>GAN": ("grows", 0.3), "Once": ("not measured", None)}
    rows = [row(f, s, s * 0.8, o, r) for f, (o, _) in names.items() for s in (0.5, 0.05) for r in ("classifier", "classifier, corrected")]
    loss = {"feminine": {"generated": number(3.0), "data": number(1.0), "loss": number(2.0)},
            "masculine": {"generated": number(2.0), "data": number(1.0), "loss": number(1.0)}}  # fmt: skip
    quality = [{"generator": "DCGAN_0.5", "family": "DCGAN", "attribute": "gender", "group": "feminine", "trained_on": "professors:0.5", "metric": "group_fid",
                "better": "lower", "groups": loss, "gap": number(1.0)}]  # fmt: skip
    return {"kind": "amplification", "level": 0.95, "minority": [{"attribute": "gender", "group": "feminine"}], "training_images": 10000, "note": None,
            "rows": rows, "families": [family(n, o, v, 0.01) for n, (o, v) in names.items()], "quality": quality}  # fmt: skip


@pytest.fixture
def result(study):
    gender = {"title": "Perceived gender presentation", "classes": ["feminine", "masculine"], "caveat": ""}
    return {"schema": "genbias.result/1", "name": "s", "provenance": {}, "spec": {"attributes": ["gender"]}, "attributes": {"gender": gender},
            "generators": [], "measures": [], "comparisons": [], "verdicts": [], "gallery": {}, "timings": {}, "study": study}  # fmt: skip


def test_the_finding_names_who_shrinks_who_grows_and_what_cannot_be_told(study):
    text = finding(study["families"], "labelled feminine")
    assert text.startswith("DCGAN (log odds \u22120.50 (\u22120.60 to \u22120.40), adjusted p 0.010) shrinks the share of images labelled feminine")
    assert "grows the share" in text
    assert "for VAE the runs differ too much to tell, or nothing changed" in text
    assert "for Once there are too few runs to say" in text


@pytest.mark.parametrize(("said", "words"), [
    ("shrinks", "; the second rater agrees)"), ("cannot tell", "; the second rater cannot tell)"), ("grows", "; the second rater does not agree)")])  # fmt: skip
def test_the_finding_says_whether_the_second_rater_agrees(study, said, words):
    assert f"adjusted p 0.010{words} shrinks the share" in finding(study["families"], "labelled feminine", {"DCGAN": said})


def test_what_a_control_does_is_said_apart(study):
    families = [*study["families"], {**family("Blurred data", "shrinks", -0.2, 0.01), "control": True}]
    text = finding(families, "labelled feminine")
    assert "Blurred data shrinks" not in text
    assert text.endswith("Blurred data, which no generator drew, changes the log odds by \u22120.20 (\u22120.30 to \u22120.10): as much may be the "
                         "instrument's and not a generator's.")  # fmt: skip


def test_the_page_shows_both_figures_with_words_for_those_who_do_not_see_them(study, result):
    html = str(SECTIONS["amplification"](study, result))
    assert html.count("<svg") == 2
    assert "DCGAN_0.05: 5.0% of the data, 4.0% generated" in html
    assert "Once: not measured over 3 runs" in html
    assert "training set of 10,000 images" in html
    assert "lost more quality than the others" in html


def test_a_control_is_no_generator_that_lost_quality(study, result):
    study["quality"].append({**study["quality"][0], "generator": "blurred", "control": True})
    assert "on 1 of 1 generator that" in str(SECTIONS["amplification"](study, result))


def test_names_from_outside_are_text(study, result):
    html = str(SECTIONS["amplification"](study, result))
    assert "<b>Pro" not in html
    assert "&lt;b&gt;Pro&lt;/b&gt;GAN" in html


def test_the_best_reader_is_drawn_and_all_are_in_the_table(study, result):
    html = str(SECTIONS["amplification"](study, result))
    table = html[html.index("Every generator, every reader") :]
    assert table.count("classifier, corrected") == 8
    assert "12.0%" in table  # the bound of the classifier's row


def test_without_corrected_rows_the_raw_ones_are_drawn(study, result):
    study["rows"] = [r for r in study["rows"] if r["reader"] == "classifier"]
    study["families"] = [{**f, "reader": "classifier"} for f in study["families"]]
    assert "DCGAN_0.5: 50.0% of the data, 40.0% generated" in str(SECTIONS["amplification"](study, result))


def test_the_summary_has_the_finding(study, result):
    assert "DCGAN" in MARKDOWN["amplification"](study, result)


def test_no_rows_is_a_sentence(study, result):
    study["rows"] = []
    with pytest.raises(ReportError, match="holds no rows of gender"):
        SECTIONS["amplification"](study, result)


def test_a_share_of_nothing_is_drawn_at_the_edge(study, result):
    study["rows"][1]["share"] = {"value": 0.0, "low": 0.0, "high": 0.003, "n": 1000, "reason": None}
    assert "0.0% generated" in str(SECTIONS["amplification"](study, result))
