"""What one rebalancing does: the options of its recipe, checked and named."""

from dataclasses import dataclass, field, fields
from typing import Any

from audit.digests import digest
from audit.errors import SpecError
from mitigations.labelling import DEFAULT
from mitigations.rebalancing.balanced import METHODS
from mitigations.rebalancing.losses import KINDS
from mitigations.training.recipes import Recipe

DATA = ("synthetic", "mix", "unbalanced")
"""What the generator is trained on again: the balanced synthetic set; that and real training images; or the training population
as it is, with the bias loss alone to move the shares."""

TRAINER = {"batch", "lr", "r1_every", "r1_gamma", "path_every", "path_weight", "ema_images", "precision"}
"""Options read by the trainer itself."""

SEARCH = {"method", "prior_draws", "sigma", "children", "max_per_root", "max_failures", "max_pops", "budget", "keep_prior"}
BIAS = {"kind", "weight", "ema", "temperature"}


@dataclass(frozen=True)
class Plan:
    """Options of a recipe of kind "rebalancing", beside those of the trainer.

    Attributes:
        start: weights to start from and to search in: portraits/NAME or a path.
        critic: weights of their discriminator; None = NAME_critic beside them, if it is there.
        attribute: what is balanced.
        classifier: what labels the images; not the one that judges.
        noise: per-pixel noise with which the baseline draws the set, and with which shares are read; training adds its own.
        quota: synthetic images of each group.
        search: arguments of :func:`mitigations.rebalancing.balanced.balanced_set`.
        data: one of :data:`DATA`.
        mix: with data "mix", the share of real images.
        balance_real: whether the real ones are balanced too, by their own labels.
        real_draws: real images labelled for that; at most ``quota`` of each group are kept.
        images: the real images, a source as in a spec; None = the built-in world's population that the recipe names.
        bias_loss: ``kind`` ("none" or one of the losses), ``weight``, ``ema``, ``temperature``.
        read: images of the finished generator that are labelled for the report.
    """

    start: str = "portraits/stylegan2"
    critic: str | None = None
    attribute: str = "gender*skin_tone"
    classifier: str = DEFAULT
    noise: str = "const"
    quota: int = 2000
    search: dict[str, Any] = field(default_factory=lambda: {"method": "mixed"})
    data: str = "synthetic"
    mix: float = 0.5
    balance_real: bool = True
    real_draws: int = 24_000
    images: dict[str, Any] | None = None
    bias_loss: dict[str, Any] = field(default_factory=lambda: {"kind": "none"})
    read: int = 2000

    @property
    def bias_kind(self) -> str:
        """Which bias loss, "none" for none."""
        return self.bias_loss.get("kind", "none")

    @property
    def bias_weight(self) -> float:
        """Its weight in the generator's loss."""
        return 0.0 if self.bias_kind == "none" else float(self.bias_loss.get("weight", 1.0))


def plan_of(recipe: Recipe) -> Plan:
    """Return the plan of a recipe.

    Raises:
        SpecError: an unknown option or value; the sentence names the valid ones.
    """
    own = {f.name for f in fields(Plan)}
    _known(f"recipe {recipe.name!r}", recipe.options, own | TRAINER)
    plan = Plan(**{k: v for k, v in recipe.options.items() if k in own})
    _known(f"recipe {recipe.name!r}, search", plan.search, SEARCH)
    _known(f"recipe {recipe.name!r}, bias_loss", plan.bias_loss, BIAS)
    for what, said, valid in (("data", plan.data, DATA), ("bias_loss.kind", plan.bias_kind, ("none", *KINDS)),
                              ("search.method", plan.search.get("method", "mixed"), METHODS), ("noise", plan.noise, ("const", "none"))):  # fmt: skip
        if said not in valid:
            raise SpecError(f"recipe {recipe.name!r}: {what} is {said!r}; expected one of {', '.join(valid)}")
    if not 0 < plan.mix < 1:
        raise SpecError(f"recipe {recipe.name!r}: mix is {plan.mix}; expected the share of real images, between 0 and 1")
    if plan.data == "unbalanced" and plan.bias_kind in ("none", "released"):
        raise SpecError(f"recipe {recipe.name!r}: data 'unbalanced' with bias loss {plan.bias_kind!r} would change nothing but the weights; "
                        "choose hinge, l2 or kl, or other data")  # fmt: skip
    return plan


def plan_digest(recipe: Recipe, source_digest: str) -> str:
    """Return what the working folder of a rebalancing is known by."""
    return digest([recipe.population, recipe.seed, recipe.network, recipe.schedule, recipe.options, source_digest])


def _known(where: str, given: dict, valid: set[str]) -> None:
    unknown = sorted(set(given) - valid)
    if unknown:
        raise SpecError(f"{where}: unknown option {unknown[0]!r}; there are {', '.join(sorted(valid))}")
