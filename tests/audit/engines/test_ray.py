"""Ray beside the pool. Ray lives in a process of its own: it leaves threads, children and warnings behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from audit.audits import run
from audit.engines.choice import Choice, opened
from audit.engines.jobs import Alone
from audit.engines.versions import other_version, who
from audit.errors import SpecError

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]


def _said(tmp_path, what, timeout_s=280):
    done = subprocess.run([sys.executable, str(HERE / "ray_runner.py"), str(tmp_path), what], cwd=ROOT, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=timeout_s, check=False)  # fmt: skip
    if "Ray did not start on this machine" in done.stderr and "timed out during startup" in done.stderr:
        pytest.skip("Ray gives itself half a minute to start, and this machine was too busy for that; run this test again by itself")
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]  # Ray prints beside them
    return {row.pop("name"): row for row in rows}, done.stderr


def test_ray_does_what_the_pool_does(jobs, tmp_path):
    pytest.importorskip("ray")
    said, stderr = _said(tmp_path, "local")
    assert said["results"] == {"found": {str(i): i * i for i in range(6)}, "told": 12}
    assert said["killed"] == {"found": {"0": 121, "1": 144}, "told": 4}
    assert "number 11 is done again" in stderr
    assert said["fails"]["error"] == "SourceError"
    assert "a sentence from afar (on " in said["fails"]["said"]
    assert "no file of that name here" in said["cannot begin"]["said"]
    assert said["other version"]["exit_code"] == 2
    assert "and this command 0.0.9 (source 000000000000); install the same one on every machine" in said["other version"]["said"]
    assert said["map"]["found"] == {"0": [9, "cpu"], "1": [16, "cpu"]}
    assert "the Ray cluster has 2 CPUs and 64 workers were asked for" in said["no room"]["said"]


@pytest.mark.slow
def test_a_task_that_kills_every_ray_worker_fails_with_its_name(jobs, tmp_path):
    said, _ = _said(tmp_path, "always-killed")
    assert "number 31 ended its worker 4 times" in said["always killed"]["said"]
    assert said["always killed"]["exit_code"] == 4


@pytest.mark.slow
def test_two_nodes_make_the_run_that_one_process_makes_and_a_node_may_go_away(jobs, tmp_path):
    said, stderr = _said(tmp_path, "nodes", timeout_s=900)
    assert said["equal"]["same"]
    assert said["a node gone"] == {"workers": 2, "found": {str(i): (41 + i) ** 2 for i in range(8)}, "told": 16}
    assert "a Ray worker died" in stderr


def test_an_address_where_nobody_answers_is_a_sentence_within_seconds(jobs, tmp_path):
    pytest.importorskip("ray")
    for address, words in (("127.0.0.1:9", "nothing answers at the Ray address 127.0.0.1:9"), ("cluster", "expected HOST:PORT")):
        with pytest.raises(SpecError, match=words) as caught, opened(Choice("ray", 1, address), jobs.Job(tmp_path)):
            raise AssertionError("it answered")
        assert caught.value.exit_code == 2


def test_a_cluster_that_does_not_answer_leaves_no_directory(tmp_path):
    pytest.importorskip("ray")
    with pytest.raises(SpecError, match="nothing answers at the Ray address"):
        run("smoke", out=tmp_path / "run", samples=64, engine="ray", address="127.0.0.1:9")
    assert not (tmp_path / "run").exists()


def test_what_ray_prints_does_not_come_between_json(capsys, jobs, tmp_path, monkeypatch):
    def chatty(choice, job, device):
        sys.stdout.write("(raylet) A worker died\n")
        return Alone(job, device)

    monkeypatch.setattr("audit.engines.choice._engine", chatty)
    with opened(Choice("ray"), jobs.Job(tmp_path)):
        pass
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "(raylet) A worker died\n")


def test_without_ray_the_sentence_says_what_to_install(jobs, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SpecError, match=r"pip install 'genbias\[ray\]'"), opened(Choice("ray"), jobs.Job(tmp_path)):
        raise AssertionError("it was opened")


def test_the_same_version_with_another_source_is_another_version():
    assert other_version(who(), "here") is None
    assert len(who()["source"]) == 64
    assert "the worker on there runs genbias" in str(other_version({**who(), "source": "0" * 64}, "there"))
