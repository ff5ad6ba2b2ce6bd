"""Fixtures: histories in a file, empty or planted."""

import numpy as np
import pytest

from audit.history.store import History
from tests.audit.history.written import ERROR, night, row


@pytest.fixture
def history(tmp_path):
    """An empty history in a file."""
    with History(str(tmp_path / "h.db"), create=True) as opened:
        yield opened


@pytest.fixture
def planted(history):
    """A function that fills the history: {"plain": [levels by night in standard errors], ...} for each generator's watched discrepancy."""

    def fill(nights, *, seed=1, shifts=None, missing=(), weights=None, commit=lambda at: "c0ffee", generators=("plain", "other"), quiet=0):
        rng = np.random.default_rng(seed)
        for at in range(nights):
            rows = []
            for g in generators:
                for a in ("gender", "age"):
                    level = (shifts or {}).get((g, a), lambda at: 0.0)(at)
                    rows.append(row(g, "fairness_discrepancy", a, 0.3 + ERROR * (level + rng.standard_normal())))
                rows += [row(g, "share", f"quiet{i}", 0.5 + ERROR * rng.standard_normal(), group="yes", watched=False, parity=0.5) for i in range(quiet)]
            if at not in missing:
                history.put(night(at, rows, weights=None if weights is None else weights(at), commit=commit(at)))
        return history

    return fill
