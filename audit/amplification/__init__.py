"""Do generators exaggerate the skew of their training data? The study behind ``study: {kind: amplification}``.

After "Imperfect ImaGANation" (Jain et al. 2020, arXiv 2001.09528), whose human study is replaced by classifiers with known errors,
read on the training data and on the generated images alike. Departures: several minority shares and several training runs
instead of one, the run being the unit of what is said of a family.
"""

from audit.amplification.study import study

__all__ = ["study"]
