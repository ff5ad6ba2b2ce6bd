"""What a run says of the machine it ran on."""

import resource
import sys
from types import SimpleNamespace

import pytest

from audit.provenance import peak_memory_bytes


@pytest.mark.parametrize(("own", "child"), [(300, 500), (500, 300)])
def test_the_peak_is_that_of_the_process_or_of_a_worker_that_ended(monkeypatch, own, child):
    peaks = {resource.RUSAGE_SELF: own, resource.RUSAGE_CHILDREN: child}
    monkeypatch.setattr(resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=peaks[who]))
    assert peak_memory_bytes() == 500 * (1 if sys.platform == "darwin" else 1024)
