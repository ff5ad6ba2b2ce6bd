"""Files in official formats lie beside the checkout, never in it; without them these tests are skipped with that reason."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path(os.environ.get("GENBIAS_GOLDEN") or ROOT.parent / "shared" / "golden")


def pytest_collection_modifyitems(items):
    if GOLDEN.is_dir():
        return
    reason = pytest.mark.skipif(True, reason=f"no folder {GOLDEN.name} with official-format files; set GENBIAS_GOLDEN")
    for item in items:
        if Path(__file__).parent in Path(item.fspath).parents:
            item.add_marker(reason)


@pytest.fixture
def golden():
    return GOLDEN
