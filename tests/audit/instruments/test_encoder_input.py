"""The device's resize is used where it is clean-fid's, and Pillow where it is not, with a note."""

import torch

from audit.instruments import encoder_input
from audit.instruments.encoder_input import EncoderInput, pillow_resize, resize_agrees
from audit.manifests import ImageInput
from audit.pixels import resize


def pictures(*sizes):
    return [torch.randint(0, 256, (3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(i)) for i, size in enumerate(sizes)]


def clean(**changes):
    return ImageInput(**{"size": 24, "range": (0, 255), "resize": "clean", **changes})


def test_where_both_agree_the_device_resizes(monkeypatch):
    monkeypatch.setattr(encoder_input, "pillow_resize", count(pillow_resize))
    given = EncoderInput(clean())
    ((_, pixels),) = given.portions(pictures(*[(40, 32)] * 5))
    assert torch.equal(pixels, resize(torch.stack(pictures(*[(40, 32)] * 5)), 24))
    assert encoder_input.pillow_resize.calls == 1  # the test itself, once for the size
    assert given.notes == []


def test_where_the_device_differs_pillow_resizes_and_it_is_noted(monkeypatch):
    monkeypatch.setattr(encoder_input, "resize", lambda images, size: resize(images, size) + 0.1)
    given = EncoderInput(clean())
    shown = pictures((40, 32), (40, 32), (24, 60))
    ((_, pixels),) = given.portions(shown)
    assert torch.equal(pixels, torch.stack([pillow_resize(p, 24) for p in shown]))
    assert [n[:37] for n in given.notes] == ["images of 32 x 40 pixels were resized", "images of 60 x 24 pixels were resized"]


def test_a_device_that_cannot_resize_is_no_crash(monkeypatch):
    def fails(images, size):
        raise RuntimeError("not implemented for this device")

    monkeypatch.setattr(encoder_input, "resize", fails)
    assert not resize_agrees((40, 32), 24)
    assert EncoderInput(clean()).portions(pictures((40, 32)))


def test_unequal_images_keep_their_places():
    shown = pictures((40, 32), (30, 30), (40, 32), (24, 24))
    ((places, pixels),) = EncoderInput(clean()).portions(shown)
    assert places == [0, 1, 2, 3]
    assert torch.allclose(pixels, torch.stack([pillow_resize(p, 24) for p in shown]), atol=1e-4 * 255)


def test_large_batches_are_resized_in_parts_with_the_same_result(monkeypatch):
    shown = pictures(*[(40, 32)] * 7)
    ((_, whole),) = EncoderInput(clean()).portions(shown)
    monkeypatch.setitem(encoder_input._VALUES, "cpu", 2 * 3 * 40 * 32)
    ((_, parts),) = EncoderInput(clean()).portions(shown)
    assert torch.equal(whole, parts)


def test_a_network_that_resizes_gets_the_images_as_they_are_by_size():
    shown = pictures((40, 32), (30, 30), (40, 32))
    portions = list(EncoderInput(clean(resize="inside")).portions(shown))
    assert [places for places, _ in portions] == [[0, 2], [1]]
    assert torch.equal(portions[0][1], torch.stack([shown[0], shown[2]]).float())


def test_range_mean_deviation_and_channel_order_come_after_the_resize():
    shown = pictures((24, 24))
    contract = clean(mean=(128,) * 3, std=(128,) * 3, channels="BGR")
    ((_, pixels),) = EncoderInput(contract).portions(shown)
    assert torch.allclose(pixels[0], (shown[0].flip(0).float() - 128) / 128)


def count(function):
    def counted(*args):
        counted.calls += 1
        return function(*args)

    counted.calls = 0
    return counted
