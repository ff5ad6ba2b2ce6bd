"""Every deliberate error of the project, in one tree; this module imports nothing.

GenbiasError            base class: a sentence for the user, exit code 2
├── SpecError           the audit spec is wrong (unknown key, wrong type, impossible combination)
├── ManifestError       a data manifest or the file it describes is wrong (hash, size, contract)
├── SourceError         images or latents cannot be drawn as asked
├── InstrumentError     a classifier, encoder or face finder cannot read what it was given
├── RecordError         a run directory is missing, altered or belongs to another spec
├── MetricError         a metric was given arrays it cannot take
├── ReportError         a result file cannot be rendered
├── HistoryError        a history of nights cannot be opened, read or written
│   └── HistoryAway     its database cannot be reached just now; a night can wait beside its run
└── RunError            the run began properly and then failed (disk full, device lost): exit code 4
"""


class GenbiasError(Exception):
    """A sentence for the user: what was found, what was expected, what to do. Exit code 2."""

    exit_code = 2


class SpecError(GenbiasError):
    """The audit spec cannot be understood or carried out."""


class ManifestError(GenbiasError):
    """A data manifest, or the file it describes, is not what it should be."""


class SourceError(GenbiasError):
    """Images cannot be drawn or read as asked."""


class InstrumentError(GenbiasError):
    """An instrument cannot read what it was given."""


class RecordError(GenbiasError):
    """A run directory is missing, altered, or belongs to another spec."""


class MetricError(GenbiasError):
    """A metric was given arrays it cannot take."""


class ReportError(GenbiasError):
    """A result cannot be rendered."""


class HistoryError(GenbiasError):
    """A history of nights cannot be opened, read or written."""


class HistoryAway(HistoryError):
    """The database of a history cannot be reached, or is locked; a night can wait beside its run and be taken in later."""


class RunError(GenbiasError):
    """The run began properly and then failed: disk full, device lost, interrupted."""

    exit_code = 4
