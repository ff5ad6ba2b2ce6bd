"""Verdicts as JUnit XML, the form every CI system draws: a test case a limit."""

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as Xml

from reports import decisions, wording
from reports import numerals as num
from reports.reading import Reading, Row, measured


def render(result: Mapping[str, Any]) -> str:
    """Return the verdicts of a result as JUnit XML: broken fails, undecided is skipped with a message, held passes.

    Args:
        result: what :func:`reports.load` returns.

    Raises:
        ReportError: the result has another schema.
    """
    reading = Reading(result)
    broken = sum(v.get("outcome") == "broken" for v in reading.verdicts)
    held = sum(v.get("outcome") == "held" for v in reading.verdicts)
    tally = {
        "tests": str(len(reading.verdicts)),
        "failures": str(broken),
        "errors": "0",
        "skipped": str(len(reading.verdicts) - broken - held),
    }
    root = Xml.Element("testsuites", {"name": "genbias", **tally})
    suite = Xml.SubElement(root, "testsuite", {"name": num.plain(reading.name), **tally, "time": "0"})
    facts = Xml.SubElement(suite, "properties")
    for name, fact in wording.provenance(reading):
        Xml.SubElement(facts, "property", {"name": name, "value": fact})
    for verdict in reading.verdicts:
        _case(suite, reading, verdict)
    Xml.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + Xml.tostring(root, encoding="unicode") + "\n"


def _case(suite: Xml.Element, reading: Reading, verdict: Row) -> None:
    case = Xml.SubElement(suite, "testcase", {
        "classname": f"{num.plain(reading.name)}.{num.plain(verdict.get('generator'))}",
        "name": f"{wording.limit(reading, verdict)} [{num.plain(verdict.get('generator'))}]",
        "time": "0",
    })  # fmt: skip
    facts = Xml.SubElement(case, "properties")
    for name, fact in decisions.properties(verdict):
        Xml.SubElement(facts, "property", {"name": name, "value": fact})
    why = decisions.why(verdict)
    found = decisions.quoted(verdict) if measured(verdict) else f"not measured: {wording.reason(verdict)}"
    outcome = verdict.get("outcome")
    if outcome == "broken":
        Xml.SubElement(case, "failure", {"message": f"broken: {why}", "type": "LimitBroken"}).text = found
    elif outcome != "held":
        Xml.SubElement(case, "skipped", {"message": f"{num.plain(outcome)}: {why}"})
    Xml.SubElement(case, "system-out").text = f"{found}; {why}" if why else found
