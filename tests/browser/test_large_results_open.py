"""A result of twenty thousand rows: the page stays small, and a browser has it open at once."""

import json

import pytest

from reports import html

ROWS = 20_000
SECONDS = 2.0


@pytest.fixture(scope="module")
def large(result, tmp_path_factory):
    """The page of a result with :data:`ROWS` measures of 200 generators."""
    folder = tmp_path_factory.mktemp("large")
    wide = json.loads(json.dumps(result))
    own = [row for row in wide["measures"] if row["generator"] == "self_conditioned"]
    wide["gallery"], count = {}, len(wide["measures"])
    for i in range(-(-(ROWS - count) // len(own))):
        name = f"copy-{i}"
        wide["generators"].append(wide["generators"][1] | {"name": name, "title": f"Copy {i}"})
        wide["measures"] += [row | {"generator": name} for row in own]
    assert len(wide["measures"]) >= ROWS
    (folder / "report.html").write_text(html.render(wide), encoding="utf-8")
    return folder / "report.html"


def test_twenty_thousand_rows_make_a_page_of_less_than_five_megabytes(large):
    assert large.stat().st_size < 5_000_000


def test_a_browser_opens_it_in_less_than_two_seconds(window, large):
    page = window(large)
    tools = page.context.new_cdp_session(page)
    tools.send("Performance.enable", {"timeDomain": "threadTicks"})  # seconds of work, whatever else the machine does
    page.reload()
    page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    spent = {m["name"]: m["value"] for m in tools.send("Performance.getMetrics")["metrics"]}
    assert 0 < spent["TaskDuration"] < SECONDS, spent
