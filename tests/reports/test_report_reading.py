"""Looking things up: corrected before raw before missing, counts of cells, references in order."""

import pytest

from reports.reading import Reading


def test_a_corrected_number_is_quoted_before_a_raw_one(example):
    assert Reading(example).best("stylegan2", "fairness_discrepancy", "gender")["corrected"] is True


def test_a_raw_number_is_quoted_where_the_corrected_one_is_missing_and_is_told_apart(example):
    for row in example["measures"]:
        if row["corrected"]:
            row.update(value=None)
    reading = Reading(example)
    row = reading.best("stylegan2", "fairness_discrepancy", "gender")
    assert row["corrected"] is False and reading.fell_back(row)
    assert not reading.fell_back(reading.best("stylegan2", "fid", None, "reference:balanced"))


def test_a_missing_row_is_returned_for_its_reason(example):
    row = Reading(example).best("stylegan2", "group_fid", "skin_tone", "dark")
    assert row["value"] is None and row["reason"].startswith("41 images")


@pytest.mark.parametrize("convention", ["share of n", "count of the cell"])
def test_the_images_of_a_cell_are_counted_by_either_convention(example, convention):
    if convention == "count of the cell":
        for row in example["measures"]:
            if row["metric"] == "share":
                row["n"] = round(row["value"] * row["n"])
    reading = Reading(example)
    assert reading.images("stylegan2", "gender", "feminine") == 1564
    assert reading.images("stylegan2", "gender*skin_tone", "masculine*dark") == 0
    assert reading.images("stylegan2", "gender", "nobody") is None


def test_the_balanced_reference_comes_first(example):
    for row in example["measures"]:
        row["group"] = "reference:archive" if row["group"] == "reference:training" else row["group"]
    assert Reading(example).references() == ["reference:balanced", "reference:archive"]


def test_classes_keep_the_order_of_the_result_and_cells_that_of_the_rows(example):
    reading = Reading(example)
    assert reading.attribute("age").classes == ["young", "middle", "old"]
    assert reading.attribute("gender*skin_tone").classes[:2] == ["feminine*light", "feminine*medium"]


def test_an_attribute_the_result_does_not_describe_is_still_read(example):
    example["attributes"] = {}
    assert [a.name for a in Reading(example).attributes] == ["gender", "skin_tone", "age", "smile"]
