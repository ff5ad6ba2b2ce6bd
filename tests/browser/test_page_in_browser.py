"""The page as a browser shows it: silent, self-contained, accessible, whole without its script and better with it."""

import pytest

HOSTILE = ["<script>window.hacked = 1</script>", "\u05d0\u05d1\u05d2 \u202egpj.evil\u202c", "\U0001f600\U0001f468\u200d\U0001f680 " * 8, "x" * 500,
           "<img src=x onerror=alert(1)>", "'\"><svg onload=alert(1)>"]  # fmt: skip
BAR = 'svg a[aria-label="Images of StyleGAN2 labelled dark"]'
IMAGES = "#images-stylegan2-skin_tone-dark"


def test_the_page_says_nothing_on_the_console_and_asks_for_nothing(window, report):
    page = window(report)
    assert page.heard == [] and [url for url in page.asked if not url.startswith("data:")] == [report.resolve().as_uri()]


def test_a_page_that_fails_would_be_heard(window, tmp_path):
    (tmp_path / "bad.html").write_text("<!DOCTYPE html><title>x</title><img src='other.png'><script>throw Error('loud')</script>")
    page = window(tmp_path / "bad.html")
    assert any("loud" in line for line in page.heard) and len(page.asked) == 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_to_complain_of(window, report, scheme):
    assert violations(window(report, scheme=scheme)) == []


def test_axe_would_find_something(window, tmp_path):
    (tmp_path / "bad.html").write_text("<!DOCTYPE html><html lang=en><title>x</title><main><h1>x</h1><img src='data:image/png;base64,'></main>")
    assert "image-alt" in " ".join(violations(window(tmp_path / "bad.html")))


def violations(page):
    """Return what axe-core objects to, with every fold open, at WCAG 2.2 AA and its best practices; one line a rule and place."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
    options = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"], "resultTypes": ["violations"]}
    found = axe.Axe().run(page, options=options).response["violations"]
    return [f"{v['id']}: {n['html'][:160]}" for v in found for n in v["nodes"]]


@pytest.mark.parametrize("scripts", [True, False])
def test_a_bar_leads_to_the_images_in_it_with_and_without_the_script(window, report, scripts):
    page = window(report, scripts=scripts)
    assert not page.locator(f"{IMAGES} li").first.is_visible()
    page.locator(BAR).first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{IMAGES}")
    page.locator(f"{IMAGES} li").first.wait_for(state="visible")
    box = page.locator(f"{IMAGES} h4").bounding_box()
    assert 0 <= box["y"] < 900


def test_without_its_script_the_page_is_whole(window, report):
    page, plain = window(report), window(report, scripts=False)
    assert plain.locator("section").count() == page.locator("section").count() > 8
    assert plain.locator("button").count() == 0 and plain.locator("table").count() == page.locator("table").count()
    words = [set(p.locator("main").inner_text().split()) for p in (page, plain)]
    assert words[0] - words[1] <= {"Copy", "as", "CSV"} and words[1] <= words[0]


def test_the_keyboard_reaches_the_findings_first_and_sorts_a_table(window, report):
    page = window(report)
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "Skip to the findings"
    table = page.locator("#side-by-side table")
    button = table.locator("thead button", has_text="FID").first
    orders = []
    for want in ("ascending", "descending", None):
        button.focus()
        page.keyboard.press("Enter")
        assert table.locator("thead tr:last-child th", has=page.locator("button", has_text="FID")).first.get_attribute("aria-sort") == want
        orders.append(table.locator("tbody th bdi:first-of-type").all_inner_texts()[:1])
    assert orders[0] == ["StyleGAN2"] and orders[1] == ["Self-conditioned"] and orders[2] == ["StyleGAN2"]
    assert page.get_by_role("status").inner_text() == "In the order of the run"


def test_missing_values_sort_last_either_way_and_are_empty_in_csv(window, report):
    page = window(report, before="Object.defineProperty(navigator, 'clipboard', {value: {writeText: async (t) => { window.copied = t; }}})")
    page.evaluate("""() => {
        const row = document.querySelector('#side-by-side tbody tr');
        row.cells[2].dataset.n = '- - -';
    }""")
    table = page.locator("#side-by-side table")
    button = table.locator("thead button").nth(2)
    for _ in range(2):
        button.click()
        assert table.locator("tbody tr").last.locator("th bdi").first.inner_text() == "StyleGAN2"
    button.click()
    page.locator("#side-by-side .copy").click()
    page.wait_for_function("window.copied")
    head, first, second = page.evaluate("window.copied").strip().split("\n")
    assert head.startswith("Generator,Images,Perceived gender presentation,Perceived gender presentation low,Perceived gender presentation high,")
    assert first.startswith('StyleGAN2,"2,000",,,,') and second.startswith('Self-conditioned,"2,000",0.0')
    assert all(len(line.split(",")) >= len(head.split(",")) for line in (first, second))


def test_labels_and_confidence_show_on_hover_and_on_focus(window, report):
    page = window(report)
    tiles = page.locator("#samples-stylegan2 .tiles.small").first.locator("a")
    assert tiles.first.locator(".tip").evaluate("e => getComputedStyle(e).opacity") == "0"
    tiles.first.hover()
    assert tiles.first.locator(".tip").evaluate("e => getComputedStyle(e).opacity") == "1"
    page.mouse.move(5, 5)
    tiles.nth(1).focus()
    assert tiles.nth(1).locator(".tip").evaluate("e => getComputedStyle(e).opacity") == "1"
    assert tiles.nth(1).inner_text().split() == ["#7", "masculine", "0.88", "medium", "0.88", "middle", "0.88", "smiling", "0.88", "Monk", "tone", "8"]


def test_in_print_what_is_closed_and_what_is_pressed_is_left_out(window, report):
    page = window(report)
    page.emulate_media(media="print", color_scheme="dark")
    for gone in ("nav", ".copy", ".anchor", "details:not([open]) summary"):
        assert not page.locator(gone).first.is_visible()
    assert page.locator("#shares figure").first.is_visible()
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert page.pdf(format="A4").startswith(b"%PDF-")


@pytest.mark.parametrize("width", [390, 1280])
def test_hostile_names_and_prompts_are_text_and_fit_the_screen(window, hostile, width):
    page = window(hostile(HOSTILE), width=width)
    assert page.heard == [] and len(page.asked) == 1
    assert page.evaluate("[window.hacked, document.scripts.length, document.images.length]") == [None, 1, 0]
    beyond = "[...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll, svg, pre > code') && e.getBoundingClientRect().right > innerWidth)"
    assert page.evaluate(f"{beyond}.map(e => e.outerHTML.slice(0, 120)).slice(0, 5)") == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    words = page.locator("main").inner_text()
    assert HOSTILE[0] in words and "\\u202egpj.evil" in words and "\U0001f600" in words
