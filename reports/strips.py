"""The strip beside each verdict: the interval on its scale, the side the limit forbids shaded, the outcome as a shape."""

from collections.abc import Sequence

from markupsafe import Markup

from audit.verdict_text import allowed, scale
from reports import decisions
from reports import numerals as num
from reports.reading import Row, measured

WIDTH, HEIGHT = 220, 36
_MIDDLE, _TOP, _BOTTOM, _FOOT = 12, 2, 22, 33
_LETTER = 5.8  # pixels a digit takes at the size of the labels


def strips(verdicts: Sequence[Row]) -> list[Markup]:
    """Draw a strip for each verdict; those of one metric share a scale.

    Args:
        verdicts: rows of ``verdicts``.

    Returns:
        One SVG element a verdict, with a text alternative.
    """
    families: dict[tuple[str, bool], list[Row]] = {}
    for v in verdicts:
        families.setdefault(_family(v), []).append(v)
    scales = {key: scale([v for v in found if v.get("bound") is not None]) for key, found in families.items()}
    return [_strip(v, scales[_family(v)]) for v in verdicts]


def _strip(verdict: Row, ends: tuple[float, float] | None) -> Markup:
    outcome = str(verdict.get("outcome"))
    ink = f"var(--{outcome})" if outcome in ("held", "broken", "undecided") else "var(--muted)"
    parts = []
    if ends is not None and verdict.get("bound") is not None:
        first, last = ends

        def at(number: float) -> float:
            return round(3 + (number - first) / (last - first) * (WIDTH - 6), 1)

        parts += _forbidden(verdict, at)
        parts.append(Markup('<path d="M0 {y}H{w}" stroke="var(--rule)"/>').format(y=_MIDDLE, w=WIDTH))
        parts += _limits(verdict, at)
        if measured(verdict):
            low, high, value = (at(verdict[k] if verdict.get(k) is not None else verdict["value"]) for k in ("low", "high", "value"))
            bar = '<path d="M{a} {y}H{b}" stroke="{ink}" stroke-width="4"/>'
            parts.append(Markup(bar).format(a=low, b=max(high, low + 0.5), y=_MIDDLE, ink=ink))
            parts.append(_mark(outcome, value, ink))
    return (
        Markup('<svg class="strip" viewBox="0 0 {w} {h}" role="img" aria-label="{alt}">').format(w=WIDTH, h=HEIGHT, alt=_alt(verdict))
        + Markup("").join(parts)
        + Markup("</svg>")
    )


def _forbidden(verdict: Row, at) -> list[Markup]:  # noqa: ANN001 (a function from numbers to pixels)
    least, most = allowed(verdict)
    sides = [(0.0, at(least))] if least is not None else []
    sides += [(at(most), float(WIDTH))] if most is not None else []
    box = '<rect x="{x}" y="{y}" width="{w}" height="{h}" fill="var(--broken)" fill-opacity=".14"/>'
    return [Markup(box).format(x=a, y=_TOP, w=round(max(0.0, b - a), 1), h=_BOTTOM - _TOP) for a, b in sides]


def _limits(verdict: Row, at) -> list[Markup]:  # noqa: ANN001
    drawn, taken = [], []
    for number, text in decisions.bounds(verdict):
        x, half = at(number), len(text) * _LETTER / 2
        drawn.append(Markup('<path d="M{x} {a}V{b}" stroke="var(--ink)" stroke-width="1.5"/>').format(x=x, a=_TOP - 2, b=_BOTTOM + 2))
        place = min(max(x, half), WIDTH - half)
        if all(abs(place - other) > half + width + 4 for other, width in taken):
            drawn.append(_text(place, text, "middle"))
            taken.append((place, half))
    zero = at(0.0)
    if all(abs(zero - place) > half + 8 for place, half in taken):
        drawn.append(_text(max(zero, 3.0), "0", "middle"))
    return drawn


def _text(x: float, text: str, anchor: str) -> Markup:
    return Markup('<text x="{x}" y="{y}" text-anchor="{anchor}">{text}</text>').format(x=round(x, 1), y=_FOOT, anchor=anchor, text=text)


def _mark(outcome: str, x: float, ink: str) -> Markup:
    """Return the shape of an outcome: a full dot, a cross, or a hollow ring."""
    if outcome == "broken":
        cross = '<path d="M{a} {c}L{b} {d}M{a} {d}L{b} {c}" stroke="{ink}" stroke-width="2.4"/>'
        return Markup(cross).format(a=round(x - 4.5, 1), b=round(x + 4.5, 1), c=_MIDDLE - 4.5, d=_MIDDLE + 4.5, ink=ink)
    fill = ink if outcome == "held" else "var(--page)"
    return Markup('<circle cx="{x}" cy="{y}" r="4.5" fill="{fill}" stroke="{ink}" stroke-width="2"/>').format(x=x, y=_MIDDLE, fill=fill, ink=ink)


def _alt(verdict: Row) -> str:
    found = decisions.quoted(verdict) if measured(verdict) else "not measured"
    ends = num.listing([text for _, text in decisions.bounds(verdict)]) if verdict.get("bound") is not None else "unknown"
    return f"{num.plain(verdict.get('outcome'))}: {found} against the limit {ends}"


def _family(verdict: Row) -> tuple[str, bool]:
    return str(verdict.get("metric")), bool(verdict.get("baseline"))
