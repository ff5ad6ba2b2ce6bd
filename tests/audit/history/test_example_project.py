"""The example project, used as a user would: nights, then tests against the last green one, then a change for the worse; and its schedules."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from audit.cli import main
from audit.history import open_history
from audit.nightly_command import nightly as nightly_command

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parents[3]
PROJECT = ROOT / "tests" / "example_project"
SCHEDULES = ("crontab", "nightly.sbatch", "fairness.yml")


@pytest.fixture
def project(pytester):
    shutil.copytree(PROJECT, pytester.path, dirs_exist_ok=True)
    return pytester


@pytest.mark.timeout(900)  # six small audits and two inner sessions of pytest
def test_nights_make_a_baseline_that_a_change_for_the_worse_is_held_against(project):
    for night in ("2026-03-01", "2026-03-02"):
        done = CliRunner().invoke(main, ["nightly", "audit.yaml", "--history", "history.db", "--night", night])
        assert done.exit_code == 0, done.output
    with open_history("history.db") as history:
        assert [e.exit_code for e in history.chronicle().entries] == [0, 0]

    project.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:hypothesispytest").assert_outcomes(passed=4)

    spec = project.path / "audit.yaml"
    spec.write_text(spec.read_text().replace("population: balanced", "population: professors"))
    worse = project.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:hypothesispytest")
    worse.assert_outcomes(failed=4)
    assert "not worse than the last green night 2026-03-02 by more than 0" in worse.stdout.str()


def commands():
    """The genbias commands of the schedules, as words."""
    for name in SCHEDULES:
        (line,) = re.findall(r"genbias nightly [^>\n]*", (PROJECT / "schedule" / name).read_text())
        yield name, shlex.split(line)


def test_the_schedules_call_a_command_that_exists_with_options_it_has():
    for name, words in commands():
        assert words[:2] == ["genbias", "nightly"], name
        given = nightly_command.make_context("nightly", [*words[2:], *([] if "--history" in words else ["--history", "h.db"])]).params
        assert given["spec"] == "audit.yaml" and given["again"] == 12


def test_the_schedules_are_what_they_say_they_are():
    crontab, sbatch, actions = (PROJECT / "schedule" / name for name in SCHEDULES)
    *_, line = crontab.read_text().splitlines()
    fields = line.split(maxsplit=5)
    assert all(re.fullmatch(r"[\d*/,-]+", f) for f in fields[:5]) and "%" not in fields[5]  # cron would cut the line there
    subprocess.run(["bash", "-n", "-c", fields[5]], check=True)
    subprocess.run(["bash", "-n", str(sbatch)], check=True)
    assert sbatch.read_text().startswith("#!/bin/bash\n#SBATCH ")
    flow = yaml.safe_load(actions.read_text())
    assert flow[True]["schedule"][0]["cron"].split() == fields[:5]  # YAML reads "on" as true
    for step in flow["jobs"]["nightly"]["steps"]:
        assert ("run" in step) != ("uses" in step)
        if "run" in step:
            subprocess.run(["bash", "-n", "-c", step["run"]], check=True)


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_readme_shows_the_schedules_as_they_are(name):
    assert (PROJECT / "schedule" / name).read_text() in (ROOT / "README.md").read_text()


@pytest.mark.slow
def test_the_slurm_script_runs_under_bash_with_a_queue_that_writes_down_what_it_is_told(project, monkeypatch):
    (project.path / "bin").mkdir()
    queue = project.path / "bin" / "sbatch"
    queue.write_text('#!/bin/bash\necho "$@" > queued\n')
    queue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{queue.parent}:{ROOT / '.venv' / 'bin'}:/usr/bin:/bin")
    done = subprocess.run(["bash", "schedule/nightly.sbatch"], cwd=project.path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (project.path / "queued").read_text() == "--begin=03:17 nightly.sbatch\n" and (project.path / "history.db").is_file()
