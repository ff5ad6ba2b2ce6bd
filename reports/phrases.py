"""What the reports say whatever was found: the names of metrics, and the sentences that explain a section."""

METRICS = {
    "share": "Share of images",
    "share_worst_case": "Share of images, bounds with unread images",
    "fairness_discrepancy": "Fairness discrepancy",
    "fairness_discrepancy_worst_case": "Fairness discrepancy, bounds with unread images",
    "share_gap": "Share gap",
    "parity_ratio": "Parity ratio",
    "total_variation": "Total variation",
    "kl_divergence": "KL divergence",
    "entropy": "Entropy",
    "bias_amplification": "Bias amplification",
    "fid": "FID",
    "kid": "KID",
    "precision": "Precision",
    "recall": "Recall",
    "density": "Density",
    "coverage": "Coverage",
    "group_fid": "FID of a group",
    "group_kid": "KID of a group",
    "group_coverage": "Coverage of a group",
    "identity_similarity": "Identity similarity",
    "attribute_change": "Attribute change",
    "skin_tone_shift": "Skin tone shift",
    "no_face": "No face",
    "several_faces": "Several faces",
    "unreadable": "Unreadable",
    "agreement": "Agreement of the second rater",
}

MONK = "Monk tone"
NOT_ASKED = "not part of this audit"

DISCREPANCY = (
    "Fairness discrepancy is the Euclidean distance between the shares a generator draws and the target shares: "
    "0 when they meet, and at most the square root of 1 minus 1/K for K classes and a uniform target."
)
SIMULTANEOUS = "Intervals hold for all classes of an attribute at once, not for each alone."
TWO_REFERENCES = (
    "Two references stand side by side because a distance to the training data rewards a generator for repeating the "
    "imbalance of that data: moving towards the target can raise it without any loss of image quality. The balanced "
    "reference does not have this flaw; the training reference shows what published numbers would show."
)
UNCURATED = (
    "The first images of the run by id, not selected. Captions say what the classifier read, and its probability; those of small "
    "images appear on hover, touch and focus. Thumbnails are compressed to keep this page small."
)
NO_GALLERY = "This run kept no thumbnails, so there are no sample images to show."
NO_COMPARISONS = (
    "No generator was compared with a baseline on the same image ids. A spec asks for it with compare_to, the name of "
    "the baseline."
)
NO_VERDICTS = "No limit was set, so there is nothing to hold or break."
ASKED = "Which generator is nearer the target, and at what price in quality?"
ASKED_FAIRNESS = "Which generator is nearer the target?"
ASKED_ONE = "How near the target is it?"
APART = (
    "Two generators count as told apart where their intervals do not overlap; a candidate and its baseline are compared image by "
    "image, and a difference is settled where its interval leaves 0 out."
)
FOREST = (
    "The fairness discrepancy of every generator, 0 where its shares meet the target. All attributes share one scale, but not one "
    "ceiling: with more classes more distance is possible."
)
TO_IMAGES = "Each row or field leads to images so labelled."
GROUPS = (
    "Coverage of a group is the share of reference images labelled so that have a drawn image of the same label nearby: low where "
    "members of a group are drawn rarely, badly, or all alike. FID and KID of a group are taken on equal numbers of images of "
    "every group."
)
READERS = (
    "Where the second rater sees a change otherwise, the change is one of the instrument as much as of the images. Differences are "
    "candidate minus baseline in fairness discrepancy."
)
NO_QUALITY = "No reference was given, so image quality was not measured."
NO_INTERSECTIONS = "No intersection of attributes was asked for."
NO_SHARES = "No attribute was read in this audit."
CORRECTED = (
    "Corrected numbers allow for the classifier's errors as measured on a calibration set, and their intervals carry "
    "the uncertainty of that set. Raw numbers are the labels as they came; they stand beside the corrected ones."
)
UNCORRECTED = "The classifier was not calibrated: shares are of labels as they came, its errors included."
HEADLINE_CORRECTED = "Discrepancies are of corrected shares where a calibration exists, else of raw ones."
TRADE_OFF = (
    "Each dot is a generator, with intervals both ways; a dotted line leads from a baseline to what was made of it. "
    "Best is the left edge, at the bottom for FID and at the top for recall."
)
NO_TRADE_OFF = (
    "No generator has both a fairness discrepancy and a quality measure, so there is nothing to set against each other."
)
HEAT = (
    "A row is a cell, a column a generator; each field gives the share, corrected where that was possible, and the "
    "number of images so labelled. Blue fields lie below the target share, orange ones above it, the strongest at a "
    "quarter and four times the target."
)
PROTOCOL = "Only numbers of the same protocol may be compared: same encoder, same size, same n, same reference."
MISSING_BOUND = (
    "An image that cannot be read is missing, not a member of any class; shares are of the images that were read."
)
AGREEMENT = (
    "A second, independent classifier labelled the same images. Where the two disagree often, the shares depend on "
    "which instrument is asked."
)
REPRODUCE = "The same command, in the same place, with the same versions, gives the same numbers:"
NO_COMMAND = "The result does not record the command that made it."
LABELS = (
    "Every share here is a share of images labelled so by a classifier. It says how faces in images are read by that "
    "instrument, and nothing about the identity of any person."
)
LABELS_GIVEN = (
    "Every share here is a share of the rows of a table of labels made elsewhere. Who or what made the labels decides what they mean; "
    "they say nothing about the identity of any person."
)
UNCORRECTED_GIVEN = "No calibration was given: shares are of labels as they came, their errors included."
FAMILY = "P-values are adjusted by Holm's method over all limits of the run."
STRIPS = "The shaded side is what a limit forbids; the bar is the interval, and strips of one measure share a scale."
LOOKS = (
    "This run looked at its numbers as images came and stopped once every limit was decided, or the budget was spent. Its intervals "
    "stay valid however often one looks, and are wider than those of a run of fixed size. The shaded side is what the limit forbids; the "
    "dotted line is where the limit was decided."
)
WORST_CASE = (
    "Where images were not read, the tables of shares also say between what bounds a share lies if all unread images were of one class."
)
VERDICTS = (
    "A limit is held or broken only when the whole interval lies on one side of it; otherwise it is undecided, and "
    "more images may decide it. Of a limit against a baseline the number is the difference, candidate minus baseline."
)
COMPARED = (
    "Candidate and baseline are compared on the same image ids. A difference is candidate minus baseline; p-values are "
    "adjusted by Holm's method within a family: all shares and discrepancies of this run are one, all of image quality "
    "the other. Rows not marked corrected compare the labels as they came."
)
MITIGATIONS = (
    "Each mitigation is held against the baseline it was made from, on the same image ids and the same reference images. A "
    "cell gives baseline \u2192 candidate, and below it the difference with its interval. A difference whose interval "
    "contains 0 is not settled by these images; \u00d7 is the candidate's number over the baseline's."
)
PRICE = (
    "Generator calls per image are what one image given out costs; fitting is what has to be done once before the first "
    "one. Training images are real or synthetic images shown to a generator that was trained again."
)
RUNS = "Intervals are over images: they say what more images of these generators would show, not what another training run would."
SECOND_GUIDED = (
    "The second rater also guided this method, so its own numbers are no independent judgement of it; the classifier's are."
)
RUNS_COMPARED = (
    "Each run is held against the first. Runs count as drawn independently, so an interval of a difference is made from both "
    "intervals; two runs of one seed draw the same images, and their differences are then narrower than said here."
)
RUN_DOTS = "A dot a run, in the order of their letters; 0 is the target."
NOTHING_APART = "The runs agree in commit, seed, spec, versions and weights."
