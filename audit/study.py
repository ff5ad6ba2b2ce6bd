"""Studies: what a spec asks beyond its measures, answered from the same records by a package that registers for it.

``study: {kind: amplification, ...}`` in a spec names an entry point of the group ``genbias.studies``: a function that takes a
:class:`StudyContext` and the study's own options, and returns plain values for ``result.json`` under ``study``. It is called once, after
everything is collected and measured; images are drawn by the one pass like all others, so a study resumes and repeats like a run.
"""

from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import numpy as np

from audit.errors import SpecError

if TYPE_CHECKING:
    from audit.calibrations import Calibration
    from audit.group_quality import GroupQuality
    from audit.measure import Measure
    from audit.quality import Quality
    from audit.records import Run
    from audit.sources.base import ImageSource
    from audit.spec import Spec


@dataclass(frozen=True)
class StudyContext:
    """What a study may look at.

    Attributes:
        run: the records: ``run.frame(generator)`` has a row an image, ``run.features(generator, encoder)`` its features.
        spec: the spec, sweeps expanded.
        sources: the opened sources by generator; their ``method`` may say what they are.
        measures: every row of the run.
        comparisons: candidate minus baseline.
        calibrations: errors of the "classifier" and of the "second_rater", None where unknown.
        quality: features against references.
        groups: the same for groups.
        rng: for resampling.
        device: where a study that needs a network runs it.
    """

    run: "Run"
    spec: "Spec"
    sources: dict[str, "ImageSource"]
    measures: list["Measure"]
    comparisons: list[dict]
    calibrations: dict[str, "Calibration | None"]
    quality: "Quality"
    groups: "GroupQuality"
    rng: np.random.Generator
    device: str = "cpu"


def find_study(study: dict[str, Any]) -> Any:
    """Return the function registered for ``study["kind"]``.

    Raises:
        SpecError: nothing is registered under that name.
    """
    known = {e.name: e for e in entry_points(group="genbias.studies")}
    kind = study.get("kind")
    if kind not in known:
        raise SpecError(f"study.kind: there is no study {kind!r}; there are: {', '.join(sorted(known)) or 'none installed'}")
    return known[kind].load()


def carry_out_study(study: dict[str, Any], context: StudyContext) -> dict[str, Any]:
    """Return what the study found, with its ``kind``.

    Raises:
        SpecError: no such study, or options it does not know.
    """
    function = find_study(study)
    options = {k: v for k, v in study.items() if k != "kind"}
    try:
        found = function(context, **options)
    except TypeError as problem:
        if "unexpected keyword argument" not in str(problem):
            raise
        raise SpecError(f"study: {study['kind']} takes no such option: {str(problem).rpartition(' ')[2]}") from None
    return {"kind": study["kind"], **found}
