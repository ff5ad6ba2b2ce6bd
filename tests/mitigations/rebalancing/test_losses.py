"""The bias losses: their formulas, their noise, what they pull towards, and the one that pulls nowhere."""

import numpy as np
import pytest
import torch

from audit.errors import InstrumentError, SpecError
from audit.labels import cells
from audit.sources.base import OK, Batch
from mitigations.labelling import Labeller
from mitigations.rebalancing import BiasLoss, noise_floor, released_weights
from mitigations.rebalancing.reading import SoftReader, soft_cells

RELEASED = (0.16504, 0.19948, 0.19658, 0.06928, 0.19388, 0.17574)
"""The constants of the released code, in the order asian, indian, black, white, middle eastern, latino."""

WHITE = 3


def _optimised(loss_of, steps=400):
    """Return the softmax that descent on a loss leads to from a start heavy in class 3."""
    logits = torch.tensor([0.0, 0.0, 0.0, 3.0, 0.0, 0.0], requires_grad=True)
    for step in range(steps):
        (slope,) = torch.autograd.grad(loss_of(logits.softmax(0)[None]), logits)
        with torch.no_grad():
            logits -= 0.1 * 0.99**step * slope / slope.norm().clamp(min=1e-6)
    return logits.softmax(0).detach().numpy()


def test_every_loss_is_its_formula():
    q = torch.tensor([[0.6, 0.3, 0.1], [0.4, 0.5, 0.1]])
    mean, weights = np.array([0.5, 0.4, 0.1]), [0.2, 0.3, 0.5]
    expected = {
        "hinge": np.dot(weights, np.maximum(1 / 3 - mean, 0)),
        "l2": ((mean - 1 / 3) ** 2).sum(),
        "kl": (1 / 3 * np.log(1 / 3 / mean)).sum(),
        "released": 0.2 * 0.5 + 0.3 * 0.5,  # one image of class 0, one of class 1
    }
    for kind, value in expected.items():
        assert BiasLoss(kind, weights, 0.0, k=3)(q).item() == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize("kind", ["hinge", "l2", "kl"])
def test_equal_shares_cost_nothing(kind):
    assert BiasLoss(kind, k=6)(torch.full((4, 6), 1 / 6)).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("batch", "expected"), [(4, 0.208), (8, 0.104), (16, 0.052), (64, 0.013)])
def test_an_even_generator_still_shows_one_minus_one_over_k_by_b(batch, expected):
    assert noise_floor(6, batch) == pytest.approx(expected, abs=6e-4)
    rng, loss = np.random.default_rng(batch), BiasLoss("l2", ema=0.0, k=6)
    seen = [loss(torch.eye(6)[rng.integers(0, 6, batch)]).item() for _ in range(800)]
    assert np.mean(seen) == pytest.approx(noise_floor(6, batch), rel=0.09)  # 3 standard errors of a chi square of 5


def test_the_running_mean_lowers_that_floor_as_it_says():
    rng, loss = np.random.default_rng(0), BiasLoss("l2", ema=0.9, k=6)
    seen = [loss(torch.eye(6)[rng.integers(0, 6, 32)]).item() for _ in range(2000)][100:]
    assert np.mean(seen) == pytest.approx(noise_floor(6, 32, 0.9), rel=0.2)
    assert noise_floor(6, 32, 0.9) == pytest.approx(noise_floor(6, 32) / 19)


def test_the_running_mean_is_right_from_the_first_batch():
    loss = BiasLoss("l2", ema=0.9, k=2)
    loss(torch.tensor([[0.8, 0.2]]))
    assert loss.shares().tolist() == pytest.approx([0.8, 0.2])
    loss(torch.tensor([[0.2, 0.8]]))
    assert loss.shares()[0].item() == pytest.approx((0.9 * 0.8 + 0.2) / 1.9)
    assert BiasLoss("l2", k=4).shares().tolist() == [0.25] * 4


@pytest.mark.parametrize("kind", ["hinge", "l2", "kl"])
def test_the_running_mean_does_not_shrink_the_gradient(kind):
    slopes = []
    for ema in (0.0, 0.9):
        loss, q = BiasLoss(kind, ema=ema, k=3), torch.tensor([[0.6, 0.3, 0.1]], requires_grad=True)
        for _ in range(5):
            value = loss(q)
        (slope,) = torch.autograd.grad(value, q)
        slopes.append(slope)
    assert torch.allclose(slopes[0], slopes[1], rtol=1e-4)
    assert slopes[0].abs().max() > 0.1


def test_the_slope_is_taken_at_the_running_mean_not_at_the_batch():
    loss = BiasLoss("l2", ema=0.9, k=2)
    for _ in range(50):
        loss(torch.tensor([[0.9, 0.1]]))
    q = torch.tensor([[0.1, 0.9]], requires_grad=True)
    loss(q).backward()
    assert q.grad[0, 0] > 0 > q.grad[0, 1]  # one odd batch does not turn the pull around


def test_the_hinge_pulls_a_heavy_class_to_near_equal_shares():
    q = _optimised(BiasLoss("hinge", RELEASED, 0.0, k=6))
    assert np.abs(q - 1 / 6).max() < 0.03


def test_the_released_sum_made_soft_collapses_onto_the_class_of_smallest_weight():
    weights = torch.tensor(RELEASED)
    q = _optimised(lambda p: (weights * torch.relu(p.mean(0))).sum())
    assert q[WHITE] > 0.98


def test_the_released_loss_has_no_gradient():
    q = torch.tensor([[0.6, 0.3, 0.1]], requires_grad=True)
    assert not BiasLoss("released", k=3)(q).requires_grad
    assert BiasLoss("hinge", k=3)(q).requires_grad


def test_released_weights_invert_to_the_shares_the_dossier_found():
    shares = (0.1748, 0.0026, 0.0171, 0.6536, 0.0306, 0.1213)
    assert released_weights(shares).tolist() == pytest.approx(RELEASED, abs=2e-5)


@pytest.mark.parametrize(("arguments", "words"), [
    (("guess",), "hinge, l2, kl, released"), (("hinge", [1.0, 2.0]), "2 weights for 3"), (("kl", None, 1.0), "ema is 1.0")])  # fmt: skip
def test_a_loss_that_cannot_be_is_a_sentence(arguments, words):
    with pytest.raises(SpecError, match=words):
        BiasLoss(*arguments, k=3)


def test_joint_cells_are_products_in_the_order_of_the_labels():
    logits = torch.randn(5, 10, generator=torch.Generator().manual_seed(0))
    joint = soft_cells(logits, "gender*skin_tone")
    gender, tone = logits[:, :2].softmax(1), logits[:, 2:5].softmax(1)
    at = cells("gender*skin_tone").index("masculine*medium")
    assert torch.allclose(joint[:, at], gender[:, 1] * tone[:, 1])
    assert torch.allclose(joint.sum(1), torch.ones(5))


def test_the_soft_reader_says_what_the_labeller_says():
    labeller = Labeller("gender*skin_tone")
    pixels = torch.randint(0, 256, (6, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    rows = np.arange(6)
    expected = labeller.probabilities(Batch(rows, rows.astype(np.uint64), list(pixels), [OK] * 6))
    for temperature in (1.0, 4.0):
        said = SoftReader(labeller, temperature)(pixels / 127.5 - 1)
        assert np.allclose(said.numpy(), expected, atol=1e-5)


def test_temperature_changes_the_slope_and_not_the_value():
    labeller, made = Labeller("gender"), {}
    images = torch.zeros(2, 3, 16, 16)  # any size: the instrument's own resize
    for temperature in (1.0, 4.0):
        x = images.clone().requires_grad_(True)
        said = SoftReader(labeller, temperature)(x)
        said[:, 0].sum().backward()
        made[temperature] = (said.detach(), x.grad)
    assert torch.allclose(made[1.0][0], made[4.0][0])
    assert made[1.0][1].abs().sum() > 0
    assert not torch.allclose(made[1.0][1], made[4.0][1])


def test_a_classifier_without_gradients_is_a_sentence():
    class Answers:
        attribute, classifier, cells, instrument = "gender", "fairface", ["feminine", "masculine"], object()

    with pytest.raises(InstrumentError, match="'fairface' only gives answers"):
        SoftReader(Answers())


def test_a_classifier_that_lacks_the_attribute_is_a_sentence():
    with pytest.raises(InstrumentError, match="no attribute 'race'"):
        Labeller("race")
