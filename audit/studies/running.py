"""Every study as a list of small tasks, run side by side and kept as they finish, so that an interrupted study goes on."""

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from audit.errors import RecordError
from audit.records import write_whole
from audit.studies import quality, sequences, shares, verdicts

STUDIES = ("shares", "quality", "verdicts", "sequences")
FULL = {"shares": 2000, "quality": 1000, "verdicts": 2000, "sequences": 2000}
SMALL = {"shares": 100, "quality": 60, "verdicts": 100, "sequences": 100}
"""Repeats a point."""


@dataclass(frozen=True)
class Task:
    """One part of a study.

    Attributes:
        study: one of :data:`STUDIES`.
        at: which part.
        repeats: simulated audits.
        full: of the full study.
        seed: of the whole; the part adds its own number.
    """

    study: str
    at: int
    repeats: int
    full: bool
    seed: int

    @property
    def key(self) -> str:
        """Names the part in the file of finished ones."""
        return f"{self.study} {self.at} of {'full' if self.full else 'small'}, {self.repeats} repeats, seed {self.seed}"

    def run(self) -> list[dict]:
        """Return the rows of this part."""
        rng = np.random.default_rng([self.seed, STUDIES.index(self.study), self.at])
        rows = _PARTS[self.study](self, rng)
        return [{**row, "study": self.study} for row in rows]


def tasks(studies: Sequence[str], *, full: bool, repeats: int | None, seed: int) -> list[Task]:
    """Return the parts of the studies asked for."""
    sizes = FULL if full else SMALL
    count = {"shares": len(shares.settings(full=full)), "quality": len(quality.SETTINGS), "verdicts": len(verdicts.CASES) + 2, "sequences": 1}
    return [Task(study, at, repeats or sizes[study], full, seed) for study in studies for at in range(count[study])]


def run_studies(studies: Sequence[str], *, full: bool, repeats: int | None, seed: int, out: Path, workers: int | None = None) -> list[dict]:
    """Return the rows of all parts, running those that ``out/rows.jsonl`` does not hold yet.

    Args:
        studies: some of :data:`STUDIES`.
        full: the grid and repeats of the full study.
        repeats: audits a point; None = :data:`FULL` or :data:`SMALL`.
        seed: of the simulation; the rows depend on it and not on the number of workers.
        out: folder of ``rows.jsonl``.
        workers: processes; None = one a core.

    Raises:
        RecordError: ``rows.jsonl`` is not what this function wrote.
    """
    file = out / "rows.jsonl"
    wanted = tasks(studies, full=full, repeats=repeats, seed=seed)
    done = _finished(file)
    open_tasks = [t for t in wanted if t.key not in done]
    workers = workers or os.cpu_count() or 1
    with tqdm(total=len(wanted), initial=len(wanted) - len(open_tasks), unit="part", desc="selfcheck") as bar:
        if workers == 1:
            for task in open_tasks:
                done[task.key] = task.run()
                _keep(file, done)
                bar.update()
        elif open_tasks:
            with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
                running = {pool.submit(task.run): task for task in open_tasks}
                for ended in as_completed(running):
                    done[running[ended].key] = ended.result()
                    _keep(file, done)
                    bar.update()
    return [row for task in wanted for row in done[task.key]]


def _finished(file: Path) -> dict[str, list[dict]]:
    if not file.is_file():
        return {}
    try:
        return {line["part"]: line["rows"] for line in map(json.loads, file.read_text(encoding="utf-8").splitlines())}
    except (json.JSONDecodeError, KeyError, TypeError):
        raise RecordError(f"{file} was not written by genbias selfcheck; give another --out, or delete it") from None


def _keep(file: Path, done: dict[str, list[dict]]) -> None:
    write_whole(file, "".join(json.dumps({"part": key, "rows": rows}) + "\n" for key, rows in done.items()).encode())


def _shares(task: Task, rng: np.random.Generator) -> list[dict]:
    return shares.share_study(rng=rng, repeats=task.repeats, over=[shares.settings(full=task.full)[task.at]], quiet=True)


def _quality(task: Task, rng: np.random.Generator) -> list[dict]:
    return quality.quality_study(rng=rng, repeats=task.repeats, settings=[quality.SETTINGS[task.at]], n=(500,) if task.full else (300,), d=(16,))


def _verdicts(task: Task, rng: np.random.Generator) -> list[dict]:
    return verdicts.verdict_study(rng=rng, repeats=task.repeats, only=task.at)


def _sequences(task: Task, rng: np.random.Generator) -> list[dict]:
    return sequences.sequence_study(rng=rng, repeats=task.repeats)


_PARTS: dict[str, Callable[[Task, np.random.Generator], list[dict]]] = {
    "shares": _shares, "quality": _quality, "verdicts": _verdicts, "sequences": _sequences}  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """What a study says of one kind of number.

    Attributes:
        study: which study.
        what: the kind of number.
        points: settings looked at.
        worst: least coverage, or greatest rate of error.
        target: what it should be.
        missed: points beyond the target, whether by chance or not.
        kept: no point is beyond the target by more than three standard errors of the simulation.
        words: the finding in a sentence.
    """

    study: str
    what: str
    points: int
    worst: float
    target: float
    missed: int
    kept: bool
    words: str


def findings(rows: Sequence[dict[str, Any]]) -> list[Finding]:
    """Return what the rows come to, a finding a kind of number; raw labels are shown and not judged."""
    found = []
    for (study, what), own in _kinds(rows).items():
        coverage = [(float(r["coverage"]), int(r["repeats"])) for r in own if r.get("coverage") is not None]
        if coverage:
            target = 0.92 if study == "quality" else 0.93
            worst = min(c for c, _ in coverage)
            short = sum(c < target for c, _ in coverage)
            kept = all(c >= target - 3 * np.sqrt(target * (1 - target) / n) for c, n in coverage)
            found.append(Finding(study, what, len(coverage), worst, target, short, kept,
                                 f"{what}: nominal 95 % intervals cover {worst:.1%} at worst of {len(coverage)} settings, {short} below {target:.0%}"))  # fmt: skip
        wrong = [(float(r["wrong"]), int(r["repeats"])) for r in own if r.get("wrong") is not None]
        if wrong:
            worst = max(w for w, _ in wrong)
            kept = all(w <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / n) for w, n in wrong)
            found.append(Finding(study, what, len(wrong), worst, 0.05, sum(w > 0.05 for w, _ in wrong), kept,
                                 f"{what}: wrong in {worst:.1%} at worst of {len(wrong)} cases with the truth exactly at the limit"))  # fmt: skip
    return found


def _kinds(rows: Sequence[dict[str, Any]]) -> dict[tuple[str, str], list[dict]]:
    kinds: dict[tuple[str, str], list[dict]] = {}
    for row in rows:
        if row["study"] == "shares" and row["corrected"]:
            kinds.setdefault(("shares", f"corrected {row['quantity']}"), []).append(row)
        elif row["study"] == "quality":
            paired = "difference of " if row["difference"] else ""
            kinds.setdefault(("quality", f"{paired}{row['metric']} ({row['estimand']})"), []).append(row)
        elif row["study"] == "verdicts":
            kinds.setdefault(("verdicts", "verdict on one limit" if row["limits"] == 1 else f"any of {row['limits']} verdicts"), []).append(row)
        elif row["study"] == "sequences" and row.get("ever_wrong") is not None:
            kinds.setdefault(("sequences", "looking after every image"), []).append(
                {**row, "wrong": row["ever_wrong"], "repeats": row.get("repeats") or SMALL["sequences"]})  # fmt: skip
    return kinds


