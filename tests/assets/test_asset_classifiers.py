"""Real classifiers on real photographs give the answers that were measured when they were exported."""

import csv

import numpy as np
import pytest
import torch
from PIL import Image

from audit.instruments.attribute_classifier import AttributeClassifier
from audit.instruments.embedder import Embedder
from audit.instruments.skin_tone import SkinTone
from audit.manifests import load_manifest
from audit.sources.base import Batch
from audit.sources.folder import FolderSource

pytestmark = pytest.mark.assets

FILES = ["face_age_gender.torchscript.pt", "face_age_gender.onnx"]


def batch(images):
    ids = np.arange(len(images))
    return Batch(ids, ids.astype(np.uint64), list(images), ["ok"] * len(images))


@pytest.fixture(scope="module")
def aligned(assets):
    """All aligned faces as one batch, and which of them FairFace labels feminine."""
    source = FolderSource(assets / "photos" / "aligned", name="aligned")
    ids = np.arange(source.count)
    drawn = source.draw(ids, ids.astype(np.uint64))
    with (assets / "photos" / "aligned_fairface_scores.csv").open(newline="") as table:
        label = {row["face_name_align"].rsplit("/", 1)[-1]: row["gender"] == "Female" for row in csv.DictReader(table)}
    return drawn, np.array([label[name] for name in drawn.columns["file"]])


def test_every_asset_is_the_file_its_manifest_describes(assets):
    from audit.manifests import resolve

    for name in ("face_age_gender", "face_expression", "dcgan32_celeba", "darknet_tiny"):
        manifest = load_manifest(name)
        for file in manifest.files:
            assert resolve(manifest, file=file.name, search=[assets]).name == file.name


@pytest.mark.parametrize("file", FILES)
def test_the_age_and_gender_network_gives_its_known_answers(assets, file):
    known = np.load(assets / "classifiers" / "face_age_gender_known_answers.npz")
    images = []
    for name in known["names"]:
        with Image.open(assets / "photos" / str(name)) as picture:  # the answers were made with Pillow's 8-bit resize
            small = picture.convert("RGB").resize((112, 112), Image.Resampling.BICUBIC)
        images.append(torch.from_numpy(np.array(small)).permute(2, 0, 1))
    read = AttributeClassifier("c", load_manifest("face_age_gender"), file=file, search=[assets]).read(batch(images))
    assert np.abs(read["c:gender:masculine"] - known["out"][:, 0]).max() < 1e-3
    assert np.abs(read["c:gender:feminine"] - known["out"][:, 1]).max() < 1e-3
    assert np.abs(read["c:age:years"] - known["out"][:, 2]).max() < 1e-3


@pytest.mark.parametrize("file", FILES)
def test_gender_labels_agree_with_fairface_as_often_as_measured(assets, aligned, file):
    drawn, feminine = aligned
    read = AttributeClassifier("c", load_manifest("face_age_gender"), file=file, search=[assets]).read(drawn)
    agrees = (read["c:gender:feminine"] > 0.5) == feminine
    made = np.array([name.startswith("generated_img_") for name in drawn.columns["file"]])
    assert (len(agrees), made.sum()) == (287, 87)
    assert 0.80 <= agrees[~made].mean() <= 0.88
    assert 0.74 <= agrees[made].mean() <= 0.84


def test_swapped_channels_change_the_answers(assets, aligned):
    drawn, _ = aligned
    said = AttributeClassifier("c", load_manifest("face_age_gender"), search=[assets])
    some = drawn.images[:16]
    straight, swapped = said.read(batch(some)), said.read(batch([image.flip(0) for image in some]))
    assert np.abs(straight["c:gender:feminine"] - swapped["c:gender:feminine"]).max() > 0.05


def test_torchscript_and_onnx_agree(assets, aligned):
    drawn, _ = aligned
    some = batch(drawn.images[:24])
    first, second = (
        AttributeClassifier("c", load_manifest("face_age_gender"), file=f, search=[assets]).read(some) for f in FILES
    )
    for name in first:
        assert np.abs(first[name] - second[name]).max() < 1e-3, name


def test_the_expression_network_reads_smiles_as_shares(assets, aligned):
    drawn, _ = aligned
    read = AttributeClassifier("c", load_manifest("face_expression"), search=[assets]).read(batch(drawn.images[:48]))
    smiling = read["c:smile:smiling"]
    assert np.allclose(smiling + read["c:smile:neutral"], 1, atol=1e-5)
    assert smiling.min() < 0.05
    assert smiling.max() > 0.95


def test_the_encoder_gives_its_128_features(assets, aligned):
    drawn, _ = aligned
    features = Embedder("encoder", load_manifest("darknet_tiny"), search=[assets]).read(batch(drawn.images[:6]))["encoder"]
    assert features.shape == (6, 128)
    assert np.isfinite(features).all()
    assert np.linalg.norm(features[0] - features[1]) > 1e-3


def test_skin_is_read_darker_on_faces_that_fairface_labels_black_than_on_those_it_labels_white(assets, aligned):
    # Not the same thing as tone, but a reading that did not order these two groups would be broken.
    drawn, _ = aligned
    with (assets / "photos" / "aligned_fairface_scores.csv").open(newline="") as table:
        race = {row["face_name_align"].rsplit("/", 1)[-1]: row["race4"] for row in csv.DictReader(table)}
    group = np.array([race[name] for name in drawn.columns["file"]])
    read = SkinTone(face=(0.1, 0.0, 0.9, 0.95)).read(drawn)
    lightness = {g: np.median(read["skin_tone:L"][group == g]) for g in ("White", "Black")}
    assert lightness["White"] - lightness["Black"] > 10
    assert (read["skin_tone:ita_valid"] == 1).mean() > 0.8


def test_labelled_photographs_become_a_calibration_with_groups(assets):
    from audit.labelled.pictures import calibrate_images

    photos = assets / "photos"
    made, _ = calibrate_images(photos / "aligned", photos / "aligned_fairface_scores.csv", classifier="face_age_gender", faces="aligned",
                               attributes=["gender"], group="race4", assets=[str(assets)])  # fmt: skip
    assert made.confusion("gender").sum() == 287
    right = {g: np.trace(t) / t.sum() for g, t in made.groups("gender").items()}
    assert set(right) == {"Asian", "Black", "Indian", "White"}
    assert right["Asian"] > right["White"] > 0.7


@pytest.mark.slow
def test_a_wide_crop_takes_the_agreement_with_fairface_away(assets, tmp_path):
    import shutil

    from audit.labelled.crop_study import crop_study

    photos = sorted((assets / "photos" / "aligned").glob("1*_face0.jpg"))[:48]
    (tmp_path / "some").mkdir()
    for photo in photos:
        shutil.copy(photo, tmp_path / "some" / photo.name)
    rows = crop_study(tmp_path / "some", assets / "photos" / "aligned_fairface_scores.csv", classifier="face_age_gender", assets=[str(assets)])
    agreement = {r.crop: r.agreement for r in rows}
    assert agreement["box"] > 0.72
    assert agreement["box, margin .5"] < agreement["box"] - 0.1
    assert abs(agreement["mirrored"] - agreement["box"]) < 0.1
