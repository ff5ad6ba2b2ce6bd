"""The study ``prompts``: what is drawn for which prompt, from the records of text-to-image generators.

``study: {kind: prompts}`` in a spec. For each generator of ``source: text_to_image`` and each attribute: the shares of every prompt, their
difference from those of all prompts together, a test of whether the prompts differ at all, a test of each slot's words where every word
stands in several prompts, refusals by prompt, and the prompts that the pipeline does not read to their end.
"""

from typing import Any

import numpy as np
import pandas as pd

from audit.attribute_rows import Reading
from audit.errors import SpecError
from audit.estimates import Estimate, Measurement, NotMeasured
from audit.labels import MISSING, cells, labels, role_of
from audit.metrics.correction import corrected_share_box
from audit.metrics.multiplicity import holm
from audit.metrics.prompts import Association, differences_from_whole, homogeneity, prompt_boxes, prompt_counts, word_effect
from audit.metrics.shares import ShareBox, proportion
from audit.sources.base import REFUSED
from audit.sources.prompted import PromptedSource
from audit.study import StudyContext

SLOT = "prompt:"


def study(context: StudyContext) -> dict[str, Any]:
    """Return what every prompt was answered with, for ``result.json`` under ``study``.

    Returns:
        ``level`` and ``generators``, a dictionary each: ``generator``, ``prompts`` (``prompt``, ``words``, ``images``, ``refused`` with its
        interval, ``reasons``, ``cut``), ``refusals`` (a test) and ``attributes`` (``attribute``, ``classes``, ``whole``, ``test``, ``words`` (a
        test a slot) and ``prompts``: ``n``, ``shares``, ``corrected``, ``bounds``, ``differences``, a list over the classes each).

    Raises:
        SpecError: no generator draws from prompts.
    """
    prompted = {n: s for n, s in context.sources.items() if isinstance(s, PromptedSource)}
    if not prompted:
        raise SpecError("study: prompts needs generators of source 'text_to_image'; this spec has none")
    found = [_generator(name, source, context) for name, source in prompted.items()]
    tests = [t for g in found for t in (g["refusals"], *(a["test"] for a in g["attributes"]), *(w for a in g["attributes"] for w in a["words"].values()))]
    for test, adjusted in zip(tests, holm([t["p_value"] for t in tests]), strict=True):
        test["p_adjusted"] = adjusted
    return {"level": context.spec.level, "generators": found}


def _generator(name: str, source: PromptedSource, context: StudyContext) -> dict[str, Any]:
    frame, level = context.run.frame(name), context.spec.level
    texts = [text for text, _ in source.prompts]
    place = {text: at for at, text in enumerate(texts)}
    codes = frame["prompt"].map(place).to_numpy(dtype=np.int64)
    refused = (frame["status"] == REFUSED).to_numpy()
    asked = np.bincount(codes, minlength=len(texts))
    no = np.bincount(codes[refused], minlength=len(texts))
    prompts = []
    for at, (text, words) in enumerate(source.prompts):
        cut = source.cut.get(text)
        reasons = frame.loc[refused & (codes == at), "refusal"].value_counts()
        prompts.append({"prompt": text, "words": words, "images": int(asked[at]),
                        "refused": _row(proportion(int(no[at]), int(asked[at]), 1 - (1 - level) / len(texts))), "count_refused": int(no[at]),
                        "reasons": {str(k): int(v) for k, v in reasons.items()},
                        "cut": None if cut is None else {"tokens": cut.tokens, "limit": cut.limit, "unread": cut.unread}})  # fmt: skip
    test = homogeneity(np.stack([asked - no, no], axis=1), rng=context.rng) if refused.any() else NotMeasured("nothing was refused", len(frame))
    attributes = [a for a in (_attribute(attribute, frame, codes, source, context) for attribute in context.spec.attributes) if a is not None]
    return {"generator": name, "prompts": prompts, "refusals": _test(test), "attributes": attributes}


def _attribute(attribute: str, frame: pd.DataFrame, codes: np.ndarray, source: PromptedSource, context: StudyContext) -> dict[str, Any] | None:
    said = labels(frame, attribute)
    if said is None:
        return None
    names, level, count = cells(attribute), context.spec.level, len(source.prompts)
    table = prompt_counts(said, codes, len(names), count)
    missing = np.bincount(codes[said == MISSING], minlength=count)
    boxes, differences = prompt_boxes(table, level=level), differences_from_whole(table, level=level)
    errors = _errors(attribute, frame, context)
    each = 1 - (1 - level) / count
    rows = []
    for at in range(count):
        bounds = Reading(table[at], int(missing[at])).worst_case(each) if missing[at] else None
        better = corrected_share_box(table[at], errors, level=each) if errors is not None and table[at].sum() else None
        rows.append({"n": int(table[at].sum()), "missing": int(missing[at]), "shares": _box(boxes[at], len(names)),
                     "corrected": None if better is None else _box(better, len(names)),
                     "bounds": None if bounds is None else _box(bounds, len(names)), "differences": [_row(d) for d in differences[at]]})  # fmt: skip
    total = int(table.sum())
    return {"attribute": attribute, "classes": names, "n": total, "prompts": rows,
            "whole": [None] * len(names) if not total else (table.sum(axis=0) / total).tolist(),
            "test": _test(homogeneity(table, rng=context.rng)), "words": _words(table, source, context.rng)}  # fmt: skip


def _errors(attribute: str, frame: pd.DataFrame, context: StudyContext) -> Any:
    """Return the errors of the classifier that labels an attribute, None where they are not known."""
    known = context.calibrations.get("classifier")
    if known is None or any(role_of(frame.columns, part) != "classifier" for part in attribute.split("*")):
        return None
    return known.error_model(attribute) if known.confusion(attribute) is not None else None


def _words(table: np.ndarray, source: PromptedSource, rng: np.random.Generator) -> dict[str, dict[str, Any]]:
    """Return a test a slot, where its words stand in several prompts; none where there is one template of one slot."""
    found = {}
    for slot in source.slots:
        words = [chosen.get(slot) for _, chosen in source.prompts]
        rest = [(template, *sorted((k, v) for k, v in chosen.items() if k != slot))
                for template, (_, chosen) in zip(source.templates, source.prompts, strict=True)]  # fmt: skip
        if len(set(rest)) > 1:
            found[slot] = _test(word_effect(table, words, rest, rng=rng))
    return found


def _box(box: ShareBox | NotMeasured, k: int) -> list[dict[str, Any]]:
    return [_row(box)] * k if isinstance(box, NotMeasured) else [_row(e) for e in box.estimates()]


def _row(found: Measurement) -> dict[str, Any]:
    if isinstance(found, Estimate):
        return {"value": found.value, "low": found.low, "high": found.high, "reason": None}
    return {"value": None, "low": None, "high": None, "reason": found.reason}


def _test(found: Association | NotMeasured) -> dict[str, Any]:
    if isinstance(found, NotMeasured):
        return {"statistic": None, "p_value": None, "units": found.n, "shuffles": None, "reason": found.reason}
    return {"statistic": found.statistic, "p_value": found.p_value, "units": found.units, "shuffles": found.shuffles, "reason": None}
