"""The page of several runs in a browser: as silent, self-contained and accessible as the page of one."""

import importlib.util
import json
from pathlib import Path

import pytest

from reports import compare
from reports.compare_page import render


def violations(page):
    """Return what axe-core objects to, as the tests of the page of one run ask it."""
    spec = importlib.util.spec_from_file_location("genbias_page_in_browser", Path(__file__).with_name("test_page_in_browser.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.violations(page)


@pytest.fixture(scope="module")
def compared(result, tmp_path_factory):
    """The page of two runs, the second with another seed and a name that is long and hostile."""
    folder = tmp_path_factory.mktemp("compared")
    for name, seed in (("monday", 1), ("<b>tuesday" + "y" * 80, 2)):
        (folder / name).mkdir()
        changed = json.loads(json.dumps(result))
        changed["provenance"]["seed"] = seed
        (folder / name / "result.json").write_text(json.dumps(changed), encoding="utf-8")
    page = folder / "compare.html"
    page.write_text(render(compare.open_runs(sorted(p for p in folder.iterdir() if p.is_dir()))), encoding="utf-8")
    return page


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_the_page_of_several_runs_is_silent_accessible_and_fits(window, compared, scheme, width):
    page = window(compared, scheme=scheme, width=width)
    assert page.heard == [] and page.asked == [compared.resolve().as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert "<b>tuesday" in page.locator("main").inner_text() and page.locator("main b").count() == 0
    assert violations(page) == []
