"""GMM-balanced diffusion, after Pal et al. 2023 (Gaussian Harmony, arXiv 2312.14976): groups drawn from mixtures of latents.

Only the abstract of the paper is known (no code, no numbers), so this is a reconstruction: latents at a tap of a deterministic sampler
are labelled by a classifier, modelled per group with Gaussian mixtures, and drawn with weights that account for leakage. Nothing is
trained again.
"""

from mitigations.gmm_diffusion.balance import expected_shares, leakage, mixing_weights
from mitigations.gmm_diffusion.evidence import unsupervised_evidence
from mitigations.gmm_diffusion.fit import Fit, load_fit
from mitigations.gmm_diffusion.making import make_fit
from mitigations.gmm_diffusion.mixtures import Mixture, fit_cells, fit_mixture
from mitigations.gmm_diffusion.sampling import sampler
from mitigations.gmm_diffusion.settings import Settings

__all__ = ["Fit", "Mixture", "Settings", "expected_shares", "fit_cells", "fit_mixture", "leakage", "load_fit", "make_fit", "mixing_weights",
           "sampler", "unsupervised_evidence"]  # fmt: skip
