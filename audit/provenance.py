"""Where a result comes from: versions, commit, device, weights, and the command that makes it again."""

import contextlib
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("torch", "torchvision", "numpy", "scipy", "pandas", "diffusers", "facenet-pytorch", "clean-fid")


def provenance(*, seed: int, spec_digest: str, device: str, command: str) -> dict:
    """Return what the report prints under provenance."""
    versions = {}
    for name in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            versions[name] = version(name)
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "genbias": own_version(),
        "commit": commit(),
        "python": platform.python_version(),
        "packages": versions,
        "device": device,
        "platform": f"{platform.system()} {platform.machine()}",
        "seed": seed,
        "spec_digest": spec_digest,
        "command": command,
    }


def own_version() -> str:
    """Return the installed version of genbias, "0+unknown" when run from a bare checkout."""
    try:
        return version("genbias")
    except PackageNotFoundError:
        return "0+unknown"


def commit() -> str | None:
    """Return the git commit of the source tree, None when the package is installed elsewhere."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        done = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def peak_memory_bytes() -> int:
    """Return the largest resident size so far of this process, or of one of its workers that ended, whichever is larger."""
    import resource

    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return peak if sys.platform == "darwin" else peak * 1024
