"""``genbias nightly``: one night of a suite, from a scheduler."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from audit.changes import read_changes


@click.command()
@click.argument("spec")
@click.option("--history", required=True, envvar="GENBIAS_HISTORY", metavar="URL",
              help="A file, or postgresql://user:password@host/database; also from GENBIAS_HISTORY.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="Run directory; default runs/nightly/NAME/NIGHT.")
@click.option("--night", metavar="DATE", help="The night's date, YYYY-MM-DD; default today. The same night never counts twice.")
@click.option("--samples", type=int, help="Images a generator; overrides the spec.")
@click.option("--seed", type=int, help="One seed for all nights; default: another one every night.")
@click.option("--again", type=click.IntRange(0, 90), default=12, show_default=True, help="How often a night that looks odd is drawn again.")
@click.option("--commit", help="Commit of the project under audit; default: from the CI system, or the git checkout around SPEC.")
@click.option("--wait", "wait_s", type=float, default=30.0, show_default=True, help="Seconds to wait for a locked or silent history.")
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="Change a key of the spec; repeatable.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:0.")
@click.option("--workers", type=int, metavar="N", help="Processes that draw and read, one a GPU where there are several.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def nightly(spec: str, history: str, out: Path | None, night: str | None, samples: int | None, seed: int | None, again: int, commit: str | None,
            wait_s: float, pairs: tuple[str, ...], device: str, workers: int | None, as_json: bool) -> None:  # fmt: skip
    """Run SPEC as tonight's entry of a history, and say what moved since the nights before.

    \b
    Exit code: 1 a limit is broken, or a watched measure has moved to the worse; 3 a limit is undecided; 0 otherwise.
    A history that is away costs nothing: the night waits in a file and is taken in next time.
    """  # noqa: D301 (a backspace tells click to keep the lines)
    from importlib.metadata import entry_points

    from audit.history import words
    from audit.nightly import nightly as run_night

    changes = {key.replace(".", "__"): value for key, value in read_changes(pairs).items()}
    done = run_night(spec, history=history, out=out, night=night, samples=samples, seed=seed, again=again, commit=commit, wait_s=wait_s,
                     device=device, workers=workers, say=lambda note: click.echo(f"genbias: {note}", err=True), **changes)  # fmt: skip
    for e in sorted(entry_points(group="genbias.renderers"), key=lambda e: e.name):
        if done.result.path is not None:
            e.load()(done.result.path)
    if as_json:
        click.echo(json.dumps({"night": done.night, "exit_code": done.exit_code, "again": done.again, "stored": done.stored, "notes": done.notes,
                               "moved": done.moved, "history": done.document}, indent=1))  # fmt: skip
    else:
        click.echo(f"{done.result.name}, night {done.night}: {_counted(done.result.verdicts)}{', drawn again ' + str(done.again) + ' times' if done.again else ''}")
        for move in done.moved:
            click.echo(f"{words.move(move)}; {words.cause(move)}")
        if done.document is not None and not done.moved:
            click.echo(f"nothing moved; {words.watching(done.document)}")
        for path in ([done.result.path / "report.html"] if done.result.path is not None else []) + [p for p in done.written if p.suffix == ".html"]:
            click.echo(f"{'history' if path.stem == 'history' else 'report'}: {path}")
    sys.exit(done.exit_code)


def _counted(verdicts: Any) -> str:
    tally = [f"{sum(v.outcome == o for v in verdicts)} {o}" for o in ("held", "broken", "undecided") if any(v.outcome == o for v in verdicts)]
    return f"limits {', '.join(tally)}" if tally else "no limits set"
