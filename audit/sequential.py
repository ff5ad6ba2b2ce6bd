"""Sampling until decided: draw a little, look, and stop as soon as every limit is decided or the budget is spent.

Looks fall on the ends of shards, every one at first and later every one that adds 2% of the images or more, so that a smaller
``shard`` means earlier looks. All generators advance together: a candidate and its baseline stay paired on the same ids, and
what is measured besides the limits rests on as many images of each. Whoever looks may stop, because the intervals judged here are
confidence sequences (:mod:`audit.metrics.sequences`); a number that has none cannot carry such a limit. Nothing is remembered but
the records themselves, so a run that was interrupted looks again at the same places, sees the same and decides the same.
"""

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from audit import metrics
from audit.errors import RecordError, SpecError
from audit.labels import cells, labels
from audit.records import Run
from audit.sources.base import OK
from audit.spec import Spec
from audit.verdicts import Verdict

Paths = dict[tuple[str, str], NDArray[np.int64]]
"""For each (generator, attribute) the (looks, K) counts so far; also (generator, "unreadable") and the like, [is, is not]."""

SEQUENTIAL = ("share", "fairness_discrepancy", "share_gap", "parity_ratio", "total_variation", "kl_divergence", "entropy",
              "bias_amplification", "unreadable", "no_face", "several_faces")  # fmt: skip
"""Metrics whose interval may be looked at after every shard: class shares, and what is worked out from them."""

_SPACING = 1.02


@dataclass(frozen=True)
class Walk:
    """What sampling until decided came to.

    Attributes:
        images: images a generator at the last look.
        looks: a row for every look at every limit: generator, metric, attribute, group, n, low, high, outcome.
        verdicts: those of the last look.
        decided: whether every limit was held or broken; False where the budget ran out, or more images would not help.
    """

    images: int
    looks: list[dict[str, Any]]
    verdicts: list[Verdict]
    decided: bool


def check_sequential(spec: Spec) -> None:
    """Refuse a spec that cannot be sampled until decided.

    Raises:
        SpecError: no limit, a limit without a confidence sequence, or images that are not drawn independently.
    """
    if not spec.limits:
        raise SpecError("until: decided was asked for and there is no limit to decide; add limits, or leave `until` out")
    for limit in spec.limits:
        if getattr(limit, "not_worse_than", None) is not None:
            raise SpecError(f"the limit on {limit.metric} is not_worse_than a baseline, which has no interval that may be looked at again and "
                            "again; use at_most, at_least or between, or leave `until` out")  # fmt: skip
        if limit.metric not in SEQUENTIAL:
            raise SpecError(f"the limit on {limit.metric} has no interval that may be looked at again and again; until: decided takes limits on "
                            f"{', '.join(SEQUENTIAL)}; drop this one, or leave `until` out")  # fmt: skip
    for name, generator in spec.generators.items():
        if generator.source == "folder":
            raise SpecError(f"generators.{name} is a folder, read in the order of its names; until: decided needs images drawn independently, so "
                            "leave `until` out and use all of them")  # fmt: skip


def look_marks(images: int, shard: int) -> list[int]:
    """Return the numbers of images at which a run of ``images`` is looked at.

    Args:
        images: images a generator in all.
        shard: images a file.

    Example:
        >>> look_marks(1200, 512)
        [512, 1024, 1200]
    """
    marks: list[int] = []
    while not marks or marks[-1] < images:
        last = marks[-1] if marks else 0
        marks.append(min(images, shard * max(last // shard + 1, math.ceil(_SPACING * last / shard))))
    return marks


def paths_of(frame: pd.DataFrame, spec: Spec, images: int | None = None) -> dict[str, NDArray[np.int64]]:
    """Return the counts of one generator at each of its looks.

    Args:
        frame: its rows, in the order of their ids.
        spec: for the attributes and the size of a shard.
        images: use the first so many rows; None = all.

    Returns:
        {attribute: (looks, K) counts so far}, for attributes that an instrument read; "unreadable", and "no_face" and
        "several_faces" where faces were looked for, as (looks, 2) counts of images that are and are not.

    Raises:
        SpecError: images share an origin, so that they are not independent.
    """
    rows = frame if images is None else frame.iloc[:images]
    if "unit" in rows and rows["unit"].duplicated().any():
        twice = rows["unit"][rows["unit"].duplicated()].iloc[0]
        raise SpecError(f"several images share the origin {twice}; until: decided needs images drawn independently; leave `until` out")
    found: dict[str, tuple[np.ndarray, int]] = {"unreadable": ((rows["status"] == OK).to_numpy(np.int64), 2)}
    if "face_finder:face" in rows:
        found |= {key: ((rows["face_finder:face"] != key).to_numpy(np.int64), 2) for key in ("no_face", "several_faces")}
    for attribute in spec.attributes:
        said = labels(rows, attribute)
        if said is not None:
            found[attribute] = (said, len(cells(attribute)))
    marks = look_marks(len(rows), spec.shard)
    parts = list(pairwise([0, *marks]))
    return {what: np.stack([metrics.class_counts(said[a:b], k) for a, b in parts]).cumsum(axis=0) for what, (said, k) in found.items()}


def drawing_spec(spec: Spec, run: Run, generator: str, images: int) -> Spec:
    """Return the spec under which collecting ``generator`` adds what is missing of its first ``images`` and forgets nothing stored.

    References are left out: they are collected once, when it is known how many images there are.
    """
    try:
        stored = len(run.frame(generator))
    except RecordError:
        stored = 0
    return spec.model_copy(update={"samples": max(images, stored), "reference": None})


def collect_until_decided(spec: Spec, *, draw: Callable[[int], None], paths: Callable[[int], Paths],
                          judge: Callable[[Paths], Sequence[Verdict]]) -> Walk:  # fmt: skip
    """Draw shard by shard until every limit is decided or ``spec.samples`` images a generator are drawn.

    Args:
        spec: limits, shard and budget.
        draw: sees to it that the first so many images of every generator are recorded; asked for more and more.
        paths: returns the counts of the first so many images of every generator, see :func:`paths_of`.
        judge: returns the verdicts on all limits from intervals that hold at all looks together.

    Raises:
        SpecError: as :func:`check_sequential`.
    """
    check_sequential(spec)
    looks: list[dict[str, Any]] = []
    verdicts: list[Verdict] = []
    images = 0
    for images in look_marks(spec.samples, spec.shard):
        draw(images)
        seen = paths(images)
        verdicts = list(judge(seen))
        looks += [_look(v, seen) for v in verdicts]
        decided = sum(v.outcome != "undecided" for v in verdicts)
        tqdm.write(f"{images} images a generator: {decided} of {len(verdicts)} limits decided", file=sys.stderr)
        if not any(_may_be_decided(v, seen) for v in verdicts):
            break
    return Walk(images, looks, verdicts, all(v.outcome != "undecided" for v in verdicts))


def _look(v: Verdict, paths: Paths) -> dict[str, Any]:
    return {"generator": v.generator, "metric": v.metric, "attribute": v.attribute, "group": v.group, "n": _seen(v, paths),
            "low": v.low, "high": v.high, "outcome": v.outcome}  # fmt: skip


def _may_be_decided(v: Verdict, paths: Paths) -> bool:
    """Return whether more images could decide; what is not measured although images were read never will be."""
    known = (v.generator, v.attribute or v.metric) in paths
    return v.outcome == "undecided" and known and (v.value is not None or _seen(v, paths) == 0)


def _seen(v: Verdict, paths: Paths) -> int:
    path = paths.get((v.generator, v.attribute or v.metric))
    return 0 if path is None else int(path[-1].sum())
