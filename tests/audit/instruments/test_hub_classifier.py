"""A Hub directory is read as transformers reads it, and what it does not say is asked for in a sentence."""

import json

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from audit.errors import InstrumentError, ManifestError
from audit.instruments.attribute_classifier import AttributeClassifier
from audit.instruments.hub_pixels import input_contract
from audit.instruments.network import open_network, prepare
from audit.manifests import load_manifest
from audit.sources.base import Batch

LABELS = {0: "male", 1: "child", 2: "female"}
PIXELS = {"do_normalize": True, "do_rescale": True, "do_resize": True, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.5, 0.25, 0.2],
          "image_processor_type": "ViTImageProcessor", "resample": 2, "rescale_factor": 1 / 255, "size": {"height": 32, "width": 32}}  # fmt: skip
HEAD = {"attribute": "gender", "kind": "logits", "classes": {"feminine": "female", "masculine": None}}


def batch(n=3, side=32):
    rng = np.random.default_rng(0)
    images = [torch.from_numpy(rng.integers(0, 256, (3, side, side), dtype=np.uint8)) for _ in range(n)]
    return Batch(np.arange(n), np.arange(n, dtype=np.uint64), images, ["ok"] * n)


def vit(**changes):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed; it is the other side of the comparison")
    settings = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40, "image_size": 32, "patch_size": 8}
    return transformers.ViTForImageClassification(transformers.ViTConfig(**settings, id2label=LABELS, **changes))


def resnet(**changes):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed; it is the other side of the comparison")
    settings = {"layer_type": "basic", "hidden_sizes": [64, 128, 256, 512], "depths": [1, 2, 1, 1], "id2label": LABELS}
    return transformers.ResNetForImageClassification(transformers.ResNetConfig(**settings | changes))


def randomised(model):
    rng = torch.Generator().manual_seed(1)
    for name, tensor in model.state_dict().items():  # fresh networks have zero biases and unit norms, under which mistakes hide
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=rng) + 0.5 if "running_var" in name else torch.randn(tensor.shape, generator=rng) * 0.15)
    return model.eval()


@pytest.fixture
def folder(tmp_path):
    """A directory with the files but without weights that fit: enough for what is refused before they are read."""
    where = tmp_path / "model"
    where.mkdir()
    save_file({"classifier.weight": torch.zeros(3, 4)}, where / "model.safetensors")
    settings = {"architectures": ["ViTForImageClassification"], "id2label": {str(k): v for k, v in LABELS.items()}}
    (where / "config.json").write_text(json.dumps(settings))
    (where / "preprocessor_config.json").write_text(json.dumps(PIXELS))
    write(where)
    return where


def write(where, head=HEAD, **contract):
    content = {"name": "hub_model", "kind": "classifier", "title": "A model", "licence": "MIT",
               "contract": {"output": {"heads": [head] if head else []}, **contract}}  # fmt: skip
    (where / "genbias.yaml").write_text(yaml.safe_dump(content))


@pytest.mark.parametrize("make", [vit, lambda: vit(qkv_bias=False, layer_norm_eps=1e-3), resnet,
                                  lambda: resnet(layer_type="bottleneck", hidden_sizes=[256, 512, 1024, 2048], depths=[1, 1, 2, 1])],
                         ids=["vit", "vit_without_biases", "resnet_basic", "resnet_bottleneck"])  # fmt: skip
def test_a_directory_that_transformers_wrote_gives_its_logits_and_its_shares(tmp_path, make):
    truth = randomised(make())
    where = tmp_path / "model"
    truth.save_pretrained(where)
    (where / "preprocessor_config.json").write_text(json.dumps(PIXELS))
    write(where)
    seen = batch()
    classifier = AttributeClassifier("c", load_manifest(where))
    pixels = torch.stack(seen.images).float() / 255
    pixels = (pixels - torch.tensor(PIXELS["image_mean"]).view(3, 1, 1)) / torch.tensor(PIXELS["image_std"]).view(3, 1, 1)
    assert torch.allclose(prepare(seen, [0, 1, 2], classifier._input), pixels, atol=1e-5)
    with torch.inference_mode():
        expected = truth(pixels).logits
        said = classifier._network.forward(pixels)
    assert expected.std() > 0.05
    assert torch.allclose(said, expected, rtol=1e-5, atol=1e-5)
    read = classifier.read(seen)
    assert np.allclose(read["c:gender:feminine"], expected.softmax(1)[:, 2], atol=1e-5)
    assert np.allclose(read["c:gender:masculine"], 1 - expected.softmax(1)[:, 2], atol=1e-5)


def test_pixels_are_prepared_as_transformers_processor_prepares_them(tmp_path):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed; it is the other side of the comparison")
    image = np.zeros((48, 64, 3), dtype=np.uint8)
    image[..., 0] = np.linspace(0, 255, 64)[None]
    image[..., 1] = np.linspace(255, 30, 48)[:, None]
    processor = transformers.ViTImageProcessor(size={"height": 32, "width": 32}, image_mean=PIXELS["image_mean"], image_std=PIXELS["image_std"])
    theirs = processor(image, return_tensors="pt")["pixel_values"]
    told = json.loads(processor.to_json_string())
    seen = Batch(np.arange(1), np.arange(1, dtype=np.uint64), [torch.from_numpy(image).permute(2, 0, 1)], ["ok"])
    ours = prepare(seen, [0], input_contract(told, "m"))
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() < 0.5 / 255 / 0.2 + 1e-4  # theirs rounds to whole grey values before normalising


def test_the_manifest_may_lie_beside_the_directory_and_its_own_input_counts(folder):
    write(folder, input={"size": 64, "crop": {"from": "image"}})
    (folder / "genbias.yaml").rename(folder.with_name("model.yaml"))
    (folder / "preprocessor_config.json").unlink()
    from audit.instruments.hub_classifier import completed

    manifest = completed(load_manifest(folder), folder)
    assert manifest.contract.input.size == 64
    assert manifest.contract.output.heads[0].classes == {"feminine": (2,), "masculine": None}
    assert manifest.contract.output.heads[0].columns == (0, 1, 2)


def test_a_manifest_with_files_of_its_own_finds_the_configuration_beside_them(folder, tmp_path):
    (tmp_path / "mine.yaml").write_text((folder / "genbias.yaml").read_text() + "architecture: transformers\nformat: safetensors\n"
                                        "files: [{name: model.safetensors, path: model/model.safetensors}]\n")  # fmt: skip
    with pytest.raises(InstrumentError, match="is no vision transformer"):  # it came as far as the weights
        AttributeClassifier("c", load_manifest(tmp_path / "mine.yaml"))


def edited(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda f: edited(f, architectures=["SwinForImageClassification"]), "names the architecture SwinForImageClassification; expected ViTFor"),
        (lambda f: write(f, head=None), r"does not say which label of config.json \(male, child, female\) is which class"),
        (lambda f: write(f, {**HEAD, "classes": {"feminine": "woman", "masculine": None}}), "the label 'woman', which config.json does not have"),
        (lambda f: write(f, {**HEAD, "classes": {"feminine": "female", "masculine": "male"}}), r"no class to 1 of the labels .*\(child\)"),
        (lambda f: edited(f, problem_type="multi_label_classification"), "say kind: sigmoid"),
        (lambda f: (f / "preprocessor_config.json").unlink(), "there is no preprocessor_config.json beside the weights"),
        (lambda f: (f / "config.json").write_text("[]"), "is no JSON object"),
        (lambda f: None, "is no vision transformer in a known layout"),
        (lambda f: edited(f, architectures=["ResNetForImageClassification"], hidden_sizes=[8, 16]), "has a ResNet with .*hidden_sizes .8, 16."),
        (lambda f: edited(f, hidden_act="relu6"), "hidden_act 'relu6'; expected gelu"),
    ],
)
def test_what_a_directory_lacks_is_told_in_a_sentence(folder, spoil, sentence):
    spoil(folder)
    with pytest.raises(InstrumentError, match=sentence):
        AttributeClassifier("c", load_manifest(folder))


@pytest.mark.parametrize(("name", "sentence"), [("genbias.yaml", "has no manifest; write"), ("model.safetensors", "but no weights")])
def test_a_directory_without_manifest_or_weights_is_told_in_a_sentence(folder, name, sentence):
    (folder / name).unlink()
    with pytest.raises(ManifestError, match=sentence):
        load_manifest(folder)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"crop_pct": 0.875, "size": 224}, "keeps the middle 0.875"),
        ({"do_center_crop": True, "size": {"shortest_edge": 256}, "crop_size": 224}, "resizes to 256 and keeps the middle 224"),
        ({"resample": 1}, "resample is 1"),
        ({"image_mean": None}, "image_mean None"),
        ({"size": {"height": 32, "width": 64}}, "which is no square"),
        ({"do_resize": False}, "no size is known"),
    ],
)
def test_pixels_that_a_contract_cannot_say_are_refused(changes, sentence):
    with pytest.raises(InstrumentError, match=sentence + ".*state contract.input in the manifest"):
        input_contract(PIXELS | changes, "m")


def test_the_settings_of_a_processor_become_the_contract():
    told = input_contract(PIXELS | {"do_center_crop": True, "size": {"shortest_edge": 48}, "crop_size": {"height": 48, "width": 48}, "resample": 3}, "m")
    assert (told.size, told.crop.square, told.filter, told.range) == (48, True, "bicubic", (0.0, 1.0))
    raw = input_contract(PIXELS | {"do_rescale": False, "do_normalize": False}, "m")
    assert (raw.range, raw.mean, raw.std) == ((0.0, 255.0), None, None)


def test_words_of_a_head_need_a_hub_directory(folder):
    manifest = load_manifest(folder).model_copy(update={"architecture": "torchvision.resnet18"})
    with pytest.raises(InstrumentError, match=r"gives classes by words, and no config\.json"):
        AttributeClassifier("c", manifest.model_copy(update={"contract": manifest.contract.model_copy(update={"input": input_contract(PIXELS, "m")})}))


def test_the_digest_changes_with_the_configuration_and_not_with_the_place(tmp_path):
    truth = randomised(vit())
    digests = []
    for name, eps in (("a", 1e-12), ("b", 1e-12), ("c", 1e-3)):
        where = tmp_path / name
        truth.save_pretrained(where)
        (where / "preprocessor_config.json").write_text(json.dumps(PIXELS))
        write(where)
        edited(where, layer_norm_eps=eps)
        digests.append(AttributeClassifier("c", load_manifest(where)).digest)
    assert digests[0] == digests[1] != digests[2]


def test_a_head_of_another_size_than_the_labels_is_refused(tmp_path):
    where = tmp_path / "model"
    randomised(vit()).save_pretrained(where)
    (where / "preprocessor_config.json").write_text(json.dumps(PIXELS))
    write(where)
    tensors = load_file(where / "model.safetensors")
    save_file(tensors | {"classifier.weight": torch.zeros(2, 24), "classifier.bias": torch.zeros(2)}, where / "model.safetensors")
    with pytest.raises(InstrumentError, match=r"returns 2 columns, but config\.json beside it names 3 labels"):
        AttributeClassifier("c", load_manifest(where))
    save_file(tensors | {"vit.encoder.extra": torch.zeros(2)}, where / "model.safetensors")
    with pytest.raises(InstrumentError, match=r"unexpected \['vit.encoder.extra'\]"):
        AttributeClassifier("c", load_manifest(where))


def test_weights_in_torchs_format_are_read_as_those_in_safetensors(tmp_path):
    where = tmp_path / "model"
    randomised(vit()).save_pretrained(where)
    (where / "preprocessor_config.json").write_text(json.dumps(PIXELS))
    write(where)
    first = AttributeClassifier("c", load_manifest(where)).read(batch())
    torch.save(load_file(where / "model.safetensors"), where / "pytorch_model.bin")
    (where / "model.safetensors").unlink()
    second = AttributeClassifier("c", load_manifest(where)).read(batch())
    assert np.array_equal(first["c:gender:feminine"], second["c:gender:feminine"])


def test_a_hub_directory_is_no_encoder(folder):
    with pytest.raises(InstrumentError, match="is opened as a classifier only"):
        open_network(load_manifest(folder))
