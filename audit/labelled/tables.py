"""Tables of labels on disk: CSV or Parquet, a row an image, read without a Python loop over rows."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

from audit.errors import RecordError

IMAGE_COLUMNS = {"image", "image.bytes", "bytes"}
"""A Parquet file with one of these holds pictures, not labels."""

_CSV = (".csv", ".csv.gz")
_EMPTY = ["", "NaN", "nan"]
"""What an empty cell looks like. "NA" and "None" may be classes."""


def is_label_table(path: str | Path) -> bool:
    """Return whether ``path`` names a table of labels: a CSV, or a Parquet file without pictures.

    Example:
        >>> is_label_table("labels.csv"), is_label_table("faces/")
        (True, False)
    """
    path = Path(path)
    if path.name.lower().endswith(_CSV):
        return not path.is_dir()
    if path.suffix.lower() != ".parquet" or not path.is_file():
        return False
    try:
        return not IMAGE_COLUMNS & set(pq.read_schema(path).names)
    except (pa.ArrowException, OSError):
        return False


def read_table(path: str | Path) -> pd.DataFrame:
    """Return the table; text columns of few different values come as categories, empty cells as missing.

    Args:
        path: a CSV (commas, UTF-8, a line of names first; also gzipped) or a Parquet file.

    Raises:
        RecordError: there is no such file, it is no table, or two of its columns share a name.
    """
    path = Path(path)
    if not path.is_file():
        raise RecordError(f"no table at {path}; expected a CSV or Parquet file with a row an image and a column an attribute")
    try:
        frame = _read_csv(path) if path.name.lower().endswith(_CSV) else pq.read_table(path).to_pandas()
    except (pa.ArrowException, OSError, UnicodeDecodeError, ValueError) as error:
        said = " ".join(str(error).split())[:160]
        raise RecordError(f"{path} cannot be read as a table ({said}); expected commas, UTF-8 and a line of column names first") from None
    names = [str(c).strip() for c in frame.columns]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise RecordError(f"{path} has two columns called {twice[0]!r}; give each column a name of its own")
    frame.columns = pd.Index(names)
    return frame


def _read_csv(path: Path) -> pd.DataFrame:
    convert = arrow_csv.ConvertOptions(
        null_values=_EMPTY, strings_can_be_null=True, auto_dict_encode=True, auto_dict_max_cardinality=64, timestamp_parsers=["-"]
    )
    try:
        return arrow_csv.read_csv(path, convert_options=convert).to_pandas()
    except pa.ArrowInvalid as error:
        if "conversion error" not in str(error):
            raise
    # the type of a column is guessed from its first rows: where later rows say otherwise, read them all before guessing
    return pd.read_csv(path, keep_default_na=False, na_values=_EMPTY, low_memory=False)
