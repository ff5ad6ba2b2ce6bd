"""Text alternatives: what a figure or a sample shows, for those who do not see it, and short labels inside figures."""

from reports import numerals as num
from reports.phrases import MONK
from reports.reading import Attribute, Generator, Reading, Row, measured
from reports.wording import attribute, group, metric, quoted, said, target


def sample_alt(title: str, sample: Row) -> str:
    """Return the text alternative of one sample image."""
    words = [f"{label} {p}" if label == MONK else f"{label} ({p})" if p else label for label, p in said(sample)]
    read = f", labelled {num.listing(words)}" if words else ", not labelled"
    return f"Image {num.plain(sample.get('id'))} of {num.plain(title, limit=60)}{read}"


def shares_alt(reading: Reading, found: Attribute) -> str:
    """Return the text alternative of the figure of shares: for each class, each generator's share."""
    sentences = []
    for c in found.classes:
        rows = [(g, reading.best(g.name, "share", found.name, c)) for g in reading.generators]
        words = [
            f"{num.plain(g.title, limit=40)} {quoted(r) if measured(r) else 'not measured'}"
            for g, r in rows
            if r is not None
        ]
        if words:
            aim = target(next((r for _, r in rows if r is not None), None))
            sentences.append(f"Labelled {group(c)}{f', {aim}' if aim else ''}: {num.listing(words, most=12)}.")
    return " ".join(sentences)


def tradeoff_alt(panels: list[tuple[str, int, list[tuple[Generator, Row, Row]]]]) -> str:
    """Return the text alternative of fairness against quality: both numbers of each generator."""
    sentences = []
    for key, _, points in panels:
        words = [f"{g.number} {num.plain(g.title, limit=40)} {num.value(x)} and {num.value(y)}" for g, x, y in points]
        sentences.append(f"Fairness discrepancy and {metric(key)}: {num.listing(words, most=12)}.")
    return " ".join(sentences)


def comparison_alt(reading: Reading, rows: list[Row]) -> str:
    """Return the text alternative of the forest: each difference and its interval."""
    words = []
    for row in rows:
        about = (
            f"{num.plain(reading.title(row.get('generator')), limit=40)}, {attribute(reading, row.get('attribute'))}"
        )
        about += ", second rater" if row.get("reader") == "second_rater" else ""
        shown, between = num.difference(row) if measured(row) else ("not compared", "")
        words.append(f"{about}: {shown}{f' ({between})' if between else ''}")
    return "; ".join(words[:32]) + "."


def changes_alt(panels: list[tuple[str, str | None, list[tuple[Generator, Row]]]]) -> str:
    """Return the text alternative of the forest of quality: for each number, each candidate's difference."""
    sentences = []
    for key, against, rows in panels:
        words = []
        for g, row in rows:
            shown, between = num.difference(row) if measured(row) else ("not compared", "")
            words.append(f"{num.plain(g.title, limit=40)} {shown}{f' ({between})' if between else ''}")
        sentences.append(f"{metric(key)}{f', {group(against)}' if against else ''}: {num.listing(words, most=12)}.")
    return " ".join(sentences)


def chart_alt(kind: str, x: list[str], y: list[str], x_label: str, y_label: str) -> str:
    """Return the text alternative of a method's chart: its points, or where it begins and ends if there are many."""
    points = [f"{a}: {b}" for a, b in zip(x, y, strict=True)]
    if len(points) > 16:
        points = [*points[:6], f"{len(points) - 12} more", *points[-6:]]
    names = {"bar": "Bars", "histogram": "Histogram", "line": "Line"}
    axes = f"{num.plain(y_label)} by {num.plain(x_label)}" if x_label and y_label else num.plain(y_label or x_label)
    return f"{names.get(kind, 'Chart')} of {axes}. {'; '.join(points)}."


def heatmap_alt(reading: Reading, found: Attribute, generators: list[Generator]) -> str:
    """Return the text alternative of a heat map: the fullest and the emptiest cell of each generator."""
    sentences = []
    for g in generators:
        rows = [
            r for c in found.classes if (r := reading.best(g.name, "share", found.name, c)) is not None and measured(r)
        ]
        if rows:
            most, least = max(rows, key=lambda r: r["value"]), min(rows, key=lambda r: r["value"])
            ends = [f"{word} {group(r.get('group'))} {num.value(r)}" for word, r in (("most", most), ("least", least))]
            sentences.append(f"{g.number} {num.plain(g.title, limit=40)}: {', '.join(ends)}.")
    return " ".join(sentences)


def pair_label(reading: Reading, row: Row) -> str:
    """Return a candidate and its baseline in few characters: "2 Self-conditioned \u2212 1"."""
    candidate, baseline = (reading.by_name.get(str(row.get(k))) for k in ("generator", "baseline"))
    left = (
        f"{candidate.number} {num.plain(candidate.title, limit=16)}"
        if candidate
        else num.plain(row.get("generator"), limit=16)
    )
    right = str(baseline.number) if baseline else num.plain(row.get("baseline"), limit=6)
    return f"{left} {num.MINUS} {right}"
