"""A history for CI: Markdown for job pages, JUnit XML with a test case a watched measure."""

import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as Xml

from audit.history import words
from reports import history_wording as say
from reports import numerals as num


def markdown(document: Mapping[str, Any]) -> str:
    """Return history.md: what moved and why, what else is notable, the last nights.

    Args:
        document: what ``genbias history show --json`` prints.

    Raises:
        ReportError: the document has another schema.
    """
    say.check(document)
    nights = say.nights(document)
    blocks = [f"# {_safe(document['suite'])}: history", f"**{_safe(say.finding(document))}.** {_safe(say.span(document))}"]
    blocks += ["\n".join(f"- {_safe(say.move(m))}. {_safe(_sentence(words.cause(m)))}" for m in document["moves"])]
    blocks += ["\n".join(f"- {_safe(_sentence(text))}" for text in _remarks(document))]
    rows = [["night", "outcome", "drawn again", "changed before it"], ["---"] * 4]
    rows += [[n["night"], "missing", "", ""] if n["missing"] else
             [n["night"], n["outcome"][1], str(n["again"] or ""), num.listing(n["told"], most=3)] for n in nights[:10]]  # fmt: skip
    blocks.append("\n".join(f"| {' | '.join(r if r == '---' else _safe(r) for r in row)} |" for row in rows))
    if document["notable"]:
        lines = [f"- {_safe(words.subject(m))}: {_safe(num.amount(m['before'], m))} to {_safe(num.amount(m['after'], m))} since {m['since']}"
                 for m in document["notable"][:10]]  # fmt: skip
        blocks.append("Notable among the measures that are not watched (about one line in twenty is chance):\n\n" + "\n".join(lines))
    blocks.append(_safe(_sentence(words.watching(document))) + " The pictures are in `history.html`.")
    return "\n\n".join(filter(None, blocks)) + "\n"


def junit(document: Mapping[str, Any]) -> str:
    """Return a JUnit file: each watched measure is a test case, which fails where it moved to the worse on the last nights.

    Args:
        document: what ``genbias history show --json`` prints; its ``counted_nights`` says how many last nights count, 1 by itself.

    Raises:
        ReportError: the document has another schema.
    """
    say.check(document)
    dates = sorted({n["night"] for n in document["nights"]})[-int(document.get("counted_nights", 1)) :]
    cases = [(s, [m for m in document["moves"] if say.same(s, m) and m["worse"] and m["found"] in dates]) for s in document["series"] if s["watched"]]
    tally = {"tests": str(len(cases)), "failures": str(sum(bool(moves) for _, moves in cases)), "errors": "0", "skipped": "0"}
    root = Xml.Element("testsuites", {"name": "genbias", **tally})
    suite = Xml.SubElement(root, "testsuite", {"name": f"{num.plain(document['suite'])} history", **tally, "time": "0"})
    facts = Xml.SubElement(suite, "properties")
    for name, value in (("night", dates[-1]), ("nights", len(document["nights"])), ("history", document["history"])):
        Xml.SubElement(facts, "property", {"name": name, "value": num.plain(value)})
    for series, moves in cases:
        case = Xml.SubElement(suite, "testcase", {"classname": f"{num.plain(document['suite'])}.{num.plain(series['generator'])}",
                                                  "name": f"{num.plain(words.subject(series))} has not moved to the worse", "time": "0"})  # fmt: skip
        for m in moves:
            Xml.SubElement(case, "failure", {"message": num.plain(say.move(m)), "type": "Moved"}).text = num.plain(words.cause(m))
        Xml.SubElement(case, "system-out").text = say.last(series, document["nights"])
    Xml.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + Xml.tostring(root, encoding="unicode") + "\n"


def _remarks(document: Mapping[str, Any]) -> list[str]:
    found = [words.missing(document["missing"]), *(words.renaming(r) for r in document["renamed"]), *(words.exact(e) for e in document["exact"][:5])]
    return [text for text in found if text]


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _safe(text: str) -> str:
    """Return ``text`` with everything Markdown or HTML would act on escaped."""
    plain = num.plain(text).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"(?<!\w)_|_(?!\w)|[\\`*\[\]|#~]", lambda m: "\\" + m[0], plain)
