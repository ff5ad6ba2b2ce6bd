"""Networks are opened only in formats and from files that somebody vouches for, and see what their contract says."""

import builtins
import hashlib
import pickle
import warnings

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import resnet18

from audit.errors import InstrumentError, ManifestError
from audit.instruments.network import answers, load_torchscript, open_network, prepare, readable_rows
from audit.manifests import Crop, ImageInput, Manifest
from audit.sources.base import Batch


class Means(nn.Module):
    """Mean of each channel: what a network sees can be read off its answer."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=(2, 3))


def _field(number, value):
    """Encode one field of a protocol buffer: the little of ONNX that a test needs, without the package."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    data = value.encode() if isinstance(value, str) else value
    assert len(data) < 16384
    size = bytes([len(data)]) if len(data) < 128 else bytes([len(data) & 127 | 128, len(data) >> 7])
    return bytes([number << 3 | 2]) + size + data


def onnx_means():
    """Return an ONNX file that computes the mean of each channel."""

    def port(name, *dims):
        shape = b"".join(_field(1, _field(2, d) if isinstance(d, str) else _field(1, d)) for d in dims)
        return _field(1, name) + _field(2, _field(1, _field(1, 1) + _field(2, shape)))

    pool = _field(1, "image") + _field(2, "pooled") + _field(4, "GlobalAveragePool")
    flat = _field(1, "pooled") + _field(2, "means") + _field(4, "Flatten")
    graph = _field(1, pool) + _field(1, flat) + _field(2, "g") + _field(11, port("image", "n", 3, 4, 4)) + _field(12, port("means", "n", 3))
    return _field(1, 8) + _field(8, _field(2, 13)) + _field(7, graph)


@pytest.fixture
def scripted(tmp_path):
    path = tmp_path / "net.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces the end of the format that is under test
        torch.jit.save(torch.jit.trace(Means(), torch.zeros(2, 3, 4, 4)), path)
    return path


def manifest(path, **changes):
    file = {"name": path.name, "path": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    file |= changes.pop("file", {})
    return Manifest(name="net", kind="encoder", title="A net", licence="MIT", files=[file], **changes)


def batch(images, status=None, boxes=None):
    ids = np.arange(len(images))
    return Batch(ids, ids.astype(np.uint64), list(images), status or ["ok"] * len(images), boxes=boxes)


X = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))


def test_torchscript_is_opened_when_its_sha256_is_stated(scripted):
    network = open_network(manifest(scripted, format="torchscript"))
    assert torch.allclose(network.forward(X), X.mean(dim=(2, 3)))
    assert network.digest == hashlib.sha256(scripted.read_bytes()).hexdigest()


def test_torchscript_that_nobody_vouches_for_is_refused(scripted):
    unvouched = manifest(scripted, format="torchscript", file={"sha256": None})
    with pytest.raises(InstrumentError, match=r"net\.pt is a TorchScript file, which is a program, and manifest 'net' states no sha256"):
        open_network(unvouched)
    with pytest.raises(InstrumentError, match="somebody states no sha256 for it"):
        load_torchscript(scripted, vouched=False, owner="somebody")


def test_another_file_under_the_name_is_refused_before_it_is_opened(scripted):
    described = manifest(scripted, format="torchscript")
    scripted.write_bytes(scripted.read_bytes() + b"more")
    for path in (None, scripted):
        with pytest.raises(ManifestError, match="expected sha256"):
            open_network(described, path=path)


def test_onnx_is_opened(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(onnx_means())
    network = open_network(manifest(path, format="onnx"))
    assert torch.allclose(network.forward(X), X.mean(dim=(2, 3)), atol=1e-6)


def test_without_onnxruntime_the_sentence_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "net.onnx"
    path.write_bytes(onnx_means())
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "onnxruntime":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InstrumentError, match=r"onnxruntime is not installed; install genbias\[onnx\]"):
        open_network(manifest(path, format="onnx"))


@pytest.mark.parametrize("kind", ["state_dict", "safetensors"])
def test_a_state_dict_is_loaded_into_the_architecture_the_manifest_names(tmp_path, kind):
    torch.manual_seed(0)
    truth = resnet18(num_classes=5).eval()
    path = tmp_path / "net.bin"
    state = {**truth.state_dict(), "head.weight": torch.zeros(2)}
    torch.save(state, path) if kind == "state_dict" else save_file(state, path)
    described = manifest(path, format=kind, architecture="torchvision.resnet18", parameters={"num_classes": 5, "drop": ["head."]})
    x = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(open_network(described).forward(x), truth(x))


def test_a_state_dict_that_does_not_fit_names_what_is_missing(tmp_path):
    path = tmp_path / "net.bin"
    state = resnet18(num_classes=5).state_dict()
    state["extra.weight"] = state.pop("fc.weight")
    torch.save(state, path)
    described = manifest(path, format="state_dict", architecture="torchvision.resnet18", parameters={"num_classes": 5})
    with pytest.raises(InstrumentError, match=r"missing \['fc\.weight'\], unexpected \['extra\.weight'\]"):
        open_network(described)


class _Touch:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_a_state_dict_cannot_run_code(tmp_path):
    path, proof = tmp_path / "net.bin", tmp_path / "ran"
    torch.save({"fc.weight": _Touch(str(proof))}, path)
    described = manifest(path, format="state_dict", architecture="torchvision.resnet18")
    with pytest.raises((InstrumentError, pickle.UnpicklingError)):
        open_network(described)
    assert not proof.exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"format": "pickle"}, "format 'pickle', which cannot be opened here; expected torchscript, onnx"),
        ({"format": "state_dict", "architecture": "os.system"}, "names the architecture 'os.system'; expected one of torchvision"),
        ({"format": "state_dict"}, "names the architecture ''"),
        ({"format": "state_dict", "architecture": "torchvision.resnet999"}, "which torchvision does not have"),
    ],
)
def test_what_cannot_be_opened_is_told_in_a_sentence(tmp_path, changes, sentence):
    path = tmp_path / "net.bin"
    torch.save({}, path)
    with pytest.raises(InstrumentError, match=sentence):
        open_network(manifest(path, **changes))


def test_the_digest_of_a_module_changes_with_its_weights(tmp_path):
    (tmp_path / "x").write_bytes(b"")
    described = manifest(tmp_path / "x")
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    digest = open_network(described, module=first).digest
    assert digest == open_network(described, module=first).digest != open_network(described, module=second).digest


def test_rows_are_readable_with_an_image_and_where_a_finder_ran_a_box():
    images = [torch.zeros(3, 4, 4, dtype=torch.uint8)] * 3
    status = ["ok", "unreadable: empty file", "ok"]
    assert readable_rows(batch(images, status)).tolist() == [0, 2]
    boxes = np.array([[0, 0, 4, 4], [0, 0, 4, 4], [np.nan] * 4])
    assert readable_rows(batch(images, status, boxes)).tolist() == [0]


def split_image():
    """Red on the left, blue on the right, 8 by 16 pixels."""
    image = torch.zeros(3, 8, 16, dtype=torch.uint8)
    image[0, :, :8], image[2, :, 8:] = 255, 255
    return image


def test_faces_are_cropped_by_the_contract_and_channels_ordered():
    boxes = np.array([[8, 0, 16, 8]], dtype=np.float32)
    contract = ImageInput(size=4, range=(0, 255))
    assert prepare(batch([split_image()], boxes=boxes), [0], contract).mean(dim=(2, 3)).tolist() == [[0, 0, 255]]
    bgr = ImageInput(size=4, range=(-1, 1), channels="BGR")
    assert prepare(batch([split_image()], boxes=boxes), [0], bgr).mean(dim=(2, 3)).tolist() == [[1, -1, -1]]


def test_a_contract_on_the_image_ignores_boxes():
    boxes = np.array([[8, 0, 16, 8]], dtype=np.float32)
    contract = ImageInput(size=4, range=(0, 255), crop=Crop(source="image", square=False))
    seen = prepare(batch([split_image()], boxes=boxes), [0], contract).mean(dim=(2, 3))[0]
    assert seen[0] == pytest.approx(127.5, abs=1)
    assert seen[2] == pytest.approx(127.5, abs=1)


def test_without_boxes_an_oblong_image_is_squared_by_its_edges_and_not_stretched():
    image = torch.zeros(3, 4, 8, dtype=torch.uint8)
    image[:, 1:3, 3:5] = 255
    squared = prepare(batch([image]), [0], ImageInput(size=8, range=(0, 255)))[0, 0]
    assert torch.equal(squared > 127, torch.nn.functional.pad(image[0] > 127, (0, 0, 2, 2)))


def test_the_margin_of_the_contract_is_applied():
    boxes = np.array([[2, 2, 6, 6]], dtype=np.float32)
    image = torch.zeros(3, 8, 8, dtype=torch.uint8)
    image[:, 2:6, 2:6] = 255
    tight = prepare(batch([image], boxes=boxes), [0], ImageInput(size=4, range=(0, 255)))
    wide = prepare(batch([image], boxes=boxes), [0], ImageInput(size=8, range=(0, 255), crop=Crop(margin=0.5)))
    assert tight.mean() == 255
    assert wide.mean() == pytest.approx(255 / 4)


def test_portions_do_not_change_the_answers_and_unequal_sizes_mix(tmp_path):
    (tmp_path / "x").write_bytes(b"")
    network = open_network(manifest(tmp_path / "x"), module=Means())
    rng = np.random.default_rng(0)
    images = [torch.from_numpy(rng.integers(0, 256, (3, s, s), dtype=np.uint8)) for s in (8, 9, 8, 12, 9)]
    contract, rows = ImageInput(size=6), np.arange(5)
    whole = answers(network, batch(images), rows, contract, batch_size=64, device="cpu", role="r")
    assert whole.dtype == np.float32
    for size in (1, 2, 3):
        assert np.array_equal(answers(network, batch(images), rows, contract, batch_size=size, device="cpu", role="r"), whole)


@pytest.mark.parametrize("wrong", [lambda x: x, lambda x: x.mean(), lambda x: [x]])
def test_a_network_that_does_not_return_a_row_an_image_is_refused(tmp_path, wrong):
    from audit.instruments.network import Network

    with pytest.raises(InstrumentError, match=r"the network of 'r' returned .* for 2 images; expected \(n, columns\)"):
        answers(Network(wrong, ""), batch([split_image()] * 2), np.arange(2), ImageInput(size=4), batch_size=8, device="cpu", role="r")


def test_a_face_is_aligned_by_its_landmarks_where_the_contract_says_so():
    seen = batch([torch.zeros(3, 40, 40, dtype=torch.uint8)] * 2, boxes=np.array([[5, 5, 30, 30]] * 2, dtype=np.float32))
    seen.images[1] = torch.full((3, 40, 40), 200, dtype=torch.uint8)
    contract = ImageInput(size=6, range=(0, 255), crop=Crop(align="fairface"))
    with pytest.raises(InstrumentError, match="aligns faces as 'fairface', but the face finder sets no landmarks"):
        prepare(seen, [0, 1], contract)
    seen.landmarks = np.array([[[12, 15], [22, 15], [17, 20], [13, 25], [21, 25]]] * 2, dtype=np.float32)
    assert prepare(seen, [0, 1], contract).mean(dim=(1, 2, 3)).round().tolist() == [0, 200]


def test_instruments_with_one_crop_share_it_and_none_can_spoil_it(monkeypatch):
    import audit.instruments.network as network

    cuts = []
    real = network._cut
    monkeypatch.setattr(network, "_cut", lambda *given: cuts.append(given) or real(*given))
    seen = batch([split_image()])
    first = prepare(seen, [0], ImageInput(size=4, range=(0, 255)))
    kept = first.clone()
    first.zero_()
    assert torch.equal(prepare(seen, [0], ImageInput(size=4, range=(0, 255))), kept)
    assert prepare(seen, [0], ImageInput(size=4, range=(-1, 1))).min() == -1
    assert len(cuts) == 1
    prepare(seen, [0], ImageInput(size=5))
    assert len(cuts) == 2
