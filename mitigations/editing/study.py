"""The editing study: which edit keeps the person, at equal change of the attribute.

For every attribute, direction and kind of edit, from the records of the run alone: how far the judge's score and labels move with
strength; how like the unedited person the image stays, against that change; how many labels of other attributes flip; the Frechet distance
of the edited images; and how many codes leave the latent space. Everything is paired on ids with the unedited generator each edit is
compared to. The protocol of Liu et al. 2022 (arXiv 2202.04040) reports identity by ranges of the attribute; here it is read at
equal change, because edits of unequal strength cannot be compared otherwise. Scores are the judge's, its errors included.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import t as student

from audit.attributes import ATTRIBUTES
from audit.estimates import Estimate, NotMeasured
from audit.metrics import paired_share_difference, proportion
from mitigations.editing.claims import judge_claim
from mitigations.editing.curves import Curve, equal_band, resampled_ids
from mitigations.editing.latent_space import QUANTILE
from mitigations.editing.readings import Edit, Records, curves_of, edits_of, flips, positions, sides_of, towards
from mitigations.editing.sampler import OUTSIDE
from mitigations.editing.strips import PEOPLE, strip
from mitigations.editing.truth import redrawn

if TYPE_CHECKING:
    from audit.study import StudyContext

RESAMPLES, REDRAWN = 2000, 200
TITLES = {"self_conditioned": "self-conditioned label", "interfacegan": "hyperplane (InterFaceGAN)", "conditional": "hyperplane, conditional",
          "ganspace": "component (GANSpace)", "learned": "learned move"}  # fmt: skip


def study(context: "StudyContext", *, resamples: int = RESAMPLES, people: int = PEOPLE, redraw: int = REDRAWN) -> dict[str, Any]:
    """Return what the run says of its edits, plain values for ``result.json``.

    Args:
        context: the finished run.
        resamples: bootstrap resamples of ids.
        people: first ids in the strips.
        redraw: portraits that show what a perfect edit would keep, where the truth is known.

    Returns:
        ``edits``: a row an attribute and direction with ``curves`` (points by strength, band at equal change, strip of images) and the
        ``claim``; ``judge``, ``fitted_by``, ``images``, ``level``.

    Raises:
        SpecError: nothing is edited, or an edit has nothing to be compared to.
    """
    edits, records, level = edits_of(context.spec), Records(context), context.spec.level
    sides = list(sides_of(edits))
    found = []
    for attribute, side, kinds in sides:
        curves, ids = curves_of(records, attribute, side, kinds)
        weights = resampled_ids(len(ids), resamples, context.rng)
        claim = judge_claim(curves, weights, level=1 - (1 - level) / len(sides))
        rows = [_curve(context, records, attribute, side, kinds[c.by], c, ids, weights, people) for c in curves]
        found.append({"attribute": attribute, "title": ATTRIBUTES[attribute].title, "towards": towards(attribute, side), "side": side,
                      "n": len(ids), "curves": rows, "claim": claim,
                      "redrawn": redrawn(context, attribute, towards(attribute, side), next(iter(kinds.values()))[0].unedited, images=redraw)})  # fmt: skip
    roles = context.spec.instruments
    return {"edits": found, "level": level, "images": context.spec.samples, "judge": _named(roles.classifier), "reference": _reference(context),
            "fitted_by": _fitted_by(context), "quantile": QUANTILE, "claims": len(sides)}  # fmt: skip


def _curve(context: "StudyContext", records: Records, attribute: str, side: int, edits: list[Edit], curve: Curve, ids: np.ndarray,
           weights: np.ndarray, people: int) -> dict[str, Any]:  # fmt: skip
    unedited, level = edits[0].unedited, context.spec.level
    band = equal_band(curve, weights, level=level)
    others = [a for a in records.singles if a != attribute and records.labels(unedited, a) is not None]
    points = [{"generator": unedited, "strength": 0.0, "change": _exact(0.0), "identity": _exact(1.0), "fid": _fid(context, unedited)}]
    for at, edit in enumerate(edits, start=1):
        narrow = 1 - (1 - level) / max(len(others) * len(edits), 1)
        points.append({
            "generator": edit.name, "strength": edit.strength,
            "change": _mean(curve.change[:, at], level), "identity": _mean(curve.identity[:, at], level),
            "labelled": _labelled(records, edit, side, ids, level), "drift": {a: _drift(records, edit, a, ids, narrow) for a in others},
            "drift_mean": _drift_mean(records, edit, others, ids, level),
            "fid": _fid(context, edit.name), "outside": _outside(records, edit.name, level),
            "beyond": abs(edit.strength) > 1,
        })  # fmt: skip
    shown = [int(i) for i in records.frame(unedited)["id"].to_numpy()[:people]]
    return {"by": curve.by, "title": TITLES.get(curve.by, curve.by), "unedited": unedited, "points": points,
            "strangers": _strangers(records, unedited, ids),
            "equal": {k: [round(float(v), 5) for v in getattr(band, k)] for k in ("change", "identity", "low", "high")},
            "strip": strip(context.run.path, [unedited, *(e.name for e in edits)], shown), "ids": shown}  # fmt: skip


def _exact(value: float) -> dict[str, Any]:
    return {"value": value, "low": value, "high": value}


def _mean(values: np.ndarray, level: float) -> dict[str, Any]:
    """Return the mean of paired values with its Student interval."""
    n, mean = len(values), float(values.mean())
    half = float(student.ppf(0.5 + level / 2, n - 1) * values.std(ddof=1) / np.sqrt(n))
    return {"value": mean, "low": mean - half, "high": mean + half}


def _estimate(found: Estimate | NotMeasured) -> dict[str, Any]:
    if isinstance(found, NotMeasured):
        return {"value": None, "low": None, "high": None, "reason": found.reason}
    return {"value": found.value, "low": found.low, "high": found.high}


def _labelled(records: Records, edit: Edit, side: int, ids: np.ndarray, level: float) -> dict[str, Any]:
    """Return the share labelled with the class the edit leads to, before and after, and its paired difference."""
    k = ATTRIBUTES[edit.attribute].k
    wanted = k - 1 if side > 0 else 0
    after, before = (records.labels(name, edit.attribute)[positions(records.frame(name), ids)] for name in (edit.name, edit.unedited))  # type: ignore[index]
    moved = paired_share_difference(after, before, k, level).differences[wanted]
    return {"before": float((before == wanted).mean()), "after": float((after == wanted).mean()), **_estimate(moved)}


def _drift(records: Records, edit: Edit, attribute: str, ids: np.ndarray, level: float) -> dict[str, Any]:
    flipped = flips(records, edit, attribute, ids)
    return _estimate(NotMeasured("not read") if flipped is None else proportion(*flipped, level))


def _drift_mean(records: Records, edit: Edit, others: list[str], ids: np.ndarray, level: float) -> dict[str, Any]:
    """Return the share of other attributes' labels that flipped, the mean over them, with a Student interval over ids."""
    parts = []
    for a in others:
        after, before = (records.labels(name, a)[positions(records.frame(name), ids)] for name in (edit.name, edit.unedited))  # type: ignore[index]
        parts.append(np.where((after < 0) | (before < 0), np.nan, after != before))
    whole = np.nanmean(np.stack(parts), axis=0) if parts else np.zeros(0)
    whole = whole[np.isfinite(whole)]
    return _mean(whole, level) if len(whole) > 1 else _estimate(NotMeasured("no other attribute was read"))


def _outside(records: Records, name: str, level: float) -> dict[str, Any]:
    """Return the share of codes outside the latent space, and whether that is more than of unedited codes."""
    frame = records.frame(name)
    if OUTSIDE not in frame:
        return {**_estimate(NotMeasured("the record does not say")), "flagged": False}
    far = frame[OUTSIDE].to_numpy()
    found = proportion(int((far > 1).sum()), len(far), level)
    return {**_estimate(found), "flagged": isinstance(found, Estimate) and found.low > 1 - QUANTILE}


def _strangers(records: Records, unedited: str, ids: np.ndarray) -> float:
    """Return the mean similarity of each unedited image to the next id's: how alike different people are."""
    rows = records.identity(unedited)[positions(records.frame(unedited), ids)]
    return float((rows * np.roll(rows, 1, axis=0)).sum(axis=1).mean())


def _reference(context: "StudyContext") -> str | None:
    return context.quality.group_reference() if context.quality is not None else None


def _fid(context: "StudyContext", generator: str) -> dict[str, Any]:
    wanted = (generator, "fid", f"reference:{_reference(context)}")
    row = next((m for m in context.measures if (m.generator, m.metric, m.group) == wanted), None)
    if row is None:
        return _estimate(NotMeasured("no reference to measure against"))
    return {"value": row.value, "low": row.low, "high": row.high, "reason": row.reason}


def _named(role: str | list[str] | None) -> str:
    return role if isinstance(role, str) else ", ".join(role or [])


def _fitted_by(context: "StudyContext") -> str | None:
    """Return who scored the codes that moves of w were fitted on."""
    fits = [getattr(getattr(s, "module", None), "fitted_by", None) for s in context.sources.values()]
    return next((f for f in fits if f), None)
