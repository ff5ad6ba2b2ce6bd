"""The study of the rebalancing paper on CIFAR-10's long tail, from the shipped recipes and spec, on ten drawn shapes in the official format."""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import audit
from audit.attributes import ATTRIBUTES
from audit.errors import InstrumentError, SourceError, SpecError
from audit.instruments.attribute_classifier import AttributeClassifier
from audit.manifests import load_manifest
from audit.sources.base import OK, Batch
from audit.sources.cifar import CifarSource
from audit.spec import load_spec
from mitigations.labelling import Labeller
from mitigations.rebalancing.reading import SoftReader
from mitigations.training.command import train_command
from mitigations.training.image_classifier import moved
from mitigations.training.images import SourceStream
from mitigations.training.recipes import load_recipe
from mitigations.training.train import train

CLASSES = ATTRIBUTES["cifar10"].classes


def shapes(labels, rng):
    """(n, 3, 32, 32) uint8: ten shapes in ten colours, moved and lit a little."""
    y, x = np.mgrid[-1:1:32j, -1:1:32j]
    made = np.empty((len(labels), 3, 32, 32))
    for i, label in enumerate(labels):
        u, v = x - rng.uniform(-0.15, 0.15), y - rng.uniform(-0.15, 0.15)
        r, box = np.hypot(u, v), np.maximum(abs(u), abs(v))
        inside = (r < 0.6, box < 0.55, (v < 0.5) & (v > 2 * abs(u) - 0.6), (r < 0.7) & (r > 0.35), (abs(u) < 0.2) | (abs(v) < 0.2), abs(v) < 0.3,
                  abs(u) < 0.3, (u * v > 0) & (box < 0.7), abs(u) + abs(v) < 0.7, abs(u - v) < 0.3)[label]  # fmt: skip
        hue = 2 * np.pi * label / 10 + rng.uniform(-0.15, 0.15)
        colour = 0.55 + 0.4 * np.cos(hue + np.array([0, 2.1, 4.2]))
        ground = rng.uniform(0.05, 0.15)
        made[i] = ground + inside * (colour[:, None, None] - ground) * rng.uniform(0.85, 1)
    return (made.clip(0, 1) * 255).astype(np.uint8)


def write_shapes(folder, each):
    """Write the binary version: ``each`` images of each class in a batch."""
    folder.mkdir()
    rng = np.random.default_rng(5)
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        labels = rng.permutation(np.repeat(np.arange(10), each))
        rows = np.concatenate([labels[:, None].astype(np.uint8), shapes(labels, rng).reshape(len(labels), -1)], axis=1)
        (folder / f"{name}.bin").write_bytes(rows.tobytes())
    (folder / "batches.meta.txt").write_text("\n".join(CLASSES) + "\n")
    return folder


READER = {"network": {"design": "residual", "widths": [8, 16, 24], "outputs": 10}, "schedule": [[32, 6400]], "options.batch": 64,
          "options.shift": 2, "options.mirror": False}  # fmt: skip
NETWORK = {"z_dim": 16, "w_dim": 16, "resolution": 32, "mapping_layers": 2, "channels": {4: 16, 8: 16, 16: 16, 32: 8}}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Data in the official format, and two readers trained on it by the shipped recipes, the second by the command."""
    root = tmp_path_factory.mktemp("longtail")
    data = write_shapes(root / "data", 20)
    train("cifar10_classifier", root, changes={**READER, "options.images.path": str(data)})
    words = ["cifar10_second", "--out", str(root), "--device", "cpu", "--set", f"options.images.path={data}", "--set", "schedule=[[32, 6400]]",
             "--set", "network={design: mixer, width: 24, depth: 2, outputs: 10}", "--set", "options.batch=64", "--set", "options.mirror=false"]  # fmt: skip
    done = CliRunner().invoke(train_command, words)
    assert done.exit_code == 0, done.output
    return root, data


def reader_of(root, name="cifar10_classifier"):
    return root / name / f"{name}.yaml"


def test_a_reader_trained_on_the_batches_is_an_instrument_with_its_errors_counted(made):
    root, data = made
    test = CifarSource("test", data, split="test")
    batch = test.draw(np.arange(200), np.arange(200, dtype=np.uint64))
    for name in ("cifar10_classifier", "cifar10_second"):
        said = AttributeClassifier("classifier", load_manifest(reader_of(root, name))).read(batch)
        given = np.stack([said[f"classifier:cifar10:{c}"] for c in CLASSES], axis=1).argmax(axis=1)
        table = np.zeros((10, 10), dtype=int)
        np.add.at(table, (test.labels, given), 1)
        kept = json.loads(reader_of(root, name).with_suffix("").with_suffix(".calibration.json").read_text())
        assert kept["attributes"]["cifar10"]["confusion"] == table.tolist()
        assert np.trace(table) >= 190, f"{name} reads {np.trace(table)} of 200 shapes rightly"


def test_the_soft_reader_of_a_trained_network_says_what_its_instrument_says_and_has_a_slope(made):
    labeller = Labeller("cifar10", str(reader_of(made[0])))
    for side in (32, 64):
        pixels = torch.randint(0, 256, (6, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
        rows = np.arange(6)
        expected = labeller.probabilities(Batch(rows, rows.astype(np.uint64), list(pixels), [OK] * 6))
        x = (pixels / 127.5 - 1).requires_grad_()
        said = SoftReader(labeller, 2.0)(x)
        assert np.allclose(said.detach().numpy(), expected, atol=1e-4)
        said[:, 0].sum().backward()
        assert x.grad.abs().sum() > 0


def test_a_reader_without_a_gradient_is_refused_by_name(made, monkeypatch):
    labeller = Labeller("cifar10", str(reader_of(made[0])))
    monkeypatch.setattr(labeller.instrument, "_network", labeller.instrument._network._replace(forward=lambda x: x))
    with pytest.raises(InstrumentError, match=r"needs a classifier with gradients, and .*cifar10_classifier\.yaml' only gives answers"):
        SoftReader(labeller)


def carried_out(root, data, *, imbalance, images, quota, drawn, samples, network=NETWORK, batch=32):
    """Train the long tail and rebalance it by the shipped recipes, and audit both by the shipped spec."""
    tail = {"source": "cifar10", "path": str(data), "imbalance": imbalance}
    sizes = {"options.images": tail, "network": network, "options.batch": batch, "options.ema_images": images // 20}
    longtail = train("cifar10_longtail", root, changes={**sizes, "schedule": [[16, images // 2], [32, images // 2]]})
    rebalanced = train("cifar10_rebalanced", root, changes={
        **sizes, "schedule": [[32, images // 4]], "options.start": str(longtail), "options.classifier": str(reader_of(root, "cifar10_second")),
        "options.quota": quota, "options.search.prior_draws": drawn, "options.search.budget": 20 * drawn, "options.read": 200})  # fmt: skip
    return audit.run(
        "cifar10_longtail", out=root / "run", device="cpu", samples=samples, gallery=6, calibration=str(reader_of(root).with_suffix(".calibration.json")),
        instruments__classifier=str(reader_of(root)), instruments__second_rater=str(reader_of(root, "cifar10_second")),
        instruments__encoder="portraits", reference__path=str(data), reference__samples=min(samples, 1000),
        generators__data__path=str(data), generators__data__imbalance=imbalance, generators__longtail__weights=str(longtail),
        generators__rebalanced__weights=str(rebalanced))  # fmt: skip


def row(result, generator, metric, corrected=True, group=None):
    frame = result.frame()
    found = frame[(frame.generator == generator) & (frame.metric == metric) & (frame.attribute == "cifar10") & (frame.corrected == corrected)]
    return (found if group is None else found[found.group == group]).iloc[0]


def test_the_study_runs_from_end_to_end_and_the_truth_of_the_data_is_in_its_interval(made, monkeypatch):
    root, data = made
    # three hundred images teach a generator nothing, so groups that never occur are handed to the search as if they did
    said = Labeller.labels
    monkeypatch.setattr(Labeller, "labels", lambda self, batch: np.where(batch.ids % 3 == 0, batch.ids // 3 % 10, said(self, batch)))
    result = carried_out(root, data, imbalance=20, images=320, quota=4, drawn=120, samples=64)
    tail = CifarSource("tail", data, imbalance=20)
    shares = np.bincount(tail.labels[:64], minlength=10) / 64  # the first 64 images are what was audited
    for name, share in zip(CLASSES, shares, strict=True):
        measured = row(result, "data", "share", group=name)
        assert measured.low <= share <= measured.high, f"{name}: {share} is not in {measured.low}..{measured.high}"
    raw = {name: row(result, "data", "share", corrected=False, group=name) for name in ("airplane", "truck")}
    assert raw["airplane"].low > 0.1 > raw["truck"].value
    compared = [c for c in result.comparisons if (c["metric"], c["generator"]) == ("fairness_discrepancy", "rebalanced")]
    assert {c["baseline"] for c in compared} == {"longtail"}
    method = json.loads((root / "cifar10_rebalanced" / "cifar10_rebalanced.method.json").read_text())
    assert any(fact["name"] == "real images of the rarest group" for fact in method["facts"])


def test_a_fixed_set_is_shown_once_an_epoch_in_a_new_order(made):
    source = CifarSource("tail", made[1], imbalance=20)
    stream = SourceStream(source, seed=3)
    n = source.count
    first, truth = stream.batch(0, n)
    again, _ = stream.batch(n, n)
    assert sorted(i.numpy().tobytes() for i in first) == sorted(i.numpy().tobytes() for i in again)
    assert not torch.equal(first, again)
    across, _ = stream.batch(n - 2, 5)
    assert torch.equal(across, torch.cat([first[-2:], again[:3]]))
    whole = source.draw(np.arange(n), np.arange(n, dtype=np.uint64))
    known = {i.numpy().tobytes(): c for i, c in zip(whole.images, whole.columns["truth:cifar10"], strict=True)}
    assert [known[i.numpy().tobytes()] for i in first] == truth["cifar10"].tolist()


def test_shifting_and_mirroring_keep_what_is_in_the_middle():
    x = torch.arange(36.0).view(1, 1, 6, 6).expand(8, 3, 6, 6).contiguous()
    same = moved(x, 0, mirror=False, rng=np.random.default_rng(0))
    shifted = moved(x, 2, mirror=False, rng=np.random.default_rng(0))
    assert torch.equal(same, x)
    assert shifted.shape == x.shape and not torch.equal(shifted, x)
    assert all(x[0, 0, 2:4, 2:4].flatten()[0] in image for image in shifted[:, 0])
    mirrored = moved(x, 0, mirror=True, rng=np.random.default_rng(0))
    assert {torch.equal(image, x[0]) for image in mirrored} == {True, False}
    assert all(torch.equal(image, x[0]) or torch.equal(image, x[0].flip(2)) for image in mirrored)


@pytest.mark.parametrize(("changes", "error", "words"), [
    ({"options.images.path": "nowhere"}, SourceError, "nowhere holds no CIFAR-10"),
    ({"options.images": {"source": "cifar10"}}, SpecError, "needs the key 'path'"),
    ({"options.images": {"sauce": "cifar10"}}, SpecError, "images: .* expected a source, e.g. {source: cifar10, path: FOLDER}"),
    ({"options.images": {"source": "portraits", "population": "balanced"}}, SourceError, "draws without end; give images that exist"),
    ({"options.attribute": "hat"}, SpecError, "'hat' is not an attribute; there are gender, .*cifar10"),
    ({"optoins.batch": 3}, SpecError, r"--set optoins\.batch: the recipe 'cifar10_classifier' has no such key"),
    ({"seed.x": 3}, SpecError, r"--set seed\.x: the recipe"),
])  # fmt: skip
def test_a_training_that_cannot_begin_is_a_sentence(tmp_path, changes, error, words):
    with pytest.raises(error, match=words):
        train("cifar10_classifier", tmp_path, changes=changes)


def test_the_shipped_recipes_fit_each_other_and_the_spec():
    longtail, rebalanced = load_recipe("cifar10_longtail"), load_recipe("cifar10_rebalanced")
    assert rebalanced.network == longtail.network
    assert rebalanced.options["images"] == longtail.options["images"]
    assert rebalanced.options["images"]["imbalance"] == 100
    spec = load_spec("cifar10_longtail")
    assert spec.generators["longtail"].weights == rebalanced.options["start"]
    assert spec.instruments.classifier != rebalanced.options["classifier"] == spec.instruments.second_rater
    assert spec.generators["data"].imbalance == 100
