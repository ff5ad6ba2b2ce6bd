"""A study's drawing as a file of its own."""

import json
import xml.etree.ElementTree as ET

import pytest

from audit.errors import ReportError
from reports.picture import main, pictures
from tests.reports.test_report_amplification import result, study  # noqa: F401 (fixtures)


@pytest.fixture
def run(tmp_path, result):  # noqa: F811
    (tmp_path / "result.json").write_text(json.dumps(result))
    return tmp_path


def test_each_drawing_is_a_whole_file_with_colours_of_its_own(run):
    for text in pictures(run):
        root = ET.fromstring(text)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert float(root.get("width")) > 100
        assert "var(--" not in text


def test_the_chosen_one_is_written_and_one_that_is_not_there_is_named(run, tmp_path):
    main(str(run), str(tmp_path / "a.svg"), "2")
    assert (tmp_path / "a.svg").read_text() == pictures(run)[1]
    with pytest.raises(ReportError, match="has 2 drawings in its study; there is no number '3'"):
        main(str(run), str(tmp_path / "b.svg"), "3")
    assert not (tmp_path / "b.svg").exists()


def test_a_run_without_a_study_is_a_sentence(run, result):  # noqa: F811
    (run / "result.json").write_text(json.dumps({**result, "study": None}))
    with pytest.raises(ReportError, match="has no study with a drawing"):
        pictures(run)
