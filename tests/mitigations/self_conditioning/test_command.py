"""``genbias mitigate self-conditioning``: a spec in, a spec out that audits before and after; and what it refuses."""

import shutil

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load_file

from audit.errors import SourceError, SpecError
from audit.sources import open_source
from audit.spec import load_spec
from mitigations.self_conditioning import command as module
from mitigations.self_conditioning.command import command, recipe_for


@pytest.fixture
def spec(baseline, tmp_path):
    text = {"version": 1, "name": "t", "samples": 8, "instruments": {"classifier": "portraits_a"},
            "generators": {"tiny": {"source": "stylegan2", "weights": str(baseline), "noise": "none", "trained_on": "celeb_like",
                                    "baseline": True},
                           "diffusion": {"source": "diffusion", "weights": "portraits/diffusion"}}}  # fmt: skip
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(text))
    return tmp_path / "spec.yaml"


@pytest.fixture
def quick(tiny, monkeypatch):
    monkeypatch.setattr(module, "load_recipe", lambda name: tiny)


def call(*arguments):
    return CliRunner().invoke(command, [str(a) for a in arguments], catch_exceptions=True)


def test_it_leaves_a_spec_with_both_generators_and_the_same_command_resumes(spec, tmp_path, quick):
    out = tmp_path / "out"
    given = (spec, "--out", out, "--generator", "tiny", "--attributes", "gender,smile", "--images", 16, "--real", 200, "--device", "cpu")
    done = call(*given)
    assert done.exit_code == 0, done.exception
    assert f"genbias run {out / 'spec.yaml'}" in done.output
    after = load_spec(str(out / "spec.yaml"))
    assert list(after.generators) == ["tiny", "self_conditioned"]
    entry = after.generators["self_conditioned"]
    assert (entry.compare_to, entry.noise, entry.weights) == ("tiny", "none", str(out / "tiny_sc.safetensors"))
    source = open_source("self_conditioned", entry)
    assert source.draw(np.arange(2), np.arange(2, dtype=np.uint64)).status == ["ok", "ok"]
    assert source.method["cost"]["training_images"] == 16
    before = load_file(out / "tiny_sc.safetensors")
    assert call(*given).exit_code == 0
    assert all(torch.equal(v, before[k]) for k, v in load_file(out / "tiny_sc.safetensors").items())


def test_a_folder_of_images_takes_the_place_of_a_population(spec, tmp_path, quick):
    from audit.portraits import draw, population

    folder = tmp_path / "faces"
    folder.mkdir()
    seeds = np.arange(120, dtype=np.uint64)
    for i, image in enumerate(draw(population("balanced").for_seeds(seeds), seeds, size=24).permute(0, 2, 3, 1).numpy()):
        Image.fromarray(image).save(folder / f"{i:03d}.png")
    done = call(
        spec, "--out", tmp_path / "out", "--generator", "tiny", "--attributes", "gender", "--images", 8, "--data", folder, "--device", "cpu"
    )
    assert done.exit_code == 0, done.exception
    assert np.load(tmp_path / "out/images.npy", mmap_mode="r").shape == (120, 3, 16, 16)


def test_a_diffusion_model_is_refused(spec, tmp_path):
    done = call(spec, "--generator", "diffusion", "--out", tmp_path / "out")
    assert isinstance(done.exception, SpecError)
    assert "drawn from 'diffusion'; this method needs stylegan2" in str(done.exception)


def fitted(baseline, **given):
    defaults = {"data": None, "population": "celeb_like", "images": None, "real": None, "classifier": None, "seed": None}
    return recipe_for(baseline, ("gender",), **(defaults | given))


def test_the_recipe_takes_the_baseline_s_size_and_the_shipped_numbers(baseline):
    recipe = fitted(baseline, images=500, seed=3)
    assert recipe.network["resolution"] == 16 and recipe.network["attributes"] == ["gender"]
    assert recipe.schedule == [(16, 500)] and recipe.seed == 3
    assert recipe.options["r1_gamma"] == {"16": pytest.approx(0.0002 * 16**2 / 32)}
    assert recipe.options["critic"].endswith("tiny_critic.safetensors")
    assert recipe.options["real_images"] == 48000
    assert fitted(baseline, data=baseline.parent, population=None).options["real_images"] is None


def test_without_training_images_it_says_how_to_give_them(baseline):
    with pytest.raises(SpecError, match=r"trained_on is 'ffhq', which is no built-in population .*--data FOLDER"):
        fitted(baseline, population="ffhq")


@pytest.mark.parametrize(
    ("names", "words"), [(("hat",), "no attribute 'hat'"), (("age", "age"), "different names"), ((), "at least one; found none")]
)
def test_attributes_that_do_not_exist_are_named(baseline, names, words):
    with pytest.raises(SpecError, match=words):
        recipe_for(baseline, names, data=None, population="celeb_like", images=None, real=None, classifier=None, seed=None)


def test_a_generator_that_is_conditioned_already_is_refused(made, tmp_path):
    shutil.copy(made[1], tmp_path / "again.safetensors")
    with pytest.raises(SourceError, match="starts from a plain StyleGAN2"):
        fitted(tmp_path / "again.safetensors")
