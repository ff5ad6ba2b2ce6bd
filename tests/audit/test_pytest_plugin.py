"""The pytest plugin: each outcome, the options, files of limits as tests, JUnit, bad files, and the README's example."""

import json
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from audit import audits, pytest_plugin
from audit.errors import SpecError
from audit.limit_files import read_plan
from audit.pytest_plugin import LimitBroken, LimitUndecided, assert_held
from audit.quantities import Measure
from audit.result import Result

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
HELD, BROKEN, UNDECIDED = (0.02, 0.0, 0.05), (0.42, 0.39, 0.45), (0.09, 0.06, 0.12)
LIMIT = "{metric: fairness_discrepancy, attribute: gender, at_most: 0.1}"


def result(path=None, **generators):
    """Return a result whose generators have these fairness discrepancies of gender; None = not measured."""
    rows = []
    for name, found in generators.items():
        value, low, high = found or (None, None, None)
        rows.append(Measure(name, "fairness_discrepancy", "gender", None, value, low, high, 0.95, 2000, "share", 0.0, "lower", "box", None, True,
                            None if found else "no image was read"))  # fmt: skip
    return Result("made by hand", rows, path=path, generators=[{"name": name, "images": 2000} for name in generators])


@pytest.fixture
def run_dir(pytester):
    """A run directory below the tests of an inner pytest, with one generator of each outcome."""
    folder = pytester.mkdir("today")
    result(folder, good=HELD, bad=BROKEN, unclear=UNDECIDED).save()
    return folder


def inner(pytester, body, *options):
    """Run an inner pytest on a test file with this body."""
    pytester.makepyfile("from audit.pytest_plugin import assert_held, assert_not_worse\n" + body)
    return begin(pytester, *options)


def begin(pytester, *options):
    """Run an inner pytest on what lies in its folder."""
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:hypothesispytest", *options)


def asserted(generator, more=""):
    return (f"def test_it(genbias_result):\n    assert_held(genbias_result('today'), metric='fairness_discrepancy', attribute='gender', "
            f"generator='{generator}', at_most=0.1{more})\n")  # fmt: skip


def limits_file(pytester, text, name="fairness_limits.yaml"):
    Path(pytester.path, name).write_text(text)


@pytest.fixture
def alone(monkeypatch):
    """Keep the verdicts of a test out of the summary of the suite it belongs to."""
    monkeypatch.setattr(pytest_plugin._ACTIVE[-1], "item", None)


# The assertions by themselves


def test_a_held_limit_passes_and_hands_back_its_verdicts(alone):
    assert [v.outcome for v in assert_held(result(good=HELD), metric="fairness_discrepancy", attribute="gender", at_most=0.1)] == ["held"]


def test_a_broken_limit_fails_with_the_interval_and_its_picture(alone):
    with pytest.raises(LimitBroken, match=r"(?s)^broken: fairness_discrepancy of gender at most 0.1 \[bad\].*0.39 to 0.45.*\|x+\[=*o=*\]"):
        assert_held(result(bad=BROKEN), "fairness_discrepancy", "gender", at_most=0.1, undecided="pass")


def test_one_broken_generator_among_many_fails(alone):
    with pytest.raises(LimitBroken, match=r"(?s)^broken.*\[bad\].*undecided.*\[unclear\]"):
        assert_held(result(good=HELD, unclear=UNDECIDED, bad=BROKEN), metric="fairness_discrepancy", attribute="gender", at_most=0.1)


@pytest.mark.parametrize("found", [UNDECIDED, None])
def test_undecided_and_not_measured_fail_under_their_own_name(alone, found):
    with pytest.raises(LimitUndecided, match=r"^undecided: "):
        assert_held(result(a=found), metric="fairness_discrepancy", attribute="gender", at_most=0.1, undecided="fail")


def test_undecided_skips_or_passes_where_that_is_asked(alone):
    asked = {"metric": "fairness_discrepancy", "attribute": "gender", "at_most": 0.1}
    with pytest.raises(pytest.skip.Exception, match=r"^undecided: "):
        assert_held(result(a=UNDECIDED), **asked, undecided="skip")
    with pytest.raises(pytest.xfail.Exception, match=r"^undecided: "):
        assert_held(result(a=UNDECIDED), **asked, undecided="xfail")
    assert assert_held(result(a=UNDECIDED), **asked, undecided="pass")[0].outcome == "undecided"


def test_a_range_is_handed_on_as_one(alone):
    found = result(a=UNDECIDED)
    assert assert_held(found, "fairness_discrepancy", "gender", between=(0.05, 0.2))[0].outcome == "held"
    with pytest.raises(LimitBroken):
        assert_held(found, "fairness_discrepancy", "gender", between=(0.2, 0.3))


@pytest.mark.parametrize("bounds", [{}, {"at_most": 0.1, "at_least": 0.0}, {"at_most": 0.1, "undecided": "perhaps"}])
def test_a_limit_that_makes_no_sense_is_a_sentence(bounds):
    with pytest.raises(SpecError):
        assert_held(result(a=HELD), "fairness_discrepancy", "gender", **bounds)


def test_a_limit_on_what_was_not_measured_is_a_sentence():
    with pytest.raises(SpecError, match="matches no measure"):
        assert_held(result(a=HELD), "fid", at_most=3)


# Inside pytest


@pytest.mark.parametrize(("generator", "more", "options", "expected"), [
    ("good", "", (), {"passed": 1}),
    ("bad", "", ("--genbias-undecided=pass",), {"failed": 1}),
    ("unclear", "", (), {"failed": 1}),
    ("unclear", ", undecided='skip'", (), {"skipped": 1}),
    ("unclear", ", undecided='xfail'", (), {"xfailed": 1}),
    ("unclear", "", ("-o", "genbias_undecided=skip"), {"skipped": 1}),
    ("unclear", ", undecided='pass'", ("-o", "genbias_undecided=skip"), {"passed": 1}),
    ("unclear", ", undecided='pass'", ("--genbias-undecided=xfail", "-o", "genbias_undecided=skip"), {"xfailed": 1}),
])  # fmt: skip
def test_the_nearest_setting_says_what_undecided_means(pytester, run_dir, generator, more, options, expected):
    inner(pytester, asserted(generator, more), *options).assert_outcomes(**expected)


def test_the_failure_shows_the_message_and_none_of_our_lines(pytester, run_dir):
    done = inner(pytester, asserted("bad"))
    done.stdout.fnmatch_lines(["E*broken: fairness_discrepancy of gender at most 0.1 ?bad?", "E*|x*[[]=*o=*]*"])
    assert "pytest_plugin.py" not in done.stdout.str()


def test_the_summary_counts_limits_by_outcome(pytester, run_dir):
    limits_file(pytester, f"run: today\nlimits: [{LIMIT}]")
    done = inner(pytester, "def test_other(): pass")
    done.assert_outcomes(passed=2, failed=2)
    done.stdout.fnmatch_lines(["*= fairness limits =*", "1 held, 1 broken, 1 undecided"])


def test_the_summary_names_the_limit_that_needs_most_images(pytester):
    reports = [{"outcome": "undecided", "images": n, "limit": f"limit {n} [a]"} for n in (300, 12_400)]
    lines = []
    reporter = type("Reporter", (), {"stats": {"failed": [type("R", (), {"genbias_verdicts": reports})]}, "section": lambda *_: None,
                                     "write_line": lambda _, line: lines.append(line)})()  # fmt: skip
    pytest_plugin.pytest_terminal_summary(reporter)
    assert lines == ["0 held, 0 broken, 2 undecided", "most images are needed by limit 12400 [a]: about 12,400"]


def test_a_suite_without_limits_is_left_alone(pytester):
    pytester.makefile(".yaml", limits="a: b", other_fairness_limits="x: 1")
    done = inner(pytester, "def test_other(record_property): record_property('outcome', 'mine')")
    done.assert_outcomes(passed=1)
    done.stdout.no_fnmatch_line("*fairness limits*")


def test_a_wrong_setting_is_one_sentence(pytester):
    done = inner(pytester, "def test_other(): pass", "-o", "genbias_undecided=perhaps")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["*genbias_undecided is 'perhaps'; expected one of fail, skip, xfail, pass"])


def test_the_same_arguments_run_once_and_give_the_same_object(pytester, monkeypatch):
    calls = []
    monkeypatch.setattr(audits, "run", lambda spec, *, out, **changes: calls.append((spec, Path(out).name, changes)) or result(a=HELD))
    done = inner(pytester, "def test_a(genbias_run):\n    first = genbias_run('smoke', samples=9)\n    assert first is genbias_run('smoke', samples=9)\n"
                           "    assert first is not genbias_run('smoke', samples=8)\n"
                           "def test_b(genbias_run): genbias_run('smoke', samples=9)\n"
                           "def test_c(genbias_run): genbias_run('smoke', out='kept')\n")  # fmt: skip
    done.assert_outcomes(passed=3)
    assert [changes for _, _, changes in calls] == [{"samples": 9}, {"samples": 8}, {}]
    assert calls[2][1] == "kept" and calls[0][1].startswith("smoke-") and calls[0][1] != calls[1][1]


def test_a_run_without_out_is_made_anew_in_each_session(pytester, monkeypatch):
    found = []

    def run(spec, *, out, **changes):
        found.append(out.exists())
        out.mkdir(parents=True)
        return result(a=HELD)

    monkeypatch.setattr(audits, "run", run)
    pytester.makepyfile("def test_a(genbias_run): genbias_run('smoke')")
    for _ in range(2):
        pytester.runpytest_inprocess("-p", "no:hypothesispytest").assert_outcomes(passed=1)
    assert found == [False, False] and list(Path(pytester.path, ".pytest_cache/d/genbias").iterdir())


def test_junit_carries_the_numbers_as_properties(pytester, run_dir):
    limits_file(pytester, f"run: today\nlimits: [{LIMIT}]")
    begin(pytester, "--junitxml=out.xml")
    cases = ElementTree.parse(pytester.path / "out.xml").getroot().findall(".//testcase")
    told = [{p.get("name"): p.get("value") for p in case.iter("property")} for case in cases]
    assert [case.get("name") for case in cases] == [f"fairness_discrepancy of gender at most 0.1 [{g}]" for g in ("good", "bad", "unclear")]
    assert [(t["outcome"], t["metric"], t["attribute"]) for t in told] == [(o, "fairness_discrepancy", "gender") for o in ("held", "broken", "undecided")]
    assert [float(told[1][k]) for k in ("value", "low", "high")] == list(BROKEN)
    assert "p_adjusted" in told[1]
    assert [len(case.findall("failure")) for case in cases] == [0, 1, 1]


# Files of limits


def test_each_limit_and_generator_is_a_test_with_a_name_one_can_read(pytester, run_dir):
    limits_file(pytester, f"run: today\nlimits:\n- {LIMIT}\n- {{metric: fairness_discrepancy, attribute: gender, at_least: 0.1, generator: bad}}")
    done = begin(pytester, "-v")
    done.assert_outcomes(passed=2, failed=2)
    for name in ("most 0.1 [good] PASSED", "most 0.1 [bad] FAILED", "most 0.1 [unclear] FAILED", "least 0.1 [bad] PASSED"):
        assert f"\nfairness_limits.yaml::fairness_discrepancy of gender at {name}" in done.stdout.str()


def test_a_table_of_labels_is_held_to_limits_without_a_spec(pytester):
    rows = ["generator,smile", *["plain,smiling"] * 900, *["plain,neutral"] * 100, *["even,smiling", "even,neutral"] * 500]
    Path(pytester.path, "labels.csv").write_text("\n".join(rows))
    limits_file(pytester, "labels: labels.csv\nlimits: [{metric: fairness_discrepancy, attribute: smile, at_most: 0.1}]")
    done = begin(pytester, "-v")
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(["*at most 0.1 [[]plain] FAILED*", "*at most 0.1 [[]even] PASSED*"])


@pytest.mark.parametrize("name", ["fairness_limits.yml", "nightly.fairness_limits.yaml"])
def test_a_file_may_say_what_undecided_means(pytester, run_dir, name):
    limits_file(pytester, f"run: today\nundecided: skip\nlimits: [{LIMIT}]", name)
    begin(pytester).assert_outcomes(passed=1, failed=1, skipped=1)


def test_limits_of_a_file_are_one_family_whichever_are_selected(pytester, run_dir, monkeypatch):
    families = []
    judged = Result.check
    monkeypatch.setattr(Result, "check", lambda self, limits: families.append(len(limits)) or judged(self, limits))
    limits_file(pytester, "run: today\nlimits:\n" + f"- {LIMIT}\n" * 3)
    begin(pytester, "-k", "good and 3").assert_outcomes(passed=1, deselected=8)
    assert max(families) == 3


def test_a_spec_is_only_run_when_a_test_is(pytester, monkeypatch):
    calls = []
    monkeypatch.setattr(audits, "run", lambda spec, *, out, **more: calls.append((spec, more)) or result(balanced=HELD, professors=BROKEN))
    limits_file(pytester, f"spec: smoke\nsamples: 50\nset: {{generators.balanced.title: B}}\nlimits: [{LIMIT}]")
    done = begin(pytester, "--collect-only", "-q")
    assert calls == []
    done.stdout.fnmatch_lines(["*at most 0.1 [[]balanced]", "*at most 0.1 [[]professors]"])
    begin(pytester).assert_outcomes(passed=1, failed=1)
    assert calls == [("smoke", {"generators__balanced__title": "B", "samples": 50})]


def test_a_run_that_fails_is_tried_once_and_said_without_a_traceback(pytester, monkeypatch):
    calls = []

    def run(spec, *, out, **more):
        calls.append(spec)
        raise SpecError("the disk is full of eels; free it")

    monkeypatch.setattr(audits, "run", run)
    limits_file(pytester, f"spec: smoke\nlimits: [{LIMIT}]")
    done = begin(pytester)
    done.assert_outcomes(failed=2)
    assert calls == ["smoke"] and "the disk is full of eels; free it" in done.stdout.str() and "Traceback" not in done.stdout.str()
    assert "limit_files.py" not in done.stdout.str()


BAD = {
    "limits: [x": r"fairness_limits.yaml is not YAML at line 1",
    "- a": "holds a list; expected a mapping",
    f"runn: today\nlimits: [{LIMIT}]": r"unknown key 'runn' \(did you mean 'run'\?\)",
    f"limits: [{LIMIT}]": "names no result; expected exactly one of run: DIR, spec: NAME, labels: FILE",
    f"run: a\nspec: b\nlimits: [{LIMIT}]": "names run and spec; expected exactly one",
    f"run: a\nsamples: 5\nlimits: [{LIMIT}]": "samples goes with spec, and this file has run",
    f"spec: smoke\nsamples: many\nlimits: [{LIMIT}]": "samples is 'many'; expected a whole number",
    f"spec: 3\nlimits: [{LIMIT}]": "spec is 3; expected a path or the name",
    f"spec: smoke\nset: 3\nlimits: [{LIMIT}]": "set is 3; expected a mapping",
    f"spec: smokee\nlimits: [{LIMIT}]": r"no spec 'smokee' \(did you mean 'smoke'\?\)",
    "run: today\nlimits: []": "holds no list of limits",
    "run: today\nlimits: [{metric: fid}]": "limit 1: .*exactly one of",
    f"run: today\nundecided: no\nlimits: [{LIMIT}]": "undecided is False; expected one of fail, skip, xfail, pass",
    "spec: smoke\nlimits: [{metric: fid, at_most: 1, generator: bal}]": "there is no generator 'bal' in the spec; there are balanced, professors",
}


@pytest.mark.parametrize("text", BAD)
def test_a_bad_file_is_named_with_what_was_expected(tmp_path, text):
    file = tmp_path / "fairness_limits.yaml"
    file.write_text(text)
    with pytest.raises(SpecError, match=BAD[text]):
        read_plan(file).generators()


@pytest.mark.parametrize(("text", "said"), [
    ("limits: [x", "fairness_limits.yaml is not YAML at line 1"),
    (f"run: nowhere\nlimits: [{LIMIT}]", "no result at "),
    ("run: today\nlimits: [{metric: fid, at_most: 1}]", "matches no measure"),
])  # fmt: skip
def test_a_bad_file_is_an_error_of_collection_in_one_sentence(pytester, run_dir, text, said):
    limits_file(pytester, text)
    done = begin(pytester)
    done.assert_outcomes(errors=1)
    assert said in done.stdout.str() and "Traceback" not in done.stdout.str() and ".py:" not in done.stdout.str()


# The package


def test_importing_the_plugin_is_light():
    code = ("import pytest, sys, time; t = time.perf_counter(); import audit.pytest_plugin; spent = time.perf_counter() - t; "
            "print(spent < 0.05, sorted({'torch', 'matplotlib', 'numpy', 'pandas', 'pydantic', 'yaml'} & set(sys.modules)))")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "True []"


@pytest.mark.slow
def test_the_smoke_spec_runs_from_a_fixture_and_from_a_file(pytester):
    limits_file(pytester, "spec: smoke\nsamples: 96\nset: {gallery: 0}\nlimits: [{metric: fairness_discrepancy, attribute: gender, at_most: 0.3}]")
    body = ("def test_professors(genbias_run):\n    found = genbias_run('smoke', samples=96, gallery=0)\n"
            "    assert found is genbias_run('smoke', samples=96, gallery=0)\n"
            "    assert_held(found, 'fairness_discrepancy', 'gender', generator='professors', at_least=0.2)\n")  # fmt: skip
    inner(pytester, body).assert_outcomes(passed=2, failed=1)


@pytest.mark.slow
def test_the_example_of_the_readme_runs_as_printed(pytester):
    blocks = re.findall(r"```(?:python|yaml)\n(# (test_fairness\.py|fairness_limits\.yaml)\n.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert [name for _, name in blocks] == ["test_fairness.py", "fairness_limits.yaml"]
    for text, name in blocks:
        Path(pytester.path, name).write_text(text)
    done = pytester.runpytest_subprocess("-v", "--junitxml=out.xml")
    assert done.parseoutcomes().get("passed", 0) >= 4 and done.ret == 0
    done.stdout.fnmatch_lines(["*= fairness limits =*", "* held, 0 broken, 0 undecided"])
    assert json.dumps([t.get("name") for t in ElementTree.parse(pytester.path / "out.xml").iter("testcase")]).count("at most") >= 2
