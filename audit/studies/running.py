"""Every study as a list of small tasks, run side by side and kept as they finish, so that an interrupted study goes on."""

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from tqdm import tqdm

from audit.errors import RecordError
from audit.records import write_whole
from audit.studies import quality, sequences, shares, verdicts

STUDIES = ("shares", "quality", "verdicts", "sequences")
FULL = {"shares": 2000, "quality": 600, "verdicts": 2000, "sequences": 400}
SMALL = {"shares": 100, "quality": 40, "verdicts": 100, "sequences": 20}
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
        return [{"repeats": self.repeats, **row, "study": self.study} for row in rows]


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
