"""Training images by number: portraits painted anew, folders decoded once, and sets that are too small."""

import numpy as np
import pytest
import torch
from PIL import Image

from audit.errors import SourceError
from mitigations.self_conditioning.images import FolderImages, PortraitImages
from mitigations.training.data import PortraitStream


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for i in range(102):
        Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(path / f"{i:03d}.png")
    (path / "050.png").write_bytes(b"not a picture")
    return path


def test_portraits_are_those_of_the_training_stream_in_any_order():
    images = PortraitImages("celeb_like", 3, 200, 16)
    stream = PortraitStream("celeb_like", 3, 16).batch(0, 200)[0]
    assert torch.equal(images.take(np.array([7, 199, 7])), stream[[7, 199, 7]])
    assert images.count == 200


def test_a_folder_is_read_once_resized_and_unreadable_files_are_left_out(folder, tmp_path):
    cache = tmp_path / "images.npy"
    images = FolderImages(folder, None, 16, cache)
    assert images.count == 101
    assert images.take(np.array([100, 0])).shape == (2, 3, 16, 16)
    written = cache.stat().st_mtime_ns
    again = FolderImages(folder, None, 16, cache)
    assert cache.stat().st_mtime_ns == written
    assert torch.equal(again.take(np.array([50])), images.take(np.array([50])))
    assert [p.name for p in tmp_path.iterdir()] == ["images.npy"]


def test_the_digest_follows_what_is_read(folder, tmp_path):
    whole, part = (FolderImages(folder, n, 16, tmp_path / f"{n}.npy") for n in (None, 101))
    assert whole.digest != part.digest
    assert PortraitImages("celeb_like", 3, 200, 16).digest != PortraitImages("celeb_like", 4, 200, 16).digest


def test_fewer_images_than_asked_for_or_than_needed_are_a_sentence(folder, tmp_path):
    with pytest.raises(SourceError, match="holds 102 images, fewer than the 103 asked for"):
        FolderImages(folder, 103, 16, tmp_path / "a.npy")
    with pytest.raises(SourceError, match="99 training images can be used; self-conditioning needs at least 100"):
        FolderImages(folder, 99, 16, tmp_path / "b.npy")
    with pytest.raises(SourceError, match="99 training images can be used"):
        FolderImages(folder, 100, 16, tmp_path / "c.npy")  # one of the hundred cannot be read
    with pytest.raises(SourceError, match="50 training images"):
        PortraitImages("balanced", 1, 50, 16)
