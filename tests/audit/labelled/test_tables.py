"""Which files are tables of labels, and what is said of those that cannot be read."""

import pandas as pd
import pytest

from audit.errors import RecordError
from audit.labelled.tables import is_label_table, read_table


def test_a_parquet_of_pictures_is_no_table_of_labels(tmp_path):
    pd.DataFrame({"image.bytes": [b"x"]}).to_parquet(tmp_path / "faces.parquet")
    pd.DataFrame({"gender": ["feminine"]}).to_parquet(tmp_path / "labels.parquet")
    (tmp_path / "broken.parquet").write_text("no parquet")
    assert [is_label_table(tmp_path / f"{n}.parquet") for n in ("faces", "labels", "broken", "absent")] == [False, True, False, False]


def test_a_folder_and_a_zip_are_no_tables_and_a_csv_is(tmp_path):
    assert [is_label_table(n) for n in (tmp_path, tmp_path / "a.zip", tmp_path / "a.csv", tmp_path / "A.CSV.GZ")] == [False, False, True, True]


def test_csv_and_parquet_give_the_same_labels(tmp_path):
    frame = pd.DataFrame({"id": [1, 2, 3], "race": ["NA", None, "b"]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    for file in ("t.csv", "t.parquet"):
        read = read_table(tmp_path / file)
        assert read["race"].isna().tolist() == [False, True, False]
        assert read["race"].astype(object)[0] == "NA"  # a class may be called so


def test_a_column_whose_first_rows_are_empty_is_read_as_the_later_ones_say(tmp_path):
    lines = ["id,smile"] + [f"{i}," for i in range(400_000)] + ["400000,smiling"]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    assert read_table(tmp_path / "t.csv")["smile"].dropna().tolist() == ["smiling"]


@pytest.mark.parametrize(("name", "text", "sentence"), [
    ("absent.csv", None, "no table at"),
    ("empty.csv", "", "cannot be read as a table"),
    ("ragged.csv", "a,b\n1,2\n3\n", "cannot be read as a table .*; expected commas"),
    ("twice.csv", "smile,smile\nneutral,neutral\n", "two columns called 'smile'"),
    ("bad.parquet", "not parquet", "cannot be read as a table"),
])  # fmt: skip
def test_what_is_no_table_is_refused_in_a_sentence(tmp_path, name, text, sentence):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(RecordError, match=sentence):
        read_table(tmp_path / name)
