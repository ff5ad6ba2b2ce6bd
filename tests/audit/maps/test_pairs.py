"""Rows before and after: faces lost on one side are counted, strata leave out what was not read."""

import numpy as np
import pandas as pd
import pytest

from audit.maps.pairs import Pairs
from audit.maps.readings import changes, kept, saturation


def side(lightness, **columns):
    n = len(lightness)
    tone = np.array([[x > 70, 40 < x <= 70, x <= 40] if np.isfinite(x) else [np.nan] * 3 for x in lightness], dtype=float)
    frame = {"id": np.arange(n), "status": ["ok"] * n, "skin_tone:L": lightness, "skin_tone:hue": [60.0] * n, "skin_tone:ita": [10.0] * n,
             "skin_tone:monk": [5 if np.isfinite(x) else -1 for x in lightness], "map:background_L": [0.0] * n}  # fmt: skip
    frame |= {f"skin_tone:skin_tone:{c}": tone[:, i] for i, c in enumerate(("light", "medium", "dark"))}
    return pd.DataFrame(frame | columns)


def test_faces_lost_and_found_and_images_that_cannot_be_read_are_counted():
    before = side([50.0] * 4, **{"face_finder:face": ["one", "one", "no_face", "no_face"]})
    after = side([50.0] * 4, **{"face_finder:face": ["one", "no_face", "one", "no_face"], "status": ["ok", "ok", "ok", "unreadable: no image"]})
    assert Pairs(before, after).missing() == {"unreadable_before": 0, "unreadable_after": 1, "no_face_before": 2, "no_face_after": 2,
                                              "faces_lost": 1, "faces_gained": 1}  # fmt: skip


def test_a_reading_that_is_missing_on_one_side_leaves_its_pair_out():
    pairs = Pairs(side([80.0, 50.0, 50.0, 20.0]), side([81.0, np.nan, 52.0, 23.0]))
    rows = {(r["quantity"], r["by"], r["stratum"]): r for r in changes(pairs, {}, [], planted={}, level=0.95)}
    whole = rows["L", "all", "all pairs"]
    assert (whole["value"], whole["n"]) == (pytest.approx(2), 3)
    assert rows["monk", "all", "all pairs"]["n"] == 3
    assert rows["L", "input_tone", "medium"]["value"] is None and "2 are needed" in rows["L", "input_tone", "medium"]["reason"]


def test_without_skin_identity_or_clipping_nothing_is_made_up():
    frame = pd.DataFrame({"id": [0, 1], "status": ["ok", "ok"]})
    pairs = Pairs(frame, frame)
    assert changes(pairs, {}, [], planted={}, level=0.95) == [] and kept(pairs, level=0.95) is None and saturation(pairs) == []
