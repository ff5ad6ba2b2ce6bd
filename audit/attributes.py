"""The vocabulary of perceived attributes: their classes in fixed order, and the caveat each one is printed with.

Attributes are data: the sets in ``audit/attribute_sets`` and those a spec names by path (``attribute_sets: [mine.yaml]``).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from audit.errors import SpecError

INTERSECTION = "*"
"""Joins attribute names into an intersection: ``gender*skin_tone``."""

SET_KEYS = ("name", "title", "attributes")
ATTRIBUTE_KEYS = ("title", "classes", "caveat")


@dataclass(frozen=True)
class Attribute:
    """One perceived attribute and its classes, in the order every array of the project uses."""

    name: str
    title: str
    classes: tuple[str, ...]
    caveat: str

    @property
    def k(self) -> int:
        """Number of classes."""
        return len(self.classes)


class Vocabulary(dict[str, Attribute]):
    """Attributes by name: those of faces, which it runs over and every built-in instrument reads, and further ones known by name."""

    def __init__(self, faces: tuple[Attribute, ...], further: tuple[Attribute, ...] = ()) -> None:
        super().__init__({a.name: a for a in faces})
        self._further = {a.name: a for a in further}
        self._shipped = {*self, *self._further}

    def __missing__(self, name: str) -> Attribute:
        return self._further[name]

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or name in self._further

    def get(self, name: str, default: Any = None) -> Any:
        """Return the attribute of that name, ``default`` where there is none."""
        return super().get(name, self._further.get(name, default))

    def known(self) -> list[str]:
        """Return the names of all attributes, the further ones last."""
        return [*self, *self._further]

    def learn(self, sets: Iterable[str | Path]) -> None:
        """Make the attributes of these sets known by name; what a user's set said before is replaced.

        Raises:
            SpecError: a set is wrong, or two of them, or one and a shipped one, say different things of one attribute.
        """
        added: dict[str, Attribute] = {}
        for source in sets:
            for attribute in read_set(source):
                before = added.get(attribute.name) or (self[attribute.name] if attribute.name in self._shipped else None)
                if before not in (None, attribute):
                    raise SpecError(f"{source}: {attribute.name!r} is an attribute already, with the classes {', '.join(before.classes)}; give "
                                    f"yours another name")  # fmt: skip
                added[attribute.name] = attribute
        self._further |= {name: a for name, a in added.items() if name not in self._shipped}


def read_set(source: str | Path) -> tuple[Attribute, ...]:
    """Read an attribute set: a YAML file with ``name``, ``title`` and ``attributes: {NAME: {title, classes, caveat}}``.

    Args:
        source: name of a shipped set ("faces", "cifar10"), or a path.

    Raises:
        SpecError: there is no such set, or what it says is no attribute set; the sentence says where.
    """
    path = shipped_sets().get(str(source), Path(source).expanduser())
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError:
        raise SpecError(f"no attribute set {str(source)!r}; give the path of a YAML file or one of: {', '.join(shipped_sets())}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise SpecError(f"{path} is not YAML ({' '.join(str(problem).split())[:120]})") from None
    _check_keys(raw, SET_KEYS, str(path))
    if not isinstance(raw["attributes"], dict) or not raw["attributes"]:
        raise SpecError(f"{path}: attributes is a {type(raw['attributes']).__name__}; expected a mapping of names, each with {', '.join(ATTRIBUTE_KEYS)}")
    return tuple(_attribute(name, content, path) for name, content in raw["attributes"].items())


def shipped_sets() -> dict[str, Path]:
    """Return the shipped attribute sets by name."""
    folder = Path(str(resources.files("audit"))) / "attribute_sets"
    return {p.stem: p for p in sorted(folder.glob("*.yaml"))}


def _attribute(name: Any, content: Any, path: Path) -> Attribute:
    where = f"{path}, {name}"
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise SpecError(f"{path}: {name!r} is no name of an attribute; use small letters, digits and '_', a letter first")
    _check_keys(content, ATTRIBUTE_KEYS, where)
    classes = content["classes"]
    if not isinstance(classes, list) or len(classes) < 2 or len(set(map(str, classes))) != len(classes):
        raise SpecError(f"{where}: classes is {classes!r}; expected a list of two or more different names")
    for one in classes:
        if not isinstance(one, str) or not one.strip() or set(one) & {":", INTERSECTION, ","}:
            raise SpecError(f"{where}: {one!r} is no name of a class; expected text without ':', '*' and ',' (put words like yes and no in quotes)")
    for key in ("title", "caveat"):
        if not isinstance(content[key], str) or not content[key].strip():
            raise SpecError(f"{where}: {key} is {content[key]!r}; expected a sentence, which the report prints")
    return Attribute(name, content["title"].strip(), tuple(classes), " ".join(content["caveat"].split()))


def _check_keys(content: Any, wanted: tuple[str, ...], where: str) -> None:
    found = set(map(str, content)) if isinstance(content, dict) else set()
    if found != set(wanted):
        said = ", ".join(sorted(found)) if isinstance(content, dict) else type(content).__name__
        raise SpecError(f"{where}: expected exactly the keys {', '.join(wanted)}; found {said or 'none'}")


GENDER, SKIN_TONE, AGE, SMILE = read_set("faces")

ATTRIBUTES = Vocabulary((GENDER, SKIN_TONE, AGE, SMILE), further=tuple(a for name in shipped_sets() if name != "faces" for a in read_set(name)))
"""The attributes every built-in instrument reads, by name; further ones only where a spec names them."""


def parts(attribute: str) -> tuple[str, ...]:
    """Return the attribute names that make up ``attribute``: one, or several for an intersection.

    Example:
        >>> parts("gender*skin_tone")
        ('gender', 'skin_tone')
    """
    return tuple(p.strip() for p in attribute.split(INTERSECTION))
