"""``genbias train RECIPE``: rebuild a built-in model from its recipe."""

from pathlib import Path

import click

from audit.changes import read_changes


@click.command("train")
@click.argument("recipe")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/training"), show_default=True,
              help="Weights, log, checkpoint and sample grid go to OUT/NAME.")  # fmt: skip
@click.option("--seed", type=int, help="Another seed than the recipe's; the model is then called NAME_seedN.")
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="Change a key of the recipe, e.g. options.images.path=FOLDER; repeatable.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:0.")
@click.option("--workers", type=int, metavar="N", help="Members of a grid trained at once, one a GPU where there are several.")
@click.option("--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True, help="Where the workers are.")
@click.option("--address", metavar="HOST:PORT", help="Of a running Ray cluster, or auto; default: Ray on this machine.  [--engine ray]")
@click.option("--install", is_flag=True, help="Replace the shipped model with the one just trained.")
def train_command(recipe: str, out: Path, seed: int | None, pairs: tuple[str, ...], device: str, workers: int | None, engine: str,
                  address: str | None, install: bool) -> None:  # fmt: skip
    """Train RECIPE, the name of a shipped recipe or a YAML file.

    The same command again continues an interrupted training from its checkpoint.
    """
    from audit.audits import choose_device
    from audit.engines import Choice
    from audit.engines.allocator import keep_freed_blocks
    from audit.portraits.models import FOLDER
    from mitigations.training.train import install as install_model
    from mitigations.training.train import train

    changes = read_changes(pairs, "options.batch=16")
    keep_freed_blocks()
    path = train(recipe, out, device=choose_device(device), seed=seed, changes=changes, choice=Choice(engine, workers, address))
    click.echo(str(path))
    if install:
        for target in install_model(path, FOLDER):
            click.echo(str(target))
