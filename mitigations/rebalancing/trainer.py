"""Trains a generator again so that its groups come in equal shares: StyleGAN2's own losses, and the bias loss if asked for."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mitigations.rebalancing.losses import BiasLoss
from mitigations.rebalancing.reading import SoftReader
from mitigations.training.recipes import Recipe
from mitigations.training.stylegan2 import Drawn, StyleGAN2Trainer


class RebalancingTrainer(StyleGAN2Trainer):
    """A trainer whose real images somebody has balanced, and whose drawings a classifier follows.

    Args:
        recipe: network and options.
        device: where to train.
        reader: soft labels of the drawings; None = nobody reads them and there is no bias loss.
        bias: the loss on their shares; it follows the shares even at weight 0.
        weight: of the bias loss beside the adversarial one.
    """

    def __init__(self, recipe: Recipe, device: torch.device, *, reader: SoftReader | None = None, bias: BiasLoss | None = None,
                 weight: float = 0.0) -> None:  # fmt: skip
        super().__init__(recipe, device)
        self.reader = None if reader is None else reader.to(device)
        self.bias = None if bias is None else bias.to(device)
        self.weight = weight

    @property
    def cells(self) -> Sequence[str]:
        """Names of the groups that are followed."""
        return self.reader.cells if self.reader else ()

    def generator_loss(self, fake: Drawn) -> tuple[Tensor, dict[str, float]]:
        """Return the adversarial loss plus the weighted bias loss, and the running shares for the log."""
        loss, said = super().generator_loss(fake)
        if self.reader is None or self.bias is None:
            return loss, said
        with torch.set_grad_enabled(self.weight > 0):
            penalty = self.bias(self.reader(fake.images))
        if self.weight > 0:
            loss = loss + self.weight * penalty
        shares = self.bias.shares().tolist()
        return loss, {**said, "bias_loss": penalty.item(), **{f"share:{c}": s for c, s in zip(self.cells, shares, strict=True)}}

    def state(self) -> dict:
        """Return everything a resumed run needs, the running shares included."""
        return {**super().state(), "bias": {} if self.bias is None else self.bias.state_dict()}

    def load(self, state: dict) -> None:
        """Continue from :meth:`state`."""
        super().load(state)
        if self.bias is not None:
            self.bias.load_state_dict(state["bias"])
