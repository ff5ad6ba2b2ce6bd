"""The whole loop in miniature: plans are checked, batches are balanced, training resumes, and the file it leaves loads."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner

from audit.errors import RecordError, SourceError, SpecError
from audit.generators import load
from audit.generators.stylegan2 import StyleGAN2
from audit.generators.weights import read_weights, save_weights
from audit.sources.latent import LatentSource
from mitigations.command import mitigate_command
from mitigations.labelling import Labeller
from mitigations.rebalancing import BiasLoss, RebalancingTrainer, plan_of, train_rebalancing
from mitigations.rebalancing.data import BalancedBatches, Shelf, real_shelf
from mitigations.rebalancing.reading import SoftReader
from mitigations.rebalancing.report import training_seconds
from mitigations.training.data import PortraitStream
from mitigations.training.discriminator import Discriminator
from mitigations.training.recipes import Recipe, load_recipe
from mitigations.training.train import train

NETWORK = {"z_dim": 8, "w_dim": 8, "resolution": 16, "mapping_layers": 1, "channels": {"4": 16, "8": 16, "16": 16}}
OPTIONS = {"batch": 8, "lr": 0.002, "r1_every": 2, "r1_gamma": {"16": 0.1}, "path_every": 2, "path_weight": 2.0, "ema_images": 100,
           "attribute": "smile", "quota": 6, "search": {"method": "mixed", "prior_draws": 32, "budget": 4000}, "read": 16, "real_draws": 40}  # fmt: skip


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Weights of an untrained network whose images the classifier reads as either class."""
    labeller = Labeller("smile")
    for seed in range(40):
        torch.manual_seed(seed)
        net = StyleGAN2(**NETWORK)
        source = LatentSource("start", net, z_dim=8, digest=str(seed))
        counts = np.bincount(labeller.labels(source.draw(np.arange(64), np.arange(64, dtype=np.uint64))), minlength=2)
        if counts.min() >= 6:
            break
    path = tmp_path_factory.mktemp("start") / "small.safetensors"
    save_weights(net, path, kind="stylegan2", network=NETWORK)
    save_weights(Discriminator(16, NETWORK["channels"]), path.with_name("small_critic.safetensors"), kind="critic", dtype="float16",
                 network={"resolution": 16, "channels": NETWORK["channels"]})  # fmt: skip
    return path


def _recipe(start, **options):
    return Recipe("tiny", "rebalancing", "celeb_like", 5, NETWORK, [(16, 32)], {**OPTIONS, "start": str(start), **options})


def test_the_shipped_recipe_is_a_plan_that_never_asks_the_judge():
    recipe = load_recipe("rebalanced")
    plan = plan_of(recipe)
    assert plan.classifier == "portraits_b" and plan.attribute == "gender*skin_tone"
    assert recipe.network["channels"] == load_recipe("stylegan2").network["channels"]
    assert recipe.population == "celeb_like"


@pytest.mark.parametrize(("options", "words"), [
    ({"mixx": 0.5}, "unknown option 'mixx'"), ({"data": "all"}, "synthetic, mix, unbalanced"), ({"mix": 1.5}, "mix is 1.5"),
    ({"bias_loss": {"kind": "mse"}}, "none, hinge"), ({"bias_loss": {"kind": "kl", "wait": 1}}, "unknown option 'wait'"),
    ({"search": {"method": "luck"}}, "search, rejection, mixed"), ({"data": "unbalanced"}, "would change nothing"),
    ({"data": "unbalanced", "bias_loss": {"kind": "released"}}, "would change nothing"),
])  # fmt: skip
def test_a_plan_that_cannot_be_is_a_sentence(start, options, words):
    with pytest.raises(SpecError, match=words):
        plan_of(_recipe(start, **options))


@pytest.mark.parametrize(("mix", "real"), [(0.5, 300), (0.25, 150), (0.75, 450)])
def test_a_mix_holds_its_share_of_real_images_in_every_cell(mix, real):
    synthetic = Shelf(np.tile(np.arange(6, dtype=np.uint8)[:, None, None, None], (10, 3, 4, 4)), np.tile(np.arange(6), 10))
    reals = Shelf(synthetic.images + 100, synthetic.labels)
    made = BalancedBatches(synthetic, reals, mix=mix, cells=6, seed=0)
    batches = [made(at, 24, 4)[0] for at in range(0, 600, 24)]
    pixels = ((torch.cat(batches)[:, 0, 0, 0] + 1) * 127.5).round().int().numpy()
    assert (pixels >= 100).sum() == pytest.approx(real, abs=3)
    assert np.bincount(pixels % 100, minlength=6).tolist() == [100] * 6
    assert np.bincount(pixels[pixels >= 100] - 100, minlength=6) == pytest.approx([real / 6] * 6, abs=1)


def test_every_image_of_a_shelf_is_shown_once_before_any_is_shown_twice():
    shelf = Shelf(np.arange(12, dtype=np.uint8)[:, None, None, None] * np.ones((1, 3, 4, 4), np.uint8), np.repeat([0, 1], 6))
    made = BalancedBatches(shelf, None, mix=0.5, cells=2, seed=3)
    rounds = [((made(at, 12, 4)[0][:, 0, 0, 0] + 1) * 127.5).round().int().tolist() for at in (0, 12)]
    assert all(sorted(r) == list(range(12)) for r in rounds)
    assert rounds[0] != rounds[1]
    fresh = BalancedBatches(shelf, None, mix=0.5, cells=2, seed=3)
    assert torch.equal(fresh(12, 12, 4)[0], made(12, 12, 4)[0])  # a resumed training sees what it would have seen


def test_real_images_are_balanced_by_what_the_classifier_says(tmp_path):
    labeller = Labeller("gender")
    stream = PortraitStream("celeb_like", 1)
    shelf = real_shelf(stream, labeller, 64, 10, tmp_path)
    assert np.bincount(shelf.labels).tolist() == [10, 10]
    again = real_shelf(stream, labeller, 64, 10, tmp_path)
    assert np.array_equal(again.images, shelf.images)
    with pytest.raises(SourceError, match="no real image labelled"):
        real_shelf(stream, labeller, 1, 10, tmp_path)


@pytest.mark.parametrize("options", [
    {"data": "synthetic"}, {"data": "mix", "bias_loss": {"kind": "kl", "temperature": 4.0}}, {"data": "mix", "balance_real": False},
    {"data": "unbalanced", "bias_loss": {"kind": "hinge"}}, {"data": "synthetic", "bias_loss": {"kind": "released"}},
], ids=["synthetic", "mix_kl", "mix_as_it_comes", "unbalanced_hinge", "released"])  # fmt: skip
def test_every_variant_runs_to_a_file_that_loads(start, tmp_path, options):
    path = train_rebalancing(_recipe(start, **options), tmp_path, torch.device("cpu"))
    assert read_weights(path)[0] == "stylegan2"
    assert load(path)(torch.ones(2, 8)).shape == (2, 3, 16, 16)
    said = json.loads(path.with_suffix(".method.json").read_text())
    assert said["method"] == "rebalancing" and said["uses"] == "labels of portraits_b"
    assert said["cost"]["training_images"] == 32 and said["cost"]["fitting_seconds"] > 0
    facts = {f["name"]: f["value"] for f in said["facts"]}
    assert facts["share afterwards: neutral"] + facts["share afterwards: smiling"] == pytest.approx(1)
    assert ("roots: smiling" in facts) == (options["data"] != "unbalanced")
    assert not any("fresh one" in c for c in said["caveats"])


def test_the_recipe_runs_from_yaml_and_the_same_call_again_draws_nothing_new(start, tmp_path):
    recipe = _recipe(start, data="synthetic")
    text = {"name": "tiny", "kind": "rebalancing", "population": "celeb_like", "seed": 5, "network": NETWORK, "schedule": [[16, 32]],
            "options": recipe.options}  # fmt: skip
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(text))
    first = train(str(tmp_path / "tiny.yaml"), tmp_path / "out")
    before, log = read_weights(first)[2], (tmp_path / "out/tiny/log.jsonl").read_text()
    again = read_weights(train(str(tmp_path / "tiny.yaml"), tmp_path / "out"))[2]
    assert all(torch.equal(again[k], v) for k, v in before.items())
    assert (tmp_path / "out/tiny/log.jsonl").read_text() == log
    with pytest.raises(RecordError, match="other options"):
        train_rebalancing(replace(recipe, seed=6), tmp_path / "out/tiny", torch.device("cpu"))


def test_a_missing_critic_is_said_in_the_log_and_in_the_report(start, tmp_path):
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes(start.read_bytes())
    path = train_rebalancing(_recipe(alone), tmp_path / "out", torch.device("cpu"))
    assert "fresh one begins" in (tmp_path / "out/log.jsonl").read_text().splitlines()[0]
    assert any("fresh one" in c for c in json.loads(path.with_suffix(".method.json").read_text())["caveats"])


def test_the_trainer_starts_from_the_baseline_and_resumes_with_its_shares(start):
    labeller = Labeller("smile")
    tensors = read_weights(start)[2]

    def fresh():
        made = RebalancingTrainer(
            _recipe(start), torch.device("cpu"), reader=SoftReader(labeller, 4.0), bias=BiasLoss("kl", k=2), weight=1.0
        )
        made.start_from(tensors)
        return made

    trainer = fresh()
    assert all(torch.equal(v, tensors[k]) for k, v in trainer.average.state_dict().items())
    real = torch.rand(8, 3, 16, 16) * 2 - 1
    said = trainer.step(real, 16)
    assert said["share:neutral"] + said["share:smiling"] == pytest.approx(1, abs=1e-5)
    resumed = fresh()
    resumed.load(copy.deepcopy(trainer.state()))
    assert torch.equal(resumed.bias.shares(), trainer.bias.shares())
    for made in (trainer, resumed):
        torch.manual_seed(1)
        made.step(real, 16)
    pairs = zip(trainer.average.parameters(), resumed.average.parameters(), strict=True)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in pairs)


def test_the_bias_loss_alone_moves_the_shares(start):
    labeller = Labeller("smile")
    recipe = _recipe(start, lr=0.01)
    trainer = RebalancingTrainer(
        recipe, torch.device("cpu"), reader=SoftReader(labeller, 4.0), bias=BiasLoss("l2", ema=0.5, k=2), weight=1.0
    )
    trainer.start_from(read_weights(start)[2])
    trainer.judge = lambda images: trainer.discriminator(images) * 0  # no opinion: only the bias loss is left
    distances = []
    for _ in range(20):
        loss, said = trainer.generator_loss(trainer.generate(16, 16))
        trainer.g_optimiser.zero_grad()
        loss.backward()
        trainer.g_optimiser.step()
        distances.append(abs(said["share:smiling"] - 0.5))
    assert np.mean(distances[-5:]) < max(0.1, 0.5 * distances[0])
    still = RebalancingTrainer(recipe, torch.device("cpu"), reader=SoftReader(labeller), bias=BiasLoss("l2", k=2), weight=0.0)
    loss, said = still.generator_loss(still.generate(4, 16))
    assert said["bias_loss"] >= 0 and loss.item() == pytest.approx(said.get("g_loss", loss.item()))  # followed, not acted on


def test_what_is_no_stylegan2_cannot_be_trained_again(start, tmp_path):
    other = tmp_path / "other.safetensors"
    save_weights(Discriminator(16, NETWORK["channels"]), other, kind="critic", network={})
    for weights, words in ((other, "holds a critic"), (tmp_path / "none.safetensors", "no weights at")):
        with pytest.raises(SourceError, match=words):
            train_rebalancing(_recipe(weights), tmp_path / "out", torch.device("cpu"))
    with pytest.raises(SpecError, match="must be the same"):
        train_rebalancing(replace(_recipe(start), network={**NETWORK, "w_dim": 16}), tmp_path / "out2", torch.device("cpu"))
    with pytest.raises(SpecError, match="no population"):
        train_rebalancing(replace(_recipe(start, data="mix"), population="faces"), tmp_path / "out3", torch.device("cpu"))


def test_the_command_makes_weights_and_a_spec_that_names_them(start, tmp_path):
    spec = {"version": 1, "name": "s", "generators": {"g": {"source": "stylegan2", "weights": str(start), "baseline": True}}}
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(spec))
    call = ["rebalancing", str(tmp_path / "s.yaml"), "--out", str(tmp_path / "out"), "--attribute", "smile", "--quota", "6", "--images", "32",
            "--budget", "4000"]  # fmt: skip
    done = CliRunner().invoke(mitigate_command, call, catch_exceptions=False)
    assert done.exit_code == 0 and "genbias run" in done.stdout
    entry = yaml.safe_load((tmp_path / "out/spec.yaml").read_text())["generators"]["rebalanced"]
    assert entry["compare_to"] == "g" and load(entry["weights"]).resolution == 16
    missing = CliRunner().invoke(mitigate_command, [*call[:2], "--out", str(tmp_path / "b"), "--data", "mix"])
    assert isinstance(missing.exception, SpecError)  # no trained_on, so no real images


def test_the_reject_command_labels_its_pool_and_writes_a_spec(start, tmp_path, monkeypatch):
    monkeypatch.setenv("GENBIAS_HOME", str(tmp_path / "home"))
    spec = {"version": 1, "name": "s", "generators": {"g": {"source": "stylegan2", "weights": str(start)}}}
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(spec))
    call = ["reject", str(tmp_path / "s.yaml"), "--out", str(tmp_path / "out"), "--attribute", "smile", "--pool", "200"]
    done = CliRunner().invoke(mitigate_command, call, catch_exceptions=False)
    assert done.exit_code == 0
    entry = yaml.safe_load((tmp_path / "out/spec.yaml").read_text())["generators"]["g_reject"]
    assert entry["sampler"] == {"method": "reject", "attribute": "smile", "classifier": "portraits_b", "pool": 200, "seed": 0}
    assert list((tmp_path / "home/reject").iterdir())


def test_seconds_of_a_resumed_training_add_up():
    assert training_seconds([{"seconds": s} for s in (5.0, 9.0, 2.0, 4.0)]) == 13.0
    assert training_seconds([]) == 0
