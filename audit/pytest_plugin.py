"""pytest: hold a generator to its limits in a test suite; undecided is an outcome of its own.

Installed with the package and inert until used: fixtures ``genbias_run``, ``genbias_result`` and ``assert_held``, the assertions
below for import, and files called ``fairness_limits.yaml``, each limit in them a test (see :mod:`audit.limit_files`).
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from audit.errors import SpecError

if TYPE_CHECKING:
    from audit.result import Result
    from audit.spec import LimitSpec
    from audit.verdicts import Verdict

__all__ = ["LimitBroken", "LimitUndecided", "assert_held", "assert_not_worse"]

POLICIES = ("fail", "skip", "xfail", "pass")
"""What may become of a test whose limit is undecided."""

_FILES = (".yaml", ".yml")


class LimitBroken(AssertionError):
    """A limit is broken: its whole interval lies on the wrong side."""


class LimitUndecided(AssertionError):
    """A limit is undecided: its interval contains the limit, or nothing was measured."""


def assert_held(result: "Result", metric: str, attribute: str | None = None, *, generator: str | None = None, group: str | None = None,
                at_most: float | None = None, at_least: float | None = None, between: tuple[float, float] | None = None,
                not_worse_than: float | str | None = None, undecided: str | None = None, history: str | Path | None = None,
                than: str | None = None, suite: str | None = None) -> "list[Verdict]":  # fmt: skip
    """Pass if a limit is held; fail, in readable lines, if it is broken; do as configured if it is undecided.

    One call judges one limit alone: p-values are adjusted over the generators and groups it speaks of, not over other calls. Put
    limits that belong together into a ``fairness_limits.yaml``, where all of one file are adjusted as one family.

    Args:
        result: a finished audit.
        metric: a metric key, e.g. "fairness_discrepancy".
        attribute: of which attribute; None for metrics that have none.
        generator: of which generator; None = each of them.
        group: of which class or reference; None = each of them.
        at_most: highest value allowed.
        at_least: lowest value allowed.
        between: lowest and highest value allowed.
        not_worse_than: how much worse than the generator's baseline is allowed; "last-green" compares with the last night of ``history`` on
            which every limit held and nothing had moved to the worse. That fails when the result is shown to be worse, and passes when it
            is not, unless ``undecided`` says otherwise.
        history: a history that ``genbias nightly`` keeps: a path, or a URL; None = the environment variable GENBIAS_HISTORY.
        than: "last-green" where ``not_worse_than`` is a margin; then *held* means shown to be worse by no more than that.
        suite: name of the history's suite; None = the result's.
        undecided: "fail", "skip", "xfail" or "pass"; None = the ini option ``genbias_undecided``, whose default is "fail". The
            command-line option ``--genbias-undecided`` goes before both.

    Returns:
        The verdicts, one for each generator and group the limit speaks of.

    Raises:
        LimitBroken: an AssertionError; its message shows the limit, the interval, a picture of both, and what to do.
        LimitUndecided: an AssertionError whose message starts with "undecided" and says how many images would decide.
        GenbiasError: the limit makes no sense, or speaks of something that was not measured.

    Example:
        >>> from audit.quantities import Measure
        >>> from audit.result import Result
        >>> row = Measure("faces", "no_face", None, None, 0.01, 0.0, 0.02, 0.95, 900, "share", 0.0, "lower", "Wilson", None, False, None)
        >>> assert_held(Result("run", [row]), metric="no_face", at_most=0.05)[0].outcome
        'held'
    """
    __tracebackhide__ = True
    from audit.limits import as_limits

    given = {"metric": metric, "attribute": attribute, "group": group, "generator": generator, "at_most": at_most, "at_least": at_least,
             "between": None if between is None else list(between), "not_worse_than": not_worse_than, "than": than}  # fmt: skip
    limits = as_limits([{k: v for k, v in given.items() if v is not None}])
    verdicts = with_history(result, limits, history, suite).check(limits)
    settle(verdicts, undecided or lenient(limits[0]))
    return verdicts


def assert_not_worse(result: "Result", candidate: str, metric: str, margin: float, *, attribute: str | None = None,
                     group: str | None = None, undecided: str | None = None) -> "list[Verdict]":  # fmt: skip
    """Pass if ``candidate`` is worse than the baseline it is compared with by no more than ``margin``, by the paired interval.

    The same as :func:`assert_held` with ``generator=candidate, not_worse_than=margin``.
    """
    __tracebackhide__ = True
    return assert_held(result, metric, attribute, generator=candidate, group=group, not_worse_than=margin, undecided=undecided)


def with_history(result: "Result", limits: "Sequence[LimitSpec]", history: str | Path | None, suite: str | None = None) -> "Result":
    """Return a result that also holds its differences from the last green night, where a limit asks for them.

    Raises:
        SpecError: no history was named.
        HistoryError: it cannot be read, or no night in it was green.
    """
    if not any(limit.than is not None for limit in limits):
        return result
    where = str(history) if history is not None else os.environ.get("GENBIAS_HISTORY")
    if not where:
        raise SpecError("not_worse_than: last-green needs a history; name one with history, or in the environment variable GENBIAS_HISTORY")
    from dataclasses import replace

    from audit.history.last_green import against_last_green

    return replace(result, comparisons=[*result.comparisons, *against_last_green(result, where, suite=suite)])


def lenient(limit: "LimitSpec") -> str | None:
    """Return what becomes of an undecided limit by itself: one that only asks for nothing worse than last green passes."""
    return "pass" if limit.than is not None and limit.not_worse_than == 0 else None


def settle(verdicts: "Sequence[Verdict]", undecided: str | None = None) -> None:
    """Note the verdicts with the running test, then fail, skip, or let it pass, as they and the settings say."""
    __tracebackhide__ = True
    from audit.verdict_text import describe_all

    policy = _policy(undecided)
    rows = [dict(v.__dict__) for v in verdicts]
    if _ACTIVE:
        _ACTIVE[-1].note(rows)
    found = {row["outcome"] for row in rows}
    if "broken" in found:
        raise LimitBroken(describe_all(rows))
    if "undecided" not in found or policy == "pass":
        return
    message = describe_all(rows)
    if policy == "skip":
        pytest.skip(message)
    if policy == "xfail":
        pytest.xfail(message)
    raise LimitUndecided(message)


class Session:
    """What the plugin keeps while pytest runs: results by their arguments, the running test, a place for runs."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.item: pytest.Item | None = None
        self.results: dict[str, Result] = {}
        self.temporary: Path | None = None

    def run(self, spec: Any, *, out: str | Path | None = None, **changes: Any) -> "Result":
        """Run an audit, or hand out the result of the same call made before.

        Without ``out`` the run is made anew in each session, under pytest's cache folder, and stays there to be looked at. A run
        in ``out`` is resumed, and a finished one is not drawn again.
        """
        from audit.audits import run
        from audit.digests import digest

        named = spec if isinstance(spec, str | os.PathLike) else spec.model_dump(mode="json")
        key = digest(json.loads(json.dumps([named, str(out), sorted(changes.items())], default=str)))
        if key not in self.results:
            name = Path(named).stem if isinstance(named, str | os.PathLike) else named["name"]
            folder = Path(out) if out is not None else self._fresh(f"{name}-{key[:12]}")
            self.results[key] = run(spec, out=folder, **changes)
        return self.results[key]

    def load(self, path: str | Path) -> "Result":
        """Load the result of an existing run, once."""
        from audit.result import load_result

        key = f"load {Path(path).resolve()}"
        if key not in self.results:
            self.results[key] = load_result(path)
        return self.results[key]

    def note(self, rows: list[dict]) -> None:
        """Keep verdicts with the running test: as JUnit properties, and for the summary."""
        if self.item is None:
            return
        told = self.item.stash.setdefault(_TOLD, [])
        for row in rows:
            told.append({"outcome": row["outcome"], "images": row.get("images_to_decide"), "limit": f"{row['limit']} [{row['generator']}]"})
            suffix = f" {len(told)}" if len(told) > 1 else ""
            self.item.user_properties += [(key + suffix, row.get(key)) for key in _PROPERTIES if row.get(key) is not None]

    def close(self) -> None:
        """Remove what was kept in a temporary folder."""
        if self.temporary is not None:
            shutil.rmtree(self.temporary, ignore_errors=True)

    def _fresh(self, name: str) -> Path:
        cache = getattr(self.config, "cache", None)
        if cache is None:
            self.temporary = self.temporary or Path(tempfile.mkdtemp(prefix="genbias-"))
        worker = os.environ.get("PYTEST_XDIST_WORKER", "")  # two workers never share a folder
        folder = (self.temporary or cache.mkdir("genbias")) / "-".join(filter(None, (name, worker)))
        shutil.rmtree(folder, ignore_errors=True)
        return folder


_ACTIVE: list[Session] = []
"""The running sessions of pytest, the innermost last; an imported assertion has no other way to its settings."""

_TOLD = pytest.StashKey[list]()
_PROPERTIES = ("metric", "attribute", "group", "generator", "value", "low", "high", "n", "outcome", "p_adjusted", "images_to_decide")


@pytest.fixture(scope="session")
def genbias_run(pytestconfig: pytest.Config) -> "Callable[..., Result]":
    """Run an audit once per session and set of arguments: ``genbias_run(spec, *, out=None, **changes)`` returns its Result."""
    return active(pytestconfig).run


@pytest.fixture(scope="session")
def genbias_result(pytestconfig: pytest.Config) -> "Callable[[str | Path], Result]":
    """Load an existing run: ``genbias_result(path)`` returns its Result."""
    return active(pytestconfig).load


@pytest.fixture(name="assert_held")
def _assert_held() -> "Callable[..., list[Verdict]]":
    """Return :func:`assert_held`, for suites that rather ask for it than import it."""
    return assert_held


def active(config: pytest.Config) -> Session:
    """Return what the plugin keeps for one session of pytest."""
    return next(session for session in reversed(_ACTIVE) if session.config is config)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option and the setting that say what an undecided limit does to its test."""
    said = "what a fairness limit that is undecided does to its test: fail, skip, xfail or pass"
    parser.getgroup("genbias").addoption("--genbias-undecided", choices=POLICIES, default=None, help=f"{said}; goes before everything else")
    parser.addini("genbias_undecided", said, default="fail")


def pytest_configure(config: pytest.Config) -> None:
    """Check the setting and begin to keep results."""
    given = str(config.getini("genbias_undecided"))
    if given not in POLICIES:
        raise pytest.UsageError(f"genbias_undecided is {given!r}; expected one of {', '.join(POLICIES)}")
    _ACTIVE.append(Session(config))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Forget the session."""
    for session in [s for s in _ACTIVE if s.config is config]:
        session.close()
        _ACTIVE.remove(session)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect files of limits as tests."""
    if file_path.suffix in _FILES and (file_path.stem == "fairness_limits" or file_path.stem.endswith(".fairness_limits")):
        from audit.limit_files import LimitsFile

        return LimitsFile.from_parent(parent, path=file_path)
    return None


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, None]:
    """Know which test is running."""
    session = active(item.config)
    session.item = item
    yield
    session.item = None


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Generator[None, Any, None]:
    """Put the verdicts into the test's report, which also travels between processes."""
    made = yield
    if call.when == "call" and _TOLD in item.stash:
        made.get_result().genbias_verdicts = item.stash[_TOLD]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Count the limits of the session by outcome."""
    reports = [r for found in terminalreporter.stats.values() for r in found]
    told = [v for r in reports for v in getattr(r, "genbias_verdicts", ())]
    if not told:
        return
    tally = {o: sum(v["outcome"] == o for v in told) for o in ("held", "broken", "undecided")}
    terminalreporter.section("fairness limits")
    terminalreporter.write_line(", ".join(f"{n} {o}" for o, n in tally.items()))
    needy = [v for v in told if v["outcome"] == "undecided" and v["images"]]
    if needy:
        most = max(needy, key=lambda v: v["images"])
        terminalreporter.write_line(f"most images are needed by {most['limit']}: about {most['images']:,}")


def _policy(given: str | None) -> str:
    if given is not None and given not in POLICIES:
        raise SpecError(f"undecided is {given!r}; expected one of {', '.join(POLICIES)}")
    if not _ACTIVE:
        return given or "fail"
    config = _ACTIVE[-1].config
    return config.getoption("--genbias-undecided") or given or str(config.getini("genbias_undecided"))
