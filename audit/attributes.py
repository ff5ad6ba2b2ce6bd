"""The vocabulary of perceived attributes: their classes in fixed order, and the caveat each one is printed with."""

from dataclasses import dataclass


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

ATTRIBUTES = {a.name: a for a in (GENDER, SKIN_TONE, AGE, SMILE)}
"""The attributes every built-in instrument reads, by name."""

INTERSECTION = "*"
"""Joins attribute names into an intersection: ``gender*skin_tone``."""


def parts(attribute: str) -> tuple[str, ...]:
    """Return the attribute names that make up ``attribute``: one, or several for an intersection.

    Example:
        >>> parts("gender*skin_tone")
        ('gender', 'skin_tone')
    """
    return tuple(p.strip() for p in attribute.split(INTERSECTION))
