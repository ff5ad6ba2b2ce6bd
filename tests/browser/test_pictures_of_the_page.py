"""What the page looks like at three widths in both themes, held against small pictures kept beside this file.

All letters are squares of one font made for the test, so that no installed font decides where a line ends; pictures are made small
and grey, so that a pixel more or less does not matter, but a block that is gone, doubled or moved does. After a change that is meant,
look at the new pictures and keep them: GENBIAS_KEEP_PICTURES=1 pytest tests/browser.
"""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

GOLDEN = Path(__file__).parent / "golden"
SCALE = 6
FAR = 24
"""Levels of grey, of 255, from which on a small pixel counts as changed."""

MOST = 0.01
"""Share of small pixels that may have changed."""


def picture(page, squares):
    """Return the whole page, grey and a sixth of its size, as an array of levels 0..255."""
    page.add_style_tag(content=squares)
    page.evaluate("document.fonts.ready.then(() => 0)")
    image = Image.open(io.BytesIO(page.screenshot(full_page=True, animations="disabled"))).convert("L")
    return np.asarray(image.resize((image.width // SCALE, image.height // SCALE), Image.Resampling.BOX))


def changed(found, kept):
    """Return the share of small pixels that differ; what lies beyond the end of the shorter picture has changed."""
    rows = max(len(found), len(kept))
    if found.shape[1] != kept.shape[1]:
        return 1.0
    a, b = (np.pad(x.astype(int), ((0, rows - len(x)), (0, 0)), constant_values=-255) for x in (found, kept))
    return float((np.abs(a - b) > FAR).mean())


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 820, 1440])
def test_the_page_looks_as_it_did(window, report, squares, tmp_path, width, scheme):
    found = picture(window(report, width=width, scheme=scheme, bypass_csp=True), squares)
    file = GOLDEN / f"report-{width}-{scheme}.png"
    if os.environ.get("GENBIAS_KEEP_PICTURES"):
        Image.fromarray(found).quantize(24).save(file, optimize=True)
    kept = np.asarray(Image.open(file).convert("L"))
    share = changed(found, kept)
    if share > MOST:
        Image.fromarray(found).save(tmp_path / file.name)
    assert share <= MOST, f"{share:.1%} of {file.name} has changed; the new picture is {tmp_path / file.name}"


def test_a_block_that_is_gone_would_be_seen(window, report, squares):
    page = window(report, width=820, bypass_csp=True)
    page.evaluate("document.querySelector('#shares figure').remove()")
    kept = np.asarray(Image.open(GOLDEN / "report-820-light.png").convert("L"))
    assert changed(picture(page, squares), kept) > 3 * MOST


def test_a_theme_that_does_not_change_would_be_seen():
    light, dark = (np.asarray(Image.open(GOLDEN / f"report-820-{scheme}.png").convert("L")) for scheme in ("light", "dark"))
    assert changed(light, dark) > 0.5
