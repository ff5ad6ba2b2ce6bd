"""Sections of the page that belong to one kind of study, loaded only when a result holds such a study.

A result may hold ``study: {"kind": "amplification", ...}``: an experiment whose finding is more than a row a generator. The page
shows its section right after the verdicts, with an entry in the navigation; ``summary.md`` shows its Markdown. A kind nobody
knows is shown as nothing.

To add a kind, write ``reports/studies/KIND.py`` (lower case letters, digits, underscores) with

- ``TITLE``: the heading and the entry in the navigation, a few words (optional; "Study" without it);
- ``section(study, result) -> Markup``: the HTML below that heading;
- ``markdown(study, result) -> str``: a few lines for a CI job page, first a sentence with the finding (optional);
  names from outside go through :func:`reports.markdown.safe`.

``study`` is ``result["study"]``, ``result`` the whole result; :class:`reports.reading.Reading` makes the latter easy to ask. Draw
figures as :mod:`reports.figures` does, with :func:`reports.svg.drawing` (its colours follow light, dark and print; a ``key`` that
begins with the kind keeps ids unique; ``d.label`` carries names from outside, ``d.svg(title=..., description=...)`` is the text
alternative and says the numbers). Put the numbers in a :class:`reports.tables.Table` beside it. :mod:`reports.fragments` turns
both into HTML::

    def section(study: Study, result: Result) -> Markup:
        return paragraph(finding(study)) + figure(_drawn(study)) + folded("All differences", _table(study))

Read with ``study.get``: a result written by another version may lack a key, and a number may be null with a reason. Where the study
cannot be shown at all, raise :class:`audit.errors.ReportError` with a sentence.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from markupsafe import Markup

Study = Mapping[str, Any]
Result = Mapping[str, Any]

DEFAULT_TITLE = "Study"


class _Registry(Mapping[str, Callable[[Study, Result], Any]]):
    """The functions called ``function`` of the modules beside this file, by kind; a module is imported when it is asked for."""

    def __init__(self, function: str) -> None:
        self.function = function

    def __getitem__(self, kind: str) -> Callable[[Study, Result], Any]:
        found = getattr(_module(kind), self.function, None)
        if found is None:
            raise KeyError(kind)
        return found

    def __iter__(self) -> Iterator[str]:
        return (kind for kind in _kinds() if hasattr(_module(kind), self.function))

    def __len__(self) -> int:
        return sum(1 for _ in self)


SECTIONS: Mapping[str, Callable[[Study, Result], Markup]] = _Registry("section")
"""The page's section of each kind."""

MARKDOWN: Mapping[str, Callable[[Study, Result], str]] = _Registry("markdown")
"""The summary's lines of each kind."""


def section(result: Result) -> tuple[str, Markup] | None:
    """Return the title and the section of a result's study; None where it has none, or one of unknown kind.

    Raises:
        ReportError: the study is of a known kind but lacks what its section shows.
    """
    study = _study(result)
    kind = str(study.get("kind"))
    if kind not in SECTIONS:
        return None
    return str(getattr(_module(kind), "TITLE", DEFAULT_TITLE)), Markup(SECTIONS[kind](study, result))


def markdown(result: Result) -> tuple[str, str] | None:
    """Return the title and the Markdown of a result's study; None where it has none, or its kind writes none."""
    study = _study(result)
    kind = str(study.get("kind"))
    if kind not in MARKDOWN:
        return None
    return str(getattr(_module(kind), "TITLE", DEFAULT_TITLE)), MARKDOWN[kind](study, result)


def _study(result: Result) -> Study:
    study = result.get("study")
    return study if isinstance(study, Mapping) else {}


def _kinds() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def _module(kind: str) -> Any:
    """Import the module of a kind; the kind comes from a file, so only names that lie beside this one are imported."""
    if kind not in _kinds():
        raise KeyError(kind)
    return importlib.import_module(f"{__name__}.{kind}")
