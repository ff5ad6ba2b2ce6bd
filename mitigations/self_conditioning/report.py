"""What the method says about itself: how good its labels were, what resampling cost, and whether drawn images obey."""

import json
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr

from audit.attributes import ATTRIBUTES
from audit.generators.self_conditioned import SelfConditionedStyleGAN2
from audit.seeds import image_seeds
from audit.sources.latent import LatentSource
from mitigations.base import Chart, Cost, Fact, MethodReport
from mitigations.labelling import Labeller, most_probable
from mitigations.self_conditioning.directions import expected_index
from mitigations.self_conditioning.images import TrainingImages
from mitigations.self_conditioning.preparation import Prepared, marginals
from mitigations.training.recipes import Recipe

BINS = 10


def check_labels(module: SelfConditionedStyleGAN2, labeller: Labeller, attributes: tuple[str, ...], *, n: int,
                 seed: int, cuts: list[np.ndarray]) -> dict[str, dict[str, float | list[float]]]:  # fmt: skip
    """Draw ``n`` images and compare what was asked for with what the mitigating classifier reads.

    Args:
        module: the self-conditioned generator.
        labeller: reads the joint attribute.
        attributes: in the generator's order.
        n: images.
        seed: of the images; no audit shares them.
        cuts: for each attribute the K - 1 labels at which one class gives way to the next.

    Returns:
        For each attribute: ``obeyed``, the share of images labelled the class whose part of 0..1 their label falls in;
        ``rank_correlation`` of t with the expected class index (None where one of them does not vary); ``shares`` of the
        classes and their ``discrepancy``, the Euclidean distance from equal shares. All without correction for the classifier's
        errors.
    """
    device = str(next(module.parameters()).device)
    source = LatentSource("self-conditioned", module, z_dim=module.z_dim, digest="", device=device, call={"noise": "none"})
    seeds = image_seeds(seed, np.arange(n), stream="mitigation check")
    asked, joint = [], []
    for part in np.array_split(seeds, -(-n // 64)):
        joint.append(labeller.probabilities(source.draw(np.arange(len(part)), part)))
        z = source.latents(part)
        asked.append(_labels(module, z))
    t, said = np.concatenate(asked), marginals(np.concatenate(joint), attributes)
    return {a: _obedience(t[:, i], said[a], cuts[i]) for i, a in enumerate(attributes)}


def _labels(module: SelfConditionedStyleGAN2, z: np.ndarray) -> np.ndarray:
    return module.labels(torch.from_numpy(z)).numpy().astype(np.float64)


def _obedience(t: np.ndarray, probabilities: np.ndarray, cuts: np.ndarray) -> dict[str, float | list[float] | None]:
    labels, wanted = most_probable(probabilities), np.searchsorted(cuts, t, side="right")
    score, shares = expected_index(probabilities), class_shares(probabilities)
    return {"obeyed": float((labels == wanted).mean()), "rank_correlation": _rank_correlation(t, score),
            "shares": shares.tolist(), "discrepancy": discrepancy(shares)}  # fmt: skip


def class_shares(probabilities: np.ndarray, times: np.ndarray | None = None) -> np.ndarray:
    """Return (K,) shares of the most probable classes, images counted ``times`` (n,) each; rows not read are left out."""
    labels = most_probable(probabilities)
    weights = np.ones(len(labels)) if times is None else times
    counts = np.bincount(labels[labels >= 0], weights=weights[labels >= 0], minlength=probabilities.shape[1])
    return counts / max(counts.sum(), 1)


def discrepancy(shares: np.ndarray) -> float:
    """Return the Euclidean distance of (K,) shares from 1 / K each (Jain et al. 2023, arXiv 2308.08638); 0 = equal."""
    return float(np.linalg.norm(shares - 1 / len(shares)))


def logged_seconds(log: Path) -> float:
    """Return the time a log accounts for: its clock starts anew at each stage and at each start of the work."""
    total, before = 0.0, 0.0
    for line in log.read_text(encoding="utf-8").splitlines():
        now = json.loads(line)["seconds"]
        total += now - before if now >= before else now
        before = now
    return total


def method_report(recipe: Recipe, prepared: Prepared, checked: dict, images: TrainingImages, log: Path) -> MethodReport:
    """Put everything into the project's form.

    Args:
        recipe: what was run.
        prepared: stages before fine-tuning.
        checked: of :func:`check_labels`.
        images: the training images.
        log: of the training.
    """
    attributes, shown = recipe.network["attributes"], sum(n for _, n in recipe.schedule)
    options, names = recipe.options, ", ".join(recipe.network["attributes"])
    uses = f"labels of {options['classifier']} for the directions"
    uses += " and for the class boundaries" if options["resampling"]["calibrate"] else ""
    restored = options["encoder"]["images"] // options["encoder"]["restore_every"]
    calls = options["scored_images"] + options["encoder"]["images"] + restored + 4 * options["directions"]["layer_pairs"] * len(attributes)
    return MethodReport(
        method="self_conditioning", title="Self-conditioned GAN", paper="Liu, Gal, Bermano, Chen and Cohen-Or 2022, arXiv 2202.04040",
        sentence=f"The generator is asked for {names} by a label in 0..1 each; it learned their meaning from training images that were "
                 "placed on each scale by the generator's own latent space and then resampled until they filled the scales evenly.",
        uses=uses, facts=[*_inversion_facts(prepared), *_resampling_facts(prepared, images), *_label_facts(prepared, checked)],
        charts=_charts(prepared, checked),
        cost=Cost(1.0, calls, round(logged_seconds(log), 1), shown), caveats=_caveats(recipe, prepared, checked),
    )  # fmt: skip


def _inversion_facts(prepared: Prepared) -> list[Fact]:
    q = prepared.inversion
    facts = [Fact("code R2", round(q["code_r2"], 4), "", "variance of held-out codes that the encoder recovers; 1 = all"),
             Fact("error on drawn images", round(q["drawn_error"], 2), "8-bit levels", "root mean square, image to inversion"),
             Fact("error on training images", round(q["real_error"], 2), "8-bit levels",
                  f"the mean image: {q['real_spread']:.1f}")]  # fmt: skip
    for d, weights in zip(prepared.directions, prepared.layer_weights, strict=True):
        facts.append(Fact(f"hyperplane accuracy, {d.attribute}", round(d.accuracy, 4), "share", f"held-out codes; fitted on {d.fitted_on}"))
        listed = " ".join(f"{w:.2f}" for w in weights)
        facts.append(Fact(f"layer weights, {d.attribute}", listed, "", "coarse to fine; they sum to the number of layers"))
    return facts


def _resampling_facts(prepared: Prepared, images: TrainingImages) -> list[Fact]:
    r = prepared.resampled
    return [Fact("training images", images.count),
            Fact("draws of the resampled list", r.placed, "", f"of {r.queries} queries; the rest found only full images"),
            Fact("effective sample size", round(r.effective, 1), "images", f"Kish; {r.effective / images.count:.1%} of all"),
            Fact("unique share", round(r.unique, 4), "share", "training images used at least once"),
            Fact("most repeats", r.max_repeats, "", f"cap {r.cap}" if r.cap else "no cap"),
            Fact("query to image", round(r.reach, 4), "label units", "median distance; large where cells are empty")]  # fmt: skip


def _label_facts(prepared: Prepared, checked: dict) -> list[Fact]:
    times = np.bincount(prepared.indices, minlength=len(prepared.labels)).astype(np.float64)
    facts = []
    for i, (attribute, found) in enumerate(checked.items()):
        read = prepared.read[attribute]
        after = class_shares(read, times[: len(read)])
        agrees = _rank_correlation(prepared.labels[: len(read), i], expected_index(read))
        correlation, before = found["rank_correlation"], discrepancy(class_shares(prepared.said[attribute]))
        facts += [Fact(f"label against classifier, {attribute}", _rounded(agrees), "rank correlation", "on training images"),
                  Fact(f"shares in the resampled list, {attribute}", _listed(after, attribute), "", "by the mitigating classifier"),
                  Fact(f"discrepancy before, {attribute}", round(before, 4), "", "of the baseline, same reader"),
                  Fact(f"discrepancy after, {attribute}", round(found["discrepancy"], 4), "", _listed(found["shares"], attribute)),
                  Fact(f"labels obeyed, {attribute}", round(found["obeyed"], 4), "share", "drawn images of the class asked for"),
                  Fact(f"label and drawn image, {attribute}", _rounded(correlation), "rank correlation")]  # fmt: skip
    return facts


def _rank_correlation(one: np.ndarray, other: np.ndarray) -> float | None:
    """Spearman's; None where one of the two does not vary."""
    keep = np.isfinite(one) & np.isfinite(other)
    if not keep.any() or min(np.ptp(one[keep]), np.ptp(other[keep])) == 0:
        return None
    return float(spearmanr(one[keep], other[keep])[0])


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 4)


def _listed(shares: np.ndarray | list[float], attribute: str) -> str:
    return ", ".join(f"{c} {s:.3f}" for c, s in zip(ATTRIBUTES[attribute].classes, shares, strict=True))


def _charts(prepared: Prepared, checked: dict) -> list[Chart]:
    edges, charts = np.linspace(0, 1, BINS + 1), []
    for i, attribute in enumerate(checked):
        for name, values in (("before resampling", prepared.labels[:, i]), ("after resampling", prepared.labels[prepared.indices, i])):
            share = np.histogram(values, edges)[0] / max(len(values), 1)
            title = f"{ATTRIBUTES[attribute].title}: labels of the training images {name}"
            charts.append(Chart(title, "histogram", edges.round(3).tolist(),
                                share.round(5).tolist(), f"label of {attribute}", "share of images"))  # fmt: skip
    return charts


def _caveats(recipe: Recipe, prepared: Prepared, checked: dict) -> list[str]:
    said = [
        "labels inherit every error of the classifier, the encoder and the directions they were made with",
        "labels are drawn independently, so combinations that are rare or absent in the training images are asked for as well",
    ]
    if not recipe.options["resampling"]["calibrate"]:
        said.append(
            "labels are uniform in distance, which is not parity between classes: a class gets the share of the scale it happens to fill"
        )
    if recipe.network.get("condition", "constants") != "constants":
        said.append("labels move style vectors as well as input constants, which the paper's do not")
    weak = [d.attribute for d in prepared.directions if d.accuracy < 0.75]
    if weak:
        said.append(f"the hyperplane of {', '.join(weak)} puts fewer than 75 % of held-out codes on the right side; its labels say little")
    deaf = [a for a, found in checked.items() if (found["rank_correlation"] or 0) < 0.3]
    if deaf:
        said.append(f"drawn images hardly follow the label of {', '.join(deaf)}")
    return said
