"""An exported generator is opened only when its checksum is the one that was vouched for."""

import hashlib
import warnings

import pytest
import torch
from torch import nn

from audit.errors import ManifestError, SourceError
from audit.generators.torchscript import TorchScriptGenerator


class Spread(nn.Module):
    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return torch.tanh(z[:, :3, None, None].expand(-1, 3, 4, 4))


class Flat(nn.Module):
    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return z * 2


def exported(path, module):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces the end of the format that is under test
        torch.jit.save(torch.jit.trace(module, torch.zeros(2, 5)), path)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def test_images_come_out_for_latents(tmp_path):
    path, sha256 = exported(tmp_path / "g.pt", Spread())
    generator = TorchScriptGenerator(path, sha256, 5)
    assert generator.z_dim == 5
    z = torch.randn(3, 5)
    assert torch.allclose(generator(z), Spread()(z))


def test_an_altered_file_is_refused_with_both_checksums(tmp_path):
    path, sha256 = exported(tmp_path / "g.pt", Spread())
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ManifestError, match=f"expected sha256 {sha256}, got [0-9a-f]{{64}}; refused"):
        TorchScriptGenerator(path, sha256, 5)


def test_a_missing_file_and_one_that_is_no_program_are_told_in_a_sentence(tmp_path):
    with pytest.raises(ManifestError, match="no generator at"):
        TorchScriptGenerator(tmp_path / "gone.pt", "0" * 64, 5)
    (tmp_path / "g.pt").write_bytes(b"nothing")
    with pytest.raises(ManifestError, match="cannot be opened as TorchScript"):
        TorchScriptGenerator(tmp_path / "g.pt", hashlib.sha256(b"nothing").hexdigest(), 5)


def test_latents_of_another_width_are_refused(tmp_path):
    generator = TorchScriptGenerator(*exported(tmp_path / "g.pt", Spread()), 5)
    with pytest.raises(SourceError, match=r"takes latents \(n, 5\); got \(2, 6\)"):
        generator(torch.zeros(2, 6))


def test_a_program_that_draws_no_images_is_refused(tmp_path):
    generator = TorchScriptGenerator(*exported(tmp_path / "g.pt", Flat()), 5)
    with pytest.raises(SourceError, match=r"returned \(2, 5\) for 2 latents; expected \(2, 3, height, width\)"):
        generator(torch.zeros(2, 5))
