"""Histories written by hand: nights whose numbers, seeds, commits and weights we chose; no image, no model."""

from datetime import date, timedelta

from audit.history.nights import Night

ERROR = 0.01
"""Standard error of every number of a planted night."""


def day(at, first="2026-01-01"):
    """The date of night number ``at``."""
    return (date.fromisoformat(first) + timedelta(days=at)).isoformat()


def row(generator, metric, attribute, value, *, group=None, error=ERROR, watched=True, **known):
    """A row of a night, with a 95 % interval of a known standard error; ``value`` None = not measured."""
    from audit.quantities import QUANTITIES

    quantity = QUANTITIES[metric]
    half = 1.959964 * error
    ends = {"low": None, "high": None} if value is None else {"low": value - half, "high": value + half}
    return {"generator": generator, "metric": metric, "attribute": attribute, "group": group, "baseline": None, "reader": None, "corrected": False,
            "protocol": None, "direction": quantity.direction, "unit": "share", "parity": quantity.parity, "value": value, "level": 0.95,
            "n": 1000, "watched": watched, **ends, **known}  # fmt: skip


def night(at, rows, *, repeat=0, weights=None, commit="c0ffee", suite="suite", seed=None, **known):
    """A night with these rows."""
    names = dict.fromkeys(r["generator"] for r in rows)
    facts = {"generators": {n: (weights or {}).get(n, f"weights of {n}") for n in names}, "instruments": {"classifier": "a"}, "device": "cpu", **known}
    return Night(suite=suite, night=at if isinstance(at, str) else day(at), repeat=repeat, spec="spec", seed=1000 + (at if isinstance(at, int) else 0) if seed is None else seed,
                 samples=1000, exit_code=0, genbias="0.1.0", commit=commit, facts=facts, rows=rows)  # fmt: skip
