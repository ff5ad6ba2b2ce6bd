"""Every number of a history as a table, for spreadsheets and notebooks."""

from typing import TYPE_CHECKING

import numpy as np

from audit.history.chronicle import Chronicle

if TYPE_CHECKING:
    import pandas as pd

_NIGHT = ("night", "repeat", "seed", "samples", "exit_code", "commit", "genbias")
_SERIES = ("generator", "metric", "attribute", "group", "baseline", "reader", "corrected", "protocol", "direction", "unit", "parity")


def frame(chronicle: Chronicle) -> "pd.DataFrame":
    """Return a row for every number of every night, in the order of nights; what was not measured has an empty value.

    Columns: ``suite, night, repeat, seed, samples, exit_code, commit, genbias``, those of the series, then ``value, low, high, level, n``.
    """
    import pandas as pd

    at_night, at_series = np.nonzero(np.isfinite(chronicle.n))
    columns = {"suite": np.full(len(at_night), chronicle.suite, dtype=object)}
    for name in _NIGHT:
        columns[name] = np.array([getattr(e, name) for e in chronicle.entries], dtype=object)[at_night]
    for name in _SERIES:
        columns[name] = np.array([getattr(s, name) for s in chronicle.series], dtype=object)[at_series]
    for name in ("value", "low", "high", "level", "n"):
        columns[name] = getattr(chronicle, name)[at_night, at_series]
    made = pd.DataFrame(columns).infer_objects()
    return made.astype({"n": int, "repeat": int, "seed": int, "samples": int, "exit_code": int, "corrected": bool})
