from reports.coverage import figure
from reports.coverage_table import main, table

ROWS = [
    {"study": "shares", "quantity": "share", "corrected": True, "coverage": 0.951, "repeats": 2000, "k": 3, "n": 100, "accuracy": 0.9, "calibration": 200},
    {"study": "shares", "quantity": "share", "corrected": False, "coverage": 0.2, "repeats": 2000, "k": 3, "n": 100, "accuracy": 0.9, "calibration": 200},
    {"study": "quality", "metric": "fid", "estimand": "population", "difference": True, "coverage": 0.94, "repeats": 600},
    {"study": "verdicts", "case": "20 limits, independent", "limits": 20, "repeats": 1000, "false_held": 0.02, "wrong": 0.04, "wrong_unadjusted": 0.6},
    {"study": "sequences", "name": "beta sequence", "K": 3, "accuracy": 0.9, "limit": None, "repeats": 400, "ever_wrong": 0.037, "saving": None},
    {"study": "sequences", "name": "beta sequence", "K": 3, "accuracy": 0.9, "limit": None, "repeats": 400, "ever_wrong": 0.012, "saving": None},
    {"study": "sequences", "name": "images against a plan", "K": 2, "accuracy": None, "limit": "share at least 0.4", "repeats": 400, "ever_wrong": 0.03,
     "median_images": 45.0, "fixed_n": 57, "saving": 0.21},
]  # fmt: skip


def test_the_same_rows_give_the_same_picture():
    assert figure(ROWS) == figure(ROWS)


def test_the_picture_names_every_kind_and_counts_what_lies_beyond_its_edge():
    drawn = figure(ROWS)
    for words in ("share, corrected", "share, labels as they came", "1 below, down to 0.20", "difference of Fréchet distance", "without Holm"):
        assert words in drawn, words


def test_the_table_gives_the_worst_setting_and_the_raw_one_beside():
    written = table(ROWS)
    assert "| corrected share | 1 | 2,000 | 0.951 / 0.951 / 0.951 | 0 | 0.200 |" in written
    assert "| 20 limits, independent | 1,000 | 0.020 | 0.040 | 0.600 |" in written
    assert "| 45 | a plan | 57 | 21% |" in written
    assert "| beta sequence, K = 3, accuracy 0.9 | 0.037 |" in written
    assert "0.012" not in written


def test_the_readme_gets_the_table_between_its_markers(tmp_path, monkeypatch):
    import json

    monkeypatch.setattr("reports.coverage_table.PICTURE", tmp_path / "picture.svg")
    (tmp_path / "rows.jsonl").write_text(json.dumps({"part": "p", "rows": ROWS}) + "\n")
    (tmp_path / "README.md").write_text("a\n<!-- coverage:begin (make selfcheck) -->\nold\n<!-- coverage:end -->\nb\n")
    main(str(tmp_path), str(tmp_path / "README.md"))
    text = (tmp_path / "README.md").read_text()
    assert "old" not in text and "corrected share" in text and text.endswith("b\n")
    assert (tmp_path / "picture.svg").is_file()
