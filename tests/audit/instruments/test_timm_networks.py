"""Networks of timm, named by a manifest and filled from a state dict, answer as timm's own do."""

import hashlib

import pytest
import torch
from safetensors.torch import save_file

from audit.errors import InstrumentError
from audit.instruments.architectures import build
from audit.manifests import Manifest

timm = pytest.importorskip("timm", reason="timm is not installed; it is the other side of the comparison")

NETWORKS = {
    "resnet10t": ({"num_classes": 3}, 64),
    "mobilenetv3_small_050": ({"num_classes": 3}, 64),
    "convnext_atto": ({"num_classes": 2}, 64),
    "vit_tiny_patch16_224": ({"num_classes": 3, "img_size": 64, "depth": 2}, 64),
}


def described(path, name, kind, parameters):
    file = {"name": path.name, "path": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    return Manifest(name="net", kind="classifier", title="A net", licence="MIT", files=[file], format=kind, architecture=f"timm.{name}",
                    parameters=parameters)  # fmt: skip


@pytest.mark.parametrize("kind", ["safetensors", "state_dict"])
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_a_timm_network_is_filled_strictly_and_answers_as_timms_own(tmp_path, name, kind):
    parameters, side = NETWORKS[name]
    torch.manual_seed(0)
    truth = timm.create_model(name, pretrained=False, **parameters).eval()
    for key, tensor in truth.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor) + 0.5 if "running_var" in key else tensor + 0.05 * torch.randn_like(tensor))
    path = tmp_path / "net.bin"
    save_file(truth.state_dict(), path) if kind == "safetensors" else torch.save({"state_dict": truth.state_dict()}, path)
    network = build(path, kind, described(path, name, kind, parameters)).eval()
    pixels = torch.randn(2, 3, side, side)
    with torch.inference_mode():
        expected, said = truth(pixels), network(pixels)
    assert expected.std() > 1e-3
    assert torch.equal(said, expected)


def test_a_timm_file_of_another_network_is_told_by_key(tmp_path):
    path = tmp_path / "net.bin"
    torch.save(timm.create_model("resnet10t", pretrained=False, num_classes=2).state_dict(), path)
    with pytest.raises(InstrumentError, match=r"net.bin does not fit timm.mobilenetv3_small_050: missing \["):
        build(path, "state_dict", described(path, "mobilenetv3_small_050", "state_dict", {"num_classes": 2}))
    with pytest.raises(InstrumentError, match=r"timm\.resnet_of_nobody cannot be built"):
        build(path, "state_dict", described(path, "resnet_of_nobody", "state_dict", {}))
