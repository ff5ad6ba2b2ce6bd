"""The last green night as a baseline: is a result worse than it was when all was well?

Green is a night on which every limit held and nothing watched had moved to the worse. Its numbers come from the history, so what is compared are two
independent runs, not pairs of images; the interval of a difference is made of both runs' own (MOVER: Zou and Donner 2008, Statistics in Medicine 27),
which for two runs with one seed is wider than it need be.
"""

import math
from typing import TYPE_CHECKING, Any

from audit.errors import HistoryError
from audit.history import open_history
from audit.history.location import shown
from audit.history.moves import alarms, watched
from audit.history.nights import series_key

if TYPE_CHECKING:
    from audit.result import Result

READER = "last_green"
"""What ``reader`` of the rows says, so that they are not taken for comparisons of generators."""


def against_last_green(result: "Result", where: str, *, suite: str | None = None) -> list[dict[str, Any]]:
    """Return the difference of each number of a result from the last green night, in the form of a result's comparisons.

    Args:
        result: a finished audit; where it is a night of the history itself, that night does not count.
        where: the history.
        suite: name of its suite; None = the result's.

    Raises:
        HistoryError: there is no such history or suite, or no night in it was green.
    """
    with open_history(where) as opened:
        name = suite or result.name
        judged = opened.chronicle(name, watched_only=True)
        worse = {m["found"] for m in alarms(judged, watched(judged)) if m["worse"]}
        own = result.provenance.get("created")
        green = [e for e in judged.entries if not e.repeat and e.exit_code == 0 and e.night not in worse
                 and (own is None or e.facts.get("created") != own)]  # fmt: skip
        if not green:
            raise HistoryError(f"no night of {name!r} in {shown(where)} is green yet: one on which every limit held and nothing moved to the worse")
        night = green[-1].night
        then = opened.chronicle(name, only=night)
    known = {series_key(vars(s)): at for at, s in enumerate(then.series)}
    rows = []
    for measure in result.measures:
        row = measure.row()
        at = known.get(series_key(row))
        if at is None or row["value"] is None or row["low"] is None or not math.isfinite(then.value[0, at]):
            continue
        rows.append(_difference(row, *(float(a[0, at]) for a in (then.value, then.low, then.high, then.level)), night=night))
    return rows


def _difference(row: dict[str, Any], value: float, low: float, high: float, level: float, *, night: str) -> dict[str, Any]:
    scale = _half_width(row["level"]) / _half_width(level)
    down, up = max(value - low, 0.0) * scale, max(high - value, 0.0) * scale
    difference = row["value"] - value
    return {"generator": row["generator"], "baseline": f"the last green night {night}", "metric": row["metric"], "attribute": row["attribute"],
            "group": row["group"], "before": value, "after": row["value"], "difference": difference,
            "low": difference - math.hypot(max(row["value"] - row["low"], 0.0), up), "high": difference + math.hypot(max(row["high"] - row["value"], 0.0), down),
            "level": row["level"], "n": row["n"], "unit": row["unit"], "reader": READER, "corrected": row["corrected"], "family": "last green",
            "protocol": row["protocol"], "method": "two independent runs, MOVER", "reason": None, "p_value": None, "p_adjusted": None, "curve": None}  # fmt: skip


def _half_width(level: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(0.5 + level / 2))
