"""The README's tables: written between their markers, nowhere else, and only where the markers are."""

import json

import pytest

from reports import readme
from reports.readme import BEGIN, BEGIN_MITIGATIONS, END, END_MITIGATIONS


@pytest.fixture
def files(tmp_path, example):
    (tmp_path / "result.json").write_text(json.dumps(example), encoding="utf-8")

    def write(text):
        path = tmp_path / "README.md"
        path.write_text(text, encoding="utf-8")
        readme.main(str(tmp_path), str(path))
        return path.read_text(encoding="utf-8")

    return write


def test_both_tables_stand_between_their_markers_and_the_rest_is_untouched(files):
    text = files(f"before\n{BEGIN}\nold\n{END}\nbetween\n{BEGIN_MITIGATIONS}\nold\n{END_MITIGATIONS}\nafter\n")
    assert text.startswith(f"before\n{BEGIN}\n| generator | FD gender presentation |")
    assert f"\n{END}\nbetween\n{BEGIN_MITIGATIONS}\n| method | FD gender presentation | FD skin tone |" in text
    assert text.endswith(f"\n{END_MITIGATIONS}\nafter\n") and "old" not in text
    assert files(text) == text


@pytest.mark.parametrize("text", ["no marker\n", f"{BEGIN_MITIGATIONS} but no end\n", f"{END_MITIGATIONS} then {BEGIN}\n"])
def test_without_both_markers_the_file_is_as_it_was(files, text):
    assert files(text) == text


def test_a_block_without_markers_leaves_the_other_alone(files):
    text = files(f"{BEGIN}\nold\n{END}\nno second block\n")
    assert text.endswith("\nno second block\n") and "| StyleGAN2 |" in text and "\u2192" not in text


def test_a_row_holds_both_numbers_the_difference_both_raters_and_the_price(example):
    rows = readme.mitigations(example).splitlines()
    rebalanced = next(row for row in rows if row.startswith("| Rebalanced (against StyleGAN2) |"))
    cells = [cell.strip() for cell in rebalanced.strip("|").split("|")]
    assert cells[1] == "0.40 \u2192 0.02, \u22120.38 (\u22120.42 to \u22120.34)"
    assert cells[3] == "0.37 \u2192 0.02, \u22120.36 (\u22120.40 to \u22120.32)"
    assert cells[5] == "11.2 \u2192 12.6, +1.4 (0.7 to 2.1)"
    assert cells[6:] == ["0.82 \u2192 0.85, +0.03 (0.01 to 0.05)", "0.52 \u2192 0.55, +0.03 (0.00 to 0.06)", "1", "30 min 40 s", "64,000"]
    assert len({row.count("|") for row in rows if row.startswith("|")}) == 1
    assert rows[-1].endswith("2,000 images a generator, seed 20261122, 335 s on cpu.")
    assert rows[-1].startswith("Each cell: baseline \u2192 mitigated, then the difference with its 95% interval")


def test_the_time_is_that_of_the_wall_where_several_worked(example):
    timings = {"seconds": {"draw": 900.0, "read": 200.0, "measure": 80.0, "total": 700.0}}
    alone = {**example, "timings": timings}
    several = {**example, "timings": timings | {"workers": 2}}
    assert readme.mitigations(alone).splitlines()[-1].endswith(", 1180 s on cpu.")  # a continued run drew most of it before
    assert readme.mitigations(several).splitlines()[-1].endswith(", 700 s on cpu with 2 workers.")


def test_what_was_not_compared_says_why(example):
    for row in example["comparisons"]:
        if row["metric"] == "fid" and row["generator"] == "magnet":
            row.update(difference=None, reason="baseline: too | few")
    example["comparisons"] = [c for c in example["comparisons"] if c["metric"] != "recall"]
    row = next(row for row in readme.mitigations(example).splitlines() if row.startswith("| MaGNET"))
    assert "baseline: too \\| few" in row and "not measured" in row


def test_a_run_without_comparisons_says_so(example):
    example["comparisons"] = []
    for generator in example["generators"]:
        generator.update(method=None, compare_to=None)
    assert readme.mitigations(example) == "This run holds no generator against a baseline."
