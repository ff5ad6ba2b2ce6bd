"""Pixels, features and FID equal clean-fid's own, with a stand-in for the network that has the published one's interface."""

import hashlib
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from audit.instruments.embedder import Embedder
from audit.instruments.encoder_input import EncoderInput, resize_agrees
from audit.manifests import DataFile, ImageInput, load_manifest
from audit.metrics import frechet_distance
from audit.portraits import draw, population
from audit.sources.base import Batch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its imports, on versions newer than it knows
    from cleanfid.inception_torchscript import InceptionV3W
    from cleanfid.resize import build_resizer
    from torchvision.models import inception_v3

JIT = pytest.mark.filterwarnings("ignore:.*torch.jit.*", "ignore:.*TorchScript.*")


class StandIn(nn.Module):
    """The interface of NVIDIA's program: resizes inside when called, and ``layers`` behind that step."""

    def __init__(self, layers: nn.Module):
        super().__init__()
        self.layers = layers

    def forward(self, img: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        x = nn.functional.interpolate(img, size=(299, 299), mode="bilinear", align_corners=False)
        x = self.layers((x - 128) / 128)
        return x if return_features else x[:, :8]


def images(sizes, seed=0):
    rng = np.random.default_rng(seed)
    out = []
    for height, width in sizes:
        coarse = torch.from_numpy(rng.random((1, 3, 9, 9), dtype=np.float32))
        smooth = nn.functional.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=False)[0]
        out.append(((smooth + torch.from_numpy(rng.normal(0, 0.05, (3, height, width))).float()).clamp(0, 1) * 255).to(torch.uint8))
    return out


def theirs(resizer, pictures):
    return torch.from_numpy(np.stack([resizer(p.permute(1, 2, 0).numpy()).transpose(2, 0, 1) for p in pictures])).float()


def batch(pictures):
    ids = np.arange(len(pictures))
    return Batch(ids, ids.astype(np.uint64), pictures, ["ok"] * len(pictures))


def saved(folder, layers, name="inception_2015_12_05"):
    """Write the stand-in as a TorchScript file; return our embedder and clean-fid's own wrapper around the same file."""
    path = folder / "inception-2015-12-05.pt"
    torch.jit.save(torch.jit.script(StandIn(layers).eval()), str(path))
    manifest = load_manifest(name)
    vouched = DataFile(name=path.name, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    ours = Embedder("encoder", manifest.model_copy(update={"files": (vouched,)}), path=path)
    base = InceptionV3W.__new__(InceptionV3W)
    nn.Module.__init__(base)
    base.base, base.resize_inside = torch.jit.load(str(path)).eval(), name.endswith("tensorflow")
    base.layers = base.base.layers
    return ours, base


@pytest.fixture
def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 24, 7, 4), nn.ReLU(), nn.Conv2d(24, 512, 5, 8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()).eval()


SIZES = [(32, 32), (64, 64), (100, 131), (256, 256), (299, 299), (300, 512), (1024, 1024)]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_pixels_are_clean_fid_s_within_a_ten_thousandth(size):
    pictures = images([size], seed=size[0])
    contract = ImageInput(size=299, range=(0, 255), resize="clean")
    ((_, ours),) = EncoderInput(contract).portions(pictures)
    expected = theirs(build_resizer("clean"), pictures)
    assert resize_agrees(size, 299)
    assert float((ours - expected).abs().max()) <= 1e-4 * 255
    assert float((ours - expected).norm() / expected.norm()) <= 1e-5


@pytest.mark.filterwarnings("ignore")
def test_the_legacy_pytorch_resize_is_clean_fid_s_of_that_name():
    pictures = images([(100, 131), (640, 480)])
    contract = ImageInput(size=299, range=(0, 255), resize="legacy_pytorch")
    ((_, ours),) = EncoderInput(contract).portions(pictures)
    assert torch.allclose(ours, theirs(build_resizer("legacy_pytorch"), pictures), atol=1e-3)


@JIT
def test_features_are_clean_fid_s_within_a_ten_thousandth(tmp_path, small):
    ours, their_network = saved(tmp_path, small)
    pictures = images(SIZES, seed=5)
    got = torch.from_numpy(ours.read(batch(pictures))["encoder"])
    with torch.inference_mode():
        expected = their_network(theirs(build_resizer("clean"), pictures))
    assert float(((got - expected).norm(dim=1) / expected.norm(dim=1)).max()) <= 1e-4
    assert not any("Pillow" in c for c in ours.caveats if "pixels were resized" in c)


@JIT
def test_the_legacy_tensorflow_mode_lets_the_network_resize(tmp_path, small):
    ours, their_network = saved(tmp_path, small, "inception_2015_12_05_legacy_tensorflow")
    pictures = images([(64, 64), (100, 80), (64, 64)])
    got = torch.from_numpy(ours.read(batch(pictures))["encoder"])
    with torch.inference_mode():
        expected = torch.cat([their_network(p[None].float()) for p in pictures])
    assert torch.allclose(got, expected, atol=1e-5)


@JIT
@pytest.mark.slow
def test_features_of_a_whole_inception_are_equal_too(tmp_path):
    torch.manual_seed(1)
    network = inception_v3(weights=None, aux_logits=False, init_weights=False, transform_input=False)
    network.fc, network.dropout = nn.Identity(), nn.Identity()
    ours, their_network = saved(tmp_path, torch.jit.trace(network.eval(), torch.zeros(1, 3, 299, 299)))
    pictures = images(SIZES, seed=8)
    got = torch.from_numpy(ours.read(batch(pictures))["encoder"])
    with torch.inference_mode():
        expected = their_network(theirs(build_resizer("clean"), pictures))
    assert float(((got - expected).norm(dim=1) / expected.norm(dim=1)).max()) <= 1e-4


@JIT
@pytest.mark.slow
def test_the_distance_of_a_thousand_images_is_clean_fid_s_within_a_thousandth(tmp_path, small):
    ours, their_network = saved(tmp_path, small)
    resizer, sets = build_resizer("clean"), []
    for name, seed in (("balanced", 0), ("celeb_like", 1)):
        people = population(name).sample(1000, rng=np.random.default_rng(seed))
        pictures = list(torch.as_tensor(draw(people, np.arange(1000, dtype=np.uint64) + 1000 * seed)))
        mine = ours.read(batch(pictures))["encoder"]
        with torch.inference_mode():
            other = torch.cat([their_network(theirs(resizer, pictures[i : i + 50])) for i in range(0, 1000, 50)]).numpy()
        assert np.max(np.linalg.norm(mine - other, axis=1) / np.linalg.norm(other, axis=1)) <= 1e-4
        sets.append((mine, other))
    (one, one_theirs), (two, two_theirs) = sets
    distance = frechet_distance(one_theirs, two_theirs)
    print(f"clean-fid's features give {distance:.8g}, ours {frechet_distance(one, two):.8g}")  # noqa: T201 (a figure for whoever runs it)
    assert frechet_distance(one, two) == pytest.approx(distance, rel=1e-3)
