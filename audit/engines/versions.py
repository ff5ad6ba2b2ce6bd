"""Which genbias a worker runs: its version, and a digest of its source."""

import hashlib
from functools import cache
from pathlib import Path

from audit.errors import SpecError
from audit.provenance import own_version

PACKAGES = ("audit", "mitigations")


@cache
def who() -> dict[str, str]:
    """Return the version of this installation and the sha256 of its Python source."""
    root = Path(__file__).resolve().parents[2]
    found = hashlib.sha256()
    for path in sorted(p for package in PACKAGES for p in (root / package).rglob("*.py")):
        found.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return {"version": own_version(), "source": found.hexdigest()}


def other_version(expected: dict[str, str], host: str) -> SpecError | None:
    """Return what to say when this installation is not the expected one, else None."""
    mine = who()
    if mine == expected:
        return None
    shown = [f"{w['version']} (source {w['source'][:12]})" for w in (mine, expected)]
    return SpecError(f"the worker on {host} runs genbias {shown[0]} and this command {shown[1]}; install the same one on every machine, and start the "
                     "workers again")  # fmt: skip
