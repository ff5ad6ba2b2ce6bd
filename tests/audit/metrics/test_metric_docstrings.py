"""Every metric says what it measures, where it is from, what parity is, and what it cannot see."""

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import audit.metrics

ROOT = Path(audit.metrics.__file__).resolve().parents[2]

FOUNDATIONS = {"boxes", "features", "nearest"}
METRICS = sorted({m.name for m in pkgutil.iter_modules(audit.metrics.__path__)} - FOUNDATIONS)
HEADINGS = ("Source:", "Formula:", "Parity:", "Direction:", "Blind to:", "Departures:")


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_module_has_its_headings_in_order(name):
    text = importlib.import_module(f"audit.metrics.{name}").__doc__
    places = [text.find(f"\n{heading}") for heading in HEADINGS]
    assert min(places) > 0
    assert places == sorted(places)


def test_the_public_names_are_there_and_documented():
    for name in audit.metrics.__all__:
        assert getattr(audit.metrics, name) is not None
        assert name == "MISSING" or getattr(audit.metrics, name).__doc__


def test_importing_the_metrics_loads_neither_torch_nor_pandas():
    code = "import sys, audit.metrics; print(sorted({'torch', 'pandas', 'matplotlib'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
