"""MTCNN on real photographs: one face in each scene, and one in nearly every aligned crop."""

import numpy as np
import pytest

from audit.instruments.attribute_classifier import AttributeClassifier
from audit.instruments.face_finder import FaceFinder
from audit.manifests import load_manifest
from audit.sources.folder import FolderSource

pytestmark = pytest.mark.assets


def drawn(folder, limit=None):
    source = FolderSource(folder, name="photos", limit=limit)
    ids = np.arange(source.count)
    return source.draw(ids, ids.astype(np.uint64))


def test_each_scene_shows_one_face_and_the_classifier_reads_it(assets):
    scenes = drawn(assets / "photos" / "scenes")
    read = FaceFinder().read(scenes)
    assert read["face_finder:face"].tolist() == ["one"] * 5
    assert (read["face_finder:face_probability"] > 0.98).all()
    said = AttributeClassifier("c", load_manifest("face_age_gender"), search=[assets]).read(scenes)
    assert np.isfinite(said["c:gender:feminine"]).all()


def test_almost_every_aligned_crop_shows_one_face(assets):
    # Of all 287: 272 one, 14 none, 1 several. Sixty of them are enough here.
    read = FaceFinder().read(drawn(assets / "photos" / "aligned", limit=60))
    states = read["face_finder:face"].tolist()
    assert states.count("one") >= 54
    assert states.count("several_faces") <= 2


def test_boxes_and_landmarks_are_those_of_the_package_where_its_candidates_are_not_tied(assets, monkeypatch):
    import facenet_pytorch.models.utils.detect_face as package
    import torch
    from facenet_pytorch import MTCNN

    seen = drawn(assets / "photos" / "aligned", limit=24)
    finder = FaceFinder(several="largest")
    found = finder.find_all(seen.images)
    network, tied = MTCNN(keep_all=True, min_face_size=20).eval(), []
    real = package.batched_nms_numpy
    monkeypatch.setattr(package, "batched_nms_numpy",
                        lambda boxes, scores, *rest: tied.append(len(scores) > len(scores.unique())) or real(boxes, scores, *rest))  # fmt: skip
    settled = 0
    for image, ours in zip(seen.images, found, strict=True):
        tied.clear()
        with torch.inference_mode():
            boxes, probabilities, points = network.detect(image.float().permute(1, 2, 0).contiguous(), landmarks=True)
        if boxes is None or any(tied):
            continue
        strong = np.asarray(probabilities, dtype=float) >= finder.threshold
        boxes, points = np.clip(np.asarray(boxes, dtype=float)[strong], 0, 300), np.asarray(points, dtype=float)[strong]
        assert len(boxes) == len(ours.boxes)
        assert np.abs(boxes - ours.boxes).max(initial=0) < 0.5
        assert np.abs(points - ours.landmarks).max(initial=0) < 0.5
        settled += 1
    assert settled >= 15
