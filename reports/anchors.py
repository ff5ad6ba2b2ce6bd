"""Names for places on the page: made from what is there, not from its position, so a link outlives the next run."""

import hashlib
import re

from audit.attributes import INTERSECTION

_LONGEST = 64


def anchor(*parts: object) -> str:
    """Return the id of a place: its parts joined by hyphens, with only letters, digits, dots, hyphens and underscores.

    A part that holds anything else, or is very long, keeps what is legible and carries a digest of the whole, so that two
    different names never share an id.

    Example:
        >>> anchor("shares", "skin_tone"), anchor("cells", "gender*skin_tone")
        ('shares-skin_tone', 'cells-gender.skin_tone')
        >>> anchor("images", "my model") == anchor("images", "my/model")
        False
    """
    return "-".join(_legible(str(part)) for part in parts)


def _legible(part: str) -> str:
    text = part.replace(INTERSECTION, ".")
    if re.fullmatch(r"[A-Za-z0-9._]+", text) and len(text) <= _LONGEST:
        return text
    digest = hashlib.sha256(part.encode("utf-8", "replace")).hexdigest()[:8]
    kept = re.sub(r"[^A-Za-z0-9._]+", "_", text)[: _LONGEST // 2].strip("_")
    return f"{kept}_{digest}" if kept else digest
