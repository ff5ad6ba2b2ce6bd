"""A grid of trainings done by several workers."""

import pickle
from dataclasses import replace
from importlib import resources

import pytest
import torch
import yaml
from safetensors.numpy import load_file

from audit.engines import Choice
from audit.errors import SpecError
from mitigations.training.grid import members, train_grid, train_member
from mitigations.training.recipes import load_recipe
from mitigations.training.train import train


@pytest.fixture
def grid(tmp_path):
    recipe = yaml.safe_load((resources.files("mitigations") / "training" / "recipes" / "professors_dcgan.yaml").read_text())
    recipe |= {"name": "d", "schedule": [[recipe["schedule"][-1][0], 32]]}
    recipe["options"] |= {"distinct": 16, "batch": 8}
    (tmp_path / "d.yaml").write_text(yaml.safe_dump(recipe))
    return replace(load_recipe("professors"), name="g", options={"recipes": {"d": str(tmp_path / "d.yaml")}, "shares": [0.5, 0.2], "seeds": {}})


def test_several_workers_for_a_single_training_are_refused_before_anything_is_made(tmp_path):
    with pytest.raises(SpecError, match="is a single training, which one worker does"):
        train("professors_dcgan", tmp_path, choice=Choice(workers=2))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_two_workers_train_the_members_that_one_trains(grid, tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    train_grid(grid, tmp_path / "two", torch.device("cpu"), Choice(workers=2))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        train_grid(grid, tmp_path / "one", torch.device("cpu"))
    finally:
        torch.set_num_threads(threads)
    for name in ("d_50", "d_20"):
        two, one = (load_file(tmp_path / by / name / f"{name}.safetensors") for by in ("two", "one"))
        assert set(two) == set(one)
        assert all((two[key] == one[key]).all() for key in two)


def test_a_member_is_trained_from_what_travels(grid, tmp_path):
    member = pickle.loads(pickle.dumps((members(grid)[0], str(tmp_path / "m"))))
    assert train_member(member, "cpu") == str(tmp_path / "m")
    assert (tmp_path / "m" / "d_50.safetensors").is_file()
