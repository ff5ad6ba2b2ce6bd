"""Where the third-party models and photographs lie; without them the tests of this folder are set aside, and it is said."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
ASIDE = pytest.StashKey[int]()


def folder() -> Path:
    return Path(os.environ.get("GENBIAS_ASSETS") or REPOSITORY.parent / "shared" / "assets")


@pytest.fixture(scope="session")
def assets() -> Path:
    return folder()


def pytest_collection_modifyitems(config, items):
    if (folder() / "classifiers").is_dir():
        return
    aside = [item for item in items if item.get_closest_marker("assets")]
    config.stash[ASIDE] = len(aside)
    config.hook.pytest_deselected(items=aside)
    items[:] = [item for item in items if item not in aside]


def pytest_terminal_summary(terminalreporter, config):
    if config.stash.get(ASIDE, 0):
        terminalreporter.write_line(
            f"{config.stash[ASIDE]} tests set aside: no assets in {folder()}; set GENBIAS_ASSETS to the folder that holds them"
        )
