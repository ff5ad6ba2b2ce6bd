"""The DCGAN of the assets: its layers, and files that do not fit."""

import pytest
import torch

from audit.errors import ManifestError
from audit.generators.dcgan32 import DCGAN32, load_dcgan32


class _Touch:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    model = DCGAN32().eval()
    path = tmp_path / "dcgan.pt"
    torch.save(model.state_dict(), path)
    return model, path


def test_the_keys_are_those_of_the_published_file():
    keys = list(DCGAN32().state_dict())
    assert len(keys) == 26
    assert keys[0] == "generator_deconv.0.0.weight"
    assert keys[-2:] == ["generator_deconv.4.0.weight", "generator_deconv.4.0.bias"]
    assert tuple(DCGAN32().state_dict()["generator_deconv.1.0.weight"].shape) == (128, 256, 3, 3)


def test_a_state_dict_comes_back_as_the_same_generator(saved):
    model, path = saved
    z = torch.rand(3, 100) * 2 - 1
    loaded = load_dcgan32(path)
    with torch.inference_mode():
        images = loaded(z)
        assert torch.equal(images, model(z))
    assert tuple(images.shape) == (3, 3, 32, 32)
    assert images.abs().max() <= 1
    assert not loaded.training


def test_an_image_does_not_depend_on_its_batch(saved):
    model, _ = saved
    z = torch.rand(5, 100) * 2 - 1
    with torch.inference_mode():
        assert torch.allclose(model(z)[2], model(z[2:3])[0], atol=1e-5)


def test_missing_extra_and_misshapen_tensors_are_named(saved):
    model, path = saved
    state = model.state_dict()
    state["generator_deconv.9.weight"] = state.pop("generator_deconv.4.0.bias")
    state["generator_deconv.1.0.weight"] = torch.zeros(2, 2)
    torch.save(state, path)
    with pytest.raises(ManifestError) as caught:
        load_dcgan32(path)
    for part in (
        "missing ['generator_deconv.4.0.bias']",
        "not expected ['generator_deconv.9.weight']",
        "generator_deconv.1.0.weight (2, 2) for (128, 256, 3, 3)",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not a file of torch"])
def test_a_file_that_is_no_state_dict_is_refused(tmp_path, content):
    path = tmp_path / "x.pt"
    path.write_bytes(content)
    with pytest.raises(ManifestError, match="is not a state dict of tensors"):
        load_dcgan32(path)


def test_a_file_of_something_else_than_tensors_is_refused(tmp_path):
    torch.save({"generator_deconv.0.0.weight": 3}, tmp_path / "x.pt")
    with pytest.raises(ManifestError, match="expected the 26 tensors of a DCGAN32"):
        load_dcgan32(tmp_path / "x.pt")


def test_a_file_that_would_run_code_is_refused_and_runs_none(tmp_path):
    proof = tmp_path / "ran"
    torch.save({"a": _Touch(str(proof))}, tmp_path / "x.pt")
    with pytest.raises(ManifestError, match="is not a state dict of tensors"):
        load_dcgan32(tmp_path / "x.pt")
    assert not proof.exists()
