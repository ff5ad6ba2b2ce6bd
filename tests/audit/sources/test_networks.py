"""A spec's words become a source: files and manifests of networks, pipelines, and what does not go together."""

import hashlib

import numpy as np
import pytest
import torch
import yaml

from audit.errors import ManifestError, SourceError, SpecError
from audit.generators.dcgan import DCGAN
from audit.seeds import image_seeds
from audit.sources import open_source
from audit.sources.base import OK
from audit.spec import SourceSpec

IDS = np.arange(4)
SEEDS = image_seeds(2, IDS)


@pytest.fixture
def dcgan(tmp_path):
    torch.manual_seed(0)
    model = DCGAN([(6, 8, 4, 4), (8, 3, 4, 4)]).eval()
    torch.save(model.state_dict(), tmp_path / "g.pth")
    return model, tmp_path / "g.pth"


def opened(assets=(), **spec):
    return open_source("g", SourceSpec(**spec), assets=assets)


def own_manifest(folder, path, **changes):
    content = {"name": "mine", "kind": "generator", "title": "Mine", "format": "state_dict", "licence": "MIT",
               "files": [{"name": path.name, "path": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}],
               "contract": {"latent": {"size": 6, "distribution": "uniform", "range": [-1, 1]}, "output": {"size": 8, "channels": "BGR"}},
               "caveats": ["Drawn by a test."]} | changes  # fmt: skip
    (folder / "mine.yaml").write_text(yaml.safe_dump(content))
    return str(folder / "mine.yaml")


def test_a_path_is_enough_and_an_image_does_not_depend_on_its_batch(dcgan):
    model, path = dcgan
    source = opened(source="dcgan", weights=str(path))
    batch = source.draw(IDS, SEEDS)
    assert batch.status == [OK] * 4
    alone = source.draw(IDS[2:3], SEEDS[2:3])
    assert int((alone.images[0].int() - batch.images[2].int()).abs().max()) <= 1
    z = torch.from_numpy(source.latents(SEEDS)).float()
    assert torch.allclose(torch.stack(batch.images).float(), (model(z) + 1) * 127.5, atol=1)


def test_a_manifest_says_the_prior_the_channels_and_the_caveats(dcgan, tmp_path):
    model, path = dcgan
    source = opened(source="dcgan", weights=own_manifest(tmp_path, path))
    assert source.prior == "uniform"
    assert source.caveats == ("Drawn by a test.", "Mine: licence MIT")
    z = torch.from_numpy(source.latents(SEEDS)).float()
    drawn = torch.stack(source.draw(IDS, SEEDS).images).float()
    assert torch.allclose(drawn, (model(z).flip(1) + 1) * 127.5, atol=1)
    assert source.digest != opened(source="dcgan", weights=str(path)).digest


def test_a_manifest_of_another_latent_or_another_file_is_refused(dcgan, tmp_path):
    _, path = dcgan
    wrong = own_manifest(tmp_path, path, contract={"latent": {"size": 7}})
    with pytest.raises(ManifestError, match=r"states a latent of 7 numbers; .* takes 6"):
        opened(source="dcgan", weights=wrong)
    given = own_manifest(tmp_path, path)
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ManifestError, match="expected sha256"):
        opened(source="dcgan", weights=given)


@pytest.mark.parametrize(("spec", "error", "words"), [
    ({"source": "dcgan"}, SpecError, "needs the key 'weights'"),
    ({"source": "dcgan", "weights": "none/here.pth"}, ManifestError, "no weights at none/here.pth"),
    ({"source": "progan", "weights": "pgan_celebahq_265"}, ManifestError, "did you mean 'pgan_celebahq_256'"),
    ({"source": "diffusion"}, SpecError, "needs the key 'weights'"),
    ({"source": "diffusion", "weights": "a/b", "prompts": ["x"]}, SpecError, r"generators\.g\.prompts: source 'diffusion' draws without"),
    ({"source": "diffusion", "weights": "dcgan32_celeba"}, SourceError, "not a diffusers pipeline"),
    ({"source": "diffusion", "weights": "pipeline"}, SourceError, "there is no directory 'pipeline' with a diffusers pipeline, and no manifest"),
    ({"source": "text_to_image", "weights": "./x"}, SpecError, "needs the key 'prompts'"),
    ({"source": "dgan"}, SpecError, "unknown source 'dgan'; expected one of portraits, folder, cifar10, statistics, callable"),
])  # fmt: skip
def test_what_cannot_be_opened_is_a_sentence(spec, error, words):
    with pytest.raises(error, match=words):
        opened(**spec)


def test_a_pipeline_of_a_manifest_is_taken_from_the_assets_before_the_hub(tmp_path, monkeypatch):
    monkeypatch.setenv("GENBIAS_HOME", str(tmp_path / "home"))
    asked = []
    monkeypatch.setattr("audit.sources.diffusion.DiffusionSource", lambda name, weights, **k: asked.append((weights, k["revision"])))
    opened(source="diffusion", weights="ddpm_celebahq_256", assets=(str(tmp_path),))
    (tmp_path / "ddpm_celebahq_256").mkdir()
    opened(source="diffusion", weights="ddpm_celebahq_256", assets=(str(tmp_path),))
    assert asked == [("google/ddpm-celebahq-256", "6ae21a850a04470794cd758a297b00658803e2fb"), (str(tmp_path / "ddpm_celebahq_256"), None)]


def test_an_exported_program_needs_its_sha256_in_the_spec(tmp_path):
    (tmp_path / "g.pt2").write_bytes(b"program")
    with pytest.raises(ManifestError, match="nobody vouches for it"):
        opened(source="exported", weights=str(tmp_path / "g.pt2"))


def test_a_range_is_for_programs_that_do_not_say_theirs(dcgan, tmp_path):
    with pytest.raises(SpecError, match=r"the images of a dcgan are in -1\.\.1 by its construction"):
        opened(source="dcgan", weights=str(dcgan[1]), range=(0.0, 1.0))
    (tmp_path / "g.onnx").write_bytes(b"")
    with pytest.raises(SpecError, match="expected the lowest value first"):
        opened(source="onnx", weights=str(tmp_path / "g.onnx"), range=(1.0, -1.0))
