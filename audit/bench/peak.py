"""Peak memory of one piece of work, measured in a process of its own: ``python -m audit.bench.peak WORK N D``."""

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from audit.bench.features import pair
from audit.bench.rivals import WORKS
from audit.errors import RunError

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_of(work: str, n: int, d: int) -> int | None:
    """Return the bytes that a piece of work took at its peak beyond its inputs; None where the system does not tell (not Linux).

    Args:
        work: a key of :data:`audit.bench.rivals.WORKS`.
        n: images a set.
        d: dimensions.

    Raises:
        RunError: the process failed.
    """
    if not _RESET.exists():
        return None
    done = subprocess.run([sys.executable, "-m", "audit.bench.peak", work, str(n), str(d)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RunError(f"measuring the memory of {work} failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    return int(json.loads(done.stdout.splitlines()[-1])["bytes"])


def measured(work: Callable[[], Any]) -> int:
    """Return the bytes by which the resident memory of this process exceeded that before ``work``, at its peak."""
    _RESET.write_text("5")  # sets the high-water mark to the memory held now
    before = _status("VmRSS")
    work()
    return max(_status("VmHWM") - before, 0)


def _status(key: str) -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    name, images, dimensions = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    WORKS[name](*pair(64, 32))  # imports and first allocations
    generated, reference = pair(images, dimensions)
    with redirect_stdout(sys.stderr):
        found = measured(lambda: WORKS[name](generated, reference))
    sys.stdout.write("\n" + json.dumps({"bytes": found}) + "\n")
