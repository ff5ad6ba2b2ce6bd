"""The verbs ``genbias probe fit`` and ``genbias calibrate-images``: a classifier from labelled images, a classifier's errors on them."""

import json
from pathlib import Path
from typing import Any

import click

from audit.errors import SpecError

_images = click.argument("images", type=click.Path(path_type=Path))
_labels = click.option("--labels", type=click.Path(path_type=Path), help="Table with a row an image; default: folders are named by class.")
_faces = click.option("--faces", type=click.Choice(["find", "aligned"]), default="find", show_default=True,
                      help="find: look for faces. aligned: each image is one face. As in the audit to come.")  # fmt: skip
_words = click.option("--word", "words", multiple=True, metavar="WORD=CLASS", help="What a word of the table means; repeatable.")
_domain = click.option("--domain", default="labelled images", show_default=True, help="What kind of images these are.")
_assets = click.option("--assets", type=click.Path(path_type=Path), help="Folder where files named by manifests are looked for.")
_device = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:0.")
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")


@click.group()
def probe() -> None:
    """Classifiers of your own, from labelled images."""


@probe.command("fit")
@_images
@_labels
@click.option("--attribute", required=True, help="What is read, e.g. gender; a column of the table, or what the folders stand for.")
@click.option("--encoder", default="facenet_vggface2", show_default=True, help="Data manifest of the encoder.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the manifest, the weights and the calibration.")
@click.option("--person", help="Column that says who is shown; one person is never on both sides of a fold.")
@click.option("--name", help="What to call the probe; default ATTRIBUTE_probe.")
@click.option("--seed", default=0, show_default=True, help="Of the folds.")
@_faces
@_words
@_domain
@_assets
@_device
@_json
def probe_fit(images: Path, labels: Path | None, attribute: str, encoder: str, out: Path, person: str | None, name: str | None, seed: int,
              faces: str, words: tuple[str, ...], domain: str, assets: Path | None, device: str, as_json: bool) -> None:  # fmt: skip
    """Fit a linear probe on labelled IMAGES and write it to --out as a classifier for a spec, with its cross-validated errors."""
    import numpy as np

    from audit.audits import choose_device
    from audit.probe import fit_probe

    manifest, made = fit_probe(images, labels, attribute=attribute, encoder=encoder, out=out, rng=np.random.default_rng(seed), faces=faces,
                               person=person, words=_split(words), name=name, domain=domain,
                               assets=(str(assets),) if assets else (), device=choose_device(device))  # fmt: skip
    calibration = manifest.with_name(manifest.stem + ".calibration.json")
    if as_json:
        click.echo(json.dumps({"classifier": str(manifest), "calibration": json.loads(calibration.read_text())}, indent=1))
        return
    click.echo(made.summary())
    click.echo(f"in a spec:\n  instruments: {{classifier: {manifest}}}\n  calibration: {calibration}", err=True)


@click.command("calibrate-images")
@_images
@_labels
@click.option("--classifier", required=True, help="Data manifest of the classifier, or a built-in name.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The calibration, JSON.")
@click.option("--attributes", help="Comma-separated; default: every attribute of the table that the classifier reads.")
@click.option("--group", help="Column of known subgroups, calibrated apart as well.")
@click.option("--table", type=click.Path(path_type=Path), help="Write what was read of every image to this CSV.")
@_faces
@_words
@_domain
@_assets
@_device
@_json
def calibrate_images(images: Path, labels: Path | None, classifier: str, out: Path, attributes: str | None, group: str | None, table: Path | None,
                     faces: str, words: tuple[str, ...], domain: str, assets: Path | None, device: str, as_json: bool) -> None:  # fmt: skip
    """Read labelled IMAGES with --classifier and write its errors to --out."""
    from audit.audits import choose_device
    from audit.labelled.commands import split
    from audit.labelled.pictures import calibrate_images as read

    made, frame = read(images, labels, classifier=classifier, faces=faces, attributes=split(attributes), group=group, words=_split(words),
                       domain=domain, assets=(str(assets),) if assets else (), device=choose_device(device))  # fmt: skip
    made.write(out)
    if table is not None:
        frame.to_csv(table, index=False)
    click.echo(json.dumps(json.loads(out.read_text()), indent=1) if as_json else made.summary())
    click.echo(f"calibration: {out}", err=True)


def _split(words: tuple[str, ...]) -> dict[str, Any]:
    found = {}
    for word in words:
        said, equals, name = word.rpartition("=")
        if not equals or not said.strip() or not name.strip():
            raise SpecError(f"--word {word!r}: expected WORD=CLASS, e.g. --word Female=feminine")
        found[said.strip()] = name.strip()
    return found
