"""``genbias selfcheck``: do the intervals and verdicts of this installation keep their word, on this machine?"""

from pathlib import Path

import click


@click.command("selfcheck")
@click.option("--full", is_flag=True, help="The whole study: 2,000 simulated audits a point, hours on two cores. Default: a minute or two.")
@click.option("--repeats", type=click.IntRange(min=20), help="Simulated audits a point; overrides the number that --full stands for.")
@click.option("--study", "studies", multiple=True, type=click.Choice(["shares", "quality", "verdicts", "sequences"]),
              help="Only this part; repeatable.")  # fmt: skip
@click.option("--seed", default=20261122, show_default=True, help="Of the simulation.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes; default one a core. The result does not depend on it.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/selfcheck"), show_default=True, help="Folder for table and picture.")
@click.option("--json", "as_json", is_flag=True, help="Print the rows as one JSON document on stdout.")
def selfcheck(full: bool, repeats: int | None, studies: tuple[str, ...], seed: int, workers: int | None, out: Path, as_json: bool) -> None:
    """Simulate audits whose truth is known; count how often intervals hold it and verdicts are right.

    Writes OUT/coverage.csv and OUT/coverage.svg. Exit code 1 when an interval or a verdict does worse than it should, beyond what
    chance explains. Interrupted, the same command keeps the finished parts.
    """
    import json
    import sys
    from importlib.metadata import entry_points

    import pandas as pd

    from audit.records import write_whole
    from audit.studies.findings import findings
    from audit.studies.running import STUDIES, run_studies

    rows = run_studies(studies or STUDIES, full=full, repeats=repeats, seed=seed, out=out, workers=workers)
    write_whole(out / "coverage.csv", pd.DataFrame(rows).to_csv(index=False).encode())
    found = findings(rows)
    for e in entry_points(group="genbias.figures", name="coverage"):
        write_whole(out / "coverage.svg", e.load()(rows).encode())
    if as_json:
        click.echo(json.dumps(rows, indent=1))
    else:
        for f in found:
            click.echo(f"{'ok' if f.kept else '!!'}  {f.words}")
        click.echo(f"table: {out / 'coverage.csv'}\npicture: {out / 'coverage.svg'}")
    sys.exit(0 if all(f.kept for f in found) else 1)
