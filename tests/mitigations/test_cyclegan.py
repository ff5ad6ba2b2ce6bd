"""The CycleGAN's training in miniature: every network moves, it learns to come back, it resumes exactly, its file is a map."""

from dataclasses import replace

import pytest
import torch

from audit.errors import ManifestError
from audit.generators.cyclegan import CycleGANGenerator, load_cyclegan
from audit.generators.weights import save_weights
from mitigations.training.cyclegan import CycleGANTrainer, ImagePool, PatchCritic, strip
from mitigations.training.recipes import load_recipe
from mitigations.training.train import train


@pytest.fixture
def tiny():
    recipe = load_recipe("cyclegan")
    options = {**recipe.options, "critic_channels": [8, 8], "identity_weight": 5.0, "pool": 4, "constant_images": 6}
    return replace(recipe, name="tiny", network={"channels": [8, 8], "residual_layers": 1}, schedule=[(32, 12)], options=options)


def batches(n=2):
    torch.manual_seed(7)
    return torch.rand(n, 3, 32, 32) * 2 - 1, torch.rand(n, 3, 32, 32) * 2 - 1


def test_a_step_moves_all_four_networks_and_steps_bring_the_cycle_home(tiny):
    trainer = CycleGANTrainer(tiny, torch.device("cpu"))
    before, after = batches()
    networks = [getattr(trainer, name) for name in ("forward", "backward", "critic_after", "critic_before")]
    old = [[p.clone() for p in n.parameters()] for n in networks]
    losses = [trainer.step(before, after) for _ in range(5)]
    for network, was in zip(networks, old, strict=True):
        assert any(not torch.equal(a, b) for a, b in zip(was, network.parameters(), strict=True))
    assert losses[-1]["cycle"] < losses[0]["cycle"] and losses[-1]["identity"] > 0


def test_without_weight_the_identity_is_not_asked_for(tiny):
    trainer = CycleGANTrainer(replace(tiny, options={**tiny.options, "identity_weight": 0.0}), torch.device("cpu"))
    assert [trainer.step(*batches())["identity"] for _ in range(2)] == [0, 0]


def test_the_pace_is_constant_and_then_falls_to_nothing(tiny):
    trainer = CycleGANTrainer(tiny, torch.device("cpu"))
    rates = []
    for _ in range(6):
        trainer.step(*batches())
        rates.append(trainer.g_optimiser.param_groups[0]["lr"] / tiny.options["lr"])
    assert rates == pytest.approx([1, 1, 1, 1, 2 / 3, 1 / 3])


def test_a_resumed_training_is_the_uninterrupted_one(tiny):
    straight = CycleGANTrainer(tiny, torch.device("cpu"))
    for _ in range(6):
        straight.step(*batches())
    first, resumed = CycleGANTrainer(tiny, torch.device("cpu")), CycleGANTrainer(tiny, torch.device("cpu"))
    for _ in range(3):
        first.step(*batches())
        state = torch.get_rng_state()
    assert len(first.pools["after"].images) == 4
    saved = first.state() | {"rng": state}
    resumed.load(saved)
    for _ in range(3):
        resumed.step(*batches())
    for a, b in zip(straight.forward.parameters(), resumed.forward.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_the_pool_gives_back_old_images_once_it_is_full():
    torch.manual_seed(0)
    pool = ImagePool(4)
    assert torch.equal(pool.mixed(torch.zeros(4, 3, 2, 2)), torch.zeros(4, 3, 2, 2))
    given = torch.cat([pool.mixed(torch.full((2, 3, 2, 2), float(i))) for i in range(1, 30)])
    own = torch.arange(1, 30).repeat_interleave(2)
    old = given[:, 0, 0, 0] != own
    assert 0.3 < old.float().mean() < 0.7
    assert (given[:, 0, 0, 0][old] < own[old]).all()


def test_a_patch_of_the_critic_sees_34_pixels():
    critic, image = PatchCritic((4, 4)).eval(), torch.zeros(1, 3, 64, 64, requires_grad=True)
    x = torch.nn.functional.leaky_relu(critic.first(image), 0.2)
    for conv in (*critic.further, critic.last):  # without the norm, which looks at the whole image
        x = torch.nn.functional.leaky_relu(conv(x), 0.2)
    said = critic.out(x)
    said[0, 0, said.shape[2] // 2, said.shape[3] // 2].backward()
    assert int((image.grad[0].abs().sum(dim=0) > 0).any(dim=0).sum()) == 34


def test_training_writes_a_map_its_log_and_a_strip_and_ends_at_once_when_done(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("mitigations.training.train.load_recipe", lambda *_: tiny)
    path = train("tiny", tmp_path)
    model = load_cyclegan(path)
    before, _ = batches()
    assert model(before).shape == before.shape
    assert path.with_name("samples.png").is_file()
    assert strip(model, tiny, torch.device("cpu"), 12).shape == (24, 3, 32, 32)
    size = path.stat().st_size
    train("tiny", tmp_path)
    assert path.stat().st_size == size


def test_a_file_of_another_kind_is_no_map(tmp_path):
    save_weights(CycleGANGenerator([8, 8], 1), tmp_path / "g.safetensors", kind="vae", network={"channels": [8, 8], "residual_layers": 1})
    with pytest.raises(ManifestError, match="maps no image"):
        load_cyclegan(tmp_path / "g.safetensors")
    save_weights(CycleGANGenerator([8, 8], 1), tmp_path / "g.safetensors", kind="cyclegan", network={"channels": [8, 16], "residual_layers": 1})
    with pytest.raises(ManifestError, match="does not fit"):
        load_cyclegan(tmp_path / "g.safetensors")
