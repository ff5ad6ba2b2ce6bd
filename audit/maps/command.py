"""What ``genbias audit --before`` does: options to arguments, and the sentences for those that do not go together."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.errors import SpecError

if TYPE_CHECKING:
    from audit.result import Result


def audit_pairs(before: str | None, after: str | None, mapping: str | None, others: Mapping[str, Any], *, out: Path | None, device: str,
                **options: Any) -> "Result":  # fmt: skip
    """Audit a map as the command asked for it.

    Args:
        before: images before.
        after: images after, or
        mapping: the map, in words.
        others: options that have no meaning here, None where not given.
        out: run directory; None = runs/map-NAME.
        device: where to run.
        options: further arguments of :func:`audit.audit_map`.

    Raises:
        SpecError: options are missing or do not go together.
    """
    from audit.maps.auditing import audit_map

    for option, value in others.items():
        if value is not None:
            raise SpecError(f"{option} does not go with --before, which audits pairs of images before and after a map; leave it out")
    if before is None:
        raise SpecError(f"{'--after' if mapping is None else '--map'} needs --before, the images before the map")
    if (after is None) == (mapping is None):
        raise SpecError(f"--before needs either --after, the images after the map, or --map, the map itself; found {'neither' if after is None else 'both'}")
    if after is not None and not Path(after).exists():
        raise SpecError(f"there is nothing at {after}; --after is a folder, zip, tar or Parquet of the images after the map")
    given = str(after if after is not None else mapping)
    out = out or Path("runs") / f"map-{Path(before).name or 'images'}"
    return audit_map(before, given, out=out, device=device, command=" ".join(["genbias", *sys.argv[1:]]), **options)
