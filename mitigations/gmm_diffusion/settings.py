"""What a fit is made with: every option of the sampler, checked once."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from audit.errors import SpecError
from mitigations.labelling import DEFAULT

TAPS = ("x_T", "x_t", "h")

_LEAST = {"dims": 1, "pool": 2, "min_per_cell": 1, "budget": 2, "draws": 1, "verify": 1, "start": 0, "stop": 0}
_CHOICES = {"tap": TAPS, "complement": ("own", "gaussian"), "covariance": ("full", "diagonal"), "renormalise": (True, False)}


@dataclass(frozen=True)
class Settings:
    """Options of ``sampler: {method: gmm, ...}`` and of ``genbias mitigate gmm-diffusion``.

    Attributes:
        attribute: whose cells are balanced: one attribute or an intersection.
        classifier: what labels the pool and measures the leakage; not the one that judges.
        verifier: what labels the verification round; None = the classifier, on fresh images.
        target: "uniform", or a share for each cell.
        tap: "x_T" (starting noise), "x_t" (after ``start`` steps) or "h" (middle of the UNet).
        start: DDIM step of the tap.
        stop: for "h", the step at which the shift ends.
        complement: "own" keeps what is not modelled as the generator made it for this seed; "gaussian" draws it from the pool's mean and
            standard deviations, which saves the first ``start`` steps.
        renormalise: bring the norm of a changed latent back to what it was.
        dims: coordinates that are modelled, discriminants first.
        components: Gaussians a cell, or the numbers to choose from.
        covariance: "full" or "diagonal".
        tau: factor on the standard deviations of the mixture; below 1 gives up variety.
        pool: images labelled at least.
        min_per_cell: examples wanted of every cell; drawing goes on for them,
        budget: up to this many images.
        draws: images asked for of each cell to measure leakage.
        verify: images of each verification draw.
        seed: of the pool and of the clustering.
    """

    attribute: str = "gender*skin_tone"
    classifier: str = DEFAULT
    verifier: str | None = None
    target: Any = "uniform"
    tap: str = "x_t"
    start: int = 5
    stop: int = 12
    complement: str = "own"
    renormalise: bool = False
    dims: int = 64
    components: Any = (1, 2, 3, 4)
    covariance: str = "full"
    tau: float = 1.0
    pool: int = 6000
    min_per_cell: int = 300
    budget: int = 40_000
    draws: int = 384
    verify: int = 2000
    seed: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        given = asdict(self)
        return {**given, "components": list(self.components) if isinstance(self.components, tuple) else self.components}


def settings_of(options: Mapping[str, Any]) -> Settings:
    """Return checked settings.

    Raises:
        SpecError: an unknown option, or a value out of range, with what was expected.
    """
    known = [f.name for f in fields(Settings)]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise SpecError(f"sampler gmm: unknown option {unknown[0]!r}; there are {', '.join(sorted([*known, 'fit', 'assets']))}")
    given = dict(options)
    if isinstance(given.get("components"), list):
        given["components"] = tuple(given["components"])
    made = Settings(**given)
    for name, choices in _CHOICES.items():
        if getattr(made, name) not in choices:
            raise SpecError(f"sampler gmm: {name} is {getattr(made, name)!r}; expected {' or '.join(map(str, choices))}")
    for name in ("attribute", "classifier", "verifier"):
        if not isinstance(getattr(made, name), str) and (name, getattr(made, name)) != ("verifier", None):
            raise SpecError(f"sampler gmm: {name} is {getattr(made, name)!r}; expected a name")
    for name, least in _LEAST.items():
        if not _whole(getattr(made, name), least):
            raise SpecError(f"sampler gmm: {name} is {getattr(made, name)!r}; expected a whole number, at least {least}")
    if not isinstance(made.seed, int) or isinstance(made.seed, bool):
        raise SpecError(f"sampler gmm: seed is {made.seed!r}; expected a whole number")
    several = made.components if isinstance(made.components, tuple) else (made.components,)
    if not several or not all(_whole(c, 1) for c in several):
        raise SpecError(f"sampler gmm: components is {made.components!r}; expected a whole number, at least 1, or a list of them")
    if isinstance(made.tau, bool) or not isinstance(made.tau, int | float) or not 0 < made.tau <= 2:
        raise SpecError(f"sampler gmm: tau is {made.tau!r}; expected a number above 0 and at most 2")
    if made.complement == "gaussian" and made.tap == "h":
        raise SpecError("sampler gmm: complement 'gaussian' needs a tap that sampling can start from, x_T or x_t; with h it is 'own'")
    return made


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
