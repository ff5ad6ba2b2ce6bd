"""What holds for every test."""

import os
import sys

import pytest

# Runs that are compared byte for byte compute with the same number of threads, whatever else the machine is doing meanwhile.
if not os.environ.get("OMP_NUM_THREADS"):
    os.environ.setdefault("MKL_NUM_THREADS", str(os.cpu_count() or 1))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Give back what an audit run in this process switched on: tiny numbers that the processor takes for zero."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)
