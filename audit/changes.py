"""What ``--set KEY=VALUE`` says, as values: the same for every command that takes it."""

from collections.abc import Sequence
from typing import Any

import yaml

from audit.errors import SpecError


def read_changes(pairs: Sequence[str], example: str = "gallery=0") -> dict[str, Any]:
    """Return {key: value} of texts "key=value", the values read as YAML.

    Args:
        pairs: as typed after ``--set``.
        example: shown in the sentence when one of them is no pair.

    Raises:
        SpecError: a text without an equals sign.

    Example:
        >>> read_changes(["gallery=0", "limits=[]"])
        {'gallery': 0, 'limits': []}
    """
    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise SpecError(f"--set {pair!r}: expected key=value, e.g. --set {example}")
        found[key] = yaml.safe_load(value)
    return found
