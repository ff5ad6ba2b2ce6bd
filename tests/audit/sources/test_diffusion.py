"""Diffusers pipelines, tiny and random: an image is its seed, and what cannot be opened is a sentence."""

import json
import warnings

import numpy as np
import pytest
import torch

from audit.errors import ManifestError, SourceError
from audit.seeds import image_seeds
from audit.sources.base import OK, REFUSED
from audit.sources.diffusion import DiffusionSource

IDS = np.arange(5)
SEEDS = image_seeds(1, IDS)


def unet(size=8):
    from diffusers import UNet2DModel

    torch.manual_seed(0)
    return UNet2DModel(sample_size=size, in_channels=3, out_channels=3, layers_per_block=1, block_out_channels=(8, 8), norm_num_groups=4,
                       down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2)  # fmt: skip


@pytest.fixture(scope="module")
def pipelines(tmp_path_factory):
    """Return a folder with pipelines in it: ddpm, ddim, ldm (latent), flat (network and scheduler alone), bin."""
    import diffusers
    from diffusers import DDIMPipeline, DDIMScheduler, DDPMPipeline, DDPMScheduler, VQModel

    root = tmp_path_factory.mktemp("pipelines")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        DDPMPipeline(unet(), DDPMScheduler(num_train_timesteps=20)).save_pretrained(root / "ddpm")
        DDPMPipeline(unet(), DDPMScheduler(num_train_timesteps=20)).save_pretrained(root / "bin", safe_serialization=False)
        DDIMPipeline(unet(), DDIMScheduler(num_train_timesteps=20)).save_pretrained(root / "ddim")
        unet().save_pretrained(root / "flat")
        DDPMScheduler(num_train_timesteps=20).save_pretrained(root / "flat")
        vq = VQModel(block_out_channels=(8, 8), norm_num_groups=4, num_vq_embeddings=16, down_block_types=("DownEncoderBlock2D",) * 2,
                     up_block_types=("UpDecoderBlock2D",) * 2)  # fmt: skip
        diffusers.LDMPipeline(vq, unet(), DDIMScheduler(num_train_timesteps=20)).save_pretrained(root / "ldm")
    return root


@pytest.fixture
def copied(pipelines, tmp_path):
    """Copy a pipeline so that a test can spoil it."""
    import shutil

    def copy(name):
        return shutil.copytree(pipelines / name, tmp_path / name)

    return copy


@pytest.mark.parametrize(("name", "options"), [
    ("ddpm", {"steps": 3}), ("ddpm", {"steps": 3, "scheduler": "DDIM"}), ("ddpm", {"steps": 3, "scheduler": "DPMSolverMultistepScheduler"}),
    ("ddim", {"steps": 3}), ("ldm", {"steps": 3}), ("flat", {"steps": 3}), ("bin", {"steps": 3}),
])  # fmt: skip
def test_an_image_depends_on_its_seed_and_on_nothing_else(pipelines, name, options):
    source = DiffusionSource("d", str(pipelines / name), **options)
    together = source.draw(IDS, SEEDS)
    assert together.status == [OK] * 5
    for at in (0, 3):
        alone = source.draw(IDS[at : at + 1], SEEDS[at : at + 1])
        assert int((alone.images[0].int() - together.images[at].int()).abs().max()) <= 1
    assert len({i.numpy().tobytes() for i in together.images}) == 5
    assert together.images[0].shape == ((3, 16, 16) if name == "ldm" else (3, 8, 8))


def test_the_noise_of_an_image_is_bit_equal_whatever_its_batch(pipelines, monkeypatch):
    source = DiffusionSource("d", str(pipelines / "ddim"), steps=2)
    seen = []
    real = source.pipeline.unet.forward
    monkeypatch.setattr(source.pipeline.unet, "forward", lambda x, *a, **k: (seen.append(x.clone()), real(x, *a, **k))[1])
    source.draw(IDS, SEEDS)
    together = seen[0]
    seen.clear()
    source.draw(IDS[3:], SEEDS[3:])
    assert torch.equal(seen[0], together[3:])


def test_a_pipeline_draws_what_diffusers_draws_with_that_seed(pipelines):
    from diffusers import DDIMPipeline

    image = DiffusionSource("d", str(pipelines / "ddim"), steps=4).draw(IDS[:1], SEEDS[:1]).images[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipe = DDIMPipeline.from_pretrained(pipelines / "ddim", low_cpu_mem_usage=False)
    pipe.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(int(SEEDS[0]) % 2**63)
    theirs = pipe(generator=[generator], num_inference_steps=4, output_type="np").images[0]
    assert np.abs(image.permute(1, 2, 0).numpy() - theirs * 255).max() <= 0.51


def test_the_digest_changes_with_weights_steps_and_scheduler_and_with_nothing_else(pipelines, copied):
    def known(path, **options):
        return DiffusionSource("d", str(path), **options).digest

    base = known(pipelines / "ddpm", steps=3)
    assert base == known(copied("ddpm"), steps=3)
    assert len({base, known(pipelines / "ddpm", steps=4), known(pipelines / "ddpm", steps=3, scheduler="DDIM"),
                known(pipelines / "flat", steps=3)}) == 4  # fmt: skip


class Checked:
    """A pipeline whose safety checker blocks the second image and whose third is not finite."""

    safety_checker = object()
    scheduler = object()
    components = ("safety_checker",)

    def to(self, device):
        return self

    def __call__(self, batch_size, num_inference_steps=2, generator=None, output_type="np"):
        images = np.full((batch_size, 4, 4, 3), 0.5)
        images[2] = np.nan
        return type("Said", (), {"images": images, "nsfw_content_detected": [False, True, False]})()


def test_blocked_and_broken_images_have_a_status_of_their_own(monkeypatch, tmp_path):
    monkeypatch.setattr("audit.sources.diffusion.open_pipeline", lambda *a, **k: (Checked(), tmp_path))
    source = DiffusionSource("d", "x")
    assert source.draw(IDS[:3], SEEDS[:3]).status == [OK, REFUSED, "not finite"]
    assert any("safety checker is on" in c for c in source.caveats)


def spoil_index(change):
    def spoil(folder):
        index = json.loads((folder / "model_index.json").read_text())
        change(index)
        (folder / "model_index.json").write_text(json.dumps(index))

    return spoil


def with_code(folder):
    (folder / "unet" / "mine.py").write_text("raise SystemExit\n")


@pytest.mark.parametrize(("spoil", "words"), [
    (spoil_index(lambda i: i.pop("scheduler")), "has no scheduler: model_index.json names unet"),
    (spoil_index(lambda i: i.update(scheduler=[None, None])), "has no scheduler"),
    (spoil_index(lambda i: i.update(unet=["my_module", "Net"])), "component 'unet' .* comes from 'my_module'; expected one of diffusers"),
    (spoil_index(lambda i: i.update(_class_name=["mine", "Pipe"])), r"names the pipeline \['mine', 'Pipe'\]"),
    (spoil_index(lambda i: i.update(_class_name="NoSuchPipeline")), "is a NoSuchPipeline, which this diffusers"),
    (lambda f: (f / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"cut"), "cannot be opened"),
    (lambda f: (f / "scheduler" / "scheduler_config.json").unlink(), "cannot be opened|has no scheduler"),
    (lambda f: (f / "unet").rename(f / "elsewhere"), r"component 'unet' \(UNet2DModel\) .* is missing: there is no folder 'unet'"),
    (lambda f: (f / "model_index.json").write_text("{"), "is not JSON"),
    (lambda f: (f / "model_index.json").unlink(), "holds no model_index.json"),
    (with_code, "brings Python code"),
])  # fmt: skip
def test_a_pipeline_that_is_not_whole_or_brings_code_is_a_sentence(copied, spoil, words):
    folder = copied("ddpm")
    spoil(folder)
    with pytest.raises((SourceError, ManifestError), match=words):
        DiffusionSource("d", str(folder))


def test_a_network_alone_without_its_scheduler_is_a_sentence(copied):
    folder = copied("flat")
    (folder / "scheduler_config.json").unlink()
    with pytest.raises(SourceError, match=r"has no scheduler: scheduler_config\.json is missing"):
        DiffusionSource("d", str(folder))


@pytest.mark.parametrize(("options", "words"), [
    ({"scheduler": "DDIN"}, r"no scheduler 'DDIN' \(did you mean 'DDIMScheduler'\?\)"),
    ({"scheduler": "PNDM"}, "PNDMScheduler does not go with a DDPMPipeline"),
])  # fmt: skip
def test_a_scheduler_that_does_not_exist_or_does_not_go_with_it_is_a_sentence(pipelines, options, words):
    with pytest.raises(SourceError, match=words):
        DiffusionSource("d", str(pipelines / "ddpm"), **options)


def test_more_steps_than_it_was_trained_with_is_a_sentence(pipelines):
    with pytest.raises(SourceError, match="DDPMPipeline failed while drawing"):
        DiffusionSource("d", str(pipelines / "ddpm"), steps=1000).draw(IDS, SEEDS)


def test_a_name_that_is_neither_here_nor_had_from_the_hub_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(SourceError, match="'nobody/nothing' is no directory here and cannot be had from the Hub"):
        DiffusionSource("d", "nobody/nothing")
    with pytest.raises(SourceError, match=r"no pipeline at \./nowhere/at/all"):
        DiffusionSource("d", "./nowhere/at/all")


def test_weights_that_would_run_code_are_refused_and_run_none(copied, tmp_path):
    class Touch:
        def __reduce__(self):
            return open, (str(tmp_path / "ran"), "w")

    folder = copied("bin")
    torch.save({"conv_in.weight": Touch()}, folder / "unet" / "diffusion_pytorch_model.bin")
    with pytest.raises(ManifestError, match="cannot be opened"):
        DiffusionSource("d", str(folder))
    assert not (tmp_path / "ran").exists()
