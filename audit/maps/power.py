"""How often the paired audit finds a planted lightening, and how often it finds one where there is none: by simulation on portraits.

``python -m audit.maps.power`` draws portraits, maps them, reads the skin before and after with the audit's own instrument, and then takes
many sets of n pairs from them. Planted is a jitter (each image shifts at random, so that pairs differ as they do under a real map) with and without a
lightening of 1 L* on top. Counted is how often the 95 % interval of the mean change lies wholly above 0, how often it excludes 0 where
nothing was planted, and how often it holds the change that the whole pool shows.
"""

from typing import NamedTuple

import click
import numpy as np

from audit.filters import Filter
from audit.instruments.skin_tone import SkinTone
from audit.metrics.paired_maps import mean_change
from audit.portraits import draw, population
from audit.seeds import image_seeds
from audit.sources.base import OK, Batch


class Power(NamedTuple):
    """What the simulation counted.

    Attributes:
        planted: L* added to every pixel.
        pool: mean change of L* over all portraits drawn.
        found: share of sets whose interval lies above 0.
        excluded: share of sets whose interval does not hold 0, either side.
        covered: share of sets whose interval holds ``pool``.
    """

    planted: float
    pool: float
    found: float
    excluded: float
    covered: float


def planted_lightening(planted: float, *, jitter: float, pairs: int, sets: int, pool: int, rng: np.random.Generator, level: float = 0.95) -> Power:
    """Count how often sets of ``pairs`` portraits show a lightening of ``planted`` L* under a jitter.

    Args:
        planted: L* added to every pixel; 0 = none.
        jitter: root mean square of the random shift of each image, in CIELAB.
        pairs: images of a set.
        sets: how many sets are taken from the pool, each portrait put back before the next is taken.
        pool: portraits drawn; several times ``pairs``.
        rng: which images a set holds.
        level: of the interval.
    """
    moved = _changes(planted, jitter, pool)
    truth = float(moved.mean())
    found = [mean_change(moved[rng.choice(pool, pairs, replace=True)], level=level) for _ in range(sets)]
    low, high = np.array([f.low for f in found]), np.array([f.high for f in found])
    return Power(planted, truth, float((low > 0).mean()), float(((low > 0) | (high < 0)).mean()), float(((low <= truth) & (truth <= high)).mean()))


def _changes(planted: float, jitter: float, pool: int, batch: int = 250) -> np.ndarray:
    reader, shaken, lighter = SkinTone(), Filter("jitter", jitter), Filter("lighten", planted)
    people, parts = population("balanced"), []
    for first in range(0, pool, batch):
        ids = np.arange(first, min(first + batch, pool))
        seeds = image_seeds(0, ids, stream="power")
        before = draw(people.for_seeds(seeds), seeds)
        read = [reader.read(Batch(ids, seeds, list(images), [OK] * len(ids)))["skin_tone:L"] for images in (before, shaken(lighter(before, seeds), seeds))]
        parts.append(read[1].astype(np.float64) - read[0])
    return np.concatenate(parts)


@click.command()
@click.option("--pairs", default=500, show_default=True, help="Images of a set.")
@click.option("--sets", default=4000, show_default=True, help="Sets taken.")
@click.option("--pool", default=3000, show_default=True, help="Portraits drawn.")
@click.option("--jitter", default=4.0, show_default=True, help="Random shift of each image, in CIELAB.")
def main(pairs: int, sets: int, pool: int, jitter: float) -> None:
    """Print how often a planted lightening of 1 L* is found, and how often one that is not there."""
    click.echo("| planted L* | mean change of the pool | found lighter | interval without 0 | interval holds the pool's mean |")
    click.echo("| ---: | ---: | ---: | ---: | ---: |")
    for at, planted in enumerate((0.0, 0.25, 0.5, 1.0)):
        p = planted_lightening(planted, jitter=jitter, pairs=pairs, sets=sets, pool=pool, rng=np.random.default_rng(at))
        click.echo(f"| {planted:g} | {p.pool:+.2f} | {p.found:.3f} | {p.excluded:.3f} | {p.covered:.3f} |")


if __name__ == "__main__":
    main()
