"""Pieces of the page as HTML, for the page itself and for sections that studies add: tables, figures, paragraphs, folds."""

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from reports import numerals as num
from reports.tables import Table


@cache
def environment() -> Environment:
    """Return the one environment all templates are rendered in: escaping, and strict about names."""
    made = Environment(
        loader=PackageLoader("reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["plain"] = num.plain
    made.filters["exact"] = _exact
    return made


@dataclass(frozen=True)
class Script:
    """The one script of a page, and the digest by which the page's policy lets it run and no other."""

    text: Markup
    digest: str


@cache
def script() -> Script:
    """Return the script that sorts tables and copies them; the page is whole without it."""
    text = environment().get_template("page.js").render()
    digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
    return Script(Markup(text), f"sha256-{digest}")


def _exact(numbers: tuple[float | None, ...]) -> str:
    """Return value, low and high for the page's script: six digits, what is missing empty."""
    return " ".join("-" if x is None else f"{x:.6g}" for x in numbers)


def table(found: Table, *, show_caption: bool = True) -> Markup:
    """Return a table; its caption is read aloud even where it is not shown."""
    return Markup(_macros().table(found, hide_caption=not show_caption))


def folded(summary: str, found: Table) -> Markup:
    """Return a table that is closed until the reader opens it by its summary."""
    return Markup(_macros().more(summary, found))


def figure(svg: Markup) -> Markup:
    """Return a drawing as a figure."""
    return Markup("<figure>{}</figure>").format(svg)


def pair(*blocks: Markup) -> Markup:
    """Return blocks that stand abreast where there is room."""
    return Markup('<div class="pair">{}</div>').format(Markup("").join(Markup('<div class="block">{}</div>').format(b) for b in blocks))


def heading(text: str, *, anchor: str) -> Markup:
    """Return a heading inside a section; ``anchor`` is its id, unique on the page."""
    return Markup('<h3 id="{}">{}</h3>').format(anchor, num.plain(text))


def paragraph(text: str, *, quiet: bool = False) -> Markup:
    """Return a paragraph of plain text, smaller and greyer if ``quiet``."""
    return Markup("<p{}>{}</p>").format(Markup(' class="quiet"') if quiet else "", num.plain(text))


def legend(*entries: tuple[str, str]) -> Markup:
    """Return a legend. Each entry is a shape (square, round, hollow, filled, diamond or bar) and what it stands for."""
    shapes = {"round": "dot", "bar": "bar"}
    items = [Markup('<li><span class="{}"></span>{}</li>').format(shapes.get(shape, f"dot {shape}"), num.plain(text)) for shape, text in entries]
    return Markup('<ul class="legend">{}</ul>').format(Markup("").join(items))


def _macros() -> Any:
    return environment().get_template("macros.html.j2").module
