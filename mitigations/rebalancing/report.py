"""How a rebalanced generator describes itself: what was searched and kept, what it was trained on, and what that cost."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from audit.instruments.portraits import PortraitNetwork
from audit.sources.base import OK, Batch
from mitigations.base import Chart, Cost, Fact, MethodReport
from mitigations.rebalancing.balanced import BalancedSet
from mitigations.rebalancing.data import Shelf
from mitigations.rebalancing.plan import Plan
from mitigations.training.recipes import Recipe

PAPER = "Jain, Memon, Togelius 2023, arXiv 2308.08638"


@dataclass(frozen=True)
class Done:
    """What a finished rebalancing has to tell.

    Attributes:
        recipe, plan: what was asked for.
        cells: names of the groups.
        chosen: the searched set, None where there was none.
        real_labels: labels of the balanced real images, None where there were none.
        shares: (K,) shares of the groups the finished generator draws, by the mitigating classifier.
        images_seen: images shown in training.
        fresh_critic: whether the discriminator began from nothing.
        identity: mean identity distance within a group: all kept images, and one image a lineage.
    """

    recipe: Recipe
    plan: Plan
    cells: list[str]
    chosen: BalancedSet | None
    real_labels: np.ndarray | None
    shares: np.ndarray
    images_seen: int
    fresh_critic: bool
    identity: tuple[float, float] | None = None


def method_report(done: Done, log: Path) -> MethodReport:
    """Return the report of a finished rebalancing; ``log`` is its training log."""
    plan, rows = done.plan, training_rows(log)
    facts = [*_search_facts(done), *_real_facts(done), *_share_facts(done)]
    calls = done.chosen.calls + len(done.chosen.labels) if done.chosen is not None else 0
    spent = training_seconds(rows) + (done.chosen.seconds if done.chosen is not None else 0.0)
    cost = Cost(fitting_calls=calls, fitting_seconds=round(spent, 1), training_images=done.images_seen)
    return MethodReport("rebalancing", "Rebalancing", PAPER, _sentence(done), f"labels of {plan.classifier}", facts, _charts(done, rows),
                        cost, _caveats(done))  # fmt: skip


def training_rows(log: Path) -> list[dict]:
    """Return the lines of a training log that are about steps; [] where there is none."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
    return [row for row in map(json.loads, lines) if "images" in row]


def training_seconds(rows: list[dict]) -> float:
    """Return the wall time of all processes that wrote a log; each begins at 0 again."""
    total = last = 0.0
    for row in rows:
        if row["seconds"] < last:
            total += last
        last = row["seconds"]
    return total + last


def identity_spread(shelf: Shelf, chosen: BalancedSet, device: str, most: int = 200) -> tuple[float, float]:
    """Return mean identity distances (1 - cosine) within a group: of kept images, and of images of different lineages.

    Args:
        shelf: the drawn images of ``chosen``.
        chosen: the set.
        device: where the identity encoder runs.
        most: images a group that are compared with each other; groups count equally.
    """
    instrument = PortraitNetwork("identity", "identity", device)
    alike, apart = [], []
    for cell in range(len(chosen.cells)):
        members = shelf.of(cell)
        rows = members[np.linspace(0, len(members) - 1, min(most, len(members))).astype(int)]
        images = [torch.from_numpy(np.array(shelf.images[r])) for r in rows]
        unit = instrument.read(Batch(rows, rows.astype(np.uint64), images, [OK] * len(rows)))["identity"]
        distance, roots = 1 - unit @ unit.T, chosen.roots[rows]
        pairs = np.triu(np.ones_like(distance, dtype=bool), 1)
        strangers = pairs & (roots[:, None] != roots[None, :])
        alike.append(distance[pairs].mean() if pairs.any() else np.nan)
        apart.append(distance[strangers].mean() if strangers.any() else np.nan)
    return tuple(float(np.mean(v)) for v in (alike, apart))


def _sentence(done: Done) -> str:
    what = {"synthetic": "synthetic images of the baseline, searched so that every group is equally frequent",
            "mix": "a mix of the baseline's own images, searched so that every group is equally frequent, and real training images",
            "unbalanced": "the training images as they are, with a penalty on unequal shares of groups"}[done.plan.data]  # fmt: skip
    also = "" if done.plan.bias_kind == "none" or done.plan.data == "unbalanced" else ", with a penalty on unequal shares of groups"
    return f"The generator was trained again on {what}{also}."


def _search_facts(done: Done) -> list[Fact]:
    chosen = done.chosen
    if chosen is None:
        return []
    facts = [Fact("images searched", len(chosen.labels), "images", f"{done.plan.quota:,} of each of {len(chosen.cells)} groups"),
             Fact("calls per kept image", round(chosen.calls_per_kept, 2), "calls", "draws of the prior and descendants, over all groups")]  # fmt: skip
    for cell in chosen.cells:
        facts += [Fact(f"roots: {cell.cell}", cell.roots, "lineages", f"largest lineage {cell.largest} images"),
                  Fact(f"effective lineages: {cell.cell}", round(cell.effective, 1), "lineages", f"Kish, of {cell.kept:,} images"),
                  Fact(f"tries per kept image: {cell.cell}", round(cell.tries_per_kept, 2), "calls", "had this group been searched alone"),
                  Fact(f"latent spread: {cell.cell}", round(cell.spread, 3), "", "mean distance of two latents; 1 = independent draws")]  # fmt: skip
    if done.identity is not None and not np.isnan(done.identity).any():
        facts.append(Fact("identity distance within groups", round(done.identity[0], 3), "", f"of two searched images; {done.identity[1]:.3f} "
                          "for images of different lineages"))  # fmt: skip
    return facts


def _real_facts(done: Done) -> list[Fact]:
    if done.plan.data != "mix":
        return []
    facts = [Fact("share of real images", done.plan.mix, "", f"draws of the training population {done.recipe.population}")]
    if done.real_labels is not None:
        counts = np.bincount(done.real_labels, minlength=len(done.cells))
        rarest = int(counts.argmin())
        shown = done.images_seen * done.plan.mix / len(done.cells)
        facts.append(Fact("real images of the rarest group", int(counts[rarest]), "images", f"{done.cells[rarest]}, each shown about "
                          f"{shown / counts[rarest]:.1f} times; labelled by {done.plan.classifier}"))  # fmt: skip
    return facts


def _share_facts(done: Done) -> list[Fact]:
    note = f"by {done.plan.classifier}, which was used to balance, on {done.plan.read:,} images of the finished generator"
    return [
        Fact(f"share afterwards: {cell}", round(float(share), 4), "", note) for cell, share in zip(done.cells, done.shares, strict=True)
    ]


def _charts(done: Done, rows: list[dict]) -> list[Chart]:
    charts = [Chart("Shares after training, by the classifier that balanced", "bar", list(done.cells), [round(float(s), 4) for s in done.shares],
                    "group", "share")]  # fmt: skip
    if done.chosen is not None:
        sizes = np.unique(done.chosen.roots, return_counts=True)[1]
        edges = np.arange(1, sizes.max() + 2)
        charts.append(Chart("Images kept of each lineage", "histogram", edges.tolist(), np.histogram(sizes, bins=edges)[0].astype(float).tolist(),
                            "images of one root", "lineages"))  # fmt: skip
    names = [f"share:{cell}" for cell in done.cells]
    latest = {row["images"]: row for row in rows if all(n in row for n in names)}  # a resumed run may say a step twice
    if latest:
        distance = [float(np.sqrt(sum((latest[i][n] - 1 / len(names)) ** 2 for n in names))) for i in sorted(latest)]
        charts.append(Chart("Distance of the shares from equal, while training", "line", sorted(latest), [round(d, 4) for d in distance],
                            "images shown", "sqrt of summed squares, running mean"))  # fmt: skip
    return charts


def _caveats(done: Done) -> list[str]:
    caveats = [f"labels came from {done.plan.classifier}; shares judged by the same classifier would flatter it"]
    if done.chosen is not None:
        worst = min(done.chosen.cells, key=lambda c: c.effective)
        caveats.append(
            f"relatives look alike: the {worst.kept:,} searched images of {worst.cell} are worth about {worst.effective:,.0f} lineages"
        )
    if done.plan.data == "synthetic":
        caveats.append("trained on its own baseline's images: it can keep the baseline's quality, not exceed it")
    if done.plan.bias_kind == "released":
        caveats.append("the released bias loss counts labels and has no gradient: it was logged and changed nothing")
    if done.fresh_critic:
        caveats.append("the baseline's discriminator was not at hand; training began with a fresh one")
    return caveats
