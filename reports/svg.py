"""Draw with matplotlib, hand out SVG that belongs in a page: its colours and fonts, its ids, its text alternatives.

Text from outside never reaches matplotlib. A figure is drawn with short tokens in its place and the real text is put
into the SVG afterwards, escaped, so the reader's own fonts show any script and no glyph is missing.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib.style
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from reports import numerals as num
from reports.reading import Generator

EDGE = 14
"""Pixels left free at the right of the axes."""

WIDTH = 430
"""Width of a figure in CSS pixels: two abreast on a desk, one on a telephone."""

# Stand-ins that become CSS variables, so that one drawing serves light, dark and print.
INK, MUTED, RULE, PAGE = "#010101", "#020202", "#030303", "#040404"
BASELINE, CANDIDATE, TARGET = "#050505", "#060606", "#070707"
HELD, BROKEN, UNDECIDED = "#080808", "#090909", "#0a0a0a"
_VARIABLES = {
    INK: "--ink", MUTED: "--muted", RULE: "--rule", PAGE: "--page",
    BASELINE: "--baseline", CANDIDATE: "--candidate", TARGET: "--target",
    HELD: "--held", BROKEN: "--broken", UNDECIDED: "--undecided",
}  # fmt: skip

_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "axes.unicode_minus": True,
    "font.size": 11.5,
    "text.color": INK,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 11.5,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "lines.solid_capstyle": "butt",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}


def colour(g: Generator) -> str:
    """Return the colour of a generator: one for baselines, one for what is compared with them."""
    return CANDIDATE if g.compare_to else BASELINE


class Drawing:
    """A figure in the making, measured in CSS pixels from the top left.

    Args:
        key: unique name of the figure on its page; ids inside the SVG begin with it.
        height: height in CSS pixels.
        width: width in CSS pixels.
    """

    def __init__(self, key: str, *, height: float, width: float = WIDTH) -> None:
        self.key, self.height, self.width = key, height, width
        self.figure = Figure(figsize=(width / 72, height / 72), dpi=72)
        self.figure.patch.set_visible(False)
        self._labels: list[str] = []
        self._links: list[Markup] = []

    def axes(self, *, left: float, top: float, width: float, height: float) -> Axes:
        """Return axes at a place given in CSS pixels."""
        place = (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        axes = self.figure.add_axes(place)
        axes.patch.set_visible(False)
        return axes

    def label(self, text: str, *, limit: int = 24) -> str:
        """Return the token that stands for ``text`` until the drawing is written; long text is cut in the middle."""
        self._labels.append(num.plain(text, limit=limit))
        return f"T{len(self._labels) - 1}T"

    def link(self, place: str, name: str, *, left: float, top: float, width: float, height: float) -> None:
        """Lay a link over a field of the drawing, given in CSS pixels; it leads to the id ``place`` on the same page."""
        field = '<a href="#{}" aria-label="{}"><rect x="{:g}" y="{:g}" width="{:g}" height="{:g}"/></a>'
        self._links.append(Markup(field).format(place, num.plain(name), round(left, 1), round(top, 1), round(width, 1), round(height, 1)))

    def ticks(self) -> FuncFormatter:
        """Return a formatter for scales whose numbers keep all their digits; written as text they are cut to two decimals."""
        return FuncFormatter(lambda number, _: self.label(num.tick(round(number, 9))))

    def svg(self, *, title: str, description: str) -> Markup:
        """Return the drawing as one SVG element with a title and a description for those who do not see it."""
        out = io.StringIO()
        self.figure.savefig(out, format="svg")
        text = out.getvalue()
        body = text[text.index(">", text.index("<svg")) + 1 : text.rindex("</svg>")]
        role = "group" if self._links else "img"  # an image has no links inside it, a group has
        head = Markup(
            '<svg viewBox="0 0 {w:g} {h:g}" role="{role}" aria-labelledby="{key}-title {key}-description">'
            '<title id="{key}-title">{title}</title><desc id="{key}-description">{description}</desc>'
        ).format(w=self.width, h=self.height, role=role, key=self.key, title=num.plain(title), description=num.plain(description))
        drawn = Markup(self._tidy(body))
        if self._links:
            drawn = Markup('<g aria-hidden="true">{}</g>{}').format(drawn, Markup("").join(self._links))
        return head + drawn + Markup("</svg>")

    def _tidy(self, body: str) -> str:
        body = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>|<style.*?</style>", "", body, flags=re.DOTALL)
        body = re.sub(r"\n\s*", "", body)
        body = _without_plain_groups(re.sub(r'<g id="[^"]*"', "<g", body)).replace("<defs></defs>", "")
        body = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{self.key}-", body.replace("xlink:href", "href"))
        body = re.sub(r"(\d+\.\d{2})\d+", r"\1", body)
        body = re.sub(r"font-family:[^;\"]*; ?", "", body)
        # Before 3.11 matplotlib wrote the shorthand: font: 700 11.5px 'DejaVu Sans', ...
        body = re.sub(r"font: (?:(bold|\d+) )?([\d.]+px) [^;\"]*", r"font-weight: \1; font-size: \2", body)
        body = body.replace("font-weight: ; ", "")
        body = re.sub(r'\s*transform="rotate\(-?0 [^"]*"', "", body)
        for stand_in, variable in _VARIABLES.items():
            body = body.replace(stand_in, f"var({variable})")
        for default in (
            "font-size: 11.5px; ",
            "text-anchor: start; ",
            "; fill: var(--ink)",
        ):  # report.css says the same
            body = body.replace(default, "")
        return re.sub(r"\bT(\d+)T\b", lambda m: str(escape(self._labels[int(m[1])])), body)


def _without_plain_groups(body: str) -> str:
    """Return SVG without the groups that carry no attribute, of which matplotlib writes several an element."""
    kept: list[bool] = []

    def keep(tag: re.Match[str]) -> str:
        if tag[0].endswith("/>"):
            return ""
        if not tag[0].startswith("</"):
            kept.append(tag[0] != "<g>")
            return tag[0] if kept[-1] else ""
        return tag[0] if kept.pop() else ""

    return re.sub(r"<g(?: [^>]*)?>|<g/>|</g>", keep, body)


@contextmanager
def drawing(key: str, *, height: float, width: float = WIDTH) -> Iterator[Drawing]:
    """Open a :class:`Drawing` under the page's style, whatever style the caller of genbias has set for matplotlib."""
    with matplotlib.style.context(["default", {**_STYLE, "svg.hashsalt": key}]):
        yield Drawing(key, height=height, width=width)
