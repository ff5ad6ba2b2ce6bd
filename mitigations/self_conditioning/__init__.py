"""Self-conditioned GANs: the generator's own latent space labels the training images, and the labels become its inputs.

Liu, Gal, Bermano, Chen and Cohen-Or 2022, "Self-Conditioned GANs for Image Editing", arXiv 2202.04040. In the order of the work:
``images`` (the training set by number), ``encoder`` (image to code), ``directions`` (hyperplanes), ``distances`` (labels),
``calibrating`` (equal room for each class), ``resampling`` (an even training list), ``soft_labels`` (three anchors a label),
``trainer`` (fine-tuning), ``editing``; ``preparation`` and ``loop`` run them, ``report`` describes what came out. The network is
:class:`audit.generators.self_conditioned.SelfConditionedStyleGAN2`.
"""
