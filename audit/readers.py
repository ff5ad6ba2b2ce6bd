"""Who reads the images, as a spec names them: a name, a name with the attributes it is used for, or a list of both."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag


class ReaderSpec(BaseModel):
    """A classifier and what it is used for, ``{manifest: farl_celeba, attributes: [smile]}``; its other heads are not read.

    Attributes:
        manifest: name of a built-in classifier or of a data manifest, or the path of one.
        attributes: which of its attributes are read; None = all.
    """

    model_config = ConfigDict(extra="forbid")

    manifest: str
    attributes: Annotated[list[str], Field(min_length=1)] | None = None


TAGS = ("one name", "one reader", "several readers")
"""How pydantic marks the forms a reader may take; they are no part of what the user wrote."""


def _form(given: Any) -> str:
    return TAGS[2] if isinstance(given, list) else TAGS[1] if isinstance(given, dict | ReaderSpec) else TAGS[0]


Reader = Annotated[Annotated[str, Tag(TAGS[0])] | Annotated[ReaderSpec, Tag(TAGS[1])], Discriminator(_form)]

Readers = Annotated[
    Annotated[str, Tag(TAGS[0])] | Annotated[ReaderSpec, Tag(TAGS[1])] | Annotated[list[Reader], Tag(TAGS[2])], Discriminator(_form)
]
"""One reader or several, as a spec may write them."""


def readers_in(given: Readers | None) -> list[ReaderSpec]:
    """Return the readers as a list, empty for None.

    Example:
        >>> [(r.manifest, r.attributes) for r in readers_in(["portraits_a", ReaderSpec(manifest="b", attributes=["smile"])])]
        [('portraits_a', None), ('b', ['smile'])]
    """
    several = [] if given is None else given if isinstance(given, list) else [given]
    return [ReaderSpec(manifest=one) if isinstance(one, str) else one for one in several]
