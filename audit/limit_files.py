"""Files called ``fairness_limits.yaml``, or ``*.fairness_limits.yaml``: for pytest, each limit in them is a test.

A file names one result, by ``run`` (an existing run directory), by ``spec`` (an audit that is run first, with optional ``samples``,
``out`` and ``set``) or by ``labels`` (a table of labels, with optional ``calibration`` and ``compare_to``); then the ``limits``, as in
a spec. ``history`` (a file or URL) and ``suite`` are for limits ``not_worse_than: last-green``. A limit that names no generator is a
test for each. All limits of a file are one family: p-values are adjusted over all of them, whichever of their tests are selected.
Paths are relative to the file.
"""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from audit.errors import GenbiasError, SpecError
from audit.limits import as_limits
from audit.pytest_plugin import POLICIES, Session, active, lenient, settle, with_history
from audit.spec import LimitSpec, Spec, load_spec
from audit.verdicts import Verdict, sentence

if TYPE_CHECKING:
    from audit.result import Result

KEYS = ("run", "spec", "samples", "out", "set", "labels", "calibration", "compare_to", "undecided", "history", "suite", "limits")
_ONLY_WITH = {"samples": "spec", "out": "spec", "set": "spec", "calibration": "labels", "compare_to": "labels"}


@dataclass(frozen=True)
class Plan:
    """What one file asks for; see the module for the keys."""

    folder: Path
    limits: list[LimitSpec]
    run: str | None = None
    spec: str | None = None
    samples: int | None = None
    out: str | None = None
    changes: dict[str, Any] = field(default_factory=dict)
    labels: str | None = None
    calibration: str | None = None
    compare_to: dict[str, str] | None = None
    undecided: str | None = None
    history: str | None = None
    suite: str | None = None

    def result(self, session: Session) -> "Result":
        """Return the result the limits are about, made or loaded once a session."""
        if self.run is not None:
            return session.load(self.folder / self.run)
        if self.spec is not None:
            changes = {k.replace(".", "__"): v for k, v in self.changes.items()}
            changes |= {} if self.samples is None else {"samples": self.samples}
            return session.run(self._spec_path(), out=None if self.out is None else self.folder / self.out, **changes)
        from audit.label_audits import audit_labels

        errors = None if self.calibration is None else self.folder / self.calibration
        return audit_labels(self.folder / str(self.labels), calibration=errors, compare_to=self.compare_to)

    def generators(self) -> list[list[str]] | None:
        """Return the generators each limit speaks of, as far as that can be told without a result; None if it cannot."""
        if self.spec is None:
            return None
        loaded = load_spec(self._spec_path(), dict(self.changes))
        for limit in self.limits:
            if limit.generator is not None and limit.generator not in loaded.generators:
                raise SpecError(f"limit {sentence(limit)!r}: there is no generator {limit.generator!r} in the spec; "
                                f"there are {', '.join(loaded.generators)}")  # fmt: skip
        return [[limit.generator] if limit.generator else _held_to(limit, loaded) for limit in self.limits]

    def judged(self, session: Session) -> "Result":
        """Return the result with what the limits compare it to."""
        where = self.history
        if where is not None and "://" not in where:
            where = str(self.folder / where)
        return with_history(self.result(session), self.limits, where, self.suite)

    def _spec_path(self) -> str:
        beside = self.folder / str(self.spec)
        return str(beside) if beside.is_file() else str(self.spec)


def read_plan(path: Path) -> Plan:
    """Read a file of limits for tests.

    Raises:
        SpecError: it is not YAML, a key is unknown or missing, or a limit is wrong; says where.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        raise SpecError(f"{path.name} is not YAML{line}: {getattr(error, 'problem', None) or error}") from None
    if not isinstance(raw, dict):
        raise SpecError(f"{path.name} holds a {type(raw).__name__}; expected a mapping with one of run, spec and labels, and with limits")
    for key in raw:
        if key not in KEYS:
            close = difflib.get_close_matches(str(key), KEYS, n=1, cutoff=0.5)
            raise SpecError(f"{path.name}: unknown key {key!r}{f' (did you mean {close[0]!r}?)' if close else ''}; valid keys: {', '.join(KEYS)}")
    _check_source(path.name, raw)
    if raw.get("undecided") not in (None, *POLICIES):
        raise SpecError(f"{path.name}: undecided is {raw['undecided']!r}; expected one of {', '.join(POLICIES)}")
    rows = raw.get("limits")
    if not isinstance(rows, list) or not rows:
        raise SpecError(f"{path.name} holds no list of limits; expected `limits: [{{metric: fairness_discrepancy, attribute: gender, at_most: 0.1}}]`")
    try:
        limits = as_limits(rows)
    except SpecError as error:
        raise SpecError(f"{path.name}: {error}") from None
    given = {k: raw[k] for k in ("run", "spec", "samples", "out", "labels", "calibration", "compare_to", "undecided", "history", "suite") if raw.get(k) is not None}
    return Plan(folder=path.parent, limits=limits, changes=dict(raw.get("set") or {}), **given)


class LimitsFile(pytest.File):
    """One file of limits: a family of verdicts, worked out when its first test runs."""

    failure: GenbiasError | None = None

    @cached_property
    def plan(self) -> Plan:
        """What the file asks for."""
        return read_plan(self.path)

    @cached_property
    def verdicts(self) -> list[list[Verdict]]:
        """The verdicts of each limit, all judged together; what cannot be worked out for one test is not tried again for the next."""
        if self.failure is not None:
            raise self.failure
        try:
            result = self.plan.judged(active(self.config))
            together = iter(result.check(self.plan.limits))
            return [[next(together) for _ in result.check([limit])] for limit in self.plan.limits]
        except GenbiasError as error:
            self.failure = error
            raise

    def collect(self) -> Iterator["LimitItem"]:
        """Return a test for each limit and generator.

        A file with ``spec`` is not run for this; a run or a table of labels is read, which takes no model.
        """
        try:
            generators = self.plan.generators()
            if generators is None:
                generators = [list(dict.fromkeys(v.generator for v in verdicts)) for verdicts in self.verdicts]
        except GenbiasError as error:
            raise self.CollectError(str(error)) from None
        seen: dict[str, int] = {}
        for at, (limit, names) in enumerate(zip(self.plan.limits, generators, strict=True)):
            for generator in names:
                title = f"{sentence(limit)} [{generator}]"
                seen[title] = seen.get(title, 0) + 1
                yield LimitItem.from_parent(self, name=title + (f" ({seen[title]})" if seen[title] > 1 else ""), at=at, generator=generator)


class LimitItem(pytest.Item):
    """One limit on one generator."""

    def __init__(self, *, at: int, generator: str, **known: Any) -> None:
        super().__init__(**known)
        self.at, self.generator = at, generator

    def runtest(self) -> None:
        """Judge the limit; the first test of a file makes the result."""
        file = self.parent
        assert isinstance(file, LimitsFile)  # made there
        verdicts = [v for v in file.verdicts[self.at] if v.generator == self.generator]
        if not verdicts:
            raise SpecError(f"limit {sentence(file.plan.limits[self.at])!r} matches no measure of {self.generator}")
        settle(verdicts, file.plan.undecided or lenient(file.plan.limits[self.at]))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return the message alone where the failure is one of ours."""
        if isinstance(excinfo.value, AssertionError | GenbiasError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return the file and the limit; not the bare name, in which pytest would take "0.1" for two names."""
        return self.path, None, f"limit: {self.name}"


def _check_source(name: str, raw: dict) -> None:
    sources = [k for k in ("run", "spec", "labels") if raw.get(k) is not None]
    if len(sources) != 1:
        raise SpecError(f"{name} names {' and '.join(sources) or 'no result'}; expected exactly one of run: DIR, spec: NAME, labels: FILE")
    for key, other in _ONLY_WITH.items():
        if raw.get(key) is not None and sources[0] != other:
            raise SpecError(f"{name}: {key} goes with {other}, and this file has {sources[0]}; remove it")
    if not isinstance(raw[sources[0]], str):
        raise SpecError(f"{name}: {sources[0]} is {raw[sources[0]]!r}; expected a path{' or the name of a shipped spec' * (sources[0] == 'spec')}")
    for key, example in (("set", "{gallery: 0}"), ("compare_to", "{mitigated: plain}")):
        if not isinstance(raw.get(key) or {}, dict):
            raise SpecError(f"{name}: {key} is {raw[key]!r}; expected a mapping, such as {example}")
    for key in ("history", "suite"):
        if raw.get(key) is not None and not isinstance(raw[key], str):
            raise SpecError(f"{name}: {key} is {raw[key]!r}; expected {'a path or URL' if key == 'history' else 'the name of a suite'}")
    samples = raw.get("samples")
    if samples is not None and (isinstance(samples, bool) or not isinstance(samples, int) or samples < 1):
        raise SpecError(f"{name}: samples is {samples!r}; expected a whole number of images, 1 or more")


def _held_to(limit: LimitSpec, spec: Spec) -> list[str]:
    """Return the generators a limit that names none speaks of: all, or for a margin those that have a baseline."""
    paired = limit.not_worse_than is not None and limit.than is None
    return [name for name, g in spec.generators.items() if g.compare_to or not paired]
