import numpy as np
import pytest
import torch

from mitigations.editing import learned
from mitigations.editing.codes import score_codes
from mitigations.editing.learned import Bend, expected_scores, learn_bends, moved_by
from mitigations.editing.linear import Line

LINE = Line(np.array([1.2, 0.9, 0.0, 0.0, 0.0, 0.6, 0.0, 0.0]))
"""A poor straight move for smile (axis 0): it drags gender (axis 1) and identity (axis 5) along."""


@pytest.fixture
def scored(toy, rater):
    return score_codes(toy, rater, 1500, seed=0)


def test_an_untrained_bend_is_the_straight_move_and_strength_zero_is_none():
    bend, ws = Bend(torch.zeros(8), torch.ones(8)).requires_grad_(False), torch.randn(5, 2, 8)
    assert moved_by(ws, LINE, bend, 0.7).numpy() == pytest.approx((ws + 0.7 * torch.tensor(LINE.step).float()).numpy(), abs=1e-6)
    torch.nn.init.normal_(bend.last.weight)
    assert (moved_by(ws, LINE, bend, 0.0) == ws).all()
    assert not torch.allclose(moved_by(ws, LINE, bend, 0.7), ws + 0.7 * torch.tensor(LINE.step).float())


def test_training_reaches_the_attribute_and_drops_what_was_entangled(scored, monkeypatch):
    ws = torch.randn(400, 2, 8, generator=torch.Generator().manual_seed(1))

    def mean_move(keep):
        monkeypatch.setattr(learned, "KEEP", keep)
        monkeypatch.setattr(learned, "SHORT", 0.0)  # which would drop it too
        found = learn_bends(scored.codes, scored.scores, {"smile": LINE}, steps=200, lr=0.01, seed=0)["smile"]
        assert "misses" in found.note
        return (moved_by(ws, LINE, found.bend, 1.0) - ws)[:, 0].mean(dim=0)

    kept, free = mean_move(1.0), mean_move(0.0)
    assert kept[0] > 0.5, "smile is moved"
    assert kept[1:4].abs().max() < 0.1, "gender, age and skin tone are hardly moved any more"
    assert free[1:4].abs().max() > 0.2, "which is because their divergence counts"


def test_training_depends_on_its_seed_alone_and_leaves_the_global_one(scored):
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first, again, other = (
        learn_bends(scored.codes, scored.scores, {"smile": LINE}, steps=5, lr=0.01, seed=s)["smile"].bend.arrays() for s in (1, 1, 2)
    )
    assert (torch.get_rng_state() == state).all()
    assert all((first[k] == again[k]).all() for k in first) and any((first[k] != other[k]).any() for k in first)


def test_images_that_could_not_be_read_are_left_out(scored):
    holes = {a: s.copy() for a, s in scored.scores.items()}
    holes["age"][::7] = np.nan
    bend = learn_bends(scored.codes, holes, {"smile": LINE}, steps=5, lr=0.01, seed=1)["smile"].bend
    assert all(np.isfinite(v).all() for v in bend.arrays().values())


def test_expected_scores_run_from_zero_to_one():
    log_probabilities = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [1 / 3, 1 / 3, 1 / 3]]).clamp(min=1e-12).log()
    assert expected_scores(log_probabilities).tolist() == pytest.approx([0, 1, 0.5], abs=1e-5)
