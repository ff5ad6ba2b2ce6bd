"""How GMM-balanced diffusion describes itself: plain numbers for result.json."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mitigations.base import Chart, Cost, Fact, MethodReport
from mitigations.gmm_diffusion.balance import expected_shares
from mitigations.gmm_diffusion.evidence import sentence
from mitigations.gmm_diffusion.settings import Settings

if TYPE_CHECKING:
    from mitigations.gmm_diffusion.making import Findings

FEW = 50
"""Examples below which a cell's mixture is said to rest on little."""


def method_report(settings: Settings, cells: list[str], found: Findings) -> MethodReport:
    """Return the description of a fit."""
    _, verified, last = found.rounds
    before, shares = found.pool.counts / max(found.pool.counts.sum(), 1), expected_shares(found.leaks, found.weights)
    hits = np.diag(found.leaks) / np.maximum(found.leaks.sum(axis=1), 1)
    verifier = settings.verifier or settings.classifier
    facts = [Fact("tap", _where(settings), "", "where latents are modelled and changed"),
             Fact("coordinates", settings.dims, "", "directions that are modelled, discriminants of the cells first"),
             Fact("images labelled", found.pool.drawn, "images", f"by {settings.classifier}, of the generator as it is")]  # fmt: skip
    for k, cell in enumerate(cells):
        if found.target[k] > 0:
            facts += [Fact(f"share before: {cell}", _round(before[k]), "", "in the labelled pool"),
                      Fact(f"asked for: {cell}", _round(found.weights[k]), "",
                           f"mixture weight; {found.components[k]} Gaussian(s) from {found.examples[k]} latents"),
                      Fact(f"hit rate: {cell}", _round(hits[k]), "", "share of the images asked for as this cell that are labelled so"),
                      Fact(f"share after: {cell}", _round(last.shares[k]), "", f"among {last.drawn:,} fresh images, by {verifier}")]  # fmt: skip
    facts += [
        Fact("distance from the target before", _round(_distance(before, found.target)), "", "root of the summed squared share differences"),
        Fact("distance at the first verification", _round(_distance(verified.shares, found.target)), "", "with the weights of the leakage draw"),
        Fact("distance after", _round(_distance(last.shares, found.target)), "", f"{last.drawn:,} fresh images with the final weights; "
             f"chance alone gives about {np.sqrt((1 - (found.target**2).sum()) / last.drawn):.3f}"),
        Fact("distance expected", _round(_distance(shares, found.target)), "", "by the measured leakage; above 0 where no weights reach the target"),
        *_norms(settings, last.norms),
        Fact("one Gaussian explains x_T best", "yes" if _best(found.prior) == 1 else "no", "", sentence(found.prior, "x_T")
             + ": the prior is exactly N(0, I), so mixtures without labels have nothing to find there"),
        Fact("Gaussians without labels at the tap", _best(found.tapped), "", sentence(found.tapped, _where(settings))),
    ]  # fmt: skip
    resumed = found.cost_resumed if settings.complement == "gaussian" else 1.0
    few = [c for c, n, t in zip(cells, found.examples, found.target, strict=True) if t > 0 and n < FEW]
    return MethodReport(
        "gmm", "GMM-balanced diffusion", "after Pal et al. 2023, arXiv 2312.14976",
        "Latents of the generator are modelled group by group with Gaussian mixtures and drawn from them in shares that make the groups come "
        "out as wanted; the generator is not changed.",
        f"labels of {settings.classifier} on {settings.attribute}", facts, _charts(cells, found, before, last.shares),
        Cost(calls_per_image=round(resumed, 4), fitting_calls=found.pool.drawn + sum(r.drawn for r in found.rounds),
             fitting_seconds=round(found.seconds, 1)),
        ["the paper publishes neither code nor its latent, components or numbers: this is a reconstruction from its abstract",
         f"shares are those {settings.classifier} sees; its errors pass into the mixtures and the weights",
         *([f"few examples of {', '.join(few)}: their mixtures are mostly the shape of all groups about another mean"] if few else []),
         *([f"drawn with tau {settings.tau:g}: less varied than the generator itself"] if settings.tau < 1 else [])])  # fmt: skip


def _where(settings: Settings) -> str:
    if settings.tap == "x_T":
        return "x_T"
    return f"x_t after {settings.start} steps" if settings.tap == "x_t" else f"h, steps {settings.start} to {settings.stop}"


def _norms(settings: Settings, norms: np.ndarray) -> list[Fact]:
    before, after = norms.T
    low, high = np.quantile(before, [0.005, 0.995])
    note = "of what was replaced" if settings.complement == "own" else "of the Gaussian complement"
    return [Fact("norm of a latent before", _round(before.mean(), 3), "", f"mean, {note}"),
            Fact("norm of a latent after", _round(after.mean(), 3), "", "mean; latents far off the shell give off-distribution images"),
            Fact("norms off the shell", _round(((after < low) | (after > high)).mean()), "", "share outside the central 99 % of the norms before")]  # fmt: skip


def _charts(cells: list[str], found: Findings, before: np.ndarray, after: np.ndarray) -> list[Chart]:
    charts = [Chart(title, "bar", list(cells), [_round(v) for v in values], "group", "share")
              for title, values in (("Shares before", before), ("Shares asked for", found.weights), ("Shares after", after))]  # fmt: skip
    for where, evidence in (("x_T", found.prior), ("the tap", found.tapped)):
        charts.append(Chart(f"Mixtures without labels at {where}", "line", [e.components for e in evidence],
                            [_round(e.held_out, 3) for e in evidence], "Gaussians", "held-out log-likelihood, nats a latent"))  # fmt: skip
    return charts


def _best(found: list) -> int:
    return max(found, key=lambda e: e.held_out).components


def _distance(shares: np.ndarray, target: np.ndarray) -> float:
    return float(np.sqrt(((shares - target) ** 2).sum()))


def _round(value: float, digits: int = 4) -> float:
    return round(float(value), digits)
