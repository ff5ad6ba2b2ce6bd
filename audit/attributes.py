"""The vocabulary of perceived attributes: their classes in fixed order, and the caveat each one is printed with."""

from dataclasses import dataclass
from typing import Any


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


GENDER = Attribute(
    "gender",
    "Perceived gender presentation",
    ("feminine", "masculine"),
    "How a face is read by a classifier, not a person's gender; two classes are the limit of the instrument.",
)
SKIN_TONE = Attribute(
    "skin_tone",
    "Skin tone",
    ("light", "medium", "dark"),
    "Monk tones 1-3, 4-6 and 7-10 as they appear in the image; lighting and white balance move it; it is not race.",
)
AGE = Attribute(
    "age",
    "Perceived age",
    ("young", "middle", "old"),
    "Apparent age group of a drawn face; not anybody's age.",
)
SMILE = Attribute(
    "smile",
    "Smile",
    ("neutral", "smiling"),
    "The shape of the mouth in the image, not an emotion.",
)

CIFAR10 = Attribute(
    "cifar10",
    "Object class (CIFAR-10)",
    ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    "What a classifier takes the picture for; a poor drawing is counted as some class too.",
)


class Vocabulary(dict[str, Attribute]):
    """Attributes by name: those of faces, which it runs over and every built-in instrument reads, and further ones known by name."""

    def __init__(self, faces: tuple[Attribute, ...], further: tuple[Attribute, ...] = ()) -> None:
        super().__init__({a.name: a for a in faces})
        self._further = {a.name: a for a in further}

    def __missing__(self, name: str) -> Attribute:
        return self._further[name]

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or name in self._further

    def get(self, name: str, default: Any = None) -> Any:
        """Return the attribute of that name, ``default`` where there is none."""
        return super().get(name, self._further.get(name, default))


ATTRIBUTES = Vocabulary((GENDER, SKIN_TONE, AGE, SMILE), further=(CIFAR10,))
"""The attributes every built-in instrument reads, by name; further ones only where a spec names them."""

INTERSECTION = "*"
"""Joins attribute names into an intersection: ``gender*skin_tone``."""


def parts(attribute: str) -> tuple[str, ...]:
    """Return the attribute names that make up ``attribute``: one, or several for an intersection.

    Example:
        >>> parts("gender*skin_tone")
        ('gender', 'skin_tone')
    """
    return tuple(p.strip() for p in attribute.split(INTERSECTION))
