"""``genbias mitigate rebalancing SPEC``: search, train again, and leave a spec that audits the result beside its baseline."""

from pathlib import Path

import click

from audit.attributes import ATTRIBUTES
from audit.errors import SpecError

SETTINGS = {"batch": 32, "lr": 0.0015, "r1_every": 16, "path_every": 8, "path_weight": 2.0, "ema_images": 5000}
"""The trainer's numbers where no recipe gives them; R1's weight follows the size, as in Karras et al. 2020: 0.0002 size^2 / batch."""


@click.command("rebalancing")
@click.argument("spec")
@click.option("--generator", help="Which generator of SPEC; needed when several could be meant.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/rebalancing"), show_default=True,
              help="The searched set, the log, the weights and spec.yaml go here.")  # fmt: skip
@click.option(
    "--attribute", default="gender*skin_tone", show_default=True, help=f"What is balanced: {', '.join(ATTRIBUTES)}, or a product."
)
@click.option("--quota", type=click.IntRange(min=1), default=2000, show_default=True, help="Searched images of each group.")
@click.option(
    "--method", type=click.Choice(["mixed", "search", "rejection"]), default="mixed", show_default=True, help="How they are found."
)
@click.option("--budget", type=click.IntRange(min=1), default=200_000, show_default=True, help="Draws a group may take before giving up.")
@click.option("--images", type=click.IntRange(min=1), default=40_000, show_default=True, help="Images shown in training.")
@click.option("--data", type=click.Choice(["synthetic", "mix", "unbalanced"]), default="synthetic", show_default=True,
              help="mix and unbalanced need trained_on in SPEC, a population of the built-in world.")  # fmt: skip
@click.option("--mix", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.5, show_default=True,
              help="With --data mix: the share of real images, balanced by their own labels.")  # fmt: skip
@click.option("--bias-loss", type=click.Choice(["none", "hinge", "l2", "kl", "released"]), default="none", show_default=True,
              help="Penalty on unequal shares; released has no gradient.")  # fmt: skip
@click.option("--bias-weight", type=click.FloatRange(min=0), default=1.0, show_default=True, help="Its weight in the generator's loss.")
@click.option("--classifier", default="portraits_b", show_default=True, help="What labels the images; not the one that judges.")
@click.option("--seed", type=int, default=20261130, show_default=True)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:0.")
def command(spec: str, generator: str | None, out: Path, attribute: str, quota: int, method: str, budget: int, images: int, data: str,
            mix: float, bias_loss: str, bias_weight: float, classifier: str, seed: int, device: str) -> None:  # fmt: skip
    """Train a StyleGAN2 of SPEC again so that every group comes equally often.

    The same command again continues an interrupted one.
    """
    import torch

    from audit.audits import choose_device
    from audit.engines.allocator import keep_freed_blocks
    from audit.generators.weights import read_weights
    from mitigations.rebalancing.loop import train_rebalancing, weights_of
    from mitigations.training.recipes import Recipe
    from mitigations.writing import load_for, open_baseline, say_next, write_spec

    keep_freed_blocks()
    torch.set_flush_denormal(True)
    loaded, baseline = load_for(spec, generator, ("stylegan2",))
    entry, where = loaded.generators[baseline], choose_device(device)
    if entry.weights is None:
        raise SpecError(f"generators.{baseline} names no weights; rebalancing trains weights again")
    start = weights_of(entry.weights)
    network = read_weights(start)[1]
    side = network["resolution"]
    options = {**SETTINGS, "r1_gamma": {str(side): 0.0002 * side**2 / SETTINGS["batch"]}, "start": entry.weights, "attribute": attribute,
               "classifier": classifier, "noise": entry.noise, "quota": quota, "search": {"method": method, "budget": budget}, "data": data,
               "mix": mix, "bias_loss": {"kind": bias_loss, "weight": bias_weight}}  # fmt: skip
    recipe = Recipe("rebalanced", "rebalancing", entry.trained_on or "", seed, network, [(side, images)], options)
    weights = train_rebalancing(recipe, out, torch.device(where), source=open_baseline(loaded, baseline, where))
    say_next(write_spec(spec, loaded, baseline, "rebalanced", {"weights": str(weights), "title": "Rebalanced"}, out))
