"""The report in a real browser: quiet, by mouse, keyboard and screen reader, narrow and wide, dark and on paper."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.reports import EVIL, NETWORKS, PAGE, chromium, opened

from lska_surgeon.page.render import anchors, render

pytestmark = pytest.mark.slow
HERE = anchors(NETWORKS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render(PAGE), encoding="utf-8")
    return path


def brightness(colour: str) -> int:
    return sum(map(int, re.findall(r"\d+", colour)[:3]))


@pytest.mark.parametrize("width", [360, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_it_is_quiet_fits_and_can_be_read(browser: Any, tmp_path: Path, width: int, scheme: str, language: str) -> None:
    path = tmp_path / "report.html"
    path.write_text(render(PAGE, language), encoding="utf-8")
    tab, said = opened(browser, path, viewport={"width": width, "height": 900}, color_scheme=scheme)
    assert said == []
    assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    style = "getComputedStyle(document.body)"
    ink, paper = tab.evaluate(f"[{style}.color, {style}.backgroundColor]")
    assert (brightness(ink) > brightness(paper)) == (scheme == "dark")
    assert abs(brightness(ink) - brightness(paper)) > 400
    drawn = "getComputedStyle(document.querySelector('.drawing .lsd-{}')).fill"
    page, name = (brightness(tab.evaluate(drawn.format(style))) for style in ("b-page", "t-name"))
    assert (name > page) == (scheme == "dark")
    assert abs(name - page) > 400
    # Text of plots is nowhere smaller than 9 pixels, and leaves no plot.
    sizes = tab.eval_on_selector_all(
        "svg.plot text",
        """texts => texts.map(text => {
             const [own, plot] = [text.getBoundingClientRect(), text.ownerSVGElement.getBoundingClientRect()];
             const scale = plot.width / text.ownerSVGElement.viewBox.baseVal.width;
             return [parseFloat(getComputedStyle(text).fontSize) * scale,
                     own.left >= plot.left - 1 && own.right <= plot.right + 1 && own.bottom <= plot.bottom + 1];
           })""",
    )
    assert len(sizes) > 20
    assert min(size for size, _ in sizes) >= 9
    assert all(inside for _, inside in sizes)


def names(tab: Any, table: str) -> list[str]:
    selector = f"table[aria-labelledby={table}] tbody th"
    found: list[str] = tab.eval_on_selector_all(selector, "cells => cells.map(cell => cell.textContent)")
    return found


def test_tables_sort_by_mouse_and_keyboard(browser: Any, page_file: Path) -> None:
    tab, said = opened(browser, page_file)
    first = names(tab, "table")
    heading = tab.locator("table[aria-labelledby=table] thead th button", has_text="params").first
    heading.focus()
    tab.keyboard.press("Enter")
    assert names(tab, "table") == ["yolov8n.yaml", "variants/b.yaml", EVIL, "variants/unknown.yaml"]
    tab.keyboard.press("Space")
    assert names(tab, "table") == [EVIL, "variants/b.yaml", "yolov8n.yaml", "variants/unknown.yaml"]
    headings = tab.locator("table[aria-labelledby=table] thead th")
    assert headings.nth(2).get_attribute("aria-sort") == "descending"
    tab.locator("table[aria-labelledby=table] thead th button").nth(0).click()
    assert headings.nth(2).get_attribute("aria-sort") is None
    assert sorted(names(tab, "table")) == sorted(first)
    tab.locator("table[aria-labelledby=results] thead th button", has_text="mAP50-95 - base").click()
    assert names(tab, "results") == ["b", "<script>x</script>", "yolov8n (base)"]
    assert said == []


def test_points_are_told_on_hover_and_focus_and_lead_to_their_networks(browser: Any, page_file: Path) -> None:
    tab, said = opened(browser, page_file)
    chart = tab.locator("figure.chart").first
    point = chart.locator(f"svg.plot a[href='#{HERE[EVIL]}']")
    before = point.locator("path").evaluate("shape => getComputedStyle(shape).strokeWidth")
    point.hover()
    label = f"{EVIL}: 0.3750 ± 0.0060 (n = 3), 8.944 GFLOPs"
    assert chart.locator(".told").text_content() == label
    assert point.locator("title").text_content() == label
    assert point.locator("path").evaluate("shape => getComputedStyle(shape).strokeWidth") != before
    point.focus()
    tab.keyboard.press("Enter")
    assert tab.evaluate("location.hash") == f"#{HERE[EVIL]}"
    assert tab.locator(f"article#{HERE[EVIL]}").is_visible()
    place = f"document.getElementById('{HERE[EVIL]}').getBoundingClientRect()"
    assert tab.evaluate(f"{place}.top >= 0 && {place}.top < innerHeight / 2")
    assert said == []


def test_copying(browser: Any, page_file: Path) -> None:
    tab, said = opened(browser, page_file, permissions=["clipboard-read", "clipboard-write"])
    for number, (words, begins) in enumerate(
        (("Copy as Markdown", "| network | edits |"), ("Copy as LaTeX", "\\begin"))
    ):
        tab.get_by_role("button", name=words).first.click()
        tab.locator(".said", has_text="Copied").first.wait_for()
        assert tab.evaluate("navigator.clipboard.readText()").startswith(begins), number
    tab.get_by_role("button", name="Copy as Markdown").nth(1).click()
    tab.locator(".said").nth(1).filter(has_text="Copied").wait_for()
    assert tab.evaluate("navigator.clipboard.readText()") == PAGE.results.markdown  # type: ignore[union-attr]
    assert said == []


def test_by_keyboard_every_thing_can_be_reached(browser: Any, page_file: Path) -> None:
    tab, _ = opened(browser, page_file)
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"
    assert tab.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.id") == "table"
    reached = set()
    for _ in range(120):
        tab.keyboard.press("Tab")
        reached.add(
            tab.evaluate(
                "(e => e.tagName.toLowerCase() + '.' + (e.getAttribute('class') || ''))(document.activeElement)"
            )
        )
    assert {"button.script", "div.scroll", "summary.", "div.drawing", "a."} <= reached
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert tab.evaluate(outline) != "none"


def test_a_screen_reader_has_names_for_all(browser: Any, page_file: Path) -> None:
    tab, _ = opened(browser, page_file)
    assert tab.get_by_role("table", name="Networks").count() == 1
    assert tab.get_by_role("columnheader", name="params", exact=True).count() == 2
    assert tab.get_by_role("rowheader", name=EVIL).count() >= 1
    assert tab.get_by_role("link", name=f"{EVIL}: 0.3750 ± 0.0060 (n = 3), 8.944 GFLOPs").count() == 1
    assert tab.get_by_role("img", name="yolov8n.yaml", exact=True).count() == 3
    assert tab.get_by_role("navigation", name="Contents").count() == 1
    levels = tab.eval_on_selector_all("h1, h2, h3", "all => all.map(one => Number(one.tagName[1]))")
    assert levels[0] == 1
    assert all(later - earlier <= 1 for earlier, later in zip(levels, levels[1:]))
    unnamed = tab.eval_on_selector_all(
        "button, a, img, [role=region], [role=group]",
        "all => all.filter(e => !(e.textContent.trim() || e.alt || e.getAttribute('aria-label')"
        " || document.getElementById(e.getAttribute('aria-labelledby')))).length",
    )
    assert unnamed == 0


def test_without_javascript_all_of_it_is_there(browser: Any, page_file: Path) -> None:
    tab, _ = opened(browser, page_file, java_script_enabled=False)
    assert tab.locator("table[aria-labelledby=table] tbody tr").count() == len(NETWORKS)
    assert not tab.get_by_text("Copy as Markdown").first.is_visible()
    assert not tab.get_by_text("A heading sorts the table.").first.is_visible()
    assert tab.locator("thead button").count() == 0
    source = tab.locator("#table-markdown")
    assert not source.is_visible()
    tab.locator("summary", has_text="Markdown").first.click()
    assert source.is_visible()
    tab.locator(f"svg.plot a[href='#{HERE[EVIL]}']").first.click()
    assert tab.url.endswith(f"#{HERE[EVIL]}")


def test_a_script_that_got_in_does_not_run(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(render(PAGE).replace("<main>", "<main><script>document.title = 'run'</script>"), encoding="utf-8")
    tab, said = opened(browser, path)
    assert tab.title() != "run"
    assert any("Content Security Policy" in line for line in said)
    assert tab.locator("thead button").count() > 5  # its own does


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_paper(browser: Any, page_file: Path, tmp_path: Path, scheme: str) -> None:
    """Black on white, what is only for screens left out, and no wider than the page."""
    tab, _ = opened(browser, page_file, color_scheme=scheme, viewport={"width": 720, "height": 1000})
    tab.emulate_media(media="print", color_scheme=scheme)
    assert brightness(tab.evaluate("getComputedStyle(document.body).color")) < 150
    assert brightness(tab.evaluate("getComputedStyle(document.body).backgroundColor")) in (0, 765)  # none, or white
    inside = "getComputedStyle(document.querySelector('.drawing .lsd-b-page')).fill"
    assert tab.evaluate(inside) == "rgb(255, 255, 255)"
    for selector in ("nav", ".tools button", ".sources", ".told"):
        assert not tab.locator(selector).first.is_visible(), selector
    assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    wide = "all => all.filter(one => one.scrollWidth > one.parentElement.clientWidth + 1).length"
    assert tab.eval_on_selector_all("table", wide) == 0
    pdf = tmp_path / "report.pdf"
    tab.pdf(path=pdf, format="A4")
    assert pdf.read_bytes().startswith(b"%PDF")
    if shutil.which("pdftotext"):
        words = subprocess.run(["pdftotext", "-layout", pdf, "-"], capture_output=True, text=True, check=True).stdout
        assert "3,277,200" in words
        assert "Copy as Markdown" not in words
