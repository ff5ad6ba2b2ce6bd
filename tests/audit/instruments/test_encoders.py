"""Encoders open by their manifests: the Inception of FID, a layer of VGG16, transformers, parts of programs."""

import hashlib
import warnings

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from audit.errors import InstrumentError
from audit.instruments.encoders import open_encoder
from audit.instruments.inception import inception_fid
from audit.manifests import Manifest, load_manifest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its imports, on versions newer than it knows
    import torchvision
    from cleanfid import inception_pytorch

JIT = pytest.mark.filterwarnings("ignore:.*torch.jit.*", "ignore:.*TorchScript.*")


def manifest(path, *, output, format="state_dict", **changes):
    file = {"name": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()} if path.exists() else {"name": path.name}
    contract = {"input": {"size": 32, "resize": "clean"}, "output": output}
    return Manifest(**{"name": "toy", "kind": "encoder", "title": "Toy", "licence": "MIT", "format": format, "files": [file],
                       "contract": contract, **changes})  # fmt: skip


def randomised(module, seed=0):
    torch.manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if name.endswith("running_var"):
            tensor.copy_(torch.rand_like(tensor) + 0.5)
        elif tensor.is_floating_point():
            tensor.copy_(torch.randn_like(tensor) * (0.1 if tensor.ndim == 1 else (2 / tensor[0].numel()) ** 0.5))
    return module.eval()


def clean_fid_inception():
    """clean-fid's copy of pytorch-fid's network, built without its download."""
    net = torchvision.models.inception_v3(weights=None, num_classes=1008, aux_logits=False, init_weights=False)
    for letter, channels in (("b", (192, 32)), ("c", (256, 64)), ("d", (288, 64))):
        setattr(net, f"Mixed_5{letter}", inception_pytorch.FIDInceptionA(channels[0], pool_features=channels[1]))
    for letter, width in (("b", 128), ("c", 160), ("d", 160), ("e", 192)):
        setattr(net, f"Mixed_6{letter}", inception_pytorch.FIDInceptionC(768, channels_7x7=width))
    net.Mixed_7b, net.Mixed_7c = inception_pytorch.FIDInceptionE_1(1280), inception_pytorch.FIDInceptionE_2(2048)
    net.fc = nn.Identity()
    return net


def test_the_inception_of_fid_is_clean_fid_s_copy_of_pytorch_fid_s():
    ours = randomised(inception_fid())
    theirs = clean_fid_inception().eval()
    theirs.load_state_dict({k: v for k, v in ours.state_dict().items() if not k.startswith("fc.")})
    x = torch.rand(2, 3, 107, 107, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.inference_mode():
        expected, got = theirs(x), ours(x)
    assert got.shape == (2, 2048)
    assert expected.std() > 1e-3
    assert float((got - expected).norm() / expected.norm()) < 1e-5


def test_the_published_state_dict_s_layout_opens_by_its_manifest(tmp_path):
    path = tmp_path / "pt_inception-2015-12-05-6726825d.pth"
    net = randomised(inception_fid())
    torch.save({k: v for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}, path)
    shipped = load_manifest("inception_pytorch_fid")
    ours = manifest(path, output=shipped.contract.output.model_dump(), architecture=shipped.architecture)
    x = torch.rand(1, 3, 107, 107)
    with torch.inference_mode():
        assert torch.equal(open_encoder(ours, path=path).forward(x), net(x))


def test_a_state_dict_of_another_network_is_told_with_its_keys(tmp_path):
    path = tmp_path / "wrong.pth"
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), path)
    with pytest.raises(InstrumentError, match=r"wrong\.pth does not fit the Inception-v3 of FID: missing \['Conv2d_1a_3x3\.bn\.bias'.*unexpected"):
        open_encoder(manifest(path, output={"features": 2048}, architecture="inception_fid"), path=path)
    with pytest.raises(InstrumentError, match=r"is no vision transformer in a known layout .*missing \['cls_token'"):
        open_encoder(manifest(path, output={"features": 2048}, architecture="vision_transformer"), path=path)


def test_a_file_that_is_no_state_dict_is_told(tmp_path):
    path = tmp_path / "page.pth"
    path.write_bytes(b"\x80\x04garbage")
    with pytest.raises(InstrumentError, match=r"page\.pth of manifest 'toy' cannot be read as state_dict"):
        open_encoder(manifest(path, output={"features": 2048}, architecture="inception_fid"), path=path)
    torch.save([1, 2], path)
    with pytest.raises(InstrumentError, match="holds no named tensors; expected a state dict"):
        open_encoder(manifest(path, output={"features": 2048}, architecture="inception_fid"), path=path)


def test_a_layer_is_taken_by_its_name_and_fc2_of_vgg16_has_4096_features():
    shipped = load_manifest("vgg16_torchvision")
    assert shipped.architecture == "torchvision.vgg16"
    assert (shipped.contract.output.layer, shipped.contract.output.features) == ("classifier.4", 4096)
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 2)).eval()
    toy = Manifest(name="toy", kind="encoder", title="T", licence="MIT", contract={"input": {"size": 2}, "output": {"features": 6, "layer": "2"}})
    x = torch.randn(4, 3, 2, 2)
    with torch.inference_mode():
        assert torch.equal(open_encoder(toy, module=net).forward(x), net[:3](x))
    lost = toy.model_copy(update={"contract": toy.contract.model_copy(update={"output": toy.contract.output.model_copy(update={"layer": "9"})})})
    with pytest.raises(InstrumentError, match="takes features from the layer '9', which its network does not have"):
        open_encoder(lost, module=net)


@pytest.mark.slow
def test_fc2_of_torchvision_s_vgg16_is_behind_its_second_activation(tmp_path):
    net = torchvision.models.vgg16(weights=None).eval()
    path = tmp_path / "vgg16-397923af.pth"
    torch.save(net.state_dict(), path)
    shipped = load_manifest("vgg16_torchvision")
    ours = shipped.model_copy(update={"files": (shipped.files[0].model_copy(update={"sha256_prefix": None, "bytes": None}),)})
    x = torch.rand(2, 3, 224, 224)
    with torch.inference_mode():
        expected = net.classifier[:5](net.avgpool(net.features(x)).flatten(1))
        assert torch.allclose(open_encoder(ours, path=path).forward(x), expected)


class Program(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(12, 5))

    def forward(self, x: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        return self.layers(x * 2) if return_features else x.flatten(1)[:, :1]


@JIT
def test_a_program_is_entered_where_the_manifest_says(tmp_path):
    path, program = tmp_path / "program.pt", Program().eval()
    torch.jit.save(torch.jit.script(program), str(path))
    x = torch.randn(2, 3, 2, 2)
    with torch.inference_mode():
        whole = open_encoder(manifest(path, format="torchscript", output={"features": 5, "arguments": {"return_features": True}}), path=path)
        inner = open_encoder(manifest(path, format="torchscript", output={"features": 5, "entry": "layers"}), path=path)
        assert torch.equal(whole.forward(x), program.layers(x * 2))
        assert torch.equal(inner.forward(x), program.layers(x))
    with pytest.raises(InstrumentError, match="enters at 'tail', which its network does not have"):
        open_encoder(manifest(path, format="torchscript", output={"features": 5, "entry": "tail"}), path=path)
    unvouched = manifest(path, format="torchscript", output={"features": 5, "entry": "layers"})
    unvouched = unvouched.model_copy(update={"files": (unvouched.files[0].model_copy(update={"sha256": None}),)})
    with pytest.raises(InstrumentError, match="is a program"):
        open_encoder(unvouched, path=path)


def test_a_transformer_opens_from_safetensors_with_its_parameters(tmp_path):
    width = 8
    shapes = {"cls_token": (1, 1, width), "pos_embed": (1, 5, width), "patch_embed.proj.weight": (width, 3, 2, 2), "norm.weight": (width,),
              "norm.bias": (width,), "blocks.0.norm1.weight": (width,), "blocks.0.norm1.bias": (width,), "blocks.0.norm2.weight": (width,),
              "blocks.0.norm2.bias": (width,), "blocks.0.attn.qkv.weight": (24, width), "blocks.0.attn.qkv.bias": (24,),
              "blocks.0.attn.proj.weight": (width, width), "blocks.0.attn.proj.bias": (width,), "blocks.0.mlp.fc1.weight": (16, width),
              "blocks.0.mlp.fc1.bias": (16,), "blocks.0.mlp.fc2.weight": (width, 16), "blocks.0.mlp.fc2.bias": (width,)}  # fmt: skip
    path = tmp_path / "model.safetensors"
    save_file({name: torch.randn(shape) for name, shape in shapes.items()}, path)
    made = manifest(path, format="safetensors", architecture="vision_transformer", parameters={"heads": 2}, output={"features": width})
    with torch.inference_mode():
        assert open_encoder(made, path=path).forward(torch.randn(3, 3, 4, 4)).shape == (3, width)
    with pytest.raises(InstrumentError, match=r"has parameters \['head'\]; a transformer knows heads, activation, eps, positions"):
        open_encoder(made.model_copy(update={"parameters": {"head": 2}}), path=path)
