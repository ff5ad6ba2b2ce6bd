"""Rebalancing: search images of every group in latent space and train the generator again on as many of each.

Jain, Memon, Togelius 2023, "Fair GANs through model rebalancing", arXiv 2308.08638.
"""

from mitigations.rebalancing.balanced import BalancedSet, balanced_set, effective_lineages, latent_spread
from mitigations.rebalancing.loop import train_rebalancing
from mitigations.rebalancing.losses import BiasLoss, noise_floor, released_weights
from mitigations.rebalancing.plan import Plan, plan_of
from mitigations.rebalancing.scan import PriorScan
from mitigations.rebalancing.search import Kept, evolve, rejection
from mitigations.rebalancing.trainer import RebalancingTrainer

__all__ = ["BalancedSet", "BiasLoss", "Kept", "Plan", "PriorScan", "RebalancingTrainer", "balanced_set", "effective_lineages", "evolve",
           "latent_spread", "noise_floor", "plan_of", "rejection", "released_weights", "train_rebalancing"]  # fmt: skip
