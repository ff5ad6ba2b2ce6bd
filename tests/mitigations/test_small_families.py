"""DCGAN, AdaGAN, progressive GAN and VAE: what their trainings promise, and tiny versions of each recipe."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from audit.errors import ManifestError, SpecError
from audit.generators import load
from audit.generators.mixture import DCGANMixture
from audit.generators.weights import read_weights
from mitigations.training.adagan import training_weights
from mitigations.training.data import PortraitStream
from mitigations.training.dcgan import DCGANTrainer
from mitigations.training.grid import members, train_grid
from mitigations.training.progan import GrowingGenerator, ProGANTrainer
from mitigations.training.recipes import load_recipe
from mitigations.training.train import install, train

CPU = torch.device("cpu")


def tiny(name, **options):
    recipe = load_recipe(f"professors_{name}")
    schedule = [(size, 32) for size, _ in recipe.schedule]
    if name == "adagan":
        schedule = [(16, 64)]
        options = {"components": 2, "classifier_images": 64, **options}
    network = {**recipe.network, **({"widths": [8] * len(recipe.network["widths"])} if "widths" in recipe.network else {})}
    return replace(recipe, schedule=schedule, network=network, options={**recipe.options, "distinct": 48, "batch": 16, **options})


def written(recipe, folder):
    path = folder / f"{recipe.name}.yaml"
    raw = {f: getattr(recipe, f) for f in ("name", "kind", "population", "seed", "network", "options")} | {"schedule": [list(s) for s in recipe.schedule]}
    path.write_text(json.dumps(raw))
    return str(path)


def same(a, b):
    one, other = read_weights(a), read_weights(b)
    return one[:2] == other[:2] and all(torch.equal(one[2][k], other[2][k]) for k in one[2])


@pytest.mark.parametrize("name", ["dcgan", "adagan", "progan", "vae"])
def test_a_recipe_in_tiny_form_gives_weights_that_draw_and_repeats_to_the_bit(tmp_path, name):
    recipe = tiny(name)
    first = train(written(recipe, tmp_path), tmp_path / "a")
    again = train(written(recipe, tmp_path), tmp_path / "b")
    assert same(first, again)
    model = load(first)
    z = torch.randn(5, model.z_dim, generator=torch.Generator().manual_seed(1))
    images = model(z)
    assert images.shape == (5, 3, 16, 16)
    assert torch.isfinite(images).all()
    assert images.std(dim=0).mean() > 1e-4  # five latents, five pictures
    assert (first.parent / "log.jsonl").is_file()
    assert (first.parent / "samples.png").is_file()


def test_another_seed_gives_another_model(tmp_path):
    path = written(tiny("dcgan"), tmp_path)
    assert not same(train(path, tmp_path, seed=1), train(path, tmp_path, seed=2))


def test_an_interrupted_training_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    recipe = replace(tiny("dcgan"), schedule=[(16, 64)])
    whole = train(written(recipe, tmp_path), tmp_path / "whole")
    clock = iter(range(0, 10**6, 200))
    monkeypatch.setattr("mitigations.training.stylegan2.time.monotonic", lambda: next(clock))  # a checkpoint at each step
    calls = {"left": 2}
    step = DCGANTrainer.step

    def interrupted(self, *args, **kwargs):
        if calls["left"] == 0:
            raise KeyboardInterrupt
        calls["left"] -= 1
        return step(self, *args, **kwargs)

    monkeypatch.setattr(DCGANTrainer, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(written(recipe, tmp_path), tmp_path / "parts")
    assert (tmp_path / "parts" / recipe.name / "checkpoint.pt").is_file()
    monkeypatch.setattr(DCGANTrainer, "step", step)
    assert same(train(written(recipe, tmp_path), tmp_path / "parts"), whole)


# AdaGAN's weights


@pytest.mark.parametrize("beta", [1.0, 0.5, 1 / 3, 0.05])
def test_weights_add_to_one_and_fall_as_the_mixture_covers_an_image(beta):
    d = np.sort(np.random.default_rng(0).random(500))
    w = training_weights(d, beta)
    assert w.sum() == pytest.approx(1)
    assert (np.diff(w) >= -1e-15).all()  # surer to be data = less covered = weighed more


def test_weights_solve_the_papers_equation():
    rng = np.random.default_rng(1)
    d, beta = rng.random(200), 0.25
    w, r = training_weights(d, beta), (1 - d) / (d + 1e-8)
    inside = w > 0
    lam = w[inside] * len(d) * beta + (1 - beta) * r[inside]  # the same constant for every image with weight
    np.testing.assert_allclose(lam, lam[0])
    assert ((1 - beta) * r[~inside] >= lam[0] - 1e-12).all()


def test_the_first_component_sees_all_images_alike():
    np.testing.assert_allclose(training_weights(np.array([0.1, 0.9, 0.5]), 1.0), 1 / 3)


@pytest.mark.parametrize(("d", "beta"), [([], 0.5), ([0.5, 1.2], 0.5), ([0.5, float("nan")], 0.5), ([0.5], 0.0), ([0.5], 1.5)])
def test_what_is_no_probability_is_refused(d, beta):
    with pytest.raises(SpecError, match="AdaGAN needs probabilities"):
        training_weights(np.array(d), beta)


def test_a_neglected_group_is_what_the_next_component_is_shown():
    d = np.r_[np.full(950, 0.5), np.full(50, 0.99)]  # the mixture never draws the last fifty
    w = training_weights(d, 0.5)
    assert w[-50:].sum() > 0.09 > 0.05


# the mixture


def test_the_latent_picks_the_component_by_weight_and_alone():
    torch.manual_seed(0)
    mixture = DCGANMixture([[4, 8, 4, 4], [8, 3, 4, 4]], [0.7, 0.3]).eval()
    z = torch.randn(4000, 5)
    assert (mixture.component(z) == 0).float().mean() == pytest.approx(0.7, abs=0.03)
    together = mixture(z[:9])
    for i in range(9):
        torch.testing.assert_close(mixture(z[i : i + 1])[0], together[i])
        torch.testing.assert_close(mixture.parts[int(mixture.component(z[i : i + 1]))](z[i : i + 1, :-1])[0], together[i])


@pytest.mark.parametrize("weights", [[], [0.5, 0.6], [-0.5, 1.5]])
def test_weights_that_are_no_shares_are_refused(weights):
    with pytest.raises(ManifestError, match="no shares"):
        DCGANMixture([[4, 8, 4, 4], [8, 3, 4, 4]], weights)


# growing


def test_the_plain_network_draws_what_the_growing_one_drew():
    torch.manual_seed(3)
    growing = GrowingGenerator(6, [12, 8, 8])
    for p in growing.parameters():
        torch.nn.init.normal_(p)
    z = torch.randn(4, 6)
    torch.testing.assert_close(growing.plain()(z), growing(z), rtol=1e-5, atol=1e-5)


def test_a_new_size_is_faded_in_and_the_first_and_last_are_whole():
    trainer = ProGANTrainer(replace(load_recipe("professors_progan"), schedule=[(4, 100), (8, 100), (16, 200)]), CPU)
    found = {}
    for images in (0, 100, 125, 150, 199, 200, 250, 300, 400, 10_000):
        trainer.images_seen = images
        found[images] = trainer.alpha()
    assert found == {0: 0.0, 100: 1.0, 125: 0.5, 150: 0.0, 199: 0.0, 200: 1.0, 250: 0.5, 300: 0.0, 400: 0.0, 10_000: 0.0}


def test_at_the_start_of_a_fade_the_image_is_the_lower_size_enlarged():
    growing, z = GrowingGenerator(6, [8, 8, 8]), torch.randn(2, 6)
    torch.testing.assert_close(growing(z, 16, 1.0)[:, :, ::2, ::2], growing(z, 8))


# the training set


def test_a_fixed_training_set_is_shown_whole_each_epoch_in_another_order():
    stream = PortraitStream("professors:0.3", 5, 16, distinct=20)
    whole = stream.whole()[0]
    epochs = [stream.batch(first, 20)[0] for first in (0, 20)]
    for epoch in epochs:
        assert sorted(x.numpy().tobytes() for x in epoch) == sorted(x.numpy().tobytes() for x in whole)
    assert not torch.equal(*epochs)
    across = stream.batch(15, 10)[0]
    assert torch.equal(across[:5], epochs[0][15:])
    assert torch.equal(across[5:], epochs[1][:5])


# the grid


def test_the_grid_trains_every_share_and_two_of_them_from_three_seeds():
    found = members(load_recipe("professors"))
    names = [r.name for r in found]
    assert len(names) == len(set(names)) == 6 * (5 + 2 * 2)
    assert names[:6] == ["dcgan_50", "adagan_50", "progan_50", "vae_50", "stylegan2_50", "diffusion_50"]
    by_name = {r.name: r for r in found}
    assert by_name["vae_05_seed2"].population == "professors:0.05"
    assert len({by_name[f"vae_05{s}"].seed for s in ("", "_seed1", "_seed2")}) == 3


def test_a_grid_goes_on_where_it_stopped_and_installs_all_its_members(tmp_path):
    path = written(tiny("dcgan"), tmp_path)
    grid = replace(load_recipe("professors"), name="g", options={"recipes": {"d": path}, "shares": [0.5, 0.2], "seeds": {0.2: 2}})
    train_grid(grid, tmp_path / "g", CPU)
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path / "g").glob("*/*.safetensors")}
    assert sorted(p.stem for p in kept) == ["d_20", "d_20_seed1", "d_50"]
    next(iter(kept)).unlink()
    train_grid(grid, tmp_path / "g", CPU)
    assert sum(p.stat().st_mtime_ns == t for p, t in kept.items()) == 2
    (tmp_path / "models").mkdir()
    install(tmp_path / "g", tmp_path / "models")
    assert {p.name for p in (tmp_path / "models" / "g").iterdir()} >= {"d_20.safetensors", "d_20.log.jsonl", "d_50.safetensors"}


def test_seeds_at_a_share_outside_the_grid_are_a_sentence():
    grid = load_recipe("professors")
    with pytest.raises(SpecError, match=r"seeds are given for the share 0.07"):
        members(replace(grid, options={**grid.options, "seeds": {0.07: 3}}))
