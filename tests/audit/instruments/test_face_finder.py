"""Faces are found, counted and boxed on drawn portraits; no photograph is needed."""

import numpy as np
import pytest
import torch

from audit.errors import InstrumentError
from audit.instruments.cascade import Candidates
from audit.instruments.face_finder import LEAST_SIDE, FaceFinder, Found
from audit.portraits import draw, population
from audit.sources.base import Batch


@pytest.fixture(scope="module")
def portraits():
    seeds = np.arange(4, dtype=np.uint64)
    return draw(population("balanced").for_seeds(seeds), seeds, size=200)


@pytest.fixture(scope="module")
def finder():
    return FaceFinder()


def batch(images, status=None):
    ids = np.arange(len(images))
    return Batch(ids, ids.astype(np.uint64), list(images), status or ["ok"] * len(images))


def beside(left, right):
    return torch.cat([left, right], dim=2)


def test_one_face_is_found_where_it_was_drawn(finder, portraits):
    seen = batch(portraits)
    read = finder.read(seen)
    assert read["face_finder:face"].tolist() == ["one"] * 4
    assert read["face_finder:faces"].tolist() == [1] * 4
    assert (read["face_finder:face_probability"] > 0.9).all()
    for x0, y0, x1, y1 in seen.boxes / 200:
        assert 0.15 < x0 < 0.40
        assert 0.60 < x1 < 0.85
        assert 0.15 < y0 < 0.45
        assert 0.65 < y1 < 0.95
    assert np.array_equal(seen.boxes[:, 0], read["face_finder:x0"])
    assert np.array_equal(seen.boxes[:, 3], read["face_finder:y1"])


def test_an_image_without_a_face_is_a_result_and_not_an_error(finder, portraits):
    seen = batch([portraits[0], torch.full((3, 200, 200), 90, dtype=torch.uint8)])
    read = finder.read(seen)
    assert read["face_finder:face"].tolist() == ["one", "no_face"]
    assert read["face_finder:faces"].tolist() == [1, 0]
    assert np.isnan(read["face_finder:face_probability"][1])
    assert np.isnan(seen.boxes[1]).all()
    assert seen.status == ["ok", "ok"]


def test_several_faces_are_excluded_and_counted_by_default(finder, portraits):
    seen = batch([beside(portraits[0], portraits[1])])
    read = finder.read(seen)
    assert read["face_finder:face"].tolist() == ["several_faces"]
    assert read["face_finder:faces"].tolist() == [2]
    assert np.isnan(seen.boxes).all()


def test_of_several_faces_the_largest_is_taken_when_asked_for(portraits):
    small = torch.full((3, 200, 200), 120, dtype=torch.uint8)
    small[:, 50:150, 50:150] = portraits[0][:, ::2, ::2]
    seen = batch([beside(small, portraits[1])])
    read = FaceFinder(several="largest").read(seen)
    assert read["face_finder:face"].tolist() == ["several_faces"]
    assert read["face_finder:faces"].tolist() == [2]
    assert seen.boxes[0, 0] > 200


def test_an_image_that_was_not_read_is_not_searched(finder, portraits):
    seen = batch(portraits[:2], status=["unreadable: empty file", "ok"])
    read = finder.read(seen)
    assert read["face_finder:face"].tolist() == ["not_read", "one"]
    assert read["face_finder:faces"].tolist() == [-1, 1]
    assert np.isnan(seen.boxes[0]).all()


def test_a_face_does_not_depend_on_its_company(finder, portraits):
    together = batch(portraits)
    finder.read(together)
    for i, image in enumerate(portraits):
        alone = batch([image])
        finder.read(alone)
        assert np.abs(alone.boxes[0] - together.boxes[i]).max() < 1e-3
        assert np.abs(alone.landmarks[0] - together.landmarks[i]).max() < 1e-3


def test_large_images_are_reduced_and_boxes_scaled_back(portraits):
    finder = FaceFinder(max_side=150)
    large = batch(portraits[:1])
    finder.read(large)
    plain = batch(portraits[:1])
    FaceFinder().read(plain)
    assert np.abs(large.boxes - plain.boxes).max() < 25
    assert large.boxes.max() > 130


def test_boxes_stay_inside_the_image(finder, portraits):
    close = portraits[0][:, 50:170, 55:145]
    found = finder.find(close)
    assert (found.boxes >= 0).all()
    assert (found.boxes <= [90, 120, 90, 120]).all()


@pytest.mark.parametrize("size", [(1, 1), (LEAST_SIDE - 1, 400), (LEAST_SIDE, LEAST_SIDE)])
def test_images_too_small_for_a_face_hold_none(finder, size):
    assert len(finder.find(torch.zeros((3, *size), dtype=torch.uint8)).boxes) == 0


def test_a_higher_threshold_finds_no_more(finder, portraits):
    probability = finder.find(portraits[0]).probabilities[0]
    strict = FaceFinder(threshold=float(probability) + (1 - float(probability)) / 2)
    assert len(strict.find(portraits[0]).boxes) == 0


def test_a_failure_of_the_network_is_not_taken_for_an_empty_image(finder, portraits, monkeypatch):
    def fails(pixels):
        raise RuntimeError("CUDA error: device lost")

    monkeypatch.setattr(finder._cascade, "search", fails)
    with pytest.raises(RuntimeError, match="device lost"):
        finder.find(portraits[0])


def test_faces_come_the_largest_first(finder, portraits, monkeypatch):
    boxes = np.array([[0, 0, 10, 10], [0, 0, 30, 30], [0, 0, 20, 20], [0, 0, 90, 90]], dtype=float)
    points = np.arange(4.0)[:, None, None] + np.zeros((4, 5, 2))
    answer = Candidates(boxes, np.array([0.99, 0.95, 0.98, 0.5]), points)
    monkeypatch.setattr(finder._cascade, "search", lambda pixels: [answer])
    found = finder.find(portraits[0])
    assert isinstance(found, Found)
    assert found.boxes[:, 2].tolist() == [30, 20, 10]
    assert found.probabilities.tolist() == pytest.approx([0.95, 0.98, 0.99])
    assert found.landmarks[:, 0, 0].tolist() == [1, 2, 0]


def test_landmarks_lie_where_eyes_and_mouth_were_drawn_and_go_into_the_record(finder, portraits):
    seen = batch([*portraits, torch.zeros(3, 200, 200, dtype=torch.uint8)])
    read = finder.read(seen)
    for at, (x0, y0, x1, y1) in enumerate(seen.boxes[:4]):
        left, right, nose, mouth_left, mouth_right = seen.landmarks[at]
        assert x0 < left[0] < nose[0] < right[0] < x1
        assert mouth_left[0] < mouth_right[0]
        assert y0 < left[1] < nose[1] < mouth_left[1] < y1
    assert np.isnan(seen.landmarks[4]).all()
    assert np.array_equal(read["face_finder:left_eye_x"], seen.landmarks[:, 0, 0], equal_nan=True)
    assert np.array_equal(read["face_finder:mouth_right_y"], seen.landmarks[:, 4, 1], equal_nan=True)


def test_images_of_several_sizes_are_each_given_their_own_faces(finder, portraits):
    mixed = [portraits[0], beside(portraits[1], portraits[2]), torch.zeros(3, 5, 5, dtype=torch.uint8), portraits[3]]
    found = finder.find_all(mixed)
    assert [len(f.boxes) for f in found] == [1, 2, 0, 1]
    for image, f in zip(mixed, found, strict=True):
        assert np.abs(finder.find(image).boxes - f.boxes).max(initial=0) < 1e-3


@pytest.mark.parametrize("options", [{"several": "first"}, {"threshold": 0.0}, {"threshold": 1.0}, {"max_side": 3}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(InstrumentError, match="expected"):
        FaceFinder(**options)


def test_the_digest_changes_with_the_options(finder):
    assert finder.digest == FaceFinder("another").digest
    assert len({finder.digest, FaceFinder(several="largest").digest, FaceFinder(threshold=0.8).digest}) == 3
