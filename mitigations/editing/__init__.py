"""Which edit keeps the person: self-conditioned labels against moves of the latent code, at equal change of the attribute.

Methods: Liu et al. 2022 (arXiv 2202.04040), Shen et al. 2020 (InterFaceGAN, arXiv 1907.10786), Härkönen et al. 2020 (GANSpace, arXiv
2004.02546), and one learned move. Every edit at every strength is a source, made by :func:`sampler`; :func:`study` reads their
records.
"""

from mitigations.editing.sampler import sampler
from mitigations.editing.study import study

__all__ = ["sampler", "study"]
