"""What a wrong crop does: one classifier on the same labelled images, cut in different ways, and how often it gives the label.

``python -m audit.labelled.crop_study IMAGES --labels TABLE --classifier MANIFEST`` prints a row a crop. Every row counts the same
images, those with one face; mirrored images and swapped channels are controls: the first should change little, the second much
or little, but it is a mistake that is made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np

from audit.attributes import ATTRIBUTES
from audit.errors import InstrumentError, RecordError
from audit.estimates import Estimate
from audit.instruments.attribute_classifier import AttributeClassifier
from audit.instruments.face_finder import FaceFinder
from audit.labelled.columns import TRUTH
from audit.labelled.pictures import open_labelled
from audit.manifests import Crop, Manifest, load_manifest
from audit.metrics.shares import proportion
from audit.sources.base import Batch

CROPS: Mapping[str, Crop] = {
    "box": Crop(),
    "box, margin .25": Crop(margin=0.25),
    "box, margin .5": Crop(margin=0.5),
    "fairface": Crop(align="fairface"),
    "ffhq": Crop(align="ffhq"),
    "farl": Crop(align="farl"),
    "whole image": Crop(source="image"),
}
"""Crops that are compared; then, on the manifest's own, "mirrored" and "channels swapped"."""


@dataclass(frozen=True)
class CropRow:
    """How often a classifier gives the label when it sees this crop.

    Attributes:
        crop: its name.
        images: how many were counted.
        agreement: share of them with the label, 0..1.
        low: of its 95 % interval.
        high: of its 95 % interval.
        by_class: {class of the label: share}.
        by_group: {group: share}.
        shares: {class: share of images labelled so by the classifier}.
    """

    crop: str
    images: int
    agreement: float
    low: float
    high: float
    by_class: Mapping[str, float]
    by_group: Mapping[str, float]
    shares: Mapping[str, float]


def crop_study(images: str | Path, labels: str | Path | None, *, classifier: str, attribute: str = "gender", group: str | None = None,
               assets: Sequence[str] = (), device: str = "cpu", batch: int = 64) -> list[CropRow]:  # fmt: skip
    """Return a row a crop, over the images of which the label is known and that show one face.

    Args:
        images: see :func:`audit.labelled.pictures.open_labelled`.
        labels: see :func:`audit.labelled.pictures.open_labelled`.
        classifier: a data manifest.
        attribute: what is compared.
        group: column of known subgroups.
        assets: folders where files named by manifests are looked for.
        device: where the networks run.
        batch: images read at once.

    Raises:
        RecordError: no image has a label and one face.
        InstrumentError: the classifier does not read the attribute.
    """
    if attribute not in ATTRIBUTES:
        raise InstrumentError(f"crops are compared on {', '.join(ATTRIBUTES)}; found {attribute!r}")
    manifest = load_manifest(classifier)
    readers = {name: _reader(manifest, crop, attribute, assets, device) for name, crop in CROPS.items()}
    if manifest.contract is None or manifest.contract.input is None:
        raise InstrumentError(f"manifest {manifest.name!r} states no input")
    own = _reader(manifest, manifest.contract.input.crop, attribute, assets, device)
    finder = FaceFinder(device=device)
    source, frame = open_labelled(images, labels, attributes=[attribute], group=group)
    classes = ATTRIBUTES[attribute].classes
    said: dict[str, list[np.ndarray]] = {name: [] for name in (*readers, "mirrored", "channels swapped")}
    kept: list[int] = []
    for start in range(0, source.count, batch):
        ids = np.arange(start, min(start + batch, source.count))
        drawn = source.draw(ids, ids.astype(np.uint64))
        finder.read(drawn)
        one = np.isfinite(drawn.boxes).all(axis=1) & frame[f"{attribute}:{TRUTH}"].iloc[ids].notna().to_numpy()  # type: ignore[union-attr]
        kept += ids[one].tolist()
        seen = {**{name: (reader, drawn) for name, reader in readers.items()},
                "mirrored": (own, _mirrored(drawn)), "channels swapped": (own, _swapped(drawn))}  # fmt: skip
        for name, (reader, shown) in seen.items():
            read = reader.read(shown)
            said[name].append(np.stack([read[f"study:{attribute}:{c}"] for c in classes], axis=1)[one])
    if not kept:
        raise RecordError(f"of {source.count} images none has both a label of {attribute} and one face")
    truth = frame[f"{attribute}:{TRUTH}"].iloc[kept].to_numpy()
    groups = frame["group"].iloc[kept].astype(str).to_numpy() if group is not None else None
    return [_row(name, np.concatenate(parts).argmax(axis=1), truth, classes, groups) for name, parts in said.items()]


def _reader(manifest: Manifest, crop: Crop, attribute: str, assets: Sequence[str], device: str) -> AttributeClassifier:
    if manifest.contract is not None and manifest.contract.input is not None:
        seen = manifest.contract.input.model_copy(update={"crop": crop})
        manifest = manifest.model_copy(update={"contract": manifest.contract.model_copy(update={"input": seen})})
    return AttributeClassifier("study", manifest, attributes=[attribute], search=tuple(assets), device=device)


def _mirrored(batch: Batch) -> Batch:
    widths = np.array([image.shape[-1] for image in batch.images], dtype=np.float32)
    assert batch.boxes is not None
    assert batch.landmarks is not None
    boxes, points = batch.boxes.copy(), batch.landmarks[:, [1, 0, 2, 4, 3]].copy()
    boxes[:, [0, 2]] = widths[:, None] - boxes[:, [2, 0]]
    points[:, :, 0] = widths[:, None] - points[:, :, 0]
    return replace(batch, images=[image.flip(2) for image in batch.images], boxes=boxes, landmarks=points, prepared={})


def _swapped(batch: Batch) -> Batch:
    return replace(batch, images=[image.flip(0) for image in batch.images], prepared={})


def _row(name: str, given: np.ndarray, truth: np.ndarray, classes: Sequence[str], groups: np.ndarray | None) -> CropRow:
    right = np.array(classes, dtype=object)[given] == truth
    share = proportion(int(right.sum()), len(right))
    assert isinstance(share, Estimate)  # there is at least one image
    by_class = {c: float(right[truth == c].mean()) for c in classes if (truth == c).any()}
    by_group = {} if groups is None else {g: float(right[groups == g].mean()) for g in sorted(set(groups))}
    shares = {c: float((given == at).mean()) for at, c in enumerate(classes)}
    return CropRow(name, len(right), share.value, share.low, share.high, by_class, by_group, shares)


def table(rows: Sequence[CropRow]) -> str:
    """Return the rows as a Markdown table, shares in percent."""
    first = rows[0]
    heads = ["crop", "images", "agreement", "95 % interval", *(f"of {c}" for c in first.by_class), *first.by_group, *(f"labelled {c}" for c in first.shares)]
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    for r in rows:
        cells = [r.crop, str(r.images), f"{r.agreement:.1%}", f"{r.low:.1%} to {r.high:.1%}"]
        cells += [f"{v:.1%}" for v in (*r.by_class.values(), *r.by_group.values(), *r.shares.values())]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


@click.command()
@click.argument("images", type=click.Path(path_type=Path))
@click.option("--labels", type=click.Path(path_type=Path), help="Table with a row an image; default: folders are named by class.")
@click.option("--classifier", required=True, help="Data manifest of the classifier.")
@click.option("--attribute", default="gender", show_default=True, help="What is compared.")
@click.option("--group", help="Column of known subgroups.")
@click.option("--assets", type=click.Path(path_type=Path), help="Folder where files named by manifests are looked for.")
@click.option("--device", default="cpu", show_default=True, help="Where the networks run.")
def main(images: Path, labels: Path | None, classifier: str, attribute: str, group: str | None, assets: Path | None, device: str) -> None:
    """Print how often --classifier gives the label of IMAGES when it sees other crops."""
    rows = crop_study(images, labels, classifier=classifier, attribute=attribute, group=group, assets=(str(assets),) if assets else (), device=device)
    click.echo(table(rows))


if __name__ == "__main__":
    main()
