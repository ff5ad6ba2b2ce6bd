"""The one resizer, cropper and normaliser, held against Pillow and against closed forms."""

import numpy as np
import pytest
import torch
from PIL import Image

from audit.errors import InstrumentError, SourceError
from audit.pixels import crop, finite, normalise, resize, to_device, to_host, to_uint8

TOLERANCE = 0.005  # of 255: both sides work in floating point and differ in the order of summation only


def noise(height, width, seed=0):
    values = np.random.default_rng(seed).integers(0, 256, (3, height, width), dtype=np.uint8)
    return torch.from_numpy(values)


def by_pillow(image, size, kind):
    planes = [Image.fromarray(plane.astype(np.float32)).resize(size, kind) for plane in image.numpy()]
    return np.stack([np.asarray(p) for p in planes]).clip(0, 255)


@pytest.mark.parametrize(("name", "kind"), [("bicubic", Image.Resampling.BICUBIC), ("bilinear", Image.Resampling.BILINEAR)])
@pytest.mark.parametrize(("height", "width", "size"), [(300, 300, 112), (64, 64, 299), (37, 53, (20, 90)), (5, 7, 3)])
def test_resizing_equals_pillow_in_floating_point(name, kind, height, width, size):
    image = noise(height, width)
    target = (size, size) if isinstance(size, int) else size
    ours = resize(image[None], size, filter=name)[0].numpy()
    assert np.abs(ours - by_pillow(image, target[::-1], kind)).max() < TOLERANCE


def test_that_comparison_sees_a_resizer_without_antialiasing():
    image = noise(300, 300)
    plain = torch.nn.functional.interpolate(image[None].float(), 112, mode="bicubic")[0].numpy()
    assert np.abs(plain.clip(0, 255) - by_pillow(image, (112, 112), Image.Resampling.BICUBIC)).max() > 10


def test_resizing_clips_overshoot_and_does_not_round():
    edge = torch.zeros((1, 3, 16, 16), dtype=torch.uint8)
    edge[..., 8:] = 255
    out = resize(edge, 33)
    assert out.dtype == torch.float32
    assert out.min() >= 0
    assert out.max() <= 255
    assert ((out % 1) > 0.01).any()


def test_a_list_of_unequal_images_is_resized_like_each_image_alone():
    images = [noise(40, 30, 1), noise(20, 20, 2), noise(40, 30, 3)]
    together = resize(images, 16)
    for image, out in zip(images, together, strict=True):
        assert torch.equal(out, resize(image[None], 16)[0])


def test_an_empty_list_gives_no_images():
    assert tuple(resize([], 8).shape) == (0, 3, 8, 8)


def test_an_unknown_filter_and_a_wrong_shape_are_refused():
    with pytest.raises(InstrumentError, match="unknown resize filter 'lanczos'; expected 'bicubic' or 'bilinear'"):
        resize(noise(4, 4)[None], 2, filter="lanczos")
    with pytest.raises(InstrumentError, match=r"shape \(1, 1, 4, 4\); expected \(n, 3, height, width\)"):
        resize(noise(4, 4)[None, :1], 2)


def test_a_crop_inside_the_image_is_the_image_there():
    image = noise(40, 50)
    assert torch.equal(crop(image, (10, 5, 30, 25)), image[:, 5:25, 10:30])


def test_a_square_crop_grows_the_shorter_side_about_the_same_centre():
    image = noise(60, 60)
    assert torch.equal(crop(image, (20, 10, 30, 40)), image[:, 10:40, 10:40])
    assert tuple(crop(image, (20, 10, 30, 40), square=False).shape) == (3, 30, 10)


def test_the_margin_is_a_share_of_the_longer_side_on_every_side():
    assert tuple(crop(noise(100, 100), (40, 40, 60, 60), margin=0.25).shape) == (3, 30, 30)
    assert tuple(crop(noise(100, 100), (40, 40, 60, 50), margin=0.25, square=False).shape) == (3, 20, 30)


def test_outside_the_image_its_edge_is_repeated():
    image = noise(10, 10)
    out = crop(image, (-4, 2, 6, 12))
    assert tuple(out.shape) == (3, 10, 10)
    assert torch.equal(out[:, :8, 4:], image[:, 2:, :6])
    assert torch.equal(out[:, :8, 0], image[:, 2:, 0])
    assert torch.equal(out[:, 9, 4:], image[:, 9, :6])


@pytest.mark.parametrize("box", [(5, 5, 5, 9), (0, 0, float("nan"), 4), (9, 1, 3, 4)])
def test_an_empty_box_is_refused(box):
    with pytest.raises(InstrumentError, match="expected x0 < x1 and y0 < y1"):
        crop(noise(10, 10), box)


def test_a_box_outside_the_image_is_refused():
    with pytest.raises(InstrumentError, match="lies outside the image of 10 x 12 pixels"):
        crop(noise(12, 10), (11, 1, 14, 4))


@pytest.mark.parametrize("box", [(9.8, 9.8, 30, 30), (-30, -30, 0.2, 0.2), (-5, -5, 40, 40)])
def test_a_box_that_touches_the_image_by_a_corner_is_cropped(box):
    assert crop(noise(10, 10), box).numel() > 0


def test_normalising_moves_the_range_then_applies_mean_and_deviation():
    x = torch.tensor([0.0, 127.5, 255.0]).view(1, 3, 1, 1)
    assert normalise(x, None, None).flatten().tolist() == [0, 0.5, 1]
    assert normalise(x, None, None, low=-1, high=1).flatten().tolist() == [-1, 0, 1]
    assert normalise(x, (0.5, 0.5, 0.5), (0.5, 0.25, 0.1)).flatten().tolist() == pytest.approx([-1, 0, 5])
    assert normalise(x, (127.5,) * 3, (128.0,) * 3, low=0, high=255).flatten().tolist() == pytest.approx(
        [-127.5 / 128, 0, 127.5 / 128]
    )


def test_rounding_to_bytes_is_the_one_of_the_published_generators():
    x = torch.linspace(-1.2, 1.2, 999).view(1, 3, 333, 1)
    assert torch.equal(to_uint8(x), (x * 127.5 + 128).clamp(0, 255).to(torch.uint8))


@pytest.mark.parametrize("span", [(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)])
def test_every_byte_survives_the_way_to_floats_and_back(span):
    low, high = span
    codes = torch.arange(256).repeat(3).view(1, 3, 16, 16)
    assert torch.equal(to_uint8(codes / 255 * (high - low) + low, low=low, high=high), codes.to(torch.uint8))


@pytest.mark.parametrize(
    ("values", "low", "high", "found"),
    [
        ((0.0, 255.0), -1, 1, r"0\.\.255, but states -1\.\.1 \(far outside it\)"),
        ((0.0, 255.0), 0, 1, r"0\.\.255, but states 0\.\.1"),
        ((-1.0, 1.0), 0, 1, r"-1\.\.1, but states 0\.\.1 \(they look centred on zero\)"),
        ((0.0, 1.0), 0, 255, r"0\.\.1, but states 0\.\.255 \(they look like 0\.\.1 or -1\.\.1\)"),
        ((-1.0, 1.0), 0, 255, r"they look like 0\.\.1 or -1\.\.1"),
        ((0.0, 1.0), -1, 1, r"\(no value is negative\)"),
    ],
)
def test_a_wrong_range_is_refused_and_the_range_found_is_named(values, low, high, found):
    x = torch.linspace(*values, 4 * 3 * 64).view(4, 3, 8, 8)
    with pytest.raises(SourceError, match=f"^mygan gave values in .*{found}.*; state the range it really has$"):
        to_uint8(x, low=low, high=high, source="mygan")


@pytest.mark.parametrize(("low", "high", "reach"), [(-1, 1, 6.7), (-1, 1, 1.4), (0, 1, 1.2), (0, 255, 260)])
def test_generators_that_overshoot_their_range_are_clipped(low, high, reach):
    middle = (low + high) / 2
    x = torch.linspace(low if low == 0 else -reach, reach, 3 * 64).view(1, 3, 8, 8)
    out = to_uint8(x, low=low, high=high)
    assert out.max() == 255
    assert out[x < middle].max() <= 128


def test_images_that_are_not_finite_are_found_and_refused():
    x = torch.zeros((3, 3, 2, 2))
    x[1, 0, 0, 0] = float("nan")
    x[2, 2, 1, 1] = float("inf")
    assert finite(x).tolist() == [True, False, False]
    with pytest.raises(SourceError, match=r"2 of 3 images with NaN or infinite values"):
        to_uint8(x)


def test_integers_are_not_taken_for_floats():
    with pytest.raises(SourceError, match=r"gave torch\.uint8 images; expected floats"):
        to_uint8(torch.zeros((1, 3, 2, 2), dtype=torch.uint8))


def test_a_flat_image_and_no_image_pass():
    assert to_uint8(torch.full((2, 3, 2, 2), 0.5)).unique().tolist() == [191]
    assert to_uint8(torch.empty((0, 3, 2, 2))).shape == (0, 3, 2, 2)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")])])
def test_images_come_to_a_device_and_back_as_they_are(device):
    generator = torch.Generator().manual_seed(1)
    rounds = [[torch.randint(0, 256, (3, 5, 7), generator=generator, dtype=torch.uint8) for _ in range(4)] for _ in range(20)]
    there = [to_device(images, device) for images in rounds]  # buffers are used again, and nothing is overwritten on its way
    assert all(t.device.type == device for t in there)
    for images, found in zip(rounds, there, strict=True):
        back = to_host(found)
        assert back.device.type == "cpu"
        assert torch.equal(back, torch.stack(images))


def test_pinned_memory_is_what_a_gpu_is_fed_from(monkeypatch):
    asked = []
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *shape, **more: asked.append(more.pop("pin_memory")) or empty(*shape, **more))
    moved = []
    monkeypatch.setattr(torch.Tensor, "to", lambda self, device, **more: moved.append((str(device), more)) or self)
    images = [torch.full((3, 2, 2), k, dtype=torch.uint8) for k in range(3)]
    assert torch.equal(to_device(images, "cuda:0"), torch.stack(images))
    assert asked == [True]
    assert moved == [("cuda:0", {"non_blocking": True})]
