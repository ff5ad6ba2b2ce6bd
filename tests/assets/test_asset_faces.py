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
