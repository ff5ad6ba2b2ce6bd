"""``genbias mitigate self-conditioning SPEC``: make the self-conditioned version of a spec's StyleGAN2."""

import os
from dataclasses import replace
from pathlib import Path

import click

from audit.attributes import ATTRIBUTES
from audit.errors import SpecError
from audit.spec import GeneratorSpec
from mitigations.training.recipes import Recipe, load_recipe
from mitigations.writing import load_for, say_next, write_spec

NAME = "self_conditioned"


@click.command("self-conditioning")
@click.argument("spec")
@click.option("--generator", help="Generator of SPEC to start from; needed where several could be meant.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/self_conditioning"), show_default=True,
              help="Folder of the weights, the stages on the way and spec.yaml.")  # fmt: skip
@click.option("--attributes", default="gender,skin_tone", show_default=True, help="Attributes the generator is to be asked for.")
@click.option(
    "--images", type=click.IntRange(min=1), default=None, help="Training images shown while fine-tuning; default as the shipped recipe."
)
@click.option("--real", type=click.IntRange(min=1), default=None,
              help="Training images that are inverted and resampled; default as the shipped recipe, or all of --data.")  # fmt: skip
@click.option("--data", type=click.Path(exists=True, path_type=Path), default=None,
              help="Training images: a folder, zip, tar or Parquet. Not needed where trained_on is a built-in population.")  # fmt: skip
@click.option("--classifier", default=None, help="Classifier the directions come from; default portraits_b. Not the one that judges.")
@click.option("--seed", type=int, default=None, help="Seed of everything drawn; default as the shipped recipe.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:0.")
def command(spec: str, generator: str | None, out: Path, attributes: str, images: int | None, real: int | None, data: Path | None,
            classifier: str | None, seed: int | None, device: str) -> None:  # fmt: skip
    """Make a self-conditioned generator from a StyleGAN2 of SPEC (Liu et al. 2022, arXiv 2202.04040).

    Inverts the training images, labels them by their distance to attribute hyperplanes, resamples them until the labels
    are even, and fine-tunes the generator to be asked for labels. The same command again continues an interrupted one.
    """
    import torch

    from audit.audits import choose_device
    from audit.engines.allocator import keep_freed_blocks
    from audit.portraits.models import shipped
    from mitigations.self_conditioning.loop import train_self_conditioned

    loaded, baseline = load_for(spec, generator, families=("stylegan2",))
    entry = loaded.generators[baseline]
    judges = [r.manifest for r in loaded.instruments.readers("classifier")]
    names = tuple(a.strip() for a in attributes.split(",") if a.strip())
    recipe = recipe_for(shipped(entry.weights or ""), names, data=data, population=entry.trained_on, images=images, real=real,
                        classifier=classifier, seed=seed)  # fmt: skip
    if recipe.options["classifier"] in judges:
        click.echo(f"{recipe.options['classifier']} judges in this spec and would now mitigate as well: its verdict will flatter", err=True)
    keep_freed_blocks()
    torch.set_flush_denormal(True)
    out.mkdir(parents=True, exist_ok=True)
    weights = train_self_conditioned(recipe, out, torch.device(choose_device(device)))
    say_next(write_spec(spec, loaded, baseline, NAME, _changes(entry, weights), out))


def _changes(entry: GeneratorSpec, weights: Path) -> dict[str, str]:
    title = {"title": f"{entry.title}, self-conditioned"} if entry.title else {}
    return {"weights": os.fspath(weights), **title}


def recipe_for(weights: Path, attributes: tuple[str, ...], *, data: Path | None, population: str | None, images: int | None,
               real: int | None, classifier: str | None, seed: int | None) -> Recipe:  # fmt: skip
    """Return the shipped recipe, fitted to another baseline.

    Args:
        weights: of the baseline, written by genbias; its critic is looked for beside it.
        attributes: what to ask for.
        data: training images; None = portraits of ``population``.
        population: built-in population the baseline was trained on.
        images: training images shown; None = as shipped.
        real: training images resampled; None = as shipped, or all of ``data``.
        classifier: whose readings make the directions; None = as shipped.
        seed: None = as shipped.

    Raises:
        SpecError: no training images are known, or an attribute does not exist.
    """
    from audit.generators.weights import read_weights
    from audit.portraits import POPULATIONS
    from mitigations.self_conditioning.loop import open_baseline

    for attribute in attributes:
        if attribute not in ATTRIBUTES:
            raise SpecError(f"--attributes: there is no attribute {attribute!r}; there are {', '.join(ATTRIBUTES)}")
    if not attributes or len(set(attributes)) != len(attributes):
        raise SpecError(f"--attributes: expected different names, at least one; found {', '.join(attributes) or 'none'}")
    if data is None and population not in POPULATIONS:
        raise SpecError(f"trained_on is {population!r}, which is no built-in population ({', '.join(sorted(POPULATIONS))}); "
                        "give the training images with --data FOLDER")  # fmt: skip
    open_baseline(weights)
    base, network = load_recipe(NAME), read_weights(weights)[1]
    size = network["resolution"]
    gamma = base.options["r1_gamma"].get(str(size), 0.0002 * size**2 / base.options["batch"])
    options = base.options | {"baseline": os.fspath(weights), "critic": os.fspath(weights.with_name(f"{weights.stem}_critic.safetensors")),
                              "data": None if data is None else os.fspath(data), "r1_gamma": {str(size): gamma},
                              "real_images": real or (None if data is not None else base.options["real_images"]),
                              "classifier": classifier or base.options["classifier"]}  # fmt: skip
    asked = {k: network[k] for k in ("z_dim", "w_dim", "resolution", "mapping_layers", "channels") if k in network}
    asked |= {k: base.network[k] for k in ("init", "condition")} | {"attributes": list(attributes)}
    return replace(base, network=asked, options=options, population=population if data is None else base.population,
                   seed=base.seed if seed is None else seed, schedule=[(size, images or sum(n for _, n in base.schedule))])  # fmt: skip
