"""Sweeps in a spec: one entry under ``generators`` that stands for a whole grid of them.

.. code-block:: yaml

    generators:
      dcgan:
        sweep: {share: ["50", "20", "05"]}
        source: dcgan
        weights: portraits/professors/dcgan_{share}

stands for ``dcgan_50``, ``dcgan_20`` and ``dcgan_05``: every combination of the listed values, in order, with ``{key}`` replaced in every
text of the entry. A text that is nothing but ``"{key}"`` becomes the value itself, so that numbers stay numbers. ``name`` among the
entry's keys says how the members are called (``"{entry}_{share}"`` by default: the entry's name and all values, joined by underscores).
"""

import itertools
import re
from typing import Any

from audit.errors import SpecError

SLOT = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def expand_sweeps(generators: Any) -> Any:
    """Return ``generators`` with every entry that has a ``sweep`` replaced by its members; anything else as it is.

    Args:
        generators: the mapping under ``generators:`` as YAML gave it.

    Raises:
        SpecError: a sweep is no mapping of lists, a slot names no swept key, or two members have one name.

    Example:
        >>> expand_sweeps({"a": {"sweep": {"psi": [1, 0.5]}, "source": "stylegan2", "truncation_psi": "{psi}"}})["a_0.5"]
        {'source': 'stylegan2', 'truncation_psi': 0.5}
    """
    if not isinstance(generators, dict) or not any(isinstance(g, dict) and "sweep" in g for g in generators.values()):
        return generators
    expanded: dict[str, Any] = {}
    for entry, given in generators.items():
        members = _members(str(entry), given) if isinstance(given, dict) and "sweep" in given else [(entry, given)]
        for name, member in members:
            if name in expanded:
                raise SpecError(f"generators.{entry}.sweep: two generators would be called {name!r}; give each entry a `name` with all swept keys")
            expanded[name] = member
    return expanded


def _members(entry: str, given: dict) -> list[tuple[str, dict]]:
    sweep = given["sweep"]
    if not isinstance(sweep, dict) or not sweep or not all(isinstance(v, list) and v for v in sweep.values()):
        raise SpecError(f"generators.{entry}.sweep: expected lists of values by key, e.g. {{share: [50, 20]}}; found {sweep!r}")
    body = {k: v for k, v in given.items() if k not in ("sweep", "name")}
    pattern = given.get("name") or "_".join([entry, *(f"{{{k}}}" for k in sweep)])
    found = []
    for values in itertools.product(*sweep.values()):
        words = dict(zip(sweep, values, strict=True))
        found.append((str(_filled(pattern, words | {"entry": entry}, entry)), _filled(body, words, entry)))
    return found


def _filled(part: Any, words: dict[str, Any], entry: str) -> Any:
    if isinstance(part, dict):
        return {k: _filled(v, words, entry) for k, v in part.items()}
    if isinstance(part, list):
        return [_filled(v, words, entry) for v in part]
    if not isinstance(part, str):
        return part
    unknown = [k for k in SLOT.findall(part) if k not in words]
    if unknown:
        raise SpecError(f"generators.{entry}: {part!r} asks for {{{unknown[0]}}}, which is not swept; swept keys: {', '.join(words)}")
    whole = SLOT.fullmatch(part)
    return words[whole[1]] if whole else SLOT.sub(lambda m: str(words[m[1]]), part)
