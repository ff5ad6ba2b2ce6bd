"""What MaGNET says about itself in result.json: how even the choice is, and what it cost."""

import numpy as np

from audit.sources.latent import LatentSource
from mitigations.base import Chart, Cost, Fact, MethodReport
from mitigations.magnet.bank import Bank
from mitigations.magnet.weights import diagnostics, floored, log_volumes

DRAWS = 10_000
"""Images that the share of different latents is stated for; the size of the benchmark."""

CAVEATS = (
    "MaGNET is uniform over the volume of the generated images, not over groups of people: a group that takes little volume gains "
    "nothing or loses, and no label is used to prevent it",
    "it draws more from anti-modes, where generators are at their worst; read quality beside the shares",
)


def method_report(source: LatentSource, bank: Bank, w: np.ndarray, *, top_k: int, rho: float, share: float, prior: str) -> MethodReport:
    """Return the report of a sampler.

    Args:
        source: the generator.
        bank: its latents.
        w: (n,) weights.
        top_k: singular values in the volume.
        rho: polarity.
        share: share of images drawn by volume.
        prior: "keep" or "divide".
    """
    s = bank.singular_values.astype(np.float64)
    says = diagnostics(w, draws=DRAWS)
    seen = s[s[:, 0] > 0]
    rank = int(np.median((seen > 1e-3 * seen[:, :1]).sum(axis=1)))
    facts = [
        Fact("Latents in the bank", len(s)),
        Fact("Singular values in the volume (top k)", top_k),
        Fact("Polarity (rho)", rho, note="0 is the base distribution, 1 uniform on the manifold, negative towards modes"),
        Fact("Share of images drawn by volume", share, unit="share"),
        Fact("Effective sample size (Kish)", round(says.ess, 1), unit="latents", note=f"{says.ess / len(s):.0%} of the bank"),
        Fact("Different latents among 10,000 images", round(share * _unique(w, share) + 1 - share, 4), unit="share",
             note="a latent drawn twice is the same image twice"),
        Fact("Largest weight", float(f"{says.max_weight:.4g}"), unit="share", note=f"{says.max_weight * len(s):.1f} times an even one"),
        Fact("Perplexity of the weights", round(says.perplexity, 1), unit="latents"),
        Fact("Singular values above 0.1 % of the largest", rank, note=f"median over the bank, of the first {s.shape[1]}"),
        Fact("Latents left out", says.dropped, note="their image does not move with the latent, or they lie outside the ball"),
        Fact("Latents of rank below top k", floored(s, top_k=top_k), note="their smallest values are rounding and were raised to a floor"),
        Fact("Latent scaled to norm sqrt(d) first", "yes" if bank.normalise_z else "no",
             note="found out: the image at z and at 1.7 z is the same" if bank.normalise_z else "found out: the norm of z changes the image"),
        Fact("Prior", {"keep": "kept", "divide": "divided out"}[prior] if not bank.normalise_z else "uniform over directions"),
    ]  # fmt: skip
    caveats = list(CAVEATS)
    if not bank.normalise_z and source.prior == "normal" and prior == "keep":
        caveats.append("the norm of z changes the image and its normal prior was not divided out, as in the released code: images are not "
                       "uniform on the manifold (option prior: divide)")  # fmt: skip
    if says.ess < 0.1 * len(s):
        caveats.append(f"the effective sample size is {says.ess:.0f} of {len(s)} latents: images repeat, and intervals of quality rest on "
                       "different latents and not on images")  # fmt: skip
    return MethodReport(
        method="magnet", title="MaGNET", paper="Humayun, Balestriero, Baraniuk 2022, arXiv 2110.08009",
        sentence="Draws latents in proportion to the volume they open in image space, so that images are spread evenly over what the "
                 "generator can draw.",
        uses="no labels, no training; singular values of the generator's Jacobian", facts=facts, charts=_charts(s, top_k),
        cost=Cost(calls_per_image=1.0, fitting_calls=bank.calls, fitting_seconds=round(bank.seconds, 1)), caveats=caveats,
    )  # fmt: skip


def _unique(w: np.ndarray, share: float) -> float:
    draws = round(share * DRAWS)
    return diagnostics(w, draws=draws).unique_share if draws else 1.0


def _charts(s: np.ndarray, top_k: int) -> list[Chart]:
    volumes = log_volumes(s, top_k=top_k)
    counts, edges = np.histogram(volumes[np.isfinite(volumes)], bins=30)
    logs = [np.log(column[column > 0]) for column in s.T]
    kept = [(i + 1, float(column.mean())) for i, column in enumerate(logs) if len(column)]
    return [
        Chart("Volume of the latents", "histogram", [round(float(e), 4) for e in edges], [float(c) for c in counts],
              f"log volume (top {top_k} singular values)", "latents"),
        Chart("Spectrum of the Jacobian", "line", [i for i, _ in kept], [round(v, 4) for _, v in kept],
              "singular value, largest first", "mean logarithm"),
    ]  # fmt: skip
