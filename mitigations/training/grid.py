"""A grid of trainings: the same recipes on populations of several minority shares, and some of them from several seeds."""

from dataclasses import replace
from pathlib import Path

import torch
from tqdm import tqdm

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


def train_grid(grid: Recipe, out: Path, device: torch.device) -> Path:
    """Train every member that is not there yet into ``out/NAME`` and return ``out``; the same call again continues."""
    from mitigations.training.train import LOOPS

    for recipe in tqdm(members(grid), desc=grid.name, unit="model"):
        folder = out / recipe.name
        if not (folder / f"{recipe.name}.safetensors").is_file():
            folder.mkdir(parents=True, exist_ok=True)
            LOOPS[recipe.kind](recipe, folder, device)
    return out
