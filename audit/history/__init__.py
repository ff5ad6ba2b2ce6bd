"""The history of an audit that runs every night: a database of its measures, and what moved in them.

``location`` opens it, ``tables`` and ``migrations`` lay it out, ``nights`` and ``store`` fill and read it; ``steps``, ``dispersion``,
``thresholds`` and ``watch`` find what moved; ``story`` puts it into one document that pages and terminals show.
"""
