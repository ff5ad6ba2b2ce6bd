"""Fine-tuning a StyleGAN2 into one that is asked for labels.

Liu et al. 2022, arXiv 2202.04040, with the losses of its released code: the discriminator is not conditioned and learns the
labels of real images; the generator draws labels uniformly and independently and is held to them by the discriminator's label
head. Departures: no style mixing, and the path-length and R1 settings of this project's baseline.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audit.generators.self_conditioned import SelfConditionedStyleGAN2
from mitigations.self_conditioning.images import TrainingImages
from mitigations.self_conditioning.soft_labels import LabelledDiscriminator, label_loss, read_labels
from mitigations.training.data import to_signed
from mitigations.training.stylegan2 import Batches, Drawn, StyleGAN2Trainer


class SelfConditioningTrainer(StyleGAN2Trainer):
    """Adds labels to :class:`mitigations.training.stylegan2.StyleGAN2Trainer`; ``labels`` of a step are t (n, A) of the real images."""

    def build_generator(self, network: dict) -> nn.Module:
        return SelfConditionedStyleGAN2(**network)

    def build_discriminator(self, network: dict) -> nn.Module:
        return LabelledDiscriminator(network["resolution"], network["channels"], len(network["attributes"]))

    def start_from(self, generator: dict[str, Tensor], critic: dict[str, Tensor] | None = None) -> None:
        """Begin with a baseline's weights; label constants follow ``init`` once C_0 is in place.

        A fresh discriminator looks at every size from the first image on: it has no growing before it.
        """
        super().start_from(generator, critic)
        if critic is None:
            for size in self.discriminator.sizes:
                nn.init.ones_(getattr(self.discriminator, f"detail{size}"))
        for network in (self.generator, self.average):
            network.reset_labels()

    def generate(self, n: int, resolution: int) -> Drawn:
        """Draw ``n`` images for fresh latents and labels t ~ U(0, 1)^A; the labels come back with them."""
        t = torch.rand(n, len(self.generator.attributes), device=self.device)
        ws = self.mapped(torch.randn(n, self.generator.latent_dim, device=self.device))
        images = self.generator.draw(ws, t, noise="random", resolution=resolution, precision=self.precision)
        return Drawn(images, ws, t)

    def discriminator_loss(self, real: Tensor, labels: Tensor | None, fake: Drawn) -> tuple[Tensor, dict[str, float]]:
        """Add the label loss on real images."""
        d_fake = self.judge(fake.images)
        d_real, said = self.discriminator.both(real, self.precision)
        wrong = label_loss(said, labels)
        loss = F.softplus(d_fake).mean() + F.softplus(-d_real).mean() + self.recipe.options["label_weight_d"] * wrong
        off = (read_labels(said.detach()) - labels).abs().mean().item()
        return loss, {"d_real": d_real.mean().item(), "d_fake": d_fake.mean().item(), "d_label": wrong.item(), "d_label_off": off}

    def generator_loss(self, fake: Drawn) -> tuple[Tensor, dict[str, float]]:
        """Add the label loss on drawn images, the middle anchors included."""
        verdict, said = self.discriminator.both(fake.images, self.precision)
        wrong = label_loss(said, fake.labels)
        off = (read_labels(said.detach()) - fake.labels).abs().mean().item()
        return F.softplus(-verdict).mean() + self.recipe.options["label_weight_g"] * wrong, {"g_label": wrong.item(), "g_label_off": off}


def resampled_batches(images: TrainingImages, indices: np.ndarray, labels: np.ndarray, seed: int) -> Batches:
    """Return the batch function of a list of image indices: each pass over the list is in an order of its own.

    Args:
        images: the training images.
        indices: (m,) images with repeats.
        labels: (N, A) labels of the images themselves, not of the queries that picked them.
        seed: of the orders.
    """
    orders: dict[int, np.ndarray] = {}

    def batch(first: int, n: int, resolution: int) -> tuple[Tensor, Tensor]:
        places = np.arange(first, first + n)
        chosen = np.empty(n, dtype=np.int64)
        for turn in np.unique(places // len(indices)).tolist():
            if turn not in orders:
                orders[turn] = np.random.default_rng([seed, 3, turn]).permutation(len(indices))
            mine = places // len(indices) == turn
            chosen[mine] = indices[orders[turn][places[mine] % len(indices)]]
        return to_signed(images.take(chosen), resolution), torch.from_numpy(labels[chosen]).float()

    return batch
