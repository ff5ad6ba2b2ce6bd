"""One night as it is stored: every number of a result, its verdicts and where they come from, in one plain document.

The document is what goes into the database, and what waits in a file while the database is away; both are the same.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.digests import digest
from audit.errors import HistoryError, RecordError

if TYPE_CHECKING:
    from audit.result import Result

SCHEMA = "genbias.night/1"

KEY = ("generator", "metric", "attribute", "group", "baseline", "reader", "corrected", "protocol")
"""What tells one series of a suite from another: a number measured by another protocol is another series."""

_OWN_N = re.compile(r"n=\d+ of each group")
"""Protocols of groups hold the size of the smallest group, which is another one every night."""

HEADLINE = ("fairness_discrepancy", "fid")
"""Metrics watched for alarms where a spec's limits do not say which: of single attributes, corrected where there is a correction; and
FID against the first reference."""


@dataclass(frozen=True)
class Night:
    """One run of a suite.

    Attributes:
        suite: the spec's name.
        night: its date, YYYY-MM-DD.
        repeat: 0, or how often the night had been drawn before, with other seeds.
        spec: digest of the spec without its seed.
        seed, samples: of the run.
        exit_code: as the verdicts say.
        genbias: version.
        commit: of the project under audit; None where unknown.
        facts: provenance; digests of generators, references and instruments.
        rows: a row a number: the columns of :data:`KEY`, ``direction, unit, parity, value, low, high, level, n`` and ``watched``.
        verdicts: ``limit, generator, outcome, why`` of each.
    """

    suite: str
    night: str
    repeat: int
    spec: str
    seed: int
    samples: int
    exit_code: int
    genbias: str
    commit: str | None
    facts: dict[str, Any]
    rows: list[dict[str, Any]]
    verdicts: list[dict[str, Any]] = field(default_factory=list)

    @property
    def content(self) -> str:
        """Digest of what was measured and decided, by which a rerun that found the same is known."""
        return digest([self.spec, self.seed, self.samples, self.exit_code, self.rows, self.verdicts])

    def text(self) -> str:
        """Return the night as JSON."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, allow_nan=False)


def read_night(path: Path) -> Night:
    """Read a night from a file written with :meth:`Night.text`.

    Raises:
        HistoryError: it is cut off or no night.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if raw.pop("schema") != SCHEMA:
            raise KeyError("schema")
        return Night(**raw)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise HistoryError(f"{path} is no whole night of schema {SCHEMA!r}; delete it, and run that night again if it is wanted") from None


def night_of(result: "Result", *, night: str, repeat: int = 0, commit: str | None = None) -> Night:
    """Return a finished run as a night.

    Args:
        result: the run; its directory holds the digests of generators, references and instruments.
        night: date, YYYY-MM-DD.
        repeat: how often the night was drawn before.
        commit: of the project under audit.
    """
    from audit.verdicts import exit_code

    told = dict(result.provenance)
    facts = {k: told.get(k) for k in ("created", "commit", "python", "packages", "device", "platform", "command")}
    facts |= _digests(result.path)
    facts["titles"] = {g["name"]: g.get("title") or g["name"] for g in result.generators}
    plain = {k: v for k, v in result.spec.items() if k != "seed"}
    return Night(
        suite=result.name, night=night, repeat=repeat, spec=digest(plain), seed=int(told.get("seed") or 0),
        samples=int(result.spec.get("samples") or 0), exit_code=exit_code(result.verdicts), genbias=str(told.get("genbias")),
        commit=commit, facts=facts, rows=_rows(result),
        verdicts=[{k: getattr(v, k) for k in ("limit", "generator", "outcome", "why")} for v in result.verdicts],
    )  # fmt: skip


def check_date(text: str) -> str:
    """Return a date as YYYY-MM-DD.

    Raises:
        HistoryError: it is none.

    Example:
        >>> check_date("2026-02-28")
        '2026-02-28'
    """
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise HistoryError(f"the night {text!r} is no date; expected YYYY-MM-DD, such as 2026-02-28") from None


def seed_of(seed: int, night: str, repeat: int = 0) -> int:
    """Return the seed of a night: another one every night and every time the night is drawn again, the same one in a rerun.

    With one seed for all nights every night would draw the same images, and a month of nights would know no more than its first.

    Args:
        seed: the spec's own.
        night: its date.
        repeat: how often the night was drawn before, below 100.

    Example:
        >>> seed_of(7, "2026-11-25"), seed_of(7, "2026-11-25", 1), seed_of(7, "2026-11-26")
        (73994507, 73994508, 73994607)
    """
    return seed + 100 * date.fromisoformat(night).toordinal() + repeat


def commit_of(folder: Path) -> str | None:
    """Return the commit of the project under audit: what the CI system says, or the git checkout around ``folder``."""
    import subprocess

    for name in ("GITHUB_SHA", "CI_COMMIT_SHA", "GIT_COMMIT", "BUILDKITE_COMMIT"):
        if os.environ.get(name):
            return os.environ[name]
    try:
        done = subprocess.run(["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def series_key(row: Mapping[str, Any]) -> tuple:
    """Return what tells a row's series from the others of its suite."""
    protocol = row.get("protocol")
    known = {**row, "protocol": _OWN_N.sub("n of each group", protocol) if protocol else None, "corrected": bool(row.get("corrected"))}
    return tuple(known.get(k) for k in KEY)


def _rows(result: "Result") -> list[dict[str, Any]]:
    from audit.quantities import QUANTITIES

    kept = ("direction", "unit", "parity", "value", "low", "high", "level", "n")
    measured = [m.row() for m in result.measures]
    watched = _watched(measured, result.spec.get("limits") or [])
    rows = []
    for row in measured:
        key = series_key(row)
        rows.append({**dict(zip(KEY, key, strict=True)), **{k: row[k] for k in kept}, "watched": key in watched})
    for row in result.comparisons:
        direction = QUANTITIES[row["metric"]].direction if row["metric"] in QUANTITIES else "target"
        rows.append({**dict(zip(KEY, series_key(row), strict=True)), "direction": direction, "unit": row.get("unit") or "share", "parity": None,
                     "value": row["difference"], "low": row["low"], "high": row["high"], "level": row["level"], "n": row.get("n") or 0,
                     "watched": False})  # fmt: skip
    unique = {series_key(row): row for row in rows}
    return list(unique.values())


def _watched(measured: Sequence[Mapping[str, Any]], limits: Sequence[Mapping[str, Any]]) -> set[tuple]:
    """Return the series whose steps are alarms: what the limits speak of, or the headline."""
    if limits:
        asked = [row for row in measured if any(_speaks_of(limit, row) for limit in limits)]
    else:
        first = next((r["group"] for r in measured if r["metric"] == "fid"), None)
        asked = [r for r in measured if r["metric"] == "fid" and r["group"] == first]
        asked += [r for r in measured if r["metric"] == HEADLINE[0] and "*" not in (r["attribute"] or "*")]
    corrected = {_subject(r) for r in asked if r["corrected"]}
    return {series_key(r) for r in asked if r["value"] is not None and (r["corrected"] or _subject(r) not in corrected)}


def _subject(row: Mapping[str, Any]) -> tuple:
    return tuple(row[k] for k in ("generator", "metric", "attribute", "group"))


def _speaks_of(limit: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    return (limit["metric"] == row["metric"] and limit.get("generator") in (None, row["generator"])
            and limit.get("attribute") == row["attribute"] and limit.get("group") in (None, row["group"]))  # fmt: skip


def _digests(run: Path | None) -> dict[str, Any]:
    """Return what the run directory says its images and readings depend on; empty for a result without one."""
    if run is None or not (run / "run.json").is_file():
        return {}
    try:
        identity = json.loads((run / "run.json").read_text())["identity"]
    except (ValueError, KeyError):
        raise RecordError(f"{run / 'run.json'} is not whole; delete the directory and run again") from None
    instruments: dict[str, str] = {}
    for role, mark in identity.get("instruments") or []:
        instruments[role] = f"{instruments[role]} {mark}" if role in instruments else mark
    return {"generators": identity.get("generators") or {}, "references": identity.get("references") or [], "instruments": instruments}
