"""The page of a history: what moved first, then a small picture of every measure over its nights; one file, no script, no request."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from audit.history import words
from reports import history_wording as say
from reports import numerals as num
from reports.history_pictures import Calendar, own_scale, picture, scales

MOST_DRAWN = 80
"""Measures the page draws, those that moved and the watched ones first; `genbias history export` has all of them."""

MOST_MOVES = 30
"""Moves the page shows, the last found first."""

MOST_NIGHTS = 40
"""Nights in the page's table, the last ones."""

MOST_NOTABLE = 25
"""Lines of notable measures on the page."""


def page(document: Mapping[str, Any]) -> str:
    """Return the page of a history.

    The same document gives the same page.

    Args:
        document: what ``genbias history show --json`` prints.

    Raises:
        ReportError: the document has another schema.
    """
    say.check(document)
    drawn = document["series"][:MOST_DRAWN]
    calendar = Calendar(document["nights"])
    ranges = scales(drawn)
    charts = [
        {**series, "svg": picture(series, calendar, ranges[at], f"chart-{at}"), "subject": num.plain(words.subject(series), limit=120),
         "last": say.last(series, document["nights"]), "moved_text": say.moved(series)}
        for at, series in enumerate(drawn)
    ]  # fmt: skip
    by_generator: dict[str, list[dict[str, Any]]] = {}
    for chart in charts:
        by_generator.setdefault(num.plain(chart["title"], limit=60), []).append(chart)
    return _environment().get_template("history.html.j2").render(
        document=document, say=say, words=words, num=num, groups=by_generator, undrawn=len(document["series"]) - len(drawn),
        moves=[(m, _drawn(m, document, calendar, f"move-{at}")) for at, m in enumerate(document["moves"][:MOST_MOVES])],
        rows=say.nights(document)[:MOST_NIGHTS], notable=(document["notable"] or [])[:MOST_NOTABLE],
    )  # fmt: skip


def _drawn(move: Mapping[str, Any], document: Mapping[str, Any], calendar: Calendar, key: str) -> Any:
    """Return the picture of one move, on a scale of its own."""
    series = next((s for s in document["series"] if say.same(s, move)), None)
    return None if series is None else picture({**series, "moved": move}, calendar, own_scale(series), key)


@cache
def _environment() -> Environment:
    environment = Environment(loader=PackageLoader("reports", "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
                              keep_trailing_newline=True)  # fmt: skip
    environment.filters |= {"plain": num.plain, "capitalize_first": lambda text: f"{text[:1].upper()}{text[1:]}", "renaming": words.renaming, "exact": words.exact}
    return environment
