"""Faces come upright: planted landmarks land on their template, wherever and however turned they were."""

import numpy as np
import pytest
import torch

from audit.errors import InstrumentError
from audit.instruments.alignment import TEMPLATES, aligned, ffhq_square, similarity, warped

UPRIGHT = np.array([[40.0, 40], [60, 40], [50, 52], [43, 62], [57, 62]])


def turned(points, degrees, size=1.0, shift=(0.0, 0.0)):
    a = np.radians(degrees)
    return (points @ np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])) * size + np.array(shift)


def blob(image, x, y, radius=2.0):
    """Draw a soft white spot; pixel middles are at +0.5."""
    yy, xx = torch.meshgrid(torch.arange(image.shape[1]) + 0.5, torch.arange(image.shape[2]) + 0.5, indexing="ij")
    image += 255 * torch.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * radius**2))


def middle(image):
    weight = image[0].double()
    yy, xx = torch.meshgrid(torch.arange(weight.shape[0]) + 0.5, torch.arange(weight.shape[1]) + 0.5, indexing="ij")
    return float((weight * xx).sum() / weight.sum()), float((weight * yy).sum() / weight.sum())


@pytest.mark.parametrize(("degrees", "size", "shift"), [(0, 1.0, (0, 0)), (33, 2.5, (-4, 7)), (170, 0.3, (100, 3))])
def test_a_similarity_is_found_again(degrees, size, shift):
    matrix = similarity(turned(UPRIGHT, degrees, size, shift), UPRIGHT)
    assert np.allclose(UPRIGHT @ matrix[:, :2].T + matrix[:, 2], turned(UPRIGHT, degrees, size, shift))
    assert np.hypot(matrix[0, 0], matrix[1, 0]) == pytest.approx(size)
    assert np.linalg.det(matrix[:, :2]) > 0


def test_of_points_that_do_not_fit_the_squared_error_is_least():
    rng = np.random.default_rng(0)
    points = turned(UPRIGHT, 20) + rng.standard_normal(UPRIGHT.shape)
    best = similarity(points, UPRIGHT)

    def error(matrix):
        return ((UPRIGHT @ matrix[:, :2].T + matrix[:, 2] - points) ** 2).sum()

    for _ in range(50):
        a, b, c, d = rng.standard_normal(4) * 0.01
        assert error(best + np.array([[a, -b, c], [b, a, d]])) >= error(best)


@pytest.mark.parametrize("how", sorted(TEMPLATES))
@pytest.mark.parametrize(("degrees", "size"), [(0, 1.0), (25, 1.0), (-40, 3.0)])
def test_landmarks_land_on_their_template(how, degrees, size):
    side, places = TEMPLATES[how]
    wanted = (places - 0.5) * 80 * size
    landmarks = turned(wanted, degrees, 1.0, (200, 220))
    image = torch.zeros(3, 440, 400)
    blob(image, *landmarks[0], radius=3 * size)
    x, y = middle(aligned(image, landmarks, how))
    assert np.allclose([x, y], places[0] * side, atol=1.0)


def test_the_eyes_of_a_fairface_chip_lie_where_dlib_puts_them():
    corners = np.array([[0.1205750620789, 0.2137274526848], [0.3340850613712, 0.2290642403242],
                        [0.6460604764104, 0.2289674387677], [0.8595674595992, 0.2134981538014]])  # fmt: skip
    padded = (corners + 0.25) / 1.5
    side, places = TEMPLATES["fairface"]
    assert side == 300
    assert np.allclose(places[:2], [padded[:2].mean(axis=0), padded[2:].mean(axis=0)], atol=1e-4)


def test_the_square_of_ffhq_is_that_of_its_rule():
    # Eyes 20 apart, mouth 22 below: 2 * 20 against 1.8 * 22 = 39.6, so half a side is 40; its middle lies a tenth of the way down.
    corners = ffhq_square(UPRIGHT)
    assert np.allclose(corners, [[10, 2.2], [10, 82.2], [90, 82.2], [90, 2.2]])
    assert np.allclose(ffhq_square(turned(UPRIGHT, 30, 2.0, (5, 6))), turned(corners, 30, 2.0, (5, 6)))
    longer = UPRIGHT.copy()
    longer[3:, 1] += 20
    assert np.ptp(ffhq_square(longer)[:, 0]) == pytest.approx(2 * 1.8 * 42)


def test_an_unturned_square_of_the_image_is_the_image():
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 30, 40))).float()
    cut = warped(image, np.array([[1.0, 0, 5], [0, 1, 8]]), 16)
    assert (cut - image[:, 8:24, 5:21]).abs().max() < 0.01


def test_what_is_made_smaller_is_averaged_and_does_not_alias():
    noise = torch.from_numpy(np.random.default_rng(0).integers(0, 2, (1, 200, 200)) * 255.0).float()
    cut = warped(noise.expand(3, 200, 200), np.array([[9.7, 0, 0.3], [0, 9.7, 0.3]]), 20)
    assert cut[:, 1:-1, 1:-1].std() < 0.2 * noise.std()  # a mean of a hundred pixels has a tenth of their spread


def test_what_lies_outside_repeats_the_edge():
    cut = warped(torch.full((3, 10, 10), 77, dtype=torch.uint8), np.array([[1.0, 0, -20], [0, 1, -20]]), 50)
    assert (cut - 77).abs().max() < 1e-3
    assert aligned(torch.full((3, 1, 1), 9, dtype=torch.uint8), UPRIGHT, "fairface").round().unique().tolist() == [9]


def test_large_ffhq_squares_are_brought_to_1024_and_small_ones_left():
    assert aligned(torch.zeros(3, 50, 50), UPRIGHT, "ffhq").shape == (3, 80, 80)
    assert aligned(torch.zeros(3, 50, 50), UPRIGHT * 100, "ffhq").shape == (3, 1024, 1024)


@pytest.mark.parametrize(
    ("points", "how", "sentence"),
    [
        (UPRIGHT, "arcface", "cannot be aligned as 'arcface'; expected fairface, farl, ffhq"),
        (UPRIGHT * np.nan, "fairface", "expected finite pixels"),
        (UPRIGHT * 0, "ffhq", "expected eyes and mouth apart"),
        (UPRIGHT * 0, "fairface", "expected landmarks apart"),
    ],
)
def test_landmarks_that_say_nothing_are_refused(points, how, sentence):
    with pytest.raises(InstrumentError, match=sentence):
        aligned(torch.zeros(3, 20, 20), points, how)
