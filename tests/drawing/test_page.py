"""The report page: escaping, plain tables without JavaScript, and a real browser where there is one."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from lska_surgeon.drawing.page.content import Report, ReportRow, Score
from lska_surgeon.drawing.page.render import anchor, render
from lska_surgeon.drawing.page.words import LANGUAGES, WORDS

EVIL = "variants/<script>alert(1)</script>.yaml"
DRAWING = '<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><title>t</title></svg>'
ROWS = [
    ReportRow(
        "yolov8n.yaml", "", "yolov8n.yaml", 3_157_200, 4_372_000_000, scores={"mAP50-95": Score(0.371, 0.004, 3)}
    ),
    ReportRow(
        EVIL, "lska k23 at neck", "yolov8n.yaml", 3_277_200, 4_472_000_000, 120_000, 100_000_000, 0.0123,
        {"mAP50-95": Score(0.375, 0.006, 3, "+0.004 (-0.002 to +0.010)")}, DRAWING, ["early stop in <seed> 1"],
    ),
    ReportRow(
        "variants/b.yaml", "lska k7 at sppf", "yolov8n.yaml", 3_217_200, 4_402_000_000, 60_000, 30_000_000, 0.0101,
        {"mAP50-95": Score(0.369, None, 1, "-0.002")},
    ),
    ReportRow("variants/unknown.yaml", "ema at neck", "yolov8n.yaml", None, None),
]  # fmt: skip
REPORT = Report("recipe_1.yaml", "lska-surgeon report recipe_1.yaml", (640, 640), ROWS, {"curve": DRAWING}, {},
                [("receptive fields", "lska-surgeon erf best.pt")])  # fmt: skip


class Seen(HTMLParser):
    """Tags with their attributes, and the ids."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    @property
    def ids(self) -> list[str]:
        return [found for _, attrs in self.tags if (found := attrs.get("id"))]


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_users_wrote_is_escaped(language: str) -> None:
    page = render(REPORT, language)
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "early stop in &lt;seed&gt; 1" in page
    assert sum(tag == "script" for tag, _ in Seen(page).tags) == 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_needs_nothing_from_elsewhere(language: str) -> None:
    for tag, attrs in Seen(render(REPORT, language)).tags:
        for name in ("src", "href", "xlink:href"):
            value = attrs.get(name) or ""
            assert not re.match(r"(?:\w+:)?//", value), (tag, value)
            assert value.startswith(("#", "data:")) or not value, (tag, value)


def test_every_link_has_its_place_and_every_id_is_one() -> None:
    seen = Seen(render(REPORT))
    assert len(seen.ids) == len(set(seen.ids))
    links = [(attrs.get("href") or "")[1:] for tag, attrs in seen.tags if tag == "a"]
    assert set(links) <= set(seen.ids)
    assert {anchor(row.name) for row in ROWS} <= set(links)


def test_the_languages_have_the_same_words() -> None:
    assert WORDS["en"].keys() == WORDS["zh"].keys()
    assert '<html lang="zh-CN">' in render(REPORT, "zh")
    assert "网络一览" in render(REPORT, "zh")


def test_tables_to_copy() -> None:
    page = render(REPORT)
    assert "\\begin{tabular}{llrrrrrrr}" in page
    assert "0.371 $\\pm$ 0.004 (n = 3)" in page
    assert "| variants/b.yaml | lska k7 at sppf | 3,217,200 | +60,000 |" in page
    assert "not known" in page


def test_without_results_the_plot_is_of_costs() -> None:
    rows = [ReportRow("a.yaml", "", "a.yaml", 3_000_000, 4_000_000_000), ReportRow("b", "x", "a.yaml", None, None)]
    page = render(Report("r", "c", (640, 640), rows))
    assert "Parameters against GFLOPs" in page
    assert page.count("<title>a.yaml: 3,000,000, 8.000 GFLOPs</title>") == 1


def test_the_same_report_gives_the_same_bytes() -> None:
    assert render(REPORT) == render(REPORT)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium; skipped where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or os.environ.get("CHROMIUM")
    if not found:
        pytest.skip("no Chromium here: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield running
        running.close()


@pytest.fixture
def page_file(tmp_path: Path) -> Path:
    path = tmp_path / "report.html"
    path.write_text(render(REPORT), encoding="utf-8")
    return path


def opened(browser: Any, path: Path, **options: Any) -> tuple[Any, list[str]]:
    """A tab with the page, and what its console said."""
    said: list[str] = []
    tab = browser.new_context(**options).new_page()
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("dialog", lambda dialog: said.append(dialog.message))
    tab.goto(path.as_uri())
    return tab, said


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_a_browser_it_is_quiet_and_fits(browser: Any, page_file: Path, width: int, scheme: str) -> None:
    tab, said = opened(browser, page_file, viewport={"width": width, "height": 900}, color_scheme=scheme)
    assert said == []
    assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    ink, paper = tab.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    assert sum(map(int, re.findall(r"\d+", ink)[:3])) < sum(map(int, re.findall(r"\d+", paper)[:3])) or scheme == "dark"


@pytest.mark.slow
def test_in_a_browser_the_table_sorts_by_keyboard(browser: Any, page_file: Path) -> None:
    tab, said = opened(browser, page_file)

    def names() -> list[str]:
        found: list[str] = tab.eval_on_selector_all("tbody th", "cells => cells.map(cell => cell.textContent)")
        return found

    heading = tab.locator("thead th button", has_text="params").first
    heading.focus()
    tab.keyboard.press("Enter")
    assert names() == ["yolov8n.yaml", "variants/b.yaml", EVIL, "variants/unknown.yaml"]
    tab.keyboard.press("Enter")
    assert names() == [EVIL, "variants/b.yaml", "yolov8n.yaml", "variants/unknown.yaml"]
    assert tab.locator("thead th").nth(2).get_attribute("aria-sort") == "descending"
    assert said == []


@pytest.mark.slow
def test_in_a_browser_points_lead_to_their_networks(browser: Any, page_file: Path) -> None:
    tab, _ = opened(browser, page_file)
    tab.locator(f"svg.plot a[href='#{anchor(EVIL)}']").click()
    assert tab.evaluate("location.hash") == f"#{anchor(EVIL)}"
    assert tab.locator(f"svg.plot a[href='#{anchor(EVIL)}'] title").text_content().startswith(EVIL)


@pytest.mark.slow
def test_in_a_browser_copying(browser: Any, page_file: Path) -> None:
    tab, _ = opened(browser, page_file, permissions=["clipboard-read", "clipboard-write"])
    tab.get_by_text("Copy as Markdown").click()
    tab.wait_for_function("document.getElementById('said').textContent === 'Copied'")
    assert tab.evaluate("document.getElementById('markdown').value").startswith("| network | edits |")


@pytest.mark.slow
def test_in_a_browser_without_javascript_and_on_paper(browser: Any, page_file: Path, tmp_path: Path) -> None:
    tab, _ = opened(browser, page_file, java_script_enabled=False)
    assert tab.locator("tbody tr").count() == len(ROWS)
    assert not tab.get_by_text("Copy as Markdown").is_visible()
    tab.pdf(path=tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
