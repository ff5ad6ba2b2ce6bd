"""The command ``genbias compare``: several finished runs on one page."""

import json
from pathlib import Path

import click


@click.command("compare")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN RUN [RUN]...")
@click.option("--out", type=click.Path(path_type=Path), default=Path("compare.html"), show_default=True, help="The page to write.")
@click.option("--fairness-only", is_flag=True, help="Leave image quality out, so that its protocols may differ.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def compare_command(runs: tuple[Path, ...], out: Path, fairness_only: bool, as_json: bool) -> None:
    """Put the same measures of several finished RUNs side by side, and write one HTML page.

    Each run is held against the first, from its result.json alone. Runs whose numbers cannot be compared (another classifier,
    target or protocol) are refused.
    """
    from audit.errors import ReportError
    from reports.compare import open_runs
    from reports.compare_page import differences, headline, render
    from reports.writing import write_text

    found = open_runs(runs, fairness_only=fairness_only)
    if not out.parent.is_dir():
        raise ReportError(f"{out.parent} is no directory to write {out.name} into; make it first, or name another file with --out")
    write_text(out, render(found, fairness_only=fairness_only))
    if as_json:
        click.echo(json.dumps({"runs": [r.name for r in found], "page": str(out), "differences": differences(found)}, indent=1))
        return
    click.echo(headline(found))
    click.echo(f"page: {out}")
