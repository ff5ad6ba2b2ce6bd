"""Threads leave cores alone that other programs use."""

import os
import subprocess
import sys

import pytest
import torch

from audit.engines import threads


@pytest.fixture
def two_threads(monkeypatch):
    before = torch.get_num_threads()
    for name in threads._SET_BY_USER:
        monkeypatch.delenv(name, raising=False)
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="pins a program to a core, which this system cannot")
def test_a_core_that_another_program_keeps_busy_is_not_idle():
    mine = sorted(os.sched_getaffinity(0))
    code = f"import os\nos.sched_setaffinity(0, {{{mine[0]}}})\nprint(flush=True)\nwhile True: pass"
    busy = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        busy.stdout.read(1)
        found = [threads.idle_cores() for _ in range(5)]
    finally:
        busy.kill()
        busy.wait()
        busy.stdout.close()
    assert max(found) <= max(len(mine) - 1, 1)
    assert min(found) >= 1


def test_ticks_of_the_system_become_shares(tmp_path):
    stat = tmp_path / "stat"
    stat.write_text("cpu  9 9 9 9 9 0 0 0 0 0\ncpu0 100 0 0 50 50 0 0 0 0 0\ncpu1 0 10 10 80 0 0 0 0 0 0\nintr 5\n")
    before = threads._busy_ticks(stat)
    assert before == {0: (100, 200), 1: (20, 100)}
    assert threads._share((100, 200), (190, 300)) == pytest.approx(0.9)
    assert threads._share(None, (1, 2)) == threads._share((1, 2), (1, 2)) == 0
    assert threads._busy_ticks(tmp_path / "absent") == {}


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(("idle", "expected"), [(1, 1), (2, 2), (8, 2)])
def test_torch_computes_on_the_idle_cores_only_and_then_has_what_it_had(monkeypatch, idle, expected):
    monkeypatch.setattr(threads, "idle_cores", lambda: idle)
    found = []

    @threads.on_idle_cores()
    def failing():
        found.append(torch.get_num_threads())
        raise KeyError

    with pytest.raises(KeyError):
        failing()
    assert found == [expected]
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_what_the_user_set_stays(monkeypatch):
    monkeypatch.setattr(threads, "idle_cores", lambda: 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with threads.on_idle_cores():
        assert torch.get_num_threads() == 2
