"""Numbers and names as a reader meets them; the only place where a share becomes a percentage."""

import math
import re
from collections.abc import Mapping
from typing import Any

MINUS = "\u2212"
CUT = "\u2026"

PERCENT = ("share", "share_worst_case", "share_gap", "no_face", "several_faces", "unreadable", "agreement")
"""Metrics that are shares of images and read best as percentages."""

_FINE = (
    "fairness_discrepancy", "fairness_discrepancy_worst_case", "total_variation", "bias_amplification", "precision", "recall", "density", "coverage", "group_coverage",
    "identity_similarity",
)  # fmt: skip
"""Metrics that stay near 0..1 whatever unit they carry: three decimals."""

_DECIMALS = {"share": 3, "ratio": 3, "nats": 3, "degrees": 1, "count": 0}

# Control characters, marks that turn the direction of writing, line separators, and halves of surrogate pairs.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\ufffe\uffff]"
)


def plain(text: object, *, limit: int | None = None) -> str:
    """Return ``text`` on one line with nothing in it that hides, turns or drives a terminal.

    Args:
        text: a name from outside: a file, a generator, a class, an error.
        limit: longest result in characters, None = all of it; a longer one keeps its beginning and its end.
    """
    shown = _UNSEEN.sub(lambda m: " " if m[0] in "\t\n\r" else f"\\u{ord(m[0]):04x}", str(text))
    if limit is None or len(shown) <= limit:
        return shown
    tail = limit // 4
    return shown[: limit - tail - 1] + CUT + shown[len(shown) - tail :]


def percent(share: float) -> str:
    """Return a share in 0..1 as a percentage with one decimal; a small share never reads as none.

    Example:
        >>> percent(0.1234), percent(0.0), percent(0.0002), percent(0.9999)
        ('12.3%', '0.0%', '<0.1%', '>99.9%')
    """
    if 0 < share < 0.0005:
        return "<0.1%"
    if 0.9995 <= share < 1:
        return ">99.9%"
    return signed(share * 100, 1) + "%"


def percent_at_most(share: float) -> str:
    """Return an upper bound as a percentage, rounded up so that it stays a bound.

    Example:
        >>> percent_at_most(0.00301)
        '0.4%'
    """
    return f"{math.ceil(round(share * 1000, 9)) / 10:.1f}%"


def signed(number: float, decimals: int) -> str:
    """Return a number with thousands separated and a real minus sign; minus zero reads as zero."""
    text = f"{number:,.{decimals}f}"
    return text.lstrip("-") if float(text.replace(",", "")) == 0 else text.replace("-", MINUS)


def count(number: int) -> str:
    """Return a count with thousands separated."""
    return f"{number:,}"


def decimals(row: Mapping[str, Any]) -> int:
    """Return how many decimals a row deserves: fixed for shares and ratios, by size for distances."""
    unit = "share" if row.get("metric") in _FINE else str(row.get("unit") or "share")
    if unit in _DECIMALS:
        return _DECIMALS[unit]
    size = max((abs(row[k]) for k in ("value", "difference", "low", "high", "before", "after") if row.get(k) is not None), default=0)
    return 4 if size < 1 else 2 if size < 100 else 1


def amount(number: float, row: Mapping[str, Any]) -> str:
    """Return ``number`` written the way the metric of ``row`` is written: a percentage, or with fitting decimals."""
    return percent(number) if row.get("metric") in PERCENT else signed(number, decimals(row))


def value(row: Mapping[str, Any]) -> str:
    """Return the measured value of ``row``."""
    return amount(row["value"], row)


def interval(row: Mapping[str, Any]) -> str:
    """Return the interval of ``row`` as "low to high"; empty where it has none."""
    if row.get("low") is None or row.get("high") is None:
        return ""
    return f"{amount(row['low'], row)} to {amount(row['high'], row)}"


def span(row: Mapping[str, Any]) -> str:
    """Return the interval of ``row`` in few characters: "low\u2013high", or "low to high" where an end is negative."""
    text = interval(row)
    return text if MINUS in text else text.replace(" to ", "\u2013")


def difference(row: Mapping[str, Any]) -> tuple[str, str]:
    """Return the difference of a comparison and its interval; differences of shares are in percentage points."""
    points = row.get("metric") in PERCENT

    def write(number: float) -> str:
        text = signed(number * 100, 1) if points else signed(number, decimals(row))
        return f"+{text}" if number > 0 and any(c in text for c in "123456789") else text

    shown = write(row["difference"]) + (" points" if points else "")
    if row.get("low") is None or row.get("high") is None:
        return shown, ""
    return shown, f"{write(row['low'])} to {write(row['high'])}"


def p_value(p: float | None) -> str:
    """Return a p-value with three decimals, "<0.001" below that, empty where there is none."""
    if p is None:
        return ""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def listing(items: list[str], *, most: int | None = None) -> str:
    """Return "a, b and c"; beyond ``most`` items the rest is counted.

    Example:
        >>> listing(["a", "b", "c"]), listing(["a", "b", "c"], most=1)
        ('a, b and c', 'a and 2 more')
    """
    if most is not None and len(items) > most:
        items = [*items[:most], f"{len(items) - most} more"]
    return " and ".join(filter(None, (", ".join(items[:-1]), *items[-1:])))


def plural(number: int, noun: str) -> str:
    """Return "1 image" or "2,000 images"."""
    return f"{count(number)} {noun}" + ("" if number == 1 else "s")


def seconds(duration: float) -> str:
    """Return a duration in the largest fitting unit.

    Example:
        >>> seconds(0.42), seconds(95), seconds(7300)
        ('0.4 s', '1 min 35 s', '2 h 1 min')
    """
    if duration < 60:
        return f"{duration:.1f} s"
    minutes, rest = divmod(round(duration), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def size(number: float) -> str:
    """Return a number of bytes in MB or GB (powers of ten)."""
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.0f} MB"


def rounded(number: float) -> str:
    """Return a number of unknown kind: a whole one with thousands separated, another with about four digits.

    Example:
        >>> rounded(12345), rounded(0.123456), rounded(3e-7), rounded(1234.5)
        ('12,345', '0.1235', '3.00e-07', '1,234.5')
    """
    if float(number).is_integer() and abs(number) < 1e15:
        return signed(number, 0)
    size = abs(number)
    if size < 1e-4 or size >= 1e9:
        return f"{number:.2e}".replace("-", MINUS, 1) if number < 0 else f"{number:.2e}"
    return signed(number, 4 if size < 1 else 3 if size < 10 else 2 if size < 100 else 1)


def tick(number: float) -> str:
    """Return a number on a scale in as few digits as it has.

    Example:
        >>> tick(-0.015), tick(20000.0), tick(0.30000000000000004), tick(-0.0)
        ('\u22120.015', '20,000', '0.3', '0')
    """
    text = f"{number:,.6f}".rstrip("0").rstrip(".") if abs(number) >= 1e-5 or number == 0 else f"{number:.2g}"
    return "0" if text == "-0" else text.replace("-", MINUS)
