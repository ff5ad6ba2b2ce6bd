"""Colour arithmetic against the published pairs of Sharma et al. and against scikit-image."""

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from audit.instruments.colour import delta_e_2000, hue_degrees, ita_degrees, lab_to_srgb, srgb_to_lab
from audit.portraits.palette import MONK_RGB

# Sharma, Wu, Dalal 2005, table 1: L1 a1 b1 L2 a2 b2 and the difference.
PAIRS = np.array([
    [50.0000, 2.6772, -79.7751, 50.0000, 0.0000, -82.7485, 2.0425],
    [50.0000, 3.1571, -77.2803, 50.0000, 0.0000, -82.7485, 2.8615],
    [50.0000, 2.8361, -74.0200, 50.0000, 0.0000, -82.7485, 3.4412],
    [50.0000, -1.3802, -84.2814, 50.0000, 0.0000, -82.7485, 1.0000],
    [50.0000, -1.1848, -84.8006, 50.0000, 0.0000, -82.7485, 1.0000],
    [50.0000, -0.9009, -85.5211, 50.0000, 0.0000, -82.7485, 1.0000],
    [50.0000, 0.0000, 0.0000, 50.0000, -1.0000, 2.0000, 2.3669],
    [50.0000, -1.0000, 2.0000, 50.0000, 0.0000, 0.0000, 2.3669],
    [50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0009, 7.1792],
    [50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0010, 7.1792],
    [50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0011, 7.2195],
    [50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0012, 7.2195],
    [50.0000, -0.0010, 2.4900, 50.0000, 0.0009, -2.4900, 4.8045],
    [50.0000, -0.0010, 2.4900, 50.0000, 0.0010, -2.4900, 4.8045],
    [50.0000, -0.0010, 2.4900, 50.0000, 0.0011, -2.4900, 4.7461],
    [50.0000, 2.5000, 0.0000, 50.0000, 0.0000, -2.5000, 4.3065],
    [50.0000, 2.5000, 0.0000, 73.0000, 25.0000, -18.0000, 27.1492],
    [50.0000, 2.5000, 0.0000, 61.0000, -5.0000, 29.0000, 22.8977],
    [50.0000, 2.5000, 0.0000, 56.0000, -27.0000, -3.0000, 31.9030],
    [50.0000, 2.5000, 0.0000, 58.0000, 24.0000, 15.0000, 19.4535],
    [50.0000, 2.5000, 0.0000, 50.0000, 3.1736, 0.5854, 1.0000],
    [50.0000, 2.5000, 0.0000, 50.0000, 3.2972, 0.0000, 1.0000],
    [50.0000, 2.5000, 0.0000, 50.0000, 1.8634, 0.5757, 1.0000],
    [50.0000, 2.5000, 0.0000, 50.0000, 3.2592, 0.3350, 1.0000],
    [60.2574, -34.0099, 36.2677, 60.4626, -34.1751, 39.4387, 1.2644],
    [63.0109, -31.0961, -5.8663, 62.8187, -29.7946, -4.0864, 1.2630],
    [61.2901, 3.7196, -5.3901, 61.4292, 2.2480, -4.9620, 1.8731],
    [35.0831, -44.1164, 3.7933, 35.0232, -40.0716, 1.5901, 1.8645],
    [22.7233, 20.0904, -46.6940, 23.0331, 14.9730, -42.5619, 2.0373],
    [36.4612, 47.8580, 18.3852, 36.2715, 50.5065, 21.2231, 1.4146],
    [90.8027, -2.0831, 1.4410, 91.1528, -1.6435, 0.0447, 1.4441],
    [90.9257, -0.5406, -0.9208, 88.6381, -0.8985, -0.7239, 1.5381],
    [6.7747, -0.2908, -2.4247, 5.8714, -0.0985, -2.2286, 0.6377],
    [2.0776, 0.0795, -1.1350, 0.9033, -0.0636, -0.5514, 0.9082],
])  # fmt: skip

# Monk tones as computed elsewhere: L*, a*, b*, hue and ITA in degrees.
MONK = np.array([
    [94.21, 1.50, 5.43, 74.5, 83.0], [92.27, 2.06, 7.29, 74.2, 80.2], [93.09, 0.22, 14.21, 89.1, 71.7],
    [87.57, 0.46, 17.75, 88.5, 64.7], [77.90, 3.47, 23.14, 81.5, 50.3], [55.14, 7.79, 26.74, 73.8, 10.9],
    [42.47, 12.33, 20.53, 59.0, -20.1], [30.68, 11.67, 13.34, 48.8, -55.4], [21.07, 2.69, 5.97, 65.7, -78.3],
    [14.61, 1.48, 3.53, 67.2, -84.3],
])  # fmt: skip


def some(n=5000, seed=0):
    return np.random.default_rng(seed).uniform([0, -100, -100], [100, 100, 100], (n, 3))


@pytest.mark.parametrize("row", range(len(PAIRS)))
def test_the_difference_equals_the_published_pair_both_ways(row):
    first, second, expected = PAIRS[row, :3], PAIRS[row, 3:6], PAIRS[row, 6]
    assert delta_e_2000(first, second) == pytest.approx(expected, abs=5e-5)
    assert delta_e_2000(second, first) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize("k_l", [1.0, 2.0])
def test_the_difference_equals_scikit_image_on_random_colours(k_l):
    first, second = some(), some(seed=1)
    assert np.allclose(delta_e_2000(first, second, k_l=k_l), deltaE_ciede2000(first, second, kL=k_l), rtol=0, atol=1e-9)


def test_a_colour_does_not_differ_from_itself_and_leading_axes_broadcast():
    colours = some(50)
    apart = delta_e_2000(colours[:, None], colours[None])
    assert apart.shape == (50, 50)
    assert np.abs(np.diag(apart)).max() < 1e-9
    assert apart[~np.eye(50, dtype=bool)].min() > 0


def test_lab_equals_scikit_image_up_to_its_rounded_white_point():
    codes = np.random.default_rng(2).integers(0, 256, (5000, 3), dtype=np.uint8)
    assert np.abs(srgb_to_lab(codes) - rgb2lab(codes / 255.0)).max() < 0.01
    assert np.abs(srgb_to_lab(codes / 255.0) - rgb2lab(codes / 255.0)).max() < 0.01


def test_greys_have_no_chroma_and_white_and_black_have_their_lightness():
    greys = np.arange(256, dtype=np.uint8)[:, None].repeat(3, axis=1)
    lab = srgb_to_lab(greys)
    assert np.abs(lab[:, 1:]).max() < 2e-4
    assert lab[0, 0] == pytest.approx(0, abs=1e-5)
    assert lab[255, 0] == pytest.approx(100, abs=1e-4)
    assert (np.diff(lab[:, 0]) > 0).all()


def test_lab_leads_back_to_the_same_srgb():
    rgb = np.random.default_rng(3).random((5000, 3))
    assert np.abs(lab_to_srgb(srgb_to_lab(rgb)) - rgb).max() < 1e-10


def test_bytes_and_floats_give_the_same_lab():
    codes = np.random.default_rng(4).integers(0, 256, (500, 3), dtype=np.uint8)
    assert np.abs(srgb_to_lab(codes) - srgb_to_lab(codes / 255.0)).max() < 1e-3


def test_monk_tones_have_their_lightness_hue_and_ita():
    lab = srgb_to_lab(MONK_RGB)
    assert np.abs(lab - MONK[:, :3]).max() < 0.011
    assert np.abs(hue_degrees(lab) - MONK[:, 3]).max() < 0.06
    assert np.abs(ita_degrees(lab) - MONK[:, 4]).max() < 0.06


def test_hue_goes_once_round_the_circle():
    assert hue_degrees(np.array([[50, 1, 0], [50, 0, 1], [50, -1, 0], [50, 0, -1]])).tolist() == [0, 90, 180, 270]


@pytest.mark.parametrize("yellow", [0.0, 0.99, -8.0])
def test_ita_says_nothing_where_the_white_balance_is_off(yellow):
    assert np.isnan(ita_degrees(np.array([80.0, 3.0, yellow])))
    assert np.isfinite(ita_degrees(np.array([80.0, 3.0, 1.0])))


@pytest.mark.parametrize("order", [1, -1])
def test_exactly_opposite_hues_turn_the_way_the_formula_says(order):
    first, second = np.array([[50.0, 0.0, 40.0], [50.0, 0.0, -60.0]])[::order]
    assert delta_e_2000(first, second) == pytest.approx(float(deltaE_ciede2000(first, second)), abs=1e-9, rel=0)
