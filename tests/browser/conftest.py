"""A real browser for the pages: Debian's Chromium, driven by Playwright, with no network and a font of our own for pictures."""

import base64
import importlib.util
import io
import json
import os
import shutil
from pathlib import Path

import pytest

from reports import html

ROOT = Path(__file__).resolve().parents[2]
WHERE = "install Debian's package chromium (apt-get install chromium), or name another with GENBIAS_CHROMIUM"


def _examples():
    """Return the module that makes the example result of tests/reports."""
    spec = importlib.util.spec_from_file_location("genbias_example_result", ROOT / "tests/reports/conftest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


EXAMPLES = _examples()


def smaller(result):
    """Return the example cut to two generators and two attributes, quick to draw."""
    names = [row["name"] for row in result["generators"][:2]]
    kept = (None, "gender", "skin_tone", "gender*skin_tone")
    result["generators"] = result["generators"][:2]
    result["attributes"] = {name: result["attributes"][name] for name in ("gender", "skin_tone")}
    result["gallery"] = {name: result["gallery"][name] for name in names}
    result["measures"] = [row for row in result["measures"] if row["generator"] in names and row["attribute"] in kept]
    result["comparisons"] = [row for row in result["comparisons"] if row["generator"] in names and row["attribute"] in kept]
    result["verdicts"] = [row for row in result["verdicts"] if row["generator"] in names]
    return result


def write(folder, result):
    """Write a run directory with thumbnails and its page; return the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, samples in enumerate(result["gallery"].values()):
        for sample in samples:
            file = folder / sample["file"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(EXAMPLES.png(shade=40 + 60 * i))
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    (folder / "report.html").write_text(html.render(result, run_dir=folder), encoding="utf-8")
    return folder / "report.html"


@pytest.fixture(scope="session")
def chromium():
    """The path of Chromium. Without one the tests are skipped, but in continuous integration that is an error."""
    found = os.environ.get("GENBIAS_CHROMIUM") or shutil.which("chromium")
    if not found or not Path(found).is_file():
        if os.environ.get("CI") == "true":
            pytest.fail(f"no Chromium at {found or 'chromium'}: {WHERE}")
        pytest.skip(f"no Chromium here: {WHERE}")
    return found


@pytest.fixture(scope="session")
def browser(chromium):
    """One browser for all tests; each test opens windows of its own."""
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield running
        running.close()


@pytest.fixture
def window(browser):
    """A function that opens a page and records what it says and asks for: ``page.heard`` and ``page.asked``."""
    contexts = []

    def open_(file, *, width=1280, height=900, scheme="light", scripts=True, before="", **more):
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, java_script_enabled=scripts,
                                      offline=True, **more)  # fmt: skip
        contexts.append(context)
        if before:
            context.add_init_script(before)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.heard, page.asked = [], []
        page.on("console", lambda message: page.heard.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: page.heard.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (page.heard.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(Path(file).resolve().as_uri())
        return page

    yield open_
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def result():
    """The small example result all pages here are made from; not to be changed."""
    return smaller(EXAMPLES.build())


@pytest.fixture(scope="session")
def report(result, tmp_path_factory):
    """The page of the small example."""
    return write(tmp_path_factory.mktemp("run"), result)


@pytest.fixture
def hostile(result, tmp_path):
    """A function that writes the page of a result in which everything from outside carries hostile names."""

    def make(names):
        changed = json.loads(json.dumps(result))
        changed.update(name=names[0], gallery={})
        for g, name in zip(changed["generators"], names, strict=False):
            g.update(title=name, caveats=list(names), unreadable=1, files_unreadable=list(names))
        shares = [row for row in changed["measures"] if row["metric"] == "share" and row["attribute"] == "gender" and not row["corrected"]]
        for prompt in names:  # prompts are groups of an attribute of their own
            changed["measures"] += [row | {"attribute": "prompt", "group": prompt, "parity": None} for row in shares if row["group"] == "feminine"]
        changed["attributes"]["skin_tone"]["title"] = names[3][:200]
        changed["spec"]["prompts"] = list(names)
        for verdict, name in zip(changed["verdicts"], names[1:], strict=False):
            verdict.update(limit=f"share of {name}", why=name)
        return write(tmp_path, changed)

    return make


@pytest.fixture(scope="session")
def squares():
    """CSS that sets every letter in one font made here, all letters alike, so that pictures do not hang on installed fonts."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    pen = TTGlyphPen(None)
    for x, y in ((60, 0), (60, 600), (440, 600), (440, 0)):
        (pen.moveTo if (x, y) == (60, 0) else pen.lineTo)((x, y))
    pen.closePath()
    blank = TTGlyphPen(None).glyph()
    letters = [*range(0x20, 0x180), *range(0x2000, 0x2300), 0x2713, 0x2715]
    build = FontBuilder(1000, isTTF=True)
    build.setupGlyphOrder([".notdef", "space", "square"])
    build.setupCharacterMap({c: "space" if c in (0x20, 0xA0) else "square" for c in letters})
    build.setupGlyf({".notdef": blank, "space": blank, "square": pen.glyph()})
    build.setupHorizontalMetrics(dict.fromkeys((".notdef", "space", "square"), (500, 0)))
    build.setupHorizontalHeader(ascent=800, descent=-200)
    build.setupNameTable({"familyName": "Squares", "styleName": "Regular"})
    build.setupOS2(sTypoAscender=800, sTypoDescender=-200, usWinAscent=800, usWinDescent=200)
    build.setupPost()
    out = io.BytesIO()
    build.save(out)
    data = base64.b64encode(out.getvalue()).decode("ascii")
    return (f'@font-face {{ font-family: Squares; src: url("data:font/ttf;base64,{data}"); }} '
            "* { font-family: Squares !important; letter-spacing: 0 !important; }")  # fmt: skip
