"""The verbs ``genbias calibrate`` and ``genbias labels``, and what ``genbias audit`` does with a table."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import yaml

from audit.errors import SpecError

if TYPE_CHECKING:
    from audit.result import Result

_out_file = click.option("--out", required=True, type=click.Path(path_type=Path), help="The calibration, JSON.")
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")


@click.command()
@click.argument("labelled", type=click.Path(path_type=Path))
@_out_file
@click.option("--attributes", help="Comma-separated, e.g. gender,gender*smile; default: every attribute with a true class, and pairs of them.")
@click.option("--group", help="Column of known subgroups, calibrated apart as well.")
@click.option("--name", help="What to call the classifier; default the file's name.")
@click.option("--domain", default="labelled images", show_default=True, help="What kind of images these are.")
@_json
def calibrate(labelled: Path, out: Path, attributes: str | None, group: str | None, name: str | None, domain: str, as_json: bool) -> None:
    """Measure a classifier's errors on LABELLED, a CSV or Parquet with ATTRIBUTE:true beside ATTRIBUTE or ATTRIBUTE:CLASS."""
    from audit.labelled.calibrating import calibrate_table

    choices = {"name": name} if name else {}
    made = calibrate_table(labelled, attributes=split(attributes), group=group, domain=domain, **choices)
    made.write(out)
    _say(made, out, as_json)


@click.group()
def labels() -> None:
    """Have people look: sheets of a run's images, and the classifier's errors against what raters saw."""


@labels.command("export")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A new folder for pages, sheet.csv and README.txt.")
@click.option("--per-class", default=300, show_default=True, help="Images of each label the classifier gave, at most.")
@click.option("--attribute", "attributes", multiple=True, help="What raters are asked; repeatable, images are chosen by the first. Default: all.")
@click.option("--generator", "generators", multiple=True, help="Whose images; repeatable. Default: all, as one heap.")
@click.option("--seed", default=0, show_default=True, help="Of the choice and the order.")
@click.option("--device", default="cpu", show_default=True, help="Where images are drawn again.")
def export(directory: Path, out: Path, per_class: int, attributes: tuple[str, ...], generators: tuple[str, ...], seed: int, device: str) -> None:
    """Write a contact sheet of the run DIRECTORY for raters, without the classifier's labels."""
    from audit.labelled.sheets import export_sheet

    written = export_sheet(directory, out, per_class=per_class, attributes=attributes or None, generators=generators or None, seed=seed, device=device)
    for path in sorted(written.iterdir()):
        click.echo(str(path))


@labels.command("import")
@click.argument("directory", type=click.Path(path_type=Path))
@click.argument("sheets", nargs=-1, required=True, type=click.Path(path_type=Path))
@_out_file
@click.option("--attribute", "attributes", multiple=True, help="Take these answers only; repeatable. Default: all that were given.")
@click.option("--seed", default=0, show_default=True, help="Of the interval of Krippendorff's alpha.")
@_json
def import_(directory: Path, sheets: tuple[Path, ...], out: Path, attributes: tuple[str, ...], seed: int, as_json: bool) -> None:
    """Turn filled SHEETS of the run DIRECTORY, a copy a rater, into a calibration."""
    import numpy as np

    from audit.labelled.rating import import_sheets

    made = import_sheets(directory, sheets, rng=np.random.default_rng(seed), attributes=attributes or None)
    made.write(out)
    _say(made, out, as_json)


def audit_table(table: str, *, calibration: Path | None, target: str | None, attributes: str | None, limits: Path | None,
                compare_to: tuple[str, ...], out: Path | None) -> "Result":  # fmt: skip
    """Return the audit of a table of labels, as ``genbias audit labels.csv`` asks for it."""
    from audit.label_audits import audit_labels
    from audit.limits import load_limits

    stem = Path(table).name.split(".")[0]
    return audit_labels(table, calibration=calibration, target=read_target(target), attributes=split(attributes), name=stem,
                        limits=load_limits(limits) if limits else (), compare_to=dict(_pair(p) for p in compare_to),
                        out=out or Path("runs") / f"audit-{stem}", command=" ".join(["genbias", *sys.argv[1:]]))  # fmt: skip


def read_target(words: str | None) -> Any:
    """Return "uniform", or the shares in a YAML file.

    Raises:
        SpecError: there is no such file, or it holds no mapping.
    """
    if words in (None, "uniform"):
        return "uniform"
    path = Path(str(words))
    if not path.is_file():
        raise SpecError(f"--target {words!r}: expected 'uniform' or a YAML file such as `gender: {{feminine: 0.5, masculine: 0.5}}`")
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SpecError(f"{path} is not YAML: {' '.join(str(error).split())[:160]}") from None
    if not isinstance(raw, dict):
        raise SpecError(f"{path} holds a {type(raw).__name__}; expected {{attribute: {{class: share}}}}")
    return raw.get("target", raw)


def split(words: str | None) -> list[str] | None:
    """Return comma-separated names as a list, None for none."""
    return [w.strip() for w in words.split(",") if w.strip()] if words else None


def _pair(words: str) -> tuple[str, str]:
    candidate, equals, baseline = words.partition("=")
    if not equals or not candidate.strip() or not baseline.strip():
        raise SpecError(f"--compare-to {words!r}: expected CANDIDATE=BASELINE, two generators of the table")
    return candidate.strip(), baseline.strip()


def _say(made: Any, out: Path, as_json: bool) -> None:
    click.echo(json.dumps(json.loads(out.read_text()), indent=1) if as_json else made.summary())
    click.echo(f"calibration: {out}", err=True)
