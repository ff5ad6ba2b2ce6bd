"""A grid of trainings: the same recipes on populations of several minority shares, and some of them from several seeds."""

from dataclasses import replace
from pathlib import Path

import torch
from tqdm import tqdm

from audit.engines import Choice, map_tasks
from audit.errors import SpecError
from mitigations.training.recipes import Recipe, load_recipe


def members(grid: Recipe) -> list[Recipe]:
    """Return the recipes of a grid, first all shares from the first seed, then the further seeds.

    Args:
        grid: kind "grid"; ``options``: ``recipes`` {name: recipe}, ``shares`` (a list of minority shares), ``seeds`` {share: how many}; a
            share that is not among the seeds is trained once. Member ``dcgan`` at share 0.05 is called ``dcgan_05``, from its second
            seed ``dcgan_05_seed1``.

    Raises:
        SpecError: seeds are asked for at a share that is not in the grid.
    """
    options = grid.options
    shares = [float(s) for s in options["shares"]]
    counts = {float(s): int(n) for s, n in options["seeds"].items()}
    if set(counts) - set(shares):
        raise SpecError(f"recipe {grid.name}: seeds are given for the share {min(set(counts) - set(shares)):g}; the shares are {shares}")
    found = []
    for again in range(max([1, *counts.values()])):
        for share in shares:
            if again < max(1, counts.get(share, 1)):
                found += [_member(grid, name, recipe, share, again) for name, recipe in options["recipes"].items()]
    return found


def _member(grid: Recipe, name: str, recipe: str, share: float, again: int) -> Recipe:
    base = load_recipe(recipe)
    called = f"{name}_{round(100 * share):02d}" + (f"_seed{again}" if again else "")
    return replace(base, name=called, population=f"{grid.population}:{share:g}", seed=base.seed + 101 * again)


def train_grid(grid: Recipe, out: Path, device: torch.device, choice: Choice | None = None) -> Path:
    """Train every member that is not there yet into ``out/NAME`` and return ``out``; the same call again continues.

    Args:
        grid: the grid.
        out: its folder; on a Ray cluster one that all machines mount.
        device: where to train; "cuda" is spread over the cards there are.
        choice: the engine, whose workers train a member each; None = one after another, here.
    """
    found = members(grid)
    missing = [(recipe, str(out / recipe.name)) for recipe in found if not (out / recipe.name / f"{recipe.name}.safetensors").is_file()]
    names = [f"training {recipe.name!r}" for recipe, _ in missing]
    with tqdm(total=len(found), initial=len(found) - len(missing), desc=grid.name, unit="model") as bar:
        for _ in map_tasks(train_member, missing, choice=choice or Choice(), names=names, device=str(device)):
            bar.update()
    return out


def train_member(member: tuple[Recipe, str], device: str) -> str:
    """Train one member of a grid, given with its folder, and return the folder."""
    from mitigations.training.train import LOOPS

    recipe, folder = member
    Path(folder).mkdir(parents=True, exist_ok=True)
    LOOPS[recipe.kind](recipe, Path(folder), torch.device(device))
    return folder
