"""The command ``genbias``: progress and words on stderr, machine output on stdout, exit codes as documented.

0 done, every limit held; 1 a limit broken; 3 a limit undecided; 2 bad input; 4 the run failed.
"""

import json
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import click

from audit.assets_command import assets
from audit.bench.command import bench
from audit.changes import read_changes
from audit.errors import GenbiasError, SpecError
from audit.history.command import history
from audit.labelled.commands import calibrate, labels
from audit.nightly_command import nightly
from audit.probe_command import calibrate_images, probe
from audit.provenance import own_version
from audit.studies.command import selfcheck


class Verbs(click.Group):
    """Adds the verbs that other packages bring, and turns every deliberate error into one sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *(e.name for e in entry_points(group="genbias.commands"))})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        own = super().get_command(ctx, name)
        if own is not None:
            return own
        found = [e for e in entry_points(group="genbias.commands") if e.name == name]
        return found[0].load() if found else None

    def main(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().main(*args, **kwargs)
        except GenbiasError as error:
            click.echo(f"genbias: {error}", err=True)
            sys.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("genbias: interrupted; the same command continues where it stopped", err=True)
            sys.exit(4)
        except MemoryError:
            click.echo("genbias: out of memory; try a smaller --set batch=N", err=True)
            sys.exit(4)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(own_version(), prog_name="genbias")
def main() -> None:
    """Audit image generators for bias: gender presentation, skin tone, age and smile, with quality beside fairness.

    \b
    First steps:
      genbias run embedded --out runs/demo     a complete audit of the built-in world, about a minute on two cores
      genbias audit my_faces/ --out runs/mine  a folder of images
      genbias doctor                           what is installed, and what is missing
    """  # noqa: D301 (a backspace tells click to keep the lines)


main.add_command(assets)
main.add_command(bench)
main.add_command(calibrate)
main.add_command(calibrate_images)
main.add_command(history)
main.add_command(labels)
main.add_command(nightly)
main.add_command(probe)
main.add_command(selfcheck)

_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
_out = click.option("--out", type=click.Path(path_type=Path), help="Run directory; default runs/NAME.")
_location = click.option("--out", metavar="DIR|URL", help="Run directory, or an fsspec location such as s3://bucket/run; default runs/NAME.")
_device = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:0.")
_workers = click.option("--workers", type=int, metavar="N", help="Processes that draw and read, one a GPU where there are several.")


@main.command()
@click.argument("spec")
@_location
@click.option("--samples", type=int, help="Images a generator; overrides the spec.")
@click.option("--seed", type=int, help="Seed of the run; overrides the spec.")
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="Change a key of the spec; repeatable.")
@_device
@_workers
@click.option("--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True, help="Where the workers are.")
@click.option("--address", metavar="HOST:PORT", help="Of a running Ray cluster, or auto; default: Ray on this machine.  [--engine ray]")
@_json
def run(spec: str, out: str | None, samples: int | None, seed: int | None, pairs: tuple[str, ...], device: str, workers: int | None,
        engine: str, address: str | None, as_json: bool) -> None:  # fmt: skip
    """Run the audit SPEC, a YAML file or the name of a shipped spec, and render its report.

    The same command again continues an interrupted run.
    """
    from audit.audits import run as run_audit
    from audit.spec import load_spec

    changes = read_changes(pairs) | {k: v for k, v in (("samples", samples), ("seed", seed)) if v is not None}
    out = out or str(Path("runs") / load_spec(spec, changes).name)
    words = [f"genbias run {spec} --out {out}", *(f"--set {k}={v}" for k, v in changes.items())]
    result = run_audit(spec, out=out, device=device, command=" ".join(words), workers=workers, engine=engine, address=address, **{k.replace(".", "__"): v for k, v in changes.items()})
    _finish(result, as_json)


@main.command("audit")
@click.argument("images", required=False)
@click.option("--before", help="Instead of IMAGES: images before a map from image to image; with --after or --map.")
@click.option("--after", help="The same images after the map, matched by name.")
@click.option("--map", "mapping", help="Or the map: lighten:3, warm:5, blur:1, jitter:4, cyclegan, weights, or module:function.")
@click.option("--identity", help="Data manifest of an encoder of identity: is the person kept?  [--before]")
@click.option("--reference", help="Folder of real images to measure quality against; needs --encoder.")
@click.option("--calibration", type=click.Path(path_type=Path), help="For a table: the labeller's errors, made by genbias calibrate.")
@click.option("--target", help="For a table: uniform, or a YAML file of {attribute: {class: share}}.")
@click.option("--limits", type=click.Path(path_type=Path), help="For a table: YAML list of limits.")
@click.option("--compare-to", multiple=True, metavar="CANDIDATE=BASELINE", help="For a table: generators to compare; repeatable.")
@click.option("--attributes", help="Comma-separated, e.g. gender,smile or gender*skin_tone; default: all that can be read.")
@click.option("--classifier", "classifiers", multiple=True, help="Data manifest of a classifier; repeatable.")
@click.option("--encoder", help="Data manifest of a feature encoder, for FID and precision/recall.")
@click.option("--faces", type=click.Choice(["find", "aligned"]), default="find", show_default=True,
              help="find: look for faces. aligned: each image is one face.")  # fmt: skip
@click.option("--samples", type=int, help="Use the first so many images.")
@click.option("--assets", type=click.Path(path_type=Path), help="Folder where files named by manifests are looked for.")
@_out
@_device
@_workers
@_json
def audit_folder(images: str | None, before: str | None, after: str | None, mapping: str | None, identity: str | None, reference: str | None, attributes: str | None, classifiers: tuple[str, ...], encoder: str | None,
                 faces: str, samples: int | None, assets: Path | None, out: Path | None, device: str, workers: int | None, as_json: bool,
                 calibration: Path | None, target: str | None, limits: Path | None, compare_to: tuple[str, ...]) -> None:  # fmt: skip
    """Audit IMAGES: a folder, zip, tar or Parquet; or a table of labels made elsewhere, CSV or Parquet. No spec needed.

    A table has a row an image: a column of labels for each attribute, or columns ATTRIBUTE:CLASS of probabilities; and, if there
    are such, columns generator, id, unit and group.

    With --before, a map from image to image is audited pair by pair, beside its controls.
    """
    if before is not None or after is not None or mapping is not None:
        from audit.maps.command import audit_pairs

        others = {"IMAGES": images, "--reference": reference, "--calibration": calibration, "--target": target, "--limits": limits,
                  "--compare-to": compare_to or None}  # fmt: skip
        _finish(audit_pairs(before, after, mapping, others, identity=identity, classifiers=list(classifiers) or None, encoder=encoder, faces=faces,
                            attributes=[a.strip() for a in attributes.split(",")] if attributes else None, samples=samples,
                            assets=assets, out=out, device=device), as_json)  # fmt: skip
        return
    if images is None or identity is not None:
        raise SpecError("give IMAGES, or --before with --after or --map" if images is None else "--identity is for --before; leave it out")
    from audit.labelled.commands import audit_table
    from audit.labelled.tables import is_label_table

    if is_label_table(images):
        _finish(audit_table(images, calibration=calibration, target=target, attributes=attributes, limits=limits, compare_to=compare_to,
                            out=out), as_json)  # fmt: skip
        return
    given = {"--calibration": calibration, "--target": target, "--limits": limits, "--compare-to": compare_to or None}
    for option, value in given.items():
        if value is not None:
            raise SpecError(f"{option} is for a table of labels, and {images} holds images; write a spec with {option[2:].replace('-', '_')} for them")
    from audit.audits import audit_images

    out = out or Path("runs") / f"audit-{Path(images).name or 'images'}"
    result = audit_images(images, out=out, reference=reference, classifiers=list(classifiers) or None, encoder=encoder, faces=faces,
                          attributes=[a.strip() for a in attributes.split(",")] if attributes else None, samples=samples,
                          assets=assets, device=device, workers=workers, command=" ".join(["genbias", *sys.argv[1:]]))  # fmt: skip
    _finish(result, as_json)


@main.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--limits", required=True, type=click.Path(path_type=Path), help="YAML list of limits.")
@_json
def check(directory: Path, limits: Path, as_json: bool) -> None:
    """Hold a finished run to the limits of a file; the exit code says how it went (0 held, 1 broken, 3 undecided)."""
    from audit.limits import load_limits
    from audit.result import load_result
    from audit.verdict_text import describe
    from audit.verdicts import exit_code

    verdicts = load_result(directory).check(load_limits(limits))
    if as_json:
        click.echo(json.dumps([v.__dict__ for v in verdicts], indent=1))
    else:
        for v in verdicts:
            click.echo(describe(v.__dict__))
    sys.exit(exit_code(verdicts))


@main.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Copy the HTML report to this file.")
def report(directory: Path, out: Path | None) -> None:
    """Render the report of a finished run again, from result.json alone."""
    for path in _render(directory):
        click.echo(str(path))
    if out is not None:
        out.write_bytes((directory / "report.html").read_bytes())
        click.echo(str(out))


@main.command()
@click.argument("spec")
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="Change a key of the spec; repeatable.")
@_json
def validate(spec: str, pairs: tuple[str, ...], as_json: bool) -> None:
    """Check SPEC without drawing an image: keys, types, names, weights and their checksums."""
    from audit.audits import check_openable
    from audit.spec import load_spec

    loaded = load_spec(spec, read_changes(pairs))
    facts = check_openable(loaded)
    if as_json:
        click.echo(json.dumps(facts, indent=1))
    else:
        click.echo(f"{loaded.name}: valid; {len(loaded.generators)} generators, {loaded.samples} images each, {len(loaded.limits)} limits")


@main.command()
@click.argument("spec")
@click.option("--from", "pilot", type=click.Path(path_type=Path), help="A finished run whose shares are taken for true.")
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="Change a key of the spec; repeatable.")
@_json
def plan(spec: str, pilot: Path | None, pairs: tuple[str, ...], as_json: bool) -> None:
    """Say how many images a generator each limit of SPEC will need, before any is drawn.

    With a chance of 90 %, at the strictest level that the number of limits may ask for, and with the classifier's errors.
    """
    from audit.audits import calibration_of
    from audit.plan import plan as make_plan
    from audit.spec import load_spec

    loaded = load_spec(spec, read_changes(pairs))
    if not loaded.limits:
        raise SpecError(f"{spec} has no limits, so there is nothing to decide; add some under limits")
    needs = make_plan(loaded, calibration_of(loaded), pilot=pilot)
    if as_json:
        click.echo(json.dumps([n.row() for n in needs], indent=1))
        return
    for limit in dict.fromkeys(n.limit for n in needs):
        click.echo(limit)
        for n in (n for n in needs if n.limit == limit):
            truth = "" if n.truth is None else f"if the truth is {n.truth:.3g}{f' ({n.generator})' if n.generator else ''}"
            said = f"{n.images:>11,} images to be {n.outcome}" if n.images is not None else f"          - {n.why}"
            click.echo(f"  {truth:38} {said}")


@main.command()
@_json
def doctor(as_json: bool) -> None:
    """Say what is installed and what is missing."""
    from audit.doctor import findings

    rows = findings()
    if as_json:
        click.echo(json.dumps(rows, indent=1))
    else:
        for r in rows:
            click.echo(f"{'ok ' if r['ok'] else '!! '} {r['what']:18} {r['found']}" + ("" if r["ok"] else f"  -> {r['do']}"))
    sys.exit(0 if all(r["ok"] for r in rows) else 2)


def _finish(result: Any, as_json: bool) -> None:
    from audit.verdicts import exit_code

    written = _render(result.path)
    result.publish(written)
    if as_json:
        click.echo(json.dumps(result.to_dict(), indent=1, default=str))
    else:
        for e in entry_points(group="genbias.headlines"):
            click.echo(e.load()(result.to_dict()), err=False)
        for path in written:
            if path.suffix == ".html":
                click.echo(f"report: {path}")
    sys.exit(exit_code(result.verdicts))


def _render(directory: Path) -> list[Path]:
    return [path for e in sorted(entry_points(group="genbias.renderers"), key=lambda e: e.name) for path in e.load()(directory)]
