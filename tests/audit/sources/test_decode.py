"""Image files of every kind become sRGB pixels; files that are none become a reason. All pictures here are drawn."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from audit.sources.decode import LARGE, MEGAPIXELS, NOTES, STAND_IN, decode

COLOUR = (200, 100, 50)


def encoded(picture, kind, **options):
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def gradient(width=40, height=30):
    across, down = np.meshgrid(np.arange(width), np.arange(height))
    return Image.fromarray(np.stack([across * 5, down * 7, across + down], axis=-1).astype(np.uint8))


def png(width, height, data=b""):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "TGA"])
def test_lossless_formats_give_back_every_pixel(kind):
    got = decode(encoded(gradient(), kind))
    assert got.status == "ok"
    assert got.image.dtype == torch.uint8
    assert np.array_equal(got.image.permute(1, 2, 0).numpy(), np.asarray(gradient()))
    assert got.notes == ()


@pytest.mark.parametrize(("kind", "off"), [("JPEG", 12), ("WEBP", 12), ("AVIF", 12), ("JPEG2000", 2)])
def test_lossy_formats_are_read_and_noted(kind, off):
    got = decode(encoded(Image.new("RGB", (40, 30), COLOUR), kind))
    assert got.status == "ok"
    assert got.notes == ("lossy",)
    assert (got.image.float().mean(dim=(1, 2)) - torch.tensor(COLOUR)).abs().max() < off


@pytest.mark.parametrize("mode", ["P", "PA", "RGBA", "CMYK", "YCbCr", "LAB"])
def test_colour_modes_arrive_as_srgb(mode):
    picture = Image.new("RGB", (20, 20), COLOUR)
    if mode == "LAB":
        picture = ImageCms.profileToProfile(picture, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB")
    else:
        picture = picture.quantize(4) if mode == "P" else picture.convert(mode if mode != "PA" else "P")
    got = decode(encoded(picture, "TIFF" if mode != "PA" else "PNG"))
    assert got.status == "ok"
    assert (got.image.float().mean(dim=(1, 2)) - torch.tensor(COLOUR)).abs().max() < 5


def test_a_cmyk_jpeg_is_not_inverted():
    got = decode(encoded(Image.new("RGB", (32, 32), COLOUR).convert("CMYK"), "JPEG", quality=95))
    assert (got.image.float().mean(dim=(1, 2)) - torch.tensor(COLOUR)).abs().max() < 6


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_rounded_and_not_cut_off(kind):
    values = np.linspace(0, 65535, 30 * 40).reshape(30, 40).astype(np.uint16)
    got = decode(encoded(Image.fromarray(values), kind))
    assert got.notes == ("16 bit", "grey")
    assert np.array_equal(got.image[0].numpy(), np.floor(values / 257 + 0.5).astype(np.uint8))


def test_sixteen_bits_a_channel_are_noted():
    body = b"".join(b"\0" + struct.pack(">HHH", 50000, 25000, 12500) * 16 for _ in range(16))
    data = png(16, 16, body)
    data = data[:24] + b"\x10" + data[25:29] + struct.pack(">I", zlib.crc32(data[12:24] + b"\x10" + data[25:29])) + data[33:]
    got = decode(data)
    assert got.status == "ok"
    assert got.notes == ("16 bit",)
    assert got.image[:, 3, 3].tolist() == [50000 >> 8, 25000 >> 8, 12500 >> 8]


def test_floating_point_pictures_of_a_known_range_are_read_and_others_are_not():
    assert decode(encoded(Image.fromarray(np.full((20, 20), 0.5, np.float32)), "TIFF")).image.unique().tolist() == [128]
    assert decode(encoded(Image.fromarray(np.full((20, 20), 90.0, np.float32)), "TIFF")).image.unique().tolist() == [90]
    assert "values in -3..-3" in decode(encoded(Image.fromarray(np.full((20, 20), -3.0, np.float32)), "TIFF")).status


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_on_white_and_noted(mode):
    picture = Image.new("RGBA", (20, 20), (0, 0, 0, 255)).convert(mode)
    picture.putalpha(Image.new("L", (20, 20), 64))
    got = decode(encoded(picture, "PNG"))
    assert "alpha" in got.notes
    assert got.image.unique().tolist() == [191]


def test_an_opaque_alpha_channel_is_no_transparency():
    got = decode(encoded(Image.new("RGBA", (20, 20), (*COLOUR, 255)), "PNG"))
    assert got.notes == ()
    assert got.image[:, 0, 0].tolist() == list(COLOUR)


def test_a_transparent_palette_entry_is_transparency():
    picture = Image.new("P", (20, 20), 1)
    picture.putpalette([0, 0, 0, *COLOUR])
    got = decode(encoded(picture, "PNG", transparency=1))
    assert got.notes == ("alpha",)
    assert got.image.unique().tolist() == [255]


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_of_an_animation_the_first_frame_is_taken_and_noted(kind):
    frames = [Image.new("RGB", (20, 20), c) for c in (COLOUR, (0, 0, 255))]
    got = decode(encoded(frames[0], kind, save_all=True, append_images=frames[1:], **({"lossless": True} if kind == "WEBP" else {})))
    assert "animated" in got.notes
    assert got.image[:, 5, 5].tolist() == list(COLOUR)


@pytest.mark.parametrize("turn", range(1, 9))
def test_the_orientation_tag_is_applied(turn):
    upright = gradient()
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # which PIL transpose makes the stored picture from the upright one
    stored = upright if turn == 1 else upright.transpose(Image.Transpose(undo[turn]))
    exif = Image.Exif()
    exif[0x0112] = turn
    got = decode(encoded(stored, "PNG", exif=exif))
    assert np.array_equal(got.image.permute(1, 2, 0).numpy(), np.asarray(upright))


def test_broken_exif_data_do_not_lose_the_image():
    got = decode(encoded(gradient(), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff garbage"))
    assert got.status == "ok"


def test_a_colour_profile_is_applied():
    # A profile whose red and green are exchanged: what was stored as red must come out green.
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    red, green = srgb.index(b"rXYZ"), srgb.index(b"gXYZ")
    swapped = bytearray(srgb)
    swapped[red : red + 4], swapped[green : green + 4] = b"gXYZ", b"rXYZ"
    swapped = bytes(swapped).replace("sRGB".encode("utf-16-be"), "odd!".encode("utf-16-be"))
    got = decode(encoded(Image.new("RGB", (20, 20), (255, 0, 0)), "PNG", icc_profile=swapped))
    assert got.status == "ok"
    assert got.image[:, 3, 3].tolist() == pytest.approx([0, 255, 0], abs=8)


def test_an_srgb_profile_changes_nothing_and_a_broken_one_is_noted():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    same = decode(encoded(gradient(), "PNG", icc_profile=srgb))
    assert np.array_equal(same.image.permute(1, 2, 0).numpy(), np.asarray(gradient()))
    broken = decode(encoded(gradient(), "PNG", icc_profile=b"nonsense"))
    assert broken.status == "ok"
    assert broken.notes == ("profile",)


def test_a_picture_of_one_pixel_is_readable_and_noted():
    got = decode(encoded(Image.new("RGB", (1, 1), COLOUR), "PNG"))
    assert got.status == "ok"
    assert got.notes == ("small",)
    assert got.image.flatten().tolist() == list(COLOUR)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_large_picture_is_reduced_by_a_whole_number(kind):
    got = decode(encoded(Image.new("RGB", (LARGE + 404, 60), COLOUR), kind))
    assert got.status == "ok"
    assert "reduced" in got.notes
    assert tuple(got.image.shape) == (3, 30, (LARGE + 404) // 2)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", "unreadable: empty file"),
        (b"I am a letter, not a picture.\n", "unreadable: text, not an image"),
        (bytes(300), "unreadable: not an image"),
        (encoded(gradient(), "JPEG")[:400], "unreadable: truncated JPEG"),
        (encoded(gradient(), "PNG")[:-60], "unreadable: truncated PNG"),
        (encoded(gradient(), "WEBP")[:-40], "unreadable: truncated WEBP"),
        (encoded(gradient(), "TIFF")[:500], "unreadable: truncated TIFF"),
        (encoded(gradient(), "JPEG")[:20], "unreadable: truncated or corrupt JPEG"),
        (png(20_000, 20_000), f"unreadable: 400 megapixels, more than the limit of {MEGAPIXELS}"),
        (png(11_000, 10_000), f"unreadable: 11000 x 10000 pixels, more than the limit of {MEGAPIXELS} megapixels"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_what_cannot_be_read_says_why(data, status):
    got = decode(data)
    assert got.status == status
    assert tuple(got.image.shape) == (3, STAND_IN, STAND_IN)
    assert not got.image.any()
    assert got.notes == ()


def test_a_flipped_byte_in_a_png_is_noticed():
    # Without compression a flipped byte is a changed colour, and only the checksum tells.
    data = bytearray(encoded(gradient(), "PNG", compress_level=0))
    assert decode(bytes(data)).status == "ok"
    data[len(data) // 2] ^= 1
    assert decode(bytes(data)).status.startswith("unreadable: corrupt PNG")


def test_a_file_that_would_be_handed_to_another_program_is_not_opened():
    stream = io.BytesIO()
    gradient().save(stream, "EPS")
    assert decode(stream.getvalue()).status == "unreadable: text, not an image"


def test_damage_anywhere_never_raises():
    rng = np.random.default_rng(5)
    for kind in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"):
        data = np.frombuffer(encoded(gradient(), kind), dtype=np.uint8)
        for _ in range(12):
            hurt = data.copy()
            hurt[rng.integers(0, len(hurt), 8)] = rng.integers(0, 256, 8)
            got = decode(hurt[: rng.integers(1, len(hurt) + 1)].tobytes())
            assert got.status == "ok" or got.status.startswith("unreadable: ")


def test_every_note_has_its_sentence():
    assert set(NOTES) == {"lossy", "alpha", "animated", "reduced", "small", "profile", "grey", "16 bit"}
