"""Read result.json, and say in a sentence what is wrong when it cannot be read."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audit.errors import ReportError

SCHEMA = "genbias.result/1"
"""The one layout of result.json these reports understand."""


def load(path: str | Path) -> dict[str, Any]:
    """Read a result.

    Args:
        path: a result.json, or the run directory that holds one.

    Returns:
        The result, checked to be of schema :data:`SCHEMA`.

    Raises:
        ReportError: there is no such file, it is cut off or not JSON, it holds NaN, or it has another schema.
    """
    file = Path(path)
    if file.is_dir():
        file = file / "result.json"
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ReportError(f"no result at {file}; a run writes it last: finish it with `genbias run`") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ReportError(f"{file} cannot be read ({error}); expected a result.json written by genbias") from error
    try:
        result = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise ReportError(
            f"{file} is not whole: JSON stops making sense at line {error.lineno}, column {error.colno} ({error.msg}); "
            "write it again with `genbias run` and the same spec, which resumes"
        ) from error
    except ValueError as error:
        raise ReportError(
            f"{file} holds {error}, which is not a number; a missing value is null with a reason"
        ) from error
    return check(result, where=str(file))


def check(result: Any, *, where: str = "the result") -> dict[str, Any]:
    """Return ``result`` if it is laid out as :data:`SCHEMA` says.

    Args:
        result: what was read or built.
        where: how to call it in the error.

    Raises:
        ReportError: it is no mapping, has another schema, or lacks its generators or measures.
    """
    if not isinstance(result, Mapping):
        raise ReportError(f"{where} holds {type(result).__name__}; expected an object with schema {SCHEMA!r}")
    found = result.get("schema")
    if found != SCHEMA:
        raise ReportError(
            f"{where} has schema {found!r}; this version reads {SCHEMA!r}: "
            "use the genbias that wrote it, or run the audit again"
        )
    for key in ("generators", "measures"):
        rows = result.get(key)
        if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
            raise ReportError(f"{where} has no list of {key}; expected {key!r} to be a list of objects")
    return dict(result)


def _refuse_constant(name: str) -> None:
    """Refuse the three words Python's reader accepts and JSON does not have."""
    raise ValueError(name)
