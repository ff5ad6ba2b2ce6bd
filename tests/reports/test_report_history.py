"""The pages of a history: what moved first, hostile names shown as text, one file without requests; Markdown and JUnit of the same document."""

import re
import shutil
import subprocess
from xml.etree import ElementTree as Xml

import pytest

from audit.errors import ReportError
from reports import history_wording as say
from reports.history import MOST_DRAWN, page
from reports.history_pictures import Calendar, own_scale, picture, scales
from reports.history_summary import junit, markdown


def series(name="plain", metric="fairness_discrepancy", values=(0.1, 0.11, 0.2), attribute="gender", **known):
    points = [[at, v, v - 0.02, v + 0.02] for at, v in enumerate(values) if v is not None]
    return {"generator": name, "title": name.title(), "metric": metric, "attribute": attribute, "group": None, "baseline": None, "reader": None, "corrected": True,
            "protocol": None, "direction": "lower", "unit": "distance", "parity": 0.0, "watched": True, "points": points, "moved": None, **known}  # fmt: skip


def document(rows=None, moves=(), nights=("2026-01-01", "2026-01-02", "2026-01-04"), **known):
    rows = [series()] if rows is None else rows
    entries = [{"night": n, "repeat": 0, "seed": 1, "samples": 100, "exit_code": 0, "commit": "c", "genbias": "0.1", "changes": []} for n in nights]
    return {"schema": "genbias.history/1", "suite": "suite", "history": "h.db", "nights": entries, "missing": ["2026-01-03"], "moves": list(moves), "notable": [],
            "watched": {"series": len(rows), "alarm": 4.5, "odd": 2.9}, "exact": [], "renamed": [], "verdicts": [], "series": rows, **known}  # fmt: skip


def moved(row, **known):
    told = {k: v for k, v in row.items() if k not in ("points", "moved", "title", "watched")}
    return {**told, "since": "2026-01-04", "found": "2026-01-04", "since_at": 2, "found_at": 2, "before": 0.105, "after": 0.2, "difference": 0.095, "low": 0.05,
            "high": 0.14, "score": 6.0, "worse": True, "or_since": [], "causes": [{"what": "commit", "before": "aaa", "after": "bbb", "night": "2026-01-04", "likely": True}],
            **known}  # fmt: skip


def with_move(**known):
    row = series()
    move = moved(row, **known)
    return document([{**row, "moved": {k: move[k] for k in ("since", "since_at", "found", "before", "after", "worse")}}], [move])


def test_what_moved_comes_first_with_its_size_and_cause():
    text = page(with_move())
    assert "1 move of watched measures: 1 to the worse" in text and "0.105 before, 0.200 since, a difference of +0.095" in text
    assert "commit (aaa to bbb)" in text and text.index('id="moved"') < text.index('id="measures"')
    assert 'class="level worse"' in text and "worse since 2026-01-04" in text


def test_a_quiet_history_says_so_and_names_its_gaps():
    text = page(document())
    assert "Nothing that is watched has moved" in text and "1 night is missing: 2026-01-03." in text and ">missing</td>" in text


def test_the_page_is_one_file_that_asks_for_nothing():
    text = page(with_move())
    assert "<script" not in text and not re.search(r'(?:src|href)="(?!#)', text) and "default-src 'none'" in text
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    for anchor in re.findall(r'href="#([^"]+)"', text):
        assert anchor in ids


def test_the_same_document_gives_the_same_page():
    assert page(with_move()) == page(with_move())


HOSTILE = "<script>alert(1)</script>|`x`\u202e"


def test_hostile_names_are_text_everywhere():
    row = series(HOSTILE, title=HOSTILE)
    found = document([row], [moved(row)], suite=HOSTILE, history=HOSTILE)
    found["renamed"] = [{"before": HOSTILE, "after": HOSTILE, "night": "2026-01-02", "weights": "x"}]
    html, md, xml = page(found), markdown(found), junit(found)
    assert "<script>" not in html and "\u202e" not in html and "&lt;script&gt;" in html
    assert "<script>" not in md and "\u202e" not in md and "\u202e" not in xml
    assert Xml.fromstring(xml).get("name") == "genbias"


def test_a_gap_breaks_the_line_and_dates_set_the_distance():
    found = document([series(values=(0.1, 0.2, 0.3))])
    calendar = Calendar(found["nights"])
    assert calendar.x(1) - calendar.x(0) == pytest.approx((calendar.x(2) - calendar.x(1)) / 2)
    svg = picture(found["series"][0], calendar, (0.0, 0.4), "k")
    assert svg.count("<polyline") == 1 and svg.count('class="dot-value"') == 1  # two nights, a gap, one night alone


def test_pictures_of_one_measure_span_the_same_range_around_their_own_level():
    wide, narrow = series(values=(0.1, 0.4, 0.1)), series("other", values=(0.7, 0.71, 0.7))
    (a, b), (c, d) = scales([wide, narrow])
    assert b - a == pytest.approx(d - c) and (c + d) / 2 == pytest.approx(0.705, abs=0.01)
    low, high = own_scale(series(values=(0.5,)) | {"points": [[0, 0.5, 0.5, 0.5]]})
    assert low < 0.5 < high


def test_a_page_draws_so_many_measures_and_counts_the_rest():
    text = page(document([series(f"g{i}") for i in range(MOST_DRAWN + 5)]))
    assert text.count('aria-labelledby="chart-') == MOST_DRAWN and "5 measures more are in the history" in text


def test_shares_are_written_in_percent_and_a_stale_number_with_its_night():
    row = series(metric="share", group="feminine", unit="share", values=(0.5, 0.51, None))
    assert say.last(row, document()["nights"]) == "51.0% (49.0% to 53.0%), on 2026-01-02; not measured since"


def test_one_night_alone_and_a_measure_without_interval_are_drawn():
    row = series(values=(0.3,)) | {"points": [[0, 0.3, None, None]], "parity": None}
    text = page(document([row], nights=("2026-01-01",), missing=[]))
    assert "One night, 2026-01-01." in text and "NaN" not in text and "nan" not in re.sub(r"[a-z]*nan[a-z]+|[a-z]+nan", "", text)


def test_junit_has_a_case_a_watched_measure_and_fails_where_it_moved_tonight():
    found = with_move()
    found["series"].append(series("other"))
    found["series"].append(series("unwatched", watched=False))
    root = Xml.fromstring(junit(found))
    assert (root.get("tests"), root.get("failures")) == ("2", "1") and "commit (aaa to bbb)" in root.find(".//failure").text
    earlier = Xml.fromstring(junit(with_move(found="2026-01-02")))
    assert earlier.get("failures") == "0" and Xml.fromstring(junit({**with_move(found="2026-01-02"), "counted_nights": 2})).get("failures") == "1"
    better = Xml.fromstring(junit(with_move(worse=False)))
    assert better.get("failures") == "0"


def test_markdown_says_what_moved_why_and_what_is_missing():
    text = markdown(with_move())
    assert text.startswith("# suite: history") and "moved to the worse since 2026-01-04" in text and "1 night is missing" in text
    assert "| 2026-01-03 | missing |" in text


@pytest.mark.parametrize(("found", "said"), [({"schema": "genbias.history/9"}, "has schema 'genbias.history/9'"), ({**document(), "nights": []}, "holds no night yet")])
def test_a_document_that_is_none_is_refused(found, said):
    for render in (page, markdown, junit):
        with pytest.raises(ReportError, match=said):
            render(found)


@pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed; Debian's package chromium")
def test_the_page_fits_a_telephone(tmp_path):
    (tmp_path / "page.html").write_text(page(with_move()).replace("</body>", "<script>document.title = document.documentElement.scrollWidth</script></body>")
                                        .replace("default-src 'none'; ", ""))  # fmt: skip
    done = subprocess.run(["chromium", "--headless", "--no-sandbox", "--window-size=390,800", "--dump-dom", f"file://{tmp_path}/page.html"],
                          capture_output=True, text=True, timeout=240, check=True)  # fmt: skip
    width = int(re.search(r"<title>(\d+)</title>", done.stdout)[1])
    assert width <= 500  # headless Chromium opens no window narrower than that
