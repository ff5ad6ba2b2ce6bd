"""The whole recipe in miniature: a file that loads, a report that can be read, work that is taken up and not mixed up."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from audit.errors import InstrumentError, ManifestError, SourceError, SpecError
from audit.generators import load
from audit.generators.weights import save_weights
from audit.portraits.models import shipped
from audit.sources import open_source
from audit.spec import GeneratorSpec
from mitigations.self_conditioning.loop import open_baseline, train_self_conditioned
from mitigations.self_conditioning.report import check_labels, class_shares, discrepancy, logged_seconds
from mitigations.training.recipes import load_recipe
from mitigations.training.train import train

CPU = torch.device("cpu")


def test_the_file_loads_draws_and_answers_to_its_labels(made):
    net = load(made[1])
    assert net.attributes == ("gender", "smile")
    assert net.z_dim == 10
    z = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        low, high = (net.edit(z, torch.full((3, 2), v), noise="none") for v in (0.0, 1.0))
    assert (low - high).abs().max() > 1e-3


def test_the_source_of_a_spec_carries_what_the_method_says(made):
    source = open_source("sc", GeneratorSpec(source="stylegan2", weights=str(made[1]), noise="none"))
    said = source.method
    assert said["method"] == "self_conditioning"
    facts = {f["name"]: f["value"] for f in said["facts"]}
    assert {
        "code R2",
        "effective sample size",
        "unique share",
        "most repeats",
        "hyperplane accuracy, gender",
        "labels obeyed, smile",
    } <= set(facts)
    assert 0 < facts["effective sample size"] <= 600
    assert facts["draws of the resampled list"] == 300
    assert len(said["charts"]) == 4
    assert all(len(c["x"]) == len(c["y"]) + 1 and sum(c["y"]) == pytest.approx(1, abs=1e-3) for c in said["charts"])
    assert said["cost"]["training_images"] == 48
    assert said["cost"]["fitting_calls"] == 128 + 48 + 48 // 4 + 4 * 4 * 2
    assert source.draw(np.arange(2), np.arange(2, dtype=np.uint64)).status == ["ok", "ok"]


def test_resampled_labels_are_more_even_than_before(made):
    charts = json.loads(made[1].with_suffix(".method.json").read_text())["charts"]
    for before, after in zip(charts[::2], charts[1::2], strict=True):
        assert np.std(after["y"]) <= np.std(before["y"])


def test_the_log_tells_every_stage(made):
    stages = [row.get("stage") for row in map(json.loads, (made[0] / "log.jsonl").read_text().splitlines())]
    assert [s for s in dict.fromkeys(stages) if s] == ["directions", "encoder", "resampled", "critic"]
    assert (made[0] / "samples.png").is_file() and (made[0] / "strips.png").is_file()


def test_an_interrupted_training_ends_where_the_uninterrupted_one_does(tiny, made, tmp_path, monkeypatch):
    from mitigations.training.stylegan2 import StyleGAN2Trainer

    plain, steps = StyleGAN2Trainer.step, []

    def failing(self, *given):
        steps.append(1)
        if len(steps) == 4:
            raise KeyboardInterrupt
        return plain(self, *given)

    monkeypatch.setattr(StyleGAN2Trainer, "step", failing)
    monkeypatch.setattr("mitigations.training.stylegan2.time.monotonic", iter(range(0, 10**6, 500)).__next__)  # saves after each step
    with pytest.raises(KeyboardInterrupt):
        train_self_conditioned(tiny, tmp_path, CPU)
    monkeypatch.undo()
    again, whole = load_file(train_self_conditioned(tiny, tmp_path, CPU)), load_file(made[1])
    assert all(torch.allclose(again[k], whole[k], atol=1e-5) for k in whole)


def test_a_folder_of_other_work_is_refused(tiny, made):
    with pytest.raises(SpecError, match="holds the work of another recipe"):
        train_self_conditioned(replace(tiny, seed=1), made[0], CPU)


def test_a_missing_critic_is_a_line_in_the_log_and_not_the_end(tiny, tmp_path):
    options = {**tiny.options, "critic": "portraits/not_there"}
    assert train_self_conditioned(replace(tiny, options=options, schedule=[(16, 8)]), tmp_path, CPU).is_file()
    assert "begins with a fresh one" in (tmp_path / "log.jsonl").read_text()


def test_the_shipped_recipe_is_understood_and_covers_what_is_measured():
    recipe = load_recipe("self_conditioned")
    assert recipe.kind == "self_conditioning"
    assert {"gender", "skin_tone"} <= set(recipe.network["attributes"])
    assert str(recipe.schedule[0][0]) in recipe.options["r1_gamma"]
    assert recipe.options["classifier"] == "portraits_b"


def test_the_kind_has_a_loop(tiny, tmp_path):
    text = {**vars(tiny), "schedule": [[16, 8]], "name": "mini"}
    text["network"] = {**tiny.network, "channels": {int(k): v for k, v in tiny.network["channels"].items()}}
    (tmp_path / "mini.yaml").write_text(yaml.safe_dump(text))
    assert train(str(tmp_path / "mini.yaml"), tmp_path / "out") == tmp_path / "out/mini/mini.safetensors"
    assert (tmp_path / "out/mini/mini.method.json").is_file()


@pytest.mark.parametrize(("network", "options", "error", "words"), [
    ({"z_dim": 16}, {}, ManifestError, "the recipe describes"),
    ({"attributes": ["gender", "hat"]}, {}, InstrumentError, "no attribute 'hat'"),
    ({}, {"typo": 1}, SpecError, r"\['typo'\] are missing or unknown"),
    ({}, {"real_images": 99}, SourceError, "at least 100"),
    ({}, {"scored_images": 60}, SourceError, "too few for 40 at each end of gender"),
])  # fmt: skip
def test_what_cannot_work_is_a_sentence(tiny, tmp_path, network, options, error, words):
    wrong = replace(tiny, network={**tiny.network, **network}, options={**tiny.options, **options})
    with pytest.raises(error, match=words):
        train_self_conditioned(wrong, tmp_path, CPU)


def test_a_generator_without_a_mapping_network_and_one_already_conditioned_are_refused(made, tmp_path, tiny):
    with pytest.raises(SourceError, match="is a SelfConditionedStyleGAN2; self-conditioning starts from a plain StyleGAN2"):
        open_baseline(made[1])
    with pytest.raises(SourceError, match="is a LatentDiffusion"):
        open_baseline(shipped("diffusion"))
    wrong = tmp_path / "other_critic.safetensors"
    save_weights(torch.nn.Linear(1, 1), wrong, kind="critic", network={"resolution": 32, "channels": {"4": 8}})
    with pytest.raises(ManifestError, match="of another size than the generator"):
        train_self_conditioned(replace(tiny, options={**tiny.options, "critic": str(wrong)}), tmp_path / "out", CPU)


class _Reader:
    """Reads gender off the mean brightness."""

    def probabilities(self, batch):
        bright = np.array([image.float().mean() > 127.5 for image in batch.images], dtype=float)
        return np.stack([1 - bright, bright], axis=1)


class _Obedient(torch.nn.Module):
    z_dim = 3

    def __init__(self):
        super().__init__()
        self.anything = torch.nn.Parameter(torch.zeros(1))

    def labels(self, z):
        return torch.special.ndtr(z[:, 2:])

    def forward(self, z, noise):
        return (self.labels(z)[:, :, None, None] * 2 - 1).expand(-1, 3, 4, 4)


def test_a_generator_that_obeys_is_found_to_obey():
    (found,) = check_labels(_Obedient(), _Reader(), ("gender",), n=400, seed=1, cuts=[np.array([0.5])]).values()
    assert found["obeyed"] > 0.99
    assert found["rank_correlation"] > 0.85  # a step function of a uniform label: sqrt(3) / 2
    assert found["shares"] == pytest.approx([0.5, 0.5], abs=0.08)
    (late,) = check_labels(_Obedient(), _Reader(), ("gender",), n=400, seed=1, cuts=[np.array([0.8])]).values()
    assert late["obeyed"] == pytest.approx(0.7, abs=0.06)  # labels between the generator's step and the cut are missed
    assert found["discrepancy"] == pytest.approx(discrepancy(np.array(found["shares"])))


def test_shares_and_their_discrepancy_by_hand():
    said = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [np.nan, np.nan]])
    assert class_shares(said) == pytest.approx([2 / 3, 1 / 3])
    assert class_shares(said, np.array([1.0, 2.0, 1.0, 9.0])) == pytest.approx([0.5, 0.5])
    assert discrepancy(np.array([1.0, 0.0, 0.0])) == pytest.approx(np.sqrt(2 / 3))


def test_time_is_summed_over_restarts_of_the_clock(tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps({"seconds": s}) + "\n" for s in (0.0, 10.0, 25.0, 3.0, 5.0, 1.0)))
    assert logged_seconds(log) == pytest.approx(25 + 5 + 1)
