"""What every mitigation shares: how it describes itself, how it reads images, and where its latents come from.

A mitigation takes a source and returns a source. The result keeps the contract of
:class:`audit.sources.base.ImageSource`: image i depends on its seed alone, so a mitigated run resumes and repeats like any
other. What the method did, and what it cost, travels in the source's ``method``.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

from audit.errors import SourceError
from audit.sources.base import ImageSource
from audit.sources.latent import LatentSource


@dataclass(frozen=True)
class Fact:
    """One number a method says about itself; ``note`` says what it means."""

    name: str
    value: float | int | str | None
    unit: str = ""
    note: str = ""


@dataclass(frozen=True)
class Chart:
    """A small diagnostic figure: ``kind`` is "line", "bar" or "histogram" (x holds left edges, one more than y)."""

    title: str
    kind: str
    x: list
    y: list[float]
    x_label: str
    y_label: str


@dataclass(frozen=True)
class Cost:
    """What a method costs.

    Attributes:
        calls_per_image: generator calls per image it gives out; 1 for the baseline.
        fitting_calls: generator calls (a Jacobian product counts as one) before the first image.
        fitting_seconds: wall time of fitting, on whatever machine did it; None when it was loaded from a file that does not say.
        training_images: real or synthetic images shown to a generator that is trained again; 0 = no retraining.
    """

    calls_per_image: float = 1.0
    fitting_calls: int = 0
    fitting_seconds: float | None = None
    training_images: int = 0


@dataclass(frozen=True)
class MethodReport:
    """How a mitigation describes itself in result.json: plain numbers, ready for the page.

    Attributes:
        method: key of the sampler or recipe ("magnet", "gmm", "self_conditioning", "rebalancing", "reject", ...).
        title: what the page calls it.
        paper: authors, year, arXiv number.
        sentence: what it does, in one sentence a newcomer understands.
        uses: what it was told ("labels of portraits_b", "no labels").
        facts: diagnostics.
        charts: diagnostics better seen than read.
        cost: what it costs.
        caveats: what the reader should keep in mind.
    """

    method: str
    title: str
    paper: str
    sentence: str
    uses: str
    facts: list[Fact] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    cost: Cost = Cost()
    caveats: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def latent_source(source: ImageSource, method: str) -> LatentSource:
    """Return ``source`` if a module draws it from latents.

    Raises:
        SourceError: it is a folder, a callable or the renderer, which have no latent to choose.
    """
    if not isinstance(source, LatentSource):
        raise SourceError(f"{method} chooses latents, and {source.name!r} is a {type(source).__name__} without any; "
                          "give a generator drawn from latents (stylegan2, diffusion, dcgan32)")  # fmt: skip
    return source
