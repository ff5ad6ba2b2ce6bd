"""Does the detector keep its word? Histories whose truth is known: how often a step is found, how often one is said where there is none.

``python -m audit.history.study`` prints the README's table; ``--calibrate`` counts the constant of :mod:`audit.history.thresholds`.
A year has 365 nights after 30 quiet ones. A planted step is two standard errors of one night, in one series, after 60 nights; it counts as found
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

    def draw(self, series: int, rng: np.random.Generator) -> np.ndarray:
        """Return (series,) numbers of one draw."""
        own = np.sqrt(1 - self.correlation) * rng.standard_normal(series)
        found = self.spread * (np.sqrt(self.correlation) * rng.standard_normal() + own)
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
        years: simulated.
        rng: source of all luck.
        world: what nights look like; None = independent normal numbers whose intervals are right.
        again: how often an odd night is drawn again at most.
        nights: of a year.
    """
    world, wrong, drawn = world or World(), 0, 0
    for _ in range(years):
        seen = Watch(series)
        for night in range(WARM_UP + nights):
            before = len(seen.steps)
            times = _night(seen, lambda: world.draw(series, rng), again)
            if night < WARM_UP:
                seen.steps.clear()
                continue
            drawn += times
            if len(seen.steps) > before:
                wrong += 1
                break
    return Counted(wrong / years, years, drawn / years / nights)


def found_steps(series: int, *, histories: int, rng: np.random.Generator, world: World | None = None, again: int = AGAIN, size: float = 2.0,
                before: int = BEFORE) -> Counted:  # fmt: skip
    """Count the histories in which a step in one series of the family is found within five nights.

    Args:
        series: in the family; the first one steps.
        histories: simulated.
        rng: source of all luck.
        world: what nights look like; None = independent normal numbers whose intervals are right.
        again: how often an odd night is drawn again at most.
        size: of the step, in standard errors of one night.
        before: quiet nights.
    """
    world, found, drawn = world or World(), 0, 0
    step = np.zeros(series)
    step[0] = size
    for _ in range(histories):
        seen = Watch(series)
        for _ in range(before):
            seen.see(world.draw(series, rng), np.ones(series))
        for _ in range(LASTS):
            drawn += _night(seen, lambda: world.draw(series, rng) + step, again)
            if any(s.series == 0 and s.found >= before for s in seen.steps):
                found += 1
                break
    return Counted(found / histories, histories, drawn / histories)


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
        some = max(20, histories * 20 // max(series, 20))
        power = found_steps(series, histories=some, rng=rng, world=world, size=2.0 * world.spread)
        alone = found_steps(series, histories=some, rng=rng, world=world, size=2.0 * world.spread, again=0)
        wrong = false_alarms(series, years=max(20, years * 20 // max(series, 20)), rng=rng, world=world)
        say(f"| {series:,} | {words} | {_said(power)} | {_said(alone)} | {_said(wrong)} | {wrong.again:.2f} |")


def _said(counted: Counted) -> str:
    low, high = counted.interval()
    return f"{counted.share:.3f} ({low:.3f} to {high:.3f})"


def _night(seen: Watch, draw: Callable[[], np.ndarray], again: int) -> int:
    """Let a family see one night, drawn again while it looks odd; return how often that was."""
    one = np.ones(len(seen.starts))
    seen.see(draw(), one)
    times = 0
    while times < again and seen.is_odd():
        seen.see(draw(), one)
        times += 1
    return times


if __name__ == "__main__":
    luck = np.random.default_rng(20261125)
    if "--calibrate" in sys.argv:
        for row in count_constant(years=100_000, rng=luck):
            click.echo("b {:.1f}  passed {:.5f}  C {:.4f}".format(*row))
    else:
        table(years=300, histories=400, rng=luck, say=click.echo)
