"""The cascade gives the package's boxes where those are settled, and an image's faces do not depend on its company."""

import facenet_pytorch
import numpy as np
import pytest
import torch
from torch.nn.functional import adaptive_avg_pool2d

from audit.instruments import cascade
from audit.instruments.cascade import Cascade
from audit.portraits import draw, population


@pytest.fixture(scope="module")
def networks():
    return facenet_pytorch.MTCNN(keep_all=True, min_face_size=20).eval()


@pytest.fixture(scope="module")
def portraits():
    seeds = np.arange(6, dtype=np.uint64)
    return draw(population("balanced").for_seeds(seeds), seeds, size=160).float()


@pytest.fixture(scope="module")
def searched(networks, portraits):
    return Cascade(networks.pnet, networks.rnet, networks.onet, least_side=20).search(portraits)


def test_window_means_are_those_of_adaptive_pooling():
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (2, 3, 40, 50))).float()
    windows = torch.tensor([[0, 0, 50, 40], [7, 3, 12, 31], [49, 39, 50, 40]])
    owner = torch.tensor([1, 0, 1])
    means = cascade._window_means(cascade._integral(images), owner, windows, 24)
    for (x0, y0, x1, y1), image, mean in zip(windows.tolist(), images[owner], means, strict=True):
        assert torch.allclose(mean, adaptive_avg_pool2d(image[:, y0:y1, x0:x1], 24), atol=1e-3)


def test_boxes_probabilities_and_landmarks_are_those_of_the_package(networks, portraits, searched):
    for image, found in zip(portraits, searched, strict=True):
        with torch.inference_mode():
            boxes, probabilities, points = networks.detect(image.permute(1, 2, 0).contiguous(), landmarks=True)
        order, theirs = np.argsort(-found.probabilities), np.argsort(-np.asarray(probabilities, dtype=float))
        assert len(order) == len(theirs) > 0
        assert np.abs(found.boxes[order] - np.asarray(boxes, dtype=float)[theirs]).max() < 0.5
        assert np.abs(found.points[order] - np.asarray(points, dtype=float)[theirs]).max() < 0.5
        assert np.abs(found.probabilities[order] - np.asarray(probabilities, dtype=float)[theirs]).max() < 1e-3


def test_an_image_alone_gives_what_it_gives_in_company(networks, portraits, searched):
    alone = Cascade(networks.pnet, networks.rnet, networks.onet, least_side=20)
    for at in (0, 3):
        found = alone.search(portraits[at : at + 1])[0]
        assert np.abs(found.boxes - searched[at].boxes).max() < 1e-2


def test_candidates_are_thinned_within_their_image_only_even_below_zero():
    box = torch.tensor([[-30.0, -30, 10, 10, 0.9]]).repeat(3, 1)
    box[2, :4] = torch.tensor([20.0, 20, 60, 60])
    assert sorted(cascade._thinned(box, torch.tensor([0, 1, 1]), 0.5).tolist()) == [0, 1, 2]
    assert cascade._thinned(box, torch.tensor([0, 0, 0]), 0.5).tolist() == [0, 2]


def test_a_candidate_outside_its_image_takes_its_scores_with_it(networks):
    def network(pixels):
        return torch.zeros(len(pixels), 4), torch.stack([torch.zeros(len(pixels)), pixels.mean(dim=(1, 2, 3))], dim=1)

    images = torch.zeros(1, 3, 30, 30)
    images[..., 15:] = 255
    boxes = torch.tensor([[-20.0, -20, -5, -5], [1, 1, 15, 30], [16, 1, 30, 30]])
    made = Cascade(networks.pnet, networks.rnet, networks.onet, least_side=20)
    _, kept, (_, scores) = made._looked_at(network, cascade._integral(images), torch.zeros(3, dtype=torch.long), boxes, 24, (4, 2))
    assert torch.equal(kept, boxes[1:])
    assert scores[0, 1] < -0.9 < 0.9 < scores[1, 1]


def test_of_boxes_that_cover_each_other_the_least_background_stays():
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 9, 9], [50, 50, 60, 60]])
    assert sorted(cascade._uncovered(boxes, torch.tensor([-1e-9, -1e-12, -0.1]), torch.zeros(3), 0.7).tolist()) == [1, 2]
    assert len(cascade._uncovered(boxes, torch.tensor([-1e-9, -1e-12, -0.1]), torch.tensor([0, 1, 0]), 0.7)) == 3


@pytest.mark.parametrize("value", [0.0, 128.0])
def test_an_even_picture_holds_no_face(networks, value):
    assert len(Cascade(networks.pnet, networks.rnet, networks.onet, least_side=20).search(torch.full((1, 3, 64, 64), value))[0].boxes) == 0
