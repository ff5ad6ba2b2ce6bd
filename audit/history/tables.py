"""The tables of a history, as this version of genbias reads and writes them; :mod:`audit.history.migrations` makes them.

A night is one run of a suite; ``repeat`` counts the times it was drawn again with another seed. A series is one number of a suite followed
over nights; an observation is its value on one of them.
"""

import sqlalchemy as sa

metadata = sa.MetaData()

schema = sa.Table(
    "genbias_schema", metadata,
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("applied", sa.String(40), nullable=False),
)  # fmt: skip

suites = sa.Table(
    "suites", metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
)  # fmt: skip

nights = sa.Table(
    "nights", metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("suite_id", sa.ForeignKey("suites.id"), nullable=False),
    sa.Column("night", sa.String(10), nullable=False),  # a date, YYYY-MM-DD
    sa.Column("repeat", sa.Integer, nullable=False),
    sa.Column("content", sa.String(64), nullable=False),  # digest of what was stored, by which a rerun is known
    sa.Column("spec", sa.String(64), nullable=False),  # digest of the spec without its seed
    sa.Column("seed", sa.BigInteger, nullable=False),
    sa.Column("samples", sa.Integer, nullable=False),
    sa.Column("exit_code", sa.Integer, nullable=False),
    sa.Column("genbias", sa.Text, nullable=False),
    sa.Column("commit_id", sa.Text),  # of the project under audit
    sa.Column("facts", sa.Text, nullable=False),  # JSON: provenance, digests of generators, references and instruments, what is watched
    sa.Column("findings", sa.Text),  # JSON: what the history said when the night was stored, see story.find
    sa.UniqueConstraint("suite_id", "night", "repeat"),
)  # fmt: skip

series = sa.Table(
    "series", metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("suite_id", sa.ForeignKey("suites.id"), nullable=False),
    sa.Column("mark", sa.String(64), nullable=False),  # digest of all that tells it from another
    sa.Column("generator", sa.Text, nullable=False),
    sa.Column("metric", sa.Text, nullable=False),
    sa.Column("attribute", sa.Text),
    sa.Column("class", sa.Text, key="group"),
    sa.Column("baseline", sa.Text),  # of a comparison; its numbers are differences
    sa.Column("reader", sa.Text),
    sa.Column("corrected", sa.Boolean, nullable=False),
    sa.Column("protocol", sa.Text),
    sa.Column("direction", sa.Text, nullable=False),
    sa.Column("unit", sa.Text, nullable=False),
    sa.Column("parity", sa.Double),
    sa.UniqueConstraint("suite_id", "mark"),
)  # fmt: skip

observations = sa.Table(
    "observations", metadata,
    sa.Column("series_id", sa.ForeignKey("series.id"), primary_key=True),
    sa.Column("night_id", sa.ForeignKey("nights.id"), primary_key=True, index=True),
    sa.Column("value", sa.Double),  # NULL: not measured
    sa.Column("low", sa.Double),
    sa.Column("high", sa.Double),
    sa.Column("level", sa.Double, nullable=False),
    sa.Column("n", sa.Integer, nullable=False),
    sqlite_with_rowid=False,
)  # fmt: skip

verdicts = sa.Table(
    "verdicts", metadata,
    sa.Column("night_id", sa.ForeignKey("nights.id"), primary_key=True),
    sa.Column("place", sa.Integer, primary_key=True),
    sa.Column("limit", sa.Text, nullable=False),
    sa.Column("generator", sa.Text, nullable=False),
    sa.Column("outcome", sa.String(12), nullable=False),
    sa.Column("why", sa.Text, nullable=False),
)  # fmt: skip
