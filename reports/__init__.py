"""Say what an audit found: reads result.json only, so a page can be rebuilt with no torch, no model and no image.

The renderers are modules with one verb each: ``reports.html.render``, ``reports.markdown.render``,
``reports.junit.render``, ``reports.tables.measures_csv`` and ``reports.tables.headline``. Importing this package loads
none of them, so a job that only wants its JUnit file does not pay for matplotlib.
"""

from reports.loading import load
from reports.writing import write_all

__all__ = ["load", "write_all"]
