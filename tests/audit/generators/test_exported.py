"""Programs of torch.export: opened for those who vouch for them, drawn as the module they came from."""

import pytest
import torch
from torch import nn

from audit.errors import ManifestError
from audit.generators.exported import ExportedGenerator
from audit.manifests import checksum


class Painter(nn.Module):
    def __init__(self):
        super().__init__()
        self.mix = nn.Linear(6, 48)

    def forward(self, z):
        return torch.sigmoid(self.mix(z.flatten(1))).view(-1, 3, 4, 4)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Return {name: (path, module)} of programs with a free and with a fixed number of images."""
    torch.manual_seed(0)
    made, module = {}, Painter().eval()
    for name, example, shapes in (("free", torch.randn(2, 6), ({0: torch.export.Dim("n")},)), ("fixed", torch.randn(4, 6, 1, 1), None)):
        path = tmp_path_factory.mktemp("exported") / f"{name}.pt2"
        torch.export.save(torch.export.export(module, (example,), dynamic_shapes=shapes), path)
        made[name] = (path, module)
    return made


@pytest.mark.parametrize("name", ["free", "fixed"])
def test_a_vouched_program_draws_what_its_module_draws_brought_to_the_nominal_range(exported, name):
    path, module = exported[name]
    model = ExportedGenerator(path, checksum(path), span=(0.0, 1.0)).eval()
    z = torch.randn(7, 6)
    assert model.z_dim == 6
    with torch.inference_mode():
        assert torch.allclose(model(z), module(z) * 2 - 1, atol=1e-5)


def test_nobody_vouches_or_the_wrong_file_is_vouched_for(exported):
    path, _ = exported["free"]
    with pytest.raises(ManifestError, match=f"which is a program, and nobody vouches for it.*state sha256: {checksum(path)}"):
        ExportedGenerator(path, None)
    with pytest.raises(ManifestError, match="is not the file that was vouched for"):
        ExportedGenerator(path, "0" * 64)


def test_a_damaged_program_another_latent_and_a_missing_file_are_sentences(exported, tmp_path):
    path, _ = exported["free"]
    with pytest.raises(ManifestError, match="takes latents of 6 numbers; the spec or manifest says 7"):
        ExportedGenerator(path, checksum(path), 7)
    short = tmp_path / "short.pt2"
    short.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ManifestError, match=r"cannot be opened as a torch\.export file"):
        ExportedGenerator(short, checksum(short))
    with pytest.raises(ManifestError, match="no generator at"):
        ExportedGenerator(tmp_path / "none.pt2", "0" * 64)
