"""Networks by name are filled strictly, and FairFace's and CelebA's columns are read as their publishers order them."""

import hashlib

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import resnet34

from audit.errors import InstrumentError
from audit.instruments.architectures import build, fit, read_probe, read_tensors
from audit.instruments.attribute_classifier import AttributeClassifier
from audit.manifests import DataFile, Manifest, load_manifest
from audit.sources.base import Batch

CELEBA = {"gender": 20, "smile": 31, "celeba_young": 39}


def batch(n, side=224):
    rng = np.random.default_rng(0)
    images = [torch.from_numpy(rng.integers(0, 256, (3, side, side), dtype=np.uint8)) for _ in range(n)]
    return Batch(np.arange(n), np.arange(n, dtype=np.uint64), images, ["ok"] * n)


def described(path, **changes):
    file = {"name": path.name, "path": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    return Manifest(**{"name": "net", "kind": "classifier", "title": "A net", "licence": "MIT", "files": [file], **changes})


def test_fairface_is_torchvisions_resnet34_and_its_columns_are_read_in_its_own_order(tmp_path):
    torch.manual_seed(0)
    truth = resnet34(num_classes=18).eval()
    path = tmp_path / "res34.pt"
    torch.save(truth.state_dict(), path)
    shipped = load_manifest("fairface_res34_7")
    manifest = shipped.model_copy(update={"files": (DataFile(name=path.name),)})
    seen = batch(3)
    read = AttributeClassifier("c", manifest, path=path).read(seen)
    pixels = torch.stack(seen.images).float() / 255
    pixels = (pixels - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    with torch.inference_mode():
        said = truth(pixels)
    gender, age, race = said[:, 7:9].softmax(1).numpy(), said[:, 9:].softmax(1).numpy(), said[:, :7].softmax(1).numpy()
    assert np.allclose(read["c:gender:masculine"], gender[:, 0], atol=1e-4)
    assert np.allclose(read["c:gender:feminine"], gender[:, 1], atol=1e-4)
    assert np.allclose(read["c:age:young"], age[:, :5].sum(axis=1), atol=1e-4)
    assert np.allclose(read["c:age:middle"], age[:, 5:7].sum(axis=1), atol=1e-4)
    assert np.allclose(read["c:age:old"], age[:, 7:].sum(axis=1), atol=1e-4)
    order = ("white", "black", "latino_hispanic", "east_asian", "southeast_asian", "indian", "middle_eastern")
    for at, name in enumerate(order):
        assert np.allclose(read[f"c:race:{name}"], race[:, at], atol=1e-4)
    four = load_manifest("fairface_res34_4").contract.output.heads
    assert [(h.attribute, list(h.classes)) for h in four] == [("race", ["white", "black", "asian", "indian"])]


@pytest.mark.parametrize("attribute", sorted(CELEBA))
def test_celeba_columns_are_independent_questions_in_celebas_order(attribute):
    class Forty(nn.Module):
        def forward(self, x):
            out = torch.full((len(x), 40), -9.0)
            out[:, CELEBA[attribute]] = 2.0
            return out

    read = AttributeClassifier("c", load_manifest("farl_celeba"), module=Forty()).read(batch(2, side=32))
    present = {"gender": "masculine", "smile": "smiling", "celeba_young": "young"}
    for name, yes in present.items():
        expected = 1 / (1 + np.exp(-(2.0 if name == attribute else -9.0)))
        assert read[f"c:{name}:{yes}"] == pytest.approx([expected] * 2, abs=1e-5)


def small():
    return nn.Sequential(nn.Linear(2, 3))


def test_what_training_scripts_wrap_around_tensors_is_taken_off(tmp_path):
    truth = small().state_dict()
    for at, wrapped in enumerate([truth, {"state_dict": truth}, {"model": truth}, {"module." + k: v for k, v in truth.items()}]):
        torch.save(wrapped, tmp_path / f"{at}.pt")
        assert set(read_tensors(tmp_path / f"{at}.pt", "state_dict")) == set(truth)


def test_keys_and_shapes_that_do_not_fit_are_named():
    with pytest.raises(InstrumentError, match=r"it: missing \['0\.bias'\], unexpected \['1\.bias'\]"):
        fit(small(), {"0.weight": torch.zeros(3, 2), "1.bias": torch.zeros(3)}, "it")
    with pytest.raises(InstrumentError, match=r"it: 1 tensors of another shape, 0\.weight \(4, 2\) instead of \(3, 2\)"):
        fit(small(), {"0.weight": torch.zeros(4, 2), "0.bias": torch.zeros(3)}, "it")


@pytest.mark.parametrize(
    ("content", "kind", "sentence"),
    [
        (b"<!DOCTYPE html><html>quota exceeded</html>", "state_dict", "an HTML page"),
        (b"<html>", "safetensors", "an HTML page"),
        (b"\x00\x01", "state_dict", "cannot be read as state_dict"),
        (None, "state_dict", "holds no state dict; expected names with tensors, found list"),
    ],
)
def test_files_that_hold_no_tensors_are_told_in_a_sentence(tmp_path, content, kind, sentence):
    path = tmp_path / "net.pt"
    torch.save([1, 2], path) if content is None else path.write_bytes(content)
    with pytest.raises(InstrumentError, match=sentence):
        read_tensors(path, kind)


@pytest.mark.parametrize(
    ("architecture", "parameters", "sentence"),
    [
        ("timm.vit_tiny", {}, "and timm is not installed; pip install timm|cannot be built"),
        ("torchvision.resnet18", {"classes": 3}, "torchvision.resnet18 cannot be built with {'classes': 3}"),
        ("probably.evil", {}, "expected one of torchvision"),
    ],
)
def test_an_architecture_that_cannot_be_built_is_told_in_a_sentence(tmp_path, architecture, parameters, sentence):
    path = tmp_path / "net.pt"
    torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(InstrumentError, match=sentence):
        build(path, "state_dict", described(path, architecture=architecture, parameters=parameters))


def test_a_file_that_is_no_probe_is_refused(tmp_path):
    path = tmp_path / "probe.safetensors"
    save_file({"weight": torch.zeros(2, 3), "bias": torch.zeros(2), "mean": torch.zeros(3), "std": torch.zeros(4)}, path)
    with pytest.raises(InstrumentError, match=r"is no probe; expected bias, mean, std and weight, found bias \(2,\)"):
        read_probe(path, described(path))
