"""The reader of pickles agrees with Python's and torch's own on what they may hold, and refuses the rest."""

import argparse
import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.errors import ManifestError
from audit.generators import open_weights
from audit.generators.pickles import ByteView, read_pickle
from audit.generators.pickles_archives import read_plain, read_torch
from audit.generators.pickles_tensors import ALLOWED, StoredTensor

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**100), 2**100) | st.floats(allow_nan=False) | st.text(max_size=8) | st.binary(max_size=300),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=4), inner, max_size=5) | st.tuples(inner, inner),
    max_leaves=20,
)


@settings(max_examples=150, deadline=None)
@given(value=values, protocol=st.sampled_from([2, 3, 4, 5]))
def test_plain_values_come_back_as_they_were(value, protocol):
    assert read_pickle(ByteView(pickle.dumps(value, protocol)), ALLOWED, where="x") == value


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, 10_000), byte=st.integers(0, 255), cut=st.booleans())
def test_damage_anywhere_is_a_sentence_or_other_values_never_another_error(at, byte, cut):
    whole = pickle.dumps({"a": [1, 2.5, "text", b"bytes" * 60], "b": OrderedDict(x=(1, 2, 3), y={"s", "t"}), "c": np.float64(2)}, 4)
    at %= len(whole)
    damaged = whole[:at] if cut else whole[:at] + bytes([byte]) + whole[at + 1 :]
    refused = ""
    try:
        read_pickle(ByteView(damaged), ALLOWED, where="x.pkl")
    except ManifestError as sentence:
        refused = str(sentence)
    assert refused.startswith("x.pkl ") or (refused == "" and not cut)


def _read(content):
    if isinstance(content, StoredTensor):
        return content.read()
    if isinstance(content, dict):
        return {k: _read(v) for k, v in content.items()}
    return [_read(v) for v in content] if isinstance(content, list) else content


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_files_of_torch_save_read_as_torch_reads_them(tmp_path, zipped):
    base = torch.arange(60.0).view(5, 12)
    content = OrderedDict(
        plain=base, part=base[1:4, 2:9:3], turned=base.t(), empty=torch.zeros(0, 3), number=torch.tensor(7), parameter=torch.nn.Parameter(base),
        half=base.half(), brain=base.bfloat16(), double=base.double(), long=torch.arange(5), byte=torch.arange(5, dtype=torch.uint8),
        truth=torch.tensor([True, False]), step=3, name="x", list=[1, torch.ones(2)], size=torch.Size([2, 3]),
        state=torch.nn.BatchNorm2d(4).state_dict(),
    )  # fmt: skip
    torch.save(content, tmp_path / "f.pt", _use_new_zipfile_serialization=zipped)
    ours, theirs = _read(read_torch(tmp_path / "f.pt")), torch.load(tmp_path / "f.pt", weights_only=True)
    assert list(ours) == list(theirs)
    for key, value in theirs.items():
        if isinstance(value, torch.Tensor):
            assert ours[key].dtype == value.dtype
            assert torch.equal(ours[key], value), key
    assert ours["size"] == (2, 3)
    assert ours["list"][0] == 1
    assert torch.equal(ours["list"][1], torch.ones(2))
    assert list(ours["state"]) == list(theirs["state"])


def test_settings_of_a_training_script_are_kept_as_data(tmp_path):
    torch.save({"args": argparse.Namespace(size=256, lr=0.002)}, tmp_path / "f.pt")
    assert read_torch(tmp_path / "f.pt")["args"].state == {"size": 256, "lr": 0.002}


def test_numbers_of_numpy_become_plain_numbers(tmp_path):
    (tmp_path / "f.pkl").write_bytes(pickle.dumps([np.float64(2.5), np.float32(0.5), np.int64(-3), np.bool_(True)]))
    assert read_plain(tmp_path / "f.pkl") == [2.5, 0.5, -3, True]


@pytest.mark.parametrize(("content", "sentence"), [
    (b"", "holds no weights: it is empty"),
    (b"<!DOCTYPE html><html>quota exceeded</html>", "it is a web page"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "pointer of git-lfs"),
    (b"\x1f\x8b\x08\x00 packed", "packed with gzip"),
    (b"\x89HDF\r\n\x1a\n", "HDF5"),
    (b"nothing at all", "it begins with 6e6f7468696e6720"),
])  # fmt: skip
def test_what_is_no_weights_file_is_told_by_its_looks(tmp_path, content, sentence):
    (tmp_path / "w.pkl").write_bytes(content)
    with pytest.raises(ManifestError, match=sentence):
        open_weights(tmp_path / "w.pkl")


def test_a_state_dict_of_another_architecture_is_told_by_its_keys(tmp_path):
    torch.save({"encoder.conv.weight": torch.zeros(3), "encoder.conv.bias": torch.zeros(3)}, tmp_path / "w.pt")
    with pytest.raises(ManifestError, match=r"another architecture: its keys begin with encoder\.conv\.weight, encoder\.conv\.bias"):
        open_weights(tmp_path / "w.pt")


def test_a_missing_file_and_a_folder_are_told_in_a_sentence(tmp_path):
    with pytest.raises(ManifestError, match=r"no weights at .*gone\.pt"):
        open_weights(tmp_path / "gone.pt")
    with pytest.raises(ManifestError, match="is a directory"):
        open_weights(tmp_path)
