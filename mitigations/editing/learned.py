"""One learned direction that is not straight: a small network that says where each code goes.

w -> w + s (step + f(w, s)): a perceptron f bends the conditional hyperplane's step for every code and strength. It starts at 0, so
training starts from that step, and strength 0 is no edit whatever it learned. It is trained on scored codes: a first perceptron learns
to read the second rater's probabilities off w, then f is trained through it on |s| <= 1, so that the expected class index reaches
what it was, plus s / 2, cut at its ends; that the other attributes' probabilities stay (Kullback-Leibler); and that the move stays
short, in standard deviations of the codes. After the idea of learned latent edits (StyleFlow, Abdal et al. 2021, arXiv 2008.02401), with
none of their code: what is compared is a kind of edit, not somebody's model. No image is drawn while it trains, so it costs seconds on a
processor; what the first perceptron gets wrong, f may exploit. Neither the judge nor the identity encoder takes part.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mitigations.editing.linear import Line

REACH = 0.5
"""What strength 1 adds to the expected class index, which runs from 0 to 1."""

KEEP, SHORT = 1.0, 0.02
"""Weights of the other attributes' divergence, and of the squared length of the move, against the squared miss of the target."""

BATCH, HELD_OUT = 256, 0.1


class Reader(nn.Module):
    """Reads every attribute off w: (n, w_dim) -> one (n, K) of log-probabilities an attribute.

    Args:
        width: w_dim.
        classes: number of classes by attribute.
        mean, spread: (w_dim,) of the codes.
        hidden: units of the hidden layer.
    """

    def __init__(self, width: int, classes: dict[str, int], mean: Tensor, spread: Tensor, hidden: int = 128) -> None:
        super().__init__()
        self.classes, self.mean, self.spread = classes, mean, spread
        self.first, self.last = nn.Linear(width, hidden), nn.Linear(hidden, sum(classes.values()))

    def forward(self, w: Tensor) -> dict[str, Tensor]:
        said = self.last(F.gelu(self.first((w - self.mean) / self.spread))).split(list(self.classes.values()), dim=1)
        return {a: part.log_softmax(dim=1) for a, part in zip(self.classes, said, strict=True)}


class Bend(nn.Module):
    """f(w, s): (n, w_dim), (n, 1) -> (n, w_dim), in units of the codes' standard deviations; 0 before training.

    Args:
        mean: (w_dim,) of the codes.
        spread: (w_dim,) standard deviations of the codes.
        hidden: units of the hidden layer.
    """

    def __init__(self, mean: Tensor, spread: Tensor, hidden: int = 48) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("spread", spread)
        self.first, self.last = nn.Linear(len(mean) + 1, hidden), nn.Linear(hidden, len(mean))
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, w: Tensor, strength: Tensor) -> Tensor:
        seen = torch.cat([(w - self.mean) / self.spread, strength], dim=1)
        return self.last(F.gelu(self.first(seen))) * self.spread

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what is stored, weights in half precision."""
        return {k: v.detach().numpy().astype(np.float32 if k in ("mean", "spread") else np.float16) for k, v in self.state_dict().items()}


@dataclass(frozen=True, eq=False)
class Learned:
    """A trained bend.

    Attributes:
        bend: the network.
        note: how well it could be trained, for people.
    """

    bend: Bend
    note: str


def bend_of(arrays: dict[str, np.ndarray]) -> Bend:
    """Return the network of stored arrays."""
    tensors = {k: torch.from_numpy(np.array(v, dtype=np.float32)) for k, v in arrays.items()}
    bend = Bend(tensors["mean"], tensors["spread"], len(tensors["first.bias"]))
    bend.load_state_dict(tensors)
    return bend.eval()


def moved_by(ws: Tensor, line: Line, bend: Bend, strength: float | Tensor) -> Tensor:
    """Return codes (n, num_ws, w_dim) moved by s (step + f(w, s)); ``strength`` is one number or (n, 1)."""
    w = ws[:, 0]
    s = strength if isinstance(strength, Tensor) else torch.full((len(w), 1), float(strength), dtype=w.dtype, device=w.device)
    step = torch.as_tensor(line.step, dtype=w.dtype, device=w.device)
    return ws + (s * (step + bend(w, s))).unsqueeze(1)


def expected_scores(log_probabilities: Tensor) -> Tensor:
    """Return (n,) expected class index of (n, K), scaled to 0..1; for two classes the probability of the second."""
    k = log_probabilities.shape[1]
    return log_probabilities.exp() @ torch.arange(k, dtype=log_probabilities.dtype) / (k - 1)


def learn_bends(
    codes: np.ndarray, scores: dict[str, np.ndarray], lines: dict[str, Line], *, steps: int, lr: float, seed: int
) -> dict[str, Learned]:
    """Train the bend of every attribute.

    Args:
        codes: (n, w_dim) scored codes.
        scores: {attribute: (n, K) probabilities of the second rater}; rows with NaN are left out.
        lines: {attribute: the straight move it begins with}.
        steps: optimiser steps of the reader and of each bend.
        lr: of Adam, falling to 0 along a cosine.
        seed: of initial weights, batches and strengths.
    """
    good = ~np.isnan(np.concatenate(list(scores.values()), axis=1)).any(axis=1)
    w = torch.from_numpy(codes[good].astype(np.float32))
    said = {a: torch.from_numpy(s[good].astype(np.float32)) for a, s in scores.items()}
    mean, spread = w.mean(dim=0), w.std(dim=0).clamp(min=1e-6)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        reader, errors = _read(w, said, mean, spread, steps, lr)
        return {a: Learned(_bent(w, a, line, reader, mean, spread, steps, lr), f"the reader of w misses the second rater's score by "
                           f"{errors[a]:.2f} (root mean square) on held-out codes") for a, line in lines.items()}  # fmt: skip


def _read(w: Tensor, said: dict[str, Tensor], mean: Tensor, spread: Tensor, steps: int, lr: float) -> tuple[Reader, dict[str, float]]:
    reader = Reader(w.shape[1], {a: s.shape[1] for a, s in said.items()}, mean, spread)
    mixed, held = torch.randperm(len(w)), max(1, round(HELD_OUT * len(w)))
    check, learn = mixed[:held], mixed[held:]
    adam = torch.optim.Adam(reader.parameters(), lr=lr, weight_decay=1e-3)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    for _ in range(steps):
        at = learn[torch.randint(len(learn), (BATCH,))]
        found = reader(w[at])
        loss = torch.stack([-(said[a][at] * found[a]).sum(dim=1).mean() for a in said]).sum()
        _step(adam, falling, loss)
    with torch.no_grad():
        found = reader(w[check])
        errors = {
            a: float((expected_scores(found[a]) - expected_scores(said[a][check].clamp(min=1e-12).log())).square().mean().sqrt())
            for a in said
        }
    return reader.requires_grad_(False), errors


def _bent(w: Tensor, attribute: str, line: Line, reader: Reader, mean: Tensor, spread: Tensor, steps: int, lr: float) -> Bend:
    bend = Bend(mean, spread)
    adam = torch.optim.Adam(bend.parameters(), lr=lr)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    for _ in range(steps):
        part = w[torch.randint(len(w), (BATCH,))]
        strength = torch.rand(len(part), 1) * 2 - 1
        moved = moved_by(part.unsqueeze(1), line, bend, strength)[:, 0]
        before, after = reader(part), reader(moved)
        wanted = (expected_scores(before[attribute]) + REACH * strength[:, 0]).clamp(0, 1)
        miss = (expected_scores(after[attribute]) - wanted).square().mean()
        kept = [F.kl_div(after[a], before[a], log_target=True, reduction="batchmean") for a in before if a != attribute]
        drift = torch.stack(kept).mean() if kept else miss.new_zeros(())
        _step(adam, falling, miss + KEEP * drift + SHORT * ((moved - part) / spread).square().mean())
    return bend_of(bend.arrays())  # as it will be read back


def _step(adam: torch.optim.Optimizer, falling: torch.optim.lr_scheduler.LRScheduler, loss: Tensor) -> None:
    adam.zero_grad()
    loss.backward()
    adam.step()
    falling.step()
