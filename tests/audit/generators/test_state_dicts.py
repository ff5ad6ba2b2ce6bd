"""Other people's weight files: what is unwrapped, what is refused, and that refusing runs nothing."""

import zipfile

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from audit.errors import ManifestError
from audit.generators.state_dicts import fit, read_checkpoint, tensors


class _Touch:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("wrap", [
    lambda s: s, lambda s: {"state_dict": s, "epoch": 3}, lambda s: {"model": {f"module.{k}": v for k, v in s.items()}},
    lambda s: {"state_dict": {"generator." + k: v for k, v in s.items()} | {"discriminator.w": torch.zeros(1)}},
])  # fmt: skip
def test_the_tensors_are_found_however_the_training_script_wrapped_them(tmp_path, wrap):
    state = {"0.weight": torch.randn(2, 2), "0.bias": torch.zeros(2)}
    torch.save(wrap(state), tmp_path / "x.pth")
    found = tensors(read_checkpoint(tmp_path / "x.pth"), "x", prefixes=("generator_ema.", "generator."))
    assert {k: v.tolist() for k, v in found.items()} == {k: v.tolist() for k, v in state.items()}


def test_safetensors_and_the_old_torch_format_are_read_too(tmp_path):
    state = {"w": torch.arange(3.0)}
    save_file(state, tmp_path / "x.safetensors")
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    for name in ("x.safetensors", "old.pth"):
        assert torch.equal(read_checkpoint(tmp_path / name)["w"], state["w"])


@pytest.mark.parametrize(("name", "content", "words"), [
    ("a.pth", b"\n<!DOCTYPE html><html>Sign in</html>", "is a web page, not weights"),
    ("a.pth", b"", "has 0 bytes; expected weights"),
    ("a.pth", b"PK\x03\x04 cut short", "is a damaged zip or cut short"),
    ("a.safetensors", b"\xff" * 40, "is not a file of tensors"),
])  # fmt: skip
def test_a_file_of_something_else_is_a_sentence(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ManifestError, match=words):
        read_checkpoint(tmp_path / name)


def test_a_missing_file_and_one_without_tensors_are_sentences(tmp_path):
    with pytest.raises(ManifestError, match="no weights at"):
        read_checkpoint(tmp_path / "none.pth")
    with pytest.raises(ManifestError, match="holds no tensors but epoch"):
        tensors({"epoch": 3}, "x")
    with pytest.raises(ManifestError, match="holds a list"):
        tensors([1], "x")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_would_run_code_is_refused_and_runs_none(tmp_path, zipped):
    proof = tmp_path / "ran"
    torch.save({"w": torch.zeros(1), "a": _Touch(str(proof))}, tmp_path / "x.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(ManifestError, match=r"names '(io|_io)\.open'; it is refused"):
        read_checkpoint(tmp_path / "x.pt")
    assert not proof.exists()


def test_a_zip_that_would_unpack_to_gigabytes_is_refused_before_it_is_opened(tmp_path):
    torch.save({"w": torch.zeros(4)}, tmp_path / "small.pt")
    with zipfile.ZipFile(tmp_path / "small.pt") as small, zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as bomb:
        for name in small.namelist():
            bomb.writestr(name, bytes(100 << 20) if name.endswith("data/0") else small.read(name))
    with pytest.raises(ManifestError, match=r"would unpack to 104,8\d\d,\d+ bytes"):
        read_checkpoint(tmp_path / "bomb.pt")


def test_missing_unexpected_and_misshapen_tensors_are_named():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    state = model.state_dict()
    state["9.weight"] = state.pop("0.bias")
    with pytest.raises(ManifestError, match=r"x does not fit a net: missing 0\.bias; not expected 9\.weight"):
        fit(model, state, "x", "a net")
    state = model.state_dict() | {"0.weight": torch.zeros(5, 5)}
    with pytest.raises(ManifestError, match=r"of another shape 0\.weight \(5, 5\) for \(3, 2\)"):
        fit(model, state, "x", "a net")


def test_old_batch_norms_without_a_counter_fit_and_half_precision_becomes_single():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    state = {k: v.half() for k, v in model.state_dict().items() if "num_batches" not in k}
    assert not fit(model, state, "x", "a net").training
    assert model[0].weight.dtype == torch.float32
