"""Known answers for skin tone: the ten Monk swatches, and portraits whose tone is known because we drew it."""

import time

import numpy as np
import pytest
import torch

from audit.attributes import SKIN_TONE
from audit.errors import InstrumentError
from audit.instruments.colour import lab_to_srgb, srgb_to_lab
from audit.instruments.skin_tone import MONK_LAB, SkinTone, monk_tones, skin_region
from audit.portraits import draw, population
from audit.portraits.palette import MONK_RGB
from audit.sources.base import Batch

TONES = np.arange(1, 11)


def batch(images, status=None, boxes=None):
    ids = np.arange(len(images))
    return Batch(ids, ids.astype(np.uint64), list(images), status or ["ok"] * len(images), boxes=boxes)


def flat(rgb, height=64, width=64):
    """Return one image of a single colour for each row of sRGB floats, rounded to bytes."""
    codes = torch.from_numpy(np.round(np.clip(rgb, 0, 1) * 255).astype(np.uint8))
    return codes[:, :, None, None].expand(-1, 3, height, width).contiguous()


def lightened(scale):
    lab = srgb_to_lab(MONK_RGB)
    return lab_to_srgb(lab * [scale, 1, 1])


def portraits(first, n, size=64):
    seeds = np.arange(first, first + n, dtype=np.uint64)
    truth = population("balanced").for_seeds(seeds)
    return truth, draw(truth, seeds, size=size)


def labels(read):
    shares = np.stack([read[f"skin_tone:skin_tone:{c}"] for c in SKIN_TONE.classes], axis=1)
    return np.array(SKIN_TONE.classes)[shares.argmax(axis=1)]


@pytest.mark.parametrize("scale", [0.95, 1.0, 1.05])
def test_each_swatch_maps_to_itself_also_when_it_is_a_little_lighter_or_darker(scale):
    read = SkinTone().read(batch(flat(lightened(scale))))
    assert read["skin_tone:monk"].tolist() == TONES.tolist()
    assert labels(read).tolist() == ["light"] * 3 + ["medium"] * 3 + ["dark"] * 4


def test_that_known_answer_fails_when_red_and_blue_are_swapped():
    swapped = SkinTone().read(batch(flat(MONK_RGB).flip(1)))
    assert (swapped["skin_tone:monk"] != TONES).sum() >= 5
    assert (swapped["skin_tone:hue"] > 180).all()
    assert (swapped["skin_tone:ita_valid"] == 0).all()


def test_that_known_answer_fails_when_lightness_counts_in_full():
    from audit.instruments.colour import delta_e_2000

    seen = srgb_to_lab(np.round(np.clip(lightened(1.05), 0, 1) * 255).astype(np.uint8))
    assert (delta_e_2000(seen[:, None], MONK_LAB[None]).argmin(axis=1) + 1 != TONES).any()


def test_swatches_have_their_own_colour_and_no_distance():
    read = SkinTone().read(batch(flat(MONK_RGB)))
    assert np.abs(read["skin_tone:L"] - MONK_LAB[:, 0]).max() < 0.01
    assert read["skin_tone:delta_e"].max() < 0.01
    assert (read["skin_tone:mask_share"] == 1).all()
    assert (read["skin_tone:ita_valid"] == 1).all()
    assert (np.diff(read["skin_tone:ita"]) < 0).all()
    assert (np.abs(read["skin_tone:monk_second"].astype(int) - TONES) <= 2).all()


def test_the_second_tone_is_the_second_nearest():
    middle = (MONK_LAB[5] * 0.6 + MONK_LAB[6] * 0.4)[None]
    first, second, apart = monk_tones(middle)
    assert (first[0], second[0]) == (6, 7)
    assert apart[0] > 1


def test_a_bluish_or_grey_image_has_no_ita_and_grey_has_no_hue():
    read = SkinTone().read(batch(flat(np.array([[0.5, 0.5, 0.5], [0.5, 0.5, 0.6]]))))
    assert np.isnan(read["skin_tone:ita"]).all()
    assert read["skin_tone:ita_valid"].tolist() == [0, 0]
    assert np.isnan(read["skin_tone:hue"][0])
    assert read["skin_tone:hue"][1] > 180


def test_shine_hair_and_glasses_inside_the_region_do_not_move_the_reading():
    image = flat(MONK_RGB[5:6])
    region = torch.from_numpy(skin_region(64, 64))
    rng = np.random.default_rng(0)
    spoilt = region & torch.from_numpy(rng.random((64, 64)) < 0.3)
    image[0][:, spoilt] = 250
    read = SkinTone().read(batch(image))
    assert read["skin_tone:monk"].tolist() == [6]
    assert read["skin_tone:delta_e"][0] < 0.5
    assert 0.6 < read["skin_tone:mask_share"][0] < 0.8


def test_rows_without_an_image_are_missing():
    read = SkinTone().read(batch(flat(MONK_RGB[:3]), status=["ok", "unreadable: empty file", "ok"]))
    for name, values in read.items():
        assert len(values) == 3
        missing = values[1] == -1 if values.dtype.kind == "i" else np.isnan(values[1])
        assert missing, name
    assert read["skin_tone:monk"].tolist() == [1, -1, 3]


def test_a_batch_without_any_image_is_all_missing():
    read = SkinTone().read(batch(flat(MONK_RGB[:2]), status=["not finite"] * 2))
    assert read["skin_tone:monk"].tolist() == [-1, -1]
    assert np.isnan(read["skin_tone:skin_tone:dark"]).all()


def test_with_boxes_the_face_is_read_and_faces_not_found_are_missing():
    image = flat(MONK_RGB[[0, 0]], 100, 140)
    image[0, :, 20:60, 70:110] = flat(MONK_RGB[[7]], 40, 40)[0]
    boxes = np.array([[70, 20, 110, 60], [np.nan] * 4], dtype=np.float32)
    read = SkinTone().read(batch(image, boxes=boxes))
    assert read["skin_tone:monk"].tolist() == [8, -1]


def test_images_of_unequal_sizes_are_read_like_each_alone():
    images = [flat(MONK_RGB[[t]], size, size + t)[0] for t, size in ((3, 64), (6, 300), (8, 1), (1, 64))]
    together = SkinTone().read(batch(images))
    assert together["skin_tone:monk"].tolist() == [4, 7, 9, 2]
    for i, image in enumerate(images):
        alone = SkinTone().read(batch([image]))
        assert all(np.array_equal(alone[k][0], together[k][i], equal_nan=True) for k in alone if together[k].dtype.kind == "f")


def test_readings_do_not_depend_on_the_batch():
    _, images = portraits(3_000_000, 40)
    tone = SkinTone()
    whole = tone.read(batch(images))
    parts = [tone.read(batch(images[i : i + 7])) for i in range(0, 40, 7)]
    for name in whole:
        assert np.array_equal(whole[name], np.concatenate([p[name] for p in parts]), equal_nan=True)


def test_portraits_are_read_as_they_were_drawn():
    # Measured on seeds that the region was not tuned on: 99.2 % of groups right, every tone within one step.
    truth, images = portraits(1_000_001, 1000)
    read = SkinTone().read(batch(images))
    right = labels(read) == truth["skin_tone"].to_numpy()
    assert right.mean() > 0.98
    for column in ("gender", "age", "smile", "skin_tone"):
        for value in truth[column].unique():
            assert right[(truth[column] == value).to_numpy()].mean() > 0.95, (column, value)
    assert (np.abs(read["skin_tone:monk"] - truth["monk"].to_numpy()) <= 1).all()


def test_large_portraits_are_read_like_small_ones():
    truth, images = portraits(1_000_001, 60, size=256)
    read = SkinTone().read(batch(images))
    assert (np.abs(read["skin_tone:monk"] - truth["monk"].to_numpy()) <= 1).all()
    assert (labels(read) == truth["skin_tone"].to_numpy()).mean() > 0.95


def test_swapped_channels_are_noticed_on_portraits():
    truth, images = portraits(1_000_001, 200)
    read = SkinTone().read(batch(images.flip(1)))
    assert (labels(read) == truth["skin_tone"].to_numpy()).mean() < 0.7


def test_reading_is_fast_enough_not_to_be_noticed():
    # Stated: more than 2,000 images of 64 px a second on one core; measured 9,000 to 15,000. Processor time, so that company does not count.
    _, images = portraits(0, 256)
    tone = SkinTone()
    tone.read(batch(images[:64]))
    seconds = []
    for _ in range(5):
        began = time.process_time()
        tone.read(batch(images))
        seconds.append(time.process_time() - began)
    assert 256 / min(seconds) > 2000


def test_the_region_leaves_out_eyes_brows_lips_and_background():
    region = skin_region(64, 64)
    assert 60 < region.sum() < 400
    column = region[:, 31]
    assert column[24]  # between the brows
    assert not region[41:46].any()  # mouth
    assert not region[26:30, 21:28].any()  # an eye and its brow
    assert not region[:, :14].any()
    assert not region[:16].any()
    assert np.array_equal(region, region[:, ::-1])


def test_a_face_outside_the_image_is_refused():
    with pytest.raises(InstrumentError, match="expected x0 < x1 and y0 < y1 as shares"):
        SkinTone(face=(0.5, 0.2, 0.4, 0.8))


def test_the_digest_changes_with_the_face():
    assert SkinTone().digest == SkinTone("other").digest != SkinTone(face=(0.2, 0.2, 0.8, 0.9)).digest
