"""Does the detector keep its word? Histories whose truth is known: how often a step is found, how often one is said where there is none.

``python -m audit.history.study`` prints the README's table; ``--calibrate`` counts the constant of :mod:`audit.history.thresholds`.
A year has 365 nights after 30 quiet ones. A planted step is two standard errors of one night (by its interval), in one series, after 60 nights; it counts as found
when it is said within five nights. Odd nights are drawn again as :mod:`audit.nightly` does.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import click
import numpy as np

from audit.history.steps import CANDIDATES, FEWEST_BEFORE
from audit.history.watch import Watch

AGAIN = 12
WARM_UP, BEFORE, LASTS = 30, 60, 5

COLUMNS = 2000
"""Series of all families together that are simulated side by side."""


@dataclass(frozen=True)
class World:
    """What nights look like.

    Attributes:
        correlation: of the series within a night.
        spread: standard deviation between nights, in standard errors of the intervals.
        absolute: series are absolute values, as a discrepancy at parity is; in units of what their interval says.
    """

    correlation: float = 0.0
    spread: float = 1.0
    absolute: bool = False

    def draw(self, families: int, series: int, rng: np.random.Generator) -> np.ndarray:
        """Return (families, series) numbers of one draw."""
        own = np.sqrt(1 - self.correlation) * rng.standard_normal((families, series))
        found = self.spread * (np.sqrt(self.correlation) * rng.standard_normal((families, 1)) + own)
        return np.abs(found) if self.absolute else found


@dataclass(frozen=True)
class Counted:
    """What was counted over years or histories.

    Attributes:
        share: of years with a false alarm, or of histories in which the step was found.
        repeats: of them.
        again: draws made again a night; for a planted step, in all.
    """

    share: float
    repeats: int
    again: float

    def interval(self) -> tuple[float, float]:
        """Return a 95 % interval of the share (Wilson)."""
        z, n, p = 1.96, self.repeats, self.share
        middle, half = (p + z * z / (2 * n)) / (1 + z * z / n), z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return float(middle - half), float(middle + half)


def false_alarms(series: int, *, years: int, rng: np.random.Generator, world: World | None = None, again: int = AGAIN, nights: int = 365) -> Counted:
    """Count the years in which a family without any step has an alarm.

    Args:
        series: in the family.
        years: simulated, side by side.
        rng: source of all luck.
        world: what nights look like; None = independent normal numbers whose intervals are right.
        again: how often an odd night is drawn again at most.
        nights: of a year.
    """
    world, end = world or World(), WARM_UP + nights
    seen, clock = Watch(series, families=years), _Clock(years, again)
    wrong, drawn = np.zeros(years, dtype=bool), np.zeros(years)
    while (clock.night <= end).any():
        steps = seen.see(world.draw(years, series, rng).ravel(), np.ones(series * years))
        counts = (clock.night > WARM_UP) & (clock.night <= end)
        for step in steps:
            wrong[step.series // series] |= counts[step.series // series]
        drawn += counts & (clock.times > 0)
        clock.tick(_odd(seen, series))
    return Counted(float(wrong.mean()), years, float(drawn.mean()) / nights)


def found_steps(series: int, *, histories: int, rng: np.random.Generator, world: World | None = None, again: int = AGAIN, size: float = 2.0,
                before: int = BEFORE) -> Counted:  # fmt: skip
    """Count the histories in which a step in one series of the family is found within five nights.

    Args:
        series: in the family; the first one steps.
        histories: simulated, side by side.
        rng: source of all luck.
        world: what nights look like; None = independent normal numbers whose intervals are right.
        again: how often an odd night is drawn again at most.
        size: of the step, in standard errors of one night.
        before: quiet nights.
    """
    world = world or World()
    seen, clock = Watch(series, families=histories), _Clock(histories, again)
    found, drawn = np.zeros(histories, dtype=bool), np.zeros(histories)
    step = np.zeros(series)
    for _ in range(before):
        seen.see(world.draw(histories, series, rng).ravel(), np.ones(series * histories))
    step[0] = size
    while ((clock.night <= LASTS) & ~found).any():
        running = (clock.night <= LASTS) & ~found
        drawn += running & (clock.times > 0)
        for one in seen.see((world.draw(histories, series, rng) + step).ravel(), np.ones(series * histories)):
            if one.series % series == 0 and running[one.series // series]:
                found[one.series // series] = True
        clock.tick(_odd(seen, series))
    return Counted(float(found.mean()), histories, float(drawn.mean()))


class _Clock:
    """Which night each family is in, and how often it was drawn again: all see one draw at a time, and each decides what the next one is."""

    def __init__(self, families: int, again: int) -> None:
        self.night, self.times, self.again = np.ones(families, dtype=int), np.zeros(families, dtype=int), again

    def tick(self, odd: np.ndarray) -> None:
        """Draw a night again where it looks odd, go on to the next one elsewhere."""
        same = odd & (self.times < self.again)
        self.times = np.where(same, self.times + 1, 0)
        self.night = self.night + ~same


def count_constant(*, years: int, rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """Return (b, share of years of one series that pass b, the constant C this gives), for known variances.

    Args:
        years: simulated, in steps of 1000.
        rng: source of all luck.
    """
    most = []
    for _ in range(max(1, years // 1000)):
        sums = np.concatenate([np.zeros((1000, 1)), rng.standard_normal((1000, 60 + 365)).cumsum(axis=1)], axis=1)
        best = np.zeros(1000)
        for n in CANDIDATES:
            t = np.arange(max(61, n + FEWEST_BEFORE), sums.shape[1])
            z = ((sums[:, t] - sums[:, t - n]) / n - sums[:, t - n] / (t - n)) / np.sqrt(1 / n + 1 / (t - n))
            best = np.maximum(best, np.abs(z).max(axis=1))
        most.append(best)
    found = np.concatenate(most)
    rows = []
    for b in (3.8, 4.0, 4.2, 4.4, 4.6, 4.8):
        p = float((found > b).mean())
        rows.append((b, p, float(-np.log1p(-p) / (365 * 2 * b * np.exp(-b * b / 2) / np.sqrt(2 * np.pi)))))
    return rows


def table(*, years: int, histories: int, rng: np.random.Generator, say: Callable[[str], None]) -> None:
    """Print the README's table, a row at a time.

    Args:
        years: for false alarms, of each row.
        histories: with a planted step, of each row.
        rng: source of all luck.
        say: told each line.
    """
    say("| watched measures | nights | step found within 5 nights | without drawing again | years with a false alarm | extra draws a night |")
    say("| ---: | --- | ---: | ---: | ---: | ---: |")
    worlds = [(1, "independent", World()), (8, "independent", World()), (20, "independent", World()), (40, "independent", World()),
              (20, "correlated 0.5", World(correlation=0.5)), (20, "differ by 1.5 times their intervals", World(spread=1.5)),
              (20, "absolute values", World(absolute=True)), (200, "independent", World())]  # fmt: skip
    for series, words, world in worlds:
        fewer = max(1, series // 40)
        power = _together(found_steps, series, "histories", histories // fewer, rng=rng, world=world)
        alone = _together(found_steps, series, "histories", histories // fewer, rng=rng, world=world, again=0)
        wrong = _together(false_alarms, series, "years", years // fewer, rng=rng, world=world)
        say(f"| {series:,} | {words} | {_said(power)} | {_said(alone)} | {_said(wrong)} | {wrong.again:.2f} |")


def _together(count: Callable[..., Counted], series: int, what: str, repeats: int, **known: object) -> Counted:
    """Count in portions that fit into memory."""
    portion = max(1, min(repeats, COLUMNS // series))
    parts = [count(series, **{what: min(portion, repeats - at)}, **known) for at in range(0, repeats, portion)]
    return Counted(sum(p.share * p.repeats for p in parts) / repeats, repeats, sum(p.again * p.repeats for p in parts) / repeats)


def _said(counted: Counted) -> str:
    low, high = counted.interval()
    return f"{counted.share:.3f} ({low:.3f} to {high:.3f})"


def _odd(seen: Watch, series: int) -> np.ndarray:
    """Return (families,) whether the last draw looks odd to each."""
    return (seen.oddness() >= seen.doubt).reshape(-1, series).any(axis=1)


if __name__ == "__main__":
    luck = np.random.default_rng(20261125)
    if "--calibrate" in sys.argv:
        for row in count_constant(years=100_000, rng=luck):
            click.echo("b {:.1f}  passed {:.5f}  C {:.4f}".format(*row))
    else:
        table(years=1000, histories=1000, rng=luck, say=click.echo)
