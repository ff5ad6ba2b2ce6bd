"""Filters of known effect: the amount planted is the amount there, clipping is where it must be, identity is exact."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from audit.errors import SpecError
from audit.filters import Filter
from audit.instruments.colour import hue_degrees, srgb_to_lab
from audit.instruments.skin_tone import skin_region

SEEDS = np.arange(1, 9, dtype=np.uint64)


def patches(*colours, side=24):
    """Flat images of these sRGB colours."""
    return torch.tensor(colours, dtype=torch.uint8).view(-1, 3, 1, 1).expand(-1, 3, side, side).contiguous()


SKINS = patches((160, 126, 86), (130, 92, 67), (96, 65, 52), (215, 189, 150))


def lab(images):
    return srgb_to_lab(images.permute(0, 2, 3, 1).numpy()).astype(np.float64)


@pytest.mark.parametrize("amount", [1.0, 3.0, -4.0])
def test_lighten_moves_lightness_by_its_amount_and_keeps_the_hue(amount):
    before, after = lab(SKINS), lab(Filter("lighten", amount)(SKINS, SEEDS[:4]))
    moved = (after - before).mean(axis=(1, 2))
    assert moved[:, 0] == pytest.approx([amount] * 4, abs=0.05)
    assert np.abs(moved[:, 1:]).max() < 0.15


def test_warm_turns_the_hue_by_its_amount_and_keeps_lightness_and_chroma():
    before, after = lab(SKINS).mean(axis=(1, 2)), lab(Filter("warm", 6)(SKINS, SEEDS[:4])).mean(axis=(1, 2))
    assert hue_degrees(after) - hue_degrees(before) == pytest.approx([6] * 4, abs=0.4)
    assert after[:, 0] == pytest.approx(before[:, 0], abs=0.05)
    assert np.hypot(*after[:, 1:].T) == pytest.approx(np.hypot(*before[:, 1:].T), abs=0.15)


def test_what_srgb_cannot_show_is_clipped_so_the_lightest_moves_less():
    white = patches((250, 246, 240))
    moved = (lab(Filter("lighten", 5)(white, SEEDS[:1])) - lab(white)).mean(axis=(0, 1, 2))
    assert 0 < moved[0] < 4


def test_blur_is_the_gaussian_of_scipy():
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 3, 40, 40), dtype=np.uint8))
    wanted = np.stack([gaussian_filter(c.astype(float), 1.3, mode="mirror", truncate=3.1) for c in image[0].numpy()])
    assert np.abs(Filter("blur", 1.3)(image, SEEDS[:1])[0].numpy() - wanted).max() <= 1.5


def test_jitter_has_its_size_and_no_direction():
    seeds = np.arange(4000, dtype=np.uint64)
    grey = patches((128, 120, 110), side=8).expand(4000, -1, -1, -1).contiguous()
    shift = (lab(Filter("jitter", 4)(grey, seeds)) - lab(grey)).mean(axis=(1, 2))
    assert np.sqrt((shift**2).sum(axis=1).mean()) == pytest.approx(4, rel=0.04)
    assert np.abs(shift.mean(axis=0)).max() < 0.15


def test_jitter_of_an_image_depends_on_its_seed_alone():
    whole = Filter("jitter", 5)(SKINS, SEEDS[:4])
    assert torch.equal(whole[2:3], Filter("jitter", 5)(SKINS[2:3], SEEDS[2:3]))
    assert not torch.equal(whole[2:3], Filter("jitter", 5)(SKINS[2:3], SEEDS[3:4]))


@pytest.mark.parametrize("nothing", [Filter("identity"), Filter("lighten", 0), Filter("warm", 0), Filter("blur", 0), Filter("jitter", 0)])
def test_nothing_changes_nothing_to_the_bit(nothing):
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 3, 32, 32), dtype=np.uint8))
    assert torch.equal(nothing(image, SEEDS[:3]), image)


def test_a_filter_of_the_skin_leaves_the_rest_alone():
    image = patches((160, 126, 86), side=64)
    changed = (Filter("lighten", 4, "skin")(image, SEEDS[:1]) != image).any(dim=1)[0].numpy()
    assert changed[~skin_region(64, 64)].sum() == 0
    assert changed[skin_region(64, 64)].all()


def test_no_image_is_no_image():
    assert Filter("lighten", 3)(torch.zeros(0, 3, 8, 8, dtype=torch.uint8), SEEDS[:0]).shape == (0, 3, 8, 8)


@pytest.mark.parametrize(("name", "amount", "where", "said"), [
    ("sharpen", 1, "image", "blur, identity"), ("blur", -1, "image", "expected 0 to 50"), ("lighten", 200, "image", "-100 to 100"),
    ("lighten", 1, "hair", "'image' or 'skin'"), ("blur", 1, "skin", "whole image"), ("jitter", float("nan"), "image", "nan")])  # fmt: skip
def test_what_is_no_filter_is_refused_in_a_sentence(name, amount, where, said):
    with pytest.raises(SpecError, match=said):
        Filter(name, amount, where)
