"""JUnit XML: a test case a limit, counts that match, nothing a parser stumbles over."""

from xml.etree import ElementTree

import pytest

from reports.junit import render


@pytest.fixture
def suite(example):
    root = ElementTree.fromstring(render(example).encode())
    assert root.tag == "testsuites" and len(root) == 1
    return root[0]


def test_counts_match_the_cases(suite):
    cases = suite.findall("testcase")
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors"), suite.get("skipped")) == (
        "3",
        "1",
        "0",
        "1",
    )
    assert len(cases) == 3
    assert sum(case.find("failure") is not None for case in cases) == 1
    assert sum(case.find("skipped") is not None for case in cases) == 1


def test_broken_fails_and_undecided_is_skipped_with_its_reason(suite):
    broken, held, undecided = suite.findall("testcase")
    assert broken.find("failure").get("message") == "broken: the whole interval lies above 0.10"
    assert broken.find("failure").text == "0.420 (0.390 to 0.450)"
    assert undecided.find("skipped").get("message").startswith("undecided: 0.10 lies inside the interval")
    assert held.find("failure") is None and held.find("skipped") is None
    assert held.find("system-out").text.startswith("0.020 (0.000 to 0.050)")


def test_cases_are_named_by_limit_and_generator(suite):
    case = suite.find("testcase")
    assert case.get("classname") == "embedded.stylegan2"
    assert case.get("name") == "Fairness discrepancy of perceived gender presentation at most 0.10 [stylegan2]"


def test_elements_follow_the_order_of_the_schema(suite):
    assert [child.tag for child in suite] == ["properties", "testcase", "testcase", "testcase"]
    assert [[child.tag for child in case] for case in suite.findall("testcase")] == [
        ["properties", "failure", "system-out"], ["properties", "system-out"], ["properties", "skipped", "system-out"],
    ]  # fmt: skip


def test_each_case_carries_its_numbers_as_properties(example):
    example["verdicts"][2] |= {"p_adjusted": 0.25, "n": 2000, "images_to_decide": 12_400}
    case = ElementTree.fromstring(render(example).encode()).findall(".//testcase")[2]
    told = {p.get("name"): p.get("value") for p in case.iter("property")}
    wanted = {"metric": "fairness_discrepancy", "attribute": "gender", "value": "0.09", "low": "0.06", "high": "0.12", "outcome": "undecided",
              "p_adjusted": "0.25", "n": "2000", "images_to_decide": "12400", "generator": "self_conditioned", "bound": "0.1"}  # fmt: skip
    assert told == wanted | {"low": str(example["verdicts"][2]["low"]), "high": str(example["verdicts"][2]["high"])}
    assert "about 12,400 images would decide it" in case.find("skipped").get("message")


def test_a_limit_on_what_was_not_measured_is_skipped_with_the_reason(example):
    example["verdicts"] = [
        example["verdicts"][2] | {"value": None, "low": None, "high": None, "reason": "no image", "why": ""}
    ]
    case = ElementTree.fromstring(render(example).encode()).find(".//testcase")
    assert case.find("skipped") is not None and case.find("system-out").text == "not measured: no image"


def test_no_verdict_makes_an_empty_suite(example):
    example["verdicts"] = []
    suite = ElementTree.fromstring(render(example).encode())[0]
    assert suite.get("tests") == "0" and suite.find("testcase") is None


def test_control_characters_and_markup_do_not_break_the_xml(example):
    example["name"] = "a\x00b\ud800<c>&\x1b"
    example["verdicts"][0]["why"] = "]]> \x0b \ufffe"
    suite = ElementTree.fromstring(render(example).encode())[0]
    assert suite.get("name") == "a\\u0000b\\ud800<c>&\\u001b"
    assert suite.find(".//failure").get("message") == "broken: ]]> \\u000b \\ufffe"


def test_the_same_result_gives_the_same_bytes(example):
    assert render(example) == render(example)
