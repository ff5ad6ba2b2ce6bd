"""Limits kept in a file of their own, for ``genbias check`` and for tests."""

from collections.abc import Sequence
from pathlib import Path

import yaml
from pydantic import ValidationError

from audit.errors import SpecError
from audit.spec import LimitSpec


def as_limits(rows: Sequence[LimitSpec | dict]) -> list[LimitSpec]:
    """Return limits from dictionaries with the keys a spec uses.

    Raises:
        SpecError: a key or a bound is wrong; says which row.
    """
    limits = []
    for at, row in enumerate(rows, start=1):
        try:
            limits.append(row if isinstance(row, LimitSpec) else LimitSpec.model_validate(row))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(p) for p in first["loc"])
            raise SpecError(f"limit {at}: {where + ': ' if where else ''}{first['msg'].removeprefix('Value error, ')}; "
                            f"keys are {', '.join(LimitSpec.model_fields)}") from None  # fmt: skip
    return limits


def load_limits(path: str | Path) -> list[LimitSpec]:
    """Read a YAML list of limits, or a mapping with the key ``limits``."""
    path = Path(path)
    if not path.is_file():
        raise SpecError(f"no limits file at {path}; expected YAML such as `- {{metric: fairness_discrepancy, attribute: gender, at_most: 0.1}}`")
    try:
        raw = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise SpecError(f"{path} is not YAML: {error}") from None
    rows = raw.get("limits") if isinstance(raw, dict) else raw
    if not isinstance(rows, list) or not rows:
        raise SpecError(f"{path} holds no list of limits; expected `- {{metric: ..., at_most: ...}}` rows")
    return as_limits(rows)
