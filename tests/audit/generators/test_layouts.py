"""Public layouts are told from their content, convert to safetensors, and draw the same images on every way in."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from audit.convert import convert_weights
from audit.errors import ManifestError
from audit.generators import KINDS, load
from audit.generators.dcgan import DCGAN
from audit.generators.layouts import kind_in
from audit.generators.progan import ProGAN
from audit.generators.vae import VAEDecoder
from audit.generators.weights import save_weights
from audit.manifests import load_manifest
from audit.sources import open_source
from audit.spec import SourceSpec

NETWORKS = {
    "dcgan": {"shapes": [[6, 8, 4, 4], [8, 3, 4, 4]], "biases": [1], "bgr": True, "tanh": False},
    "progan": {"z_dim": 5, "widths": [6, 4], "transposed": True, "alpha": 0.25, "slope": 0.1, "norm": "root", "tanh": True, "bgr": True},
    "vae": {"z_dim": 5, "widths": [6, 4], "side": 3},
}


def seeded(make, seed=0):
    torch.manual_seed(seed)
    model = make()
    for name, value in model.state_dict().items():
        if "running_var" in name:
            value.uniform_(0.5, 1.5)
        elif value.is_floating_point():
            value.normal_(0, 0.3)
    return model.eval()


def zoo_progan():
    torch.manual_seed(0)
    state = {}
    for owner, shape in (("formatLayer", (16 * 6, 5)), ("groupScale0.0", (6, 6, 3, 3)), ("scaleLayers.0.0", (4, 6, 3, 3)),
                         ("scaleLayers.0.1", (4, 4, 3, 3)), ("toRGBLayers.0", (3, 6, 1, 1)), ("toRGBLayers.1", (3, 4, 1, 1))):  # fmt: skip
        state |= {f"{owner}.module.weight": torch.randn(shape), f"{owner}.module.bias": torch.randn(shape[0])}
    return {"avgG": state, "netG": {}, "config": {"alpha": 0.5, "lossCriterion": "WGANGP"}}


def mmgeneration_dcgan():
    state = seeded(lambda: DCGAN([(6, 8, 4, 4), (8, 4, 4, 4), (4, 3, 4, 4)], biases=(2,))).state_dict()
    names = {"main.0": "noise2feat.conv", "main.1": "noise2feat.bn", "main.3": "upsampling.0.conv", "main.4": "upsampling.0.bn",
             "main.6": "output_layer.conv"}  # fmt: skip
    return {"state_dict": {f"generator.{names[k.rpartition('.')[0]]}.{k.rpartition('.')[2]}": v for k, v in state.items()}}


LAYOUTS = {
    "tutorial": ("dcgan", lambda: seeded(lambda: DCGAN([(6, 8, 4, 4), (8, 3, 4, 4)])).state_dict()),
    "mmgeneration": ("dcgan", mmgeneration_dcgan),
    "zoo": ("progan", zoo_progan),
    "pytorch-vae": ("vae", lambda: {"state_dict": {f"model.{k}": v for k, v in seeded(lambda: VAEDecoder(5, [6, 4])).state_dict().items()}}),
}


def drawn(path, kind):
    return torch.stack(open_source("g", SourceSpec(source=kind, weights=str(path))).draw(np.arange(5), np.arange(5, dtype=np.uint64)).images)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_public_layout_converts_and_every_way_in_draws_the_same_to_the_bit(tmp_path, layout):
    kind, make = LAYOUTS[layout]
    torch.save(make(), tmp_path / "weights.bin")
    weights, manifest = convert_weights(tmp_path / "weights.bin", tmp_path / "made.safetensors")
    model, again = load(tmp_path / "weights.bin", kind), load(weights, kind)
    z = torch.randn(3, model.z_dim)
    with torch.no_grad():
        assert torch.equal(model(z), again(z))
    first = drawn(tmp_path / "weights.bin", kind)
    assert len({i.numpy().tobytes() for i in first}) == 5
    assert torch.equal(first, drawn(weights, kind))
    assert torch.equal(first, drawn(manifest, kind))
    stated = load_manifest(manifest)
    assert (stated.architecture, stated.contract.latent.size, stated.contract.output.size) == (kind, model.z_dim, first.shape[-1])


@pytest.mark.parametrize("kind", NETWORKS)
def test_what_training_saves_is_read_back_with_its_arguments(tmp_path, kind):
    model = seeded(lambda: KINDS[kind](NETWORKS[kind]))
    assert model.network == NETWORKS[kind] == json.loads(json.dumps(model.network))
    save_weights(model, tmp_path / "m.safetensors", kind=kind, network=model.network)
    again = load(tmp_path / "m.safetensors")
    z = torch.randn(2, model.z_dim)
    with torch.no_grad():
        assert torch.equal(model(z), again(z))
        assert model(z).shape == (2, 3, model.resolution, model.resolution)
    assert again.network == model.network


@pytest.mark.parametrize("name", ["portraits/mine", "portraits/sub/mine"])
def test_shipped_weights_are_named_as_portraits(tmp_path, monkeypatch, name):
    model = seeded(lambda: DCGAN(**NETWORKS["dcgan"]))
    path = tmp_path / (name.removeprefix("portraits/") + ".safetensors")
    save_weights(model, path, kind="dcgan", network=model.network)
    monkeypatch.setattr("audit.portraits.models.FOLDER", tmp_path)
    assert torch.equal(drawn(name, "dcgan"), drawn(path, "dcgan"))
    with pytest.raises(ManifestError, match="holds a 'dcgan'; expected vae"):
        drawn(name, "vae")
    with pytest.raises(ManifestError, match="no shipped model 'portraits/none'"):
        drawn("portraits/none", "dcgan")


def test_bare_tensors_in_safetensors_are_known_too(tmp_path):
    state = seeded(lambda: VAEDecoder(5, [6, 4])).state_dict()
    save_file(state, tmp_path / "v.safetensors")
    assert load(tmp_path / "v.safetensors").network == {"z_dim": 5, "widths": [6, 4], "side": 2}
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(ManifestError, match="no 'kind' and 'network' in its header"):
        load(tmp_path / "x.safetensors")


def test_a_manifest_says_the_order_of_colours_and_the_network_that_are_converted(tmp_path):
    import yaml

    torch.save(LAYOUTS["tutorial"][1](), tmp_path / "g.pth")
    content = zoo_progan()
    content["netG"] = {k: -v for k, v in content["avgG"].items()}
    torch.save(content, tmp_path / "zoo.pth")
    common = {"kind": "generator", "title": "Mine", "format": "state_dict", "licence": "MIT"}
    for name, more in (("g", {"contract": {"output": {"channels": "BGR"}}}), ("zoo", {"parameters": {"network": "netG"}})):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump({"name": name, **common, "files": [{"name": f"{name}.pth", "path": f"{name}.pth"}], **more}))
    for name, kind in (("g", "dcgan"), ("zoo", "progan")):
        weights, _ = convert_weights(tmp_path / f"{name}.yaml", tmp_path / f"{name}.safetensors")
        assert torch.equal(drawn(weights, kind), drawn(tmp_path / f"{name}.yaml", kind))
        assert not torch.equal(drawn(weights, kind), drawn(tmp_path / f"{name}.pth", kind))


@pytest.mark.parametrize(("kind", "network", "words"), [
    ("dcgan", {"shapes": [[6, 8, 4]]}, "describes no dcgan that can be built"),
    ("dcgan", {"shapes": [[6, 6, 4, 4]] * 65}, "more than 64 layers"),
    ("progan", {"z_dim": 5, "widths": [6], "alpha": 0.5}, "a lower resolution where one is faded in"),
    ("progan", {"z_dim": 5, "widths": [6], "norm": "batch"}, "norm 'batch'"),
    ("vae", {"z_dim": 5, "widths": []}, "describes no vae that can be built"),
    ("vae", {"z_dim": 5, "widths": [10**12], "side": 2}, "of another shape|describes no vae"),
])  # fmt: skip
def test_arguments_that_describe_no_network_are_a_sentence(tmp_path, kind, network, words):
    path = tmp_path / "m.safetensors"
    save_file(seeded(lambda: KINDS[kind](NETWORKS[kind])).state_dict(), path, metadata={"kind": kind, "network": json.dumps(network)})
    with pytest.raises(ManifestError, match=words):
        load(path)


def test_names_of_something_else_are_no_layout():
    assert [kind_in(c) for c in ({"style.1.weight": 0}, {"model": {"fc.weight": 0}}, {}, [1], None)] == [None] * 5
    assert ProGAN(4, [4]).resolution == 4
