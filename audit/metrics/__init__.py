"""The metrics: pure functions from arrays to numbers with intervals. No image, no model, no file."""

from audit.metrics.amplification import BiasAmplification, bias_amplification
from audit.metrics.correction import corrected_score_box, corrected_share_bootstrap, corrected_share_box
from audit.metrics.discrepancy import (
    discrepancy_ceiling,
    entropy,
    fairness_discrepancy,
    fairness_discrepancy_squared_unbiased,
    kl_divergence,
    parity_ratio,
    share_gap,
    total_variation,
)
from audit.metrics.error_model import ErrorModel
from audit.metrics.features import MISSING, identical_inputs
from audit.metrics.frechet import (
    Moments,
    frechet_distance,
    frechet_distance_from_moments,
    frechet_estimate,
    moments,
)
from audit.metrics.groups import group_coverage, identity_similarity
from audit.metrics.intersections import joint_counts, joint_labels
from audit.metrics.kernel import kernel_distance, kernel_distance_full, kernel_estimate
from audit.metrics.multiplicity import holm
from audit.metrics.neighbours import (
    DensityCoverage,
    NeighbourEstimates,
    NeighbourMetrics,
    PrecisionRecall,
    density_coverage,
    neighbour_estimates,
    neighbour_metrics,
    precision_recall,
)
from audit.metrics.paired import (
    PairedDiscrepancy,
    PairedShares,
    paired_discrepancy_difference,
    paired_share_difference,
)
from audit.metrics.paired_corrected import (
    corrected_discrepancy_difference,
    corrected_share_difference,
)
from audit.metrics.resampling import effective_counts, linear_bootstrap
from audit.metrics.sequences import sequence_box, share_sequence
from audit.metrics.shares import ShareBox, class_counts, proportion, share_box
from audit.metrics.trainings import between_runs, hierarchical_bootstrap

__all__ = [
    "MISSING",
    "BiasAmplification",
    "DensityCoverage",
    "ErrorModel",
    "Moments",
    "NeighbourEstimates",
    "NeighbourMetrics",
    "PairedDiscrepancy",
    "PairedShares",
    "PrecisionRecall",
    "ShareBox",
    "between_runs",
    "bias_amplification",
    "class_counts",
    "corrected_discrepancy_difference",
    "corrected_score_box",
    "corrected_share_bootstrap",
    "corrected_share_box",
    "corrected_share_difference",
    "density_coverage",
    "discrepancy_ceiling",
    "effective_counts",
    "entropy",
    "fairness_discrepancy",
    "fairness_discrepancy_squared_unbiased",
    "frechet_distance",
    "frechet_distance_from_moments",
    "frechet_estimate",
    "group_coverage",
    "hierarchical_bootstrap",
    "holm",
    "identical_inputs",
    "identity_similarity",
    "joint_counts",
    "joint_labels",
    "kernel_distance",
    "kernel_distance_full",
    "kernel_estimate",
    "kl_divergence",
    "linear_bootstrap",
    "moments",
    "neighbour_estimates",
    "neighbour_metrics",
    "paired_discrepancy_difference",
    "paired_share_difference",
    "parity_ratio",
    "precision_recall",
    "proportion",
    "sequence_box",
    "share_box",
    "share_gap",
    "share_sequence",
    "total_variation",
]
