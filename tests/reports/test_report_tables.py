"""Flat CSV, terminal headline, and the tables of the page as data."""

import csv
import io

import pandas as pd
import pytest

from reports import appendix, sheets, tables
from reports.reading import Reading


def test_the_csv_round_trips_through_pandas(example):
    text = tables.measures_csv(example)
    frame = pd.read_csv(io.StringIO(text))
    expected = pd.DataFrame(example["measures"])
    assert list(frame.columns) == [*tables.COLUMNS, *tables.PAIRED[:-1]]
    frame = frame[: len(expected)]
    assert len(frame) == len(expected)
    for column in ("value", "low", "high", "n"):
        pd.testing.assert_series_equal(frame[column], expected[column], rtol=1e-15, check_dtype=False)
    assert (frame["corrected"] == expected["corrected"]).all()
    exact = [float(row["value"]) if row["value"] else None for row in csv.DictReader(io.StringIO(text))]
    assert exact[: len(expected)] == [row["value"] for row in example["measures"]]


def test_the_csv_holds_differences_and_costs_under_names_of_their_own(example):
    rows = list(csv.DictReader(io.StringIO(tables.measures_csv(example))))[len(example["measures"]) :]
    assert len(rows) == len(example["comparisons"]) + 2 * 4
    first, given = rows[0], example["comparisons"][0]
    assert (first["metric"], first["baseline"], first["reader"]) == ("fairness_discrepancy_difference", "stylegan2", "classifier")
    assert [float(first[k]) for k in ("value", "low", "before")] == [given[k] for k in ("difference", "low", "before")]
    cost = next(row for row in rows if (row["generator"], row["metric"]) == ("magnet", "fitting_seconds"))
    assert (cost["value"], cost["unit"]) == ("410.0", "seconds")


def test_without_comparisons_the_csv_has_the_columns_of_measures_only(example):
    example.update(comparisons=[], generators=example["generators"][:2])
    assert tables.measures_csv(example).splitlines()[0].split(",") == list(tables.COLUMNS)


def test_a_missing_value_is_empty_in_the_csv_and_keeps_its_reason(example):
    rows = list(csv.DictReader(io.StringIO(tables.measures_csv(example))))
    missing = [row for row in rows if row["metric"] == "group_fid"]
    assert len(missing) == 6
    assert {(row["value"], row["low"], row["reason"]) for row in missing} == {
        ("", "", "41 images of this group, 200 are needed")
    }


def test_names_with_commas_quotes_and_lines_survive_the_csv(example):
    example["measures"] = [example["measures"][0] | {"generator": 'a,"b"\nc'}]
    assert pd.read_csv(io.StringIO(tables.measures_csv(example)))["generator"][0] == 'a,"b"\nc'


def test_a_column_the_result_adds_is_kept_after_the_known_ones(example):
    example["measures"][0]["zeta"] = 3
    assert tables.measures_csv(example).splitlines()[0].endswith(",p_adjusted,reader,zeta")


def test_the_headline_has_each_generator_with_its_intervals_aligned(example):
    lines = tables.headline(example).splitlines()
    heads = "generator images FD gender FD skin_tone FD age FD smile FID Precision Recall"
    assert " ".join(lines[0].split()) == heads
    assert lines[2].split() == ["StyleGAN2", "2,000", "0.423", "0.499", "0.407", "0.135", "11.20", "0.740", "0.520"]
    assert lines[3].split()[0] == "0.393\u20130.453"
    assert lines[-4].endswith("quality against the balanced reference")
    assert lines[-3] == "3 limits: 1 broken, 1 undecided and 1 held."
    assert lines[-2] == "  broken: fairness_discrepancy of gender at most 0.10 [stylegan2]: 0.420 (0.390 to 0.450)"
    column = {lines[0].index("FD gender") + 9, lines[2].index("0.423") + 5, lines[3].index("0.393") + 11}
    assert len(column) == 1 and max(map(len, lines)) < 125


def test_the_headline_shows_a_dash_where_nothing_was_measured(example):
    for row in example["measures"]:
        if row["metric"] == "fid":
            row.update(value=None, low=None, high=None, reason="too few images")
    assert tables.headline(example).splitlines()[2].split()[6] == "-"


def test_the_headline_keeps_wide_and_hostile_names_in_line(example):
    example["generators"][0]["title"] = "\u6f22\u5b57\x1b[2J" + "y" * 90
    lines = tables.headline(example).splitlines()
    assert "\x1b" not in lines[2] and "\\u001b" in lines[2]
    numbers = [line.rindex(line.split()[-1]) + len(line.split()[-1]) for line in (lines[2], lines[4])]
    assert numbers[0] == numbers[1] - 2  # two wide characters fill four columns with two signs


@pytest.mark.parametrize("corrected", [True, False])
def test_corrected_has_a_column_only_where_something_was_corrected(example, corrected):
    if not corrected:
        example["measures"] = [row for row in example["measures"] if not row["corrected"]]
    reading = Reading(example)
    assert ("Corrected" in sheets.shares(reading, reading.attributes[1]).columns) is corrected


def test_verdicts_stand_worst_first_with_the_limit_in_words(example):
    rows = sheets.verdicts(Reading(example)).rows
    assert [row[0].text for row in rows] == ["broken", "undecided", "held"]
    assert rows[0][2].text == "Fairness discrepancy of perceived gender presentation at most 0.10"


def test_a_long_table_is_cut_and_says_so(example):
    example["comparisons"] = example["comparisons"] * 10
    table = sheets.comparisons(Reading(example), "fairness")
    assert len(table.rows) == sheets.MOST_ROWS == 150
    assert table.note == "The first 150 of 480 rows; measures.csv has all of them."
    assert sheets.all_comparisons(Reading(example))[0][0] == "Fairness discrepancy, candidate minus baseline: 480 rows"


def test_a_refused_comparison_says_why(example):
    row = sheets.comparisons(Reading(example), "quality").rows[8]
    assert [cell.text for cell in row[2:4]] == ["0.0100", "\u2013"]
    assert (row[4].text, row[4].under) == ("not compared", "protocols differ: n=2000 against n=1999")
    assert [cell.text for cell in row[5:]] == ["\u2013", "\u2013"]


def test_every_comparison_is_in_one_table_and_says_whose_labels_it_goes_by(example):
    reading = Reading(example)
    tables_of = {which: sheets.comparisons(reading, which) for which in sheets.COMPARED}
    assert sum(len(table.rows) for table in tables_of.values()) == len(example["comparisons"])
    rows = tables_of["fairness"].rows
    assert [row[1].under for row in rows[:3]] == [
        "Perceived gender presentation, corrected", "Perceived gender presentation", "Perceived gender presentation, second rater"]  # fmt: skip
    assert rows[0][4].text == "\u22120.313"
    example["comparisons"] = []
    assert sheets.all_comparisons(Reading(example)) == []


def test_quality_has_a_row_for_each_generator_and_reference(example):
    table = sheets.quality(Reading(example))
    assert len(table.rows) == 12 and table.rows[0][1].text == "balanced reference"
    assert table.rows[1][-1].text == "portraits encoder, 64 px, n=2000, reference training"


def test_every_measure_is_shown_by_some_table(example):
    example["measures"].append(example["measures"][0] | {"metric": "skin_tone_shift", "value": 0.1})
    others = appendix.others(Reading(example))
    assert {row[1].text for row in others.rows} == {"FID of a group", "Skin tone shift"}


def test_missing_images_are_counted_with_their_share_and_files(example):
    row = appendix.missing(Reading(example)).rows[4]
    assert [cell.text for cell in row[1:]] == ["2,000", "16", "4", "2", "a.jpg: truncated; b.png: not an image"]
    assert row[2].under == "0.8% (0.0%\u20131.0%)"


def test_long_lists_of_files_are_cut_with_a_count(example):
    example["generators"][0]["files_unreadable"] = [f"photo {i}.jpg: truncated" for i in range(500)]
    said = appendix.missing(Reading(example)).rows[0][-1].text
    assert said.endswith("photo 19.jpg: truncated; and 480 more")


def test_the_list_of_all_measures_is_cut_and_says_so(example):
    whole, example["measures"] = example["measures"], example["measures"][:250]
    assert appendix.everything(Reading(example)).note == ""
    example["measures"] = whole * 2
    table = appendix.everything(Reading(example))
    assert table.caption == "All 768 measures" and len(table.rows) == 250
    assert table.note == "The first 250 of 768 rows; measures.csv has all of them."


def test_the_second_rater_has_no_table_where_there_was_none(example):
    assert len(appendix.agreement(Reading(example)).rows) == 6
    example["measures"] = [row for row in example["measures"] if row["metric"] != "agreement"]
    assert appendix.agreement(Reading(example)) is None
