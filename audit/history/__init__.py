"""The history of an audit that runs every night: a database of its measures, and what moved in them.

``location`` opens it, ``tables`` and ``migrations`` lay it out, ``nights`` and ``store`` fill and read it; ``steps``, ``dispersion``,
``thresholds`` and ``watch`` find what moved; ``story`` puts it into one document that pages and terminals show.
"""

from typing import TYPE_CHECKING

from audit.errors import HistoryError

if TYPE_CHECKING:
    from audit.history.store import History

__all__ = ["open_history"]


def open_history(where: str, *, create: bool = False, wait_s: float = 30.0) -> "History":
    """Open a history.

    Args:
        where: a path, or a URL of sqlite or postgresql.
        create: make or bring forward its tables; without it a history is only read.
        wait_s: how long to wait for a lock or a connection.

    Raises:
        HistoryError: SQLAlchemy is not installed, or it is no history, or one of a newer genbias.
        HistoryAway: its server cannot be reached, or it is locked.
    """
    try:
        import sqlalchemy  # noqa: F401 (only whether it is there)
    except ImportError:
        raise HistoryError("a history needs SQLAlchemy, which is not installed; run pip install 'genbias[history]'") from None
    from audit.history.store import History

    return History(where, create=create, wait_s=wait_s)
