"""The paired audit on the page: findings say the numbers, controls stand beside, what is missing is told, names are escaped."""

import copy
import json
import re
from xml.etree import ElementTree

import pytest

from audit.errors import ReportError
from reports import paired_map_picture
from reports.html import render
from reports.markdown import render as summary
from reports.studies.paired_map import findings, section
from reports.studies.paired_map_figures import colour_figure, flips_figure
from reports.studies.paired_map_tables import all_changes, all_flips, clipped
from reports.studies.paired_map_tables import summary as side_by_side

PICTURE = "data:image/jpeg;base64,AAAA"


def number(value, low, high, n=500, unit="share"):
    return {"value": value, "low": low, "high": high, "n": n, "unit": unit, "method": "paired t interval", "reason": None}


def moved(quantity, by, stratum, value, planted=None):
    return {"quantity": quantity, "by": by, "stratum": stratum, **number(value, value - 0.5, value + 0.5), "planted": planted}


def a_map(name, title, *, control=None, facts=None, lightness=2.0, gained=(10, 90), planted=None):
    changes = [moved("L", "all", "all pairs", lightness, planted), moved("hue", "all", "all pairs", -1.0), moved("background_L", "all", "all pairs", 0.25)]
    changes += [moved("L", "true_tone", tone, lightness + at, planted) for at, tone in enumerate(("light", "medium", "dark"))]
    changes += [moved("L", "unclipped", "no pixel newly at 0 or 255", lightness + 0.25, planted), moved("L", "beyond_blur", "all pairs", lightness - 0.75)]
    net = (gained[1] - gained[0]) / 500
    shares = [number(-net, -net - 0.03, -net + 0.03), number(net, net - 0.03, net + 0.03)]
    flip = {"attribute": "gender", "reader": "classifier", "classes": ["feminine", "masculine"], "table": [[200, gained[1]], [gained[0], 200]],
            "gained": list(gained), "lost": [gained[1], gained[0]], "n": 500, "dropped": 0, "differences": shares, "p_value": 0.0001, "p_adjusted": 0.0002,
            "test": "exact McNemar", "by_truth": {"before": [[240, 10], [5, 245]], "after": [[160, 90], [5, 245]]}, "beyond": {"blur": shares}}  # fmt: skip
    return {"generator": name, "baseline": "before", "title": title, "control": control, "map": facts or {"kind": "weights"}, "pairs": 500,
            "missing": {}, "size": 3.25, "exact": control == "identity", "flips": [flip], "changes": changes,
            "saturation": [{"by": "true_tone", "stratum": "light", "n": 160, "pixels": 0.125, "images": 0.5}],
            "identity": {"similarity": number(0.75, 0.7, 0.8), "strangers": 0.4, "lost": number(0.25, 0.2, 0.3)}}  # fmt: skip


@pytest.fixture
def study():
    known = {"kind": "filter", "filter": "lighten", "amount": 1.0, "where": "image", "planted": {"L": 1.0}}
    return {"kind": "paired_map", "level": 0.95, "before": ["Before"],
            "maps": [a_map("g", "CycleGAN"), a_map("l", "Lighten 1", facts=known, lightness=0.75, gained=(1, 2), planted=1.0),
                     a_map("i", "Nothing", control="identity", lightness=0.0, gained=(0, 0)), a_map("b", "Blur", control="blur", lightness=-1.0)],
            "strips": [{"generator": g, "baseline": "before", "ids": [0, 1], "picture": PICTURE} for g in ("before", "g")]}  # fmt: skip


def test_the_findings_say_flips_lightness_and_what_was_planted(study):
    said = findings(study["maps"])
    assert "90 of 500 images flip from feminine to masculine and 10 back: the share labelled masculine changes by" in said[0]
    assert "+16.0 points (13.0 to 19.0)" in said[0] and "adjusted p <0.001" in said[0]
    assert ("+2.00 (1.50 to 2.50) on average (+2.00 where it was light, +3.00 where it was medium and +4.00 where it was dark), "
            "+1.25 (0.75 to 1.75) beyond the blur") in said[0]
    assert "25.0% of the pairs are less alike" in said[0]
    assert said[1] == "Lighten 1: +1.0 was planted in the L* of the skin and +0.75 (0.25 to 1.25) found, +1.00 (0.50 to 1.50) where no pixel of the skin was clipped."
    assert said[2] == "The identity changes nothing at all, as it must."


def test_an_identity_that_is_not_exact_and_a_run_without_controls_are_told(study):
    study["maps"][2]["exact"] = False
    assert "no number here is sure" in findings(study["maps"])[2]
    assert "holds no control" in findings(study["maps"][:1])[-1]


def test_the_page_and_the_summary_show_the_study(small, study):
    small["study"] = study
    page = render(small)
    assert "What the map does to each image" in page and page.count(PICTURE) == 2
    assert "planted +1" in page and "Labels that flipped, either way" in page
    assert len(set(re.findall(r'\bid="([^"]+)"', page))) == len(re.findall(r'\bid="([^"]+)"', page))
    assert "- CycleGAN: L* of the skin" in summary(small)


def test_the_figures_say_their_numbers_and_draw_bars_either_way(study):
    drawn = colour_figure(study["maps"], "true_tone", "k")
    assert "CycleGAN: all pairs 2.00, light 2.00, medium 3.00, dark 4.00" in drawn
    assert "Nothing: 0 to feminine, 0 to masculine, of 500" in flips_figure(study["maps"], "k")
    assert colour_figure(study["maps"], None, "k") is None
    assert flips_figure([{**study["maps"][0], "flips": []}], "k") is None


def test_the_tables_hold_every_stratum_flip_and_what_was_clipped(study):
    assert len(all_changes(study["maps"]).rows) == 4 * 6
    row = all_flips(study["maps"]).rows[0]
    assert [c.text for c in row][3:7] == ["90 masculine", "90", "10", "−16.0"]
    assert [c.text for c in row][8:10] == ["96.0%", "64.0%"]
    assert clipped(study["maps"]).rows[0][3].text == "12.5%"
    assert [c.text for c in side_by_side(study["maps"]).rows[0]][:3] == ["CycleGAN", "3.2", "+2.00"]


def test_what_was_not_measured_says_why(study):
    lost = copy.deepcopy(study["maps"][0])
    for row in lost["changes"]:
        row |= {"value": None, "low": None, "high": None, "reason": "1 pairs were read on both sides; 2 are needed"}
    lost["identity"] = None
    assert findings([lost])[0].startswith("CycleGAN: 90 of 500")
    assert "not measured" in str(section({**study, "maps": [lost]}, {"schema": "genbias.result/1"}))
    bare = {**lost, "changes": [], "flips": []}
    assert findings([bare])[0] == "CycleGAN: nothing was measured."
    with pytest.raises(ReportError, match="holds no map"):
        section({"maps": []}, {})


def test_names_from_outside_are_escaped(small, study):
    study["maps"][0]["title"] = "<script>x</script>"
    study["strips"][0]["picture"] = "javascript:alert(1)"
    small["study"] = study
    page = render(small)
    assert "<script>x" not in page and "javascript:" not in page


def test_the_readme_gets_its_picture_and_its_table(small, study, tmp_path, monkeypatch):
    small["study"] = study
    (tmp_path / "result.json").write_text(json.dumps(small))
    (tmp_path / "README.md").write_text(f"a\n{paired_map_picture.BEGIN}\nold\n{paired_map_picture.END}\nb\n")
    monkeypatch.setattr(paired_map_picture, "PICTURE", tmp_path / "maps.svg")
    paired_map_picture.main(str(tmp_path), str(tmp_path / "README.md"))
    text, drawn = (tmp_path / "README.md").read_text(), ElementTree.fromstring((tmp_path / "maps.svg").read_text())
    assert "| CycleGAN | 3.2 | +2.00 (1.50 to 2.50) |" in text and "| 90 / 10 | +16.0 (13.0 to 19.0) |" in text and "old" not in text
    assert drawn.tag.endswith("svg") and "var(" not in (tmp_path / "maps.svg").read_text()
    with pytest.raises(ReportError, match="nothing to draw"):
        paired_map_picture.picture([{**study["maps"][0], "changes": [], "flips": []}])
