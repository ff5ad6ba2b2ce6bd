"""What holds for every test."""

import sys

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Give back what an audit run in this process switched on: tiny numbers that the processor takes for zero."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)
