"""The report as text: nothing of the user's is read as HTML, nothing lies elsewhere, and every link has its place."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from support.reports import EVIL, FIELDS, REPORT, ROWS

from lska_surgeon.page.content import Report, ReportRow, Score
from lska_surgeon.page.grids import results_grid
from lska_surgeon.page.render import anchors, render
from lska_surgeon.page.words import LANGUAGES, WORDS


class Seen(HTMLParser):
    """Tags with their attributes, the ids, and all text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for found, attrs in self.tags if found == tag]

    @property
    def ids(self) -> list[str]:
        return [found for _, attrs in self.tags if (found := attrs.get("id"))]


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_users_wrote_is_escaped(language: str) -> None:
    page = render(REPORT, language)
    seen = Seen(page)
    assert "<script>alert" not in page
    assert len(seen.all("script")) == 1
    assert not seen.all("b")
    for text in (EVIL, "early stop in <seed> 1", "a <GPU>, batch 1", "'recipe <b>.yaml'", "<b>few</b>", "no <reason>"):
        assert text in seen.text


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_needs_nothing_from_elsewhere(language: str) -> None:
    page = render(REPORT, language)
    for tag, attrs in Seen(page).tags:
        for name in ("src", "href", "xlink:href"):
            value = attrs.get(name) or ""
            assert value.startswith(("#", "data:")) or not value, (tag, value)
    assert "url(" not in page
    assert "@import" not in page


def test_no_other_script_than_its_own_may_run() -> None:
    """The policy names the hash of the one script, so that not even a script that got into the page would run."""
    (policy,) = [tag["content"] for tag in Seen(render(REPORT)).all("meta") if "http-equiv" in tag]
    assert policy is not None
    assert re.search(r"script-src 'sha256-[\w+/=]{44}'(;|$)", policy)
    assert "default-src 'none'" in policy


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("report", [REPORT, Report("r", "c", (64, 64), ROWS[:1])])
def test_every_link_has_its_place_and_every_id_is_one(report: Report, language: str) -> None:
    seen = Seen(render(report, language))
    assert len(seen.ids) == len(set(seen.ids))
    links = {(attrs["href"] or "")[1:] for attrs in seen.all("a")}
    assert links <= set(seen.ids)
    assert set(anchors(report.rows).values()) <= links
    labels = {attrs["aria-labelledby"] for _, attrs in seen.tags if "aria-labelledby" in attrs}
    assert labels <= set(seen.ids)


def test_names_that_look_alike_have_places_of_their_own() -> None:
    names = ["a-b.yaml", "a_b.yaml", "A b.yaml", "模型.yaml", "图.yaml", "注意.yaml", "a-b-yaml--1"]
    found = anchors([ReportRow(name, "", name) for name in names])
    assert list(found) == names
    assert len(set(found.values())) == len(names)
    assert all(re.fullmatch(r"n-[a-z0-9-]+", one) for one in found.values())


def test_points_lead_to_their_networks_and_say_what_they_are() -> None:
    page = render(REPORT)
    link = anchors(ROWS)[EVIL]
    escaped = "variants/&lt;script&gt;alert(1)&lt;/script&gt;.yaml"
    for where in ("8.944 GFLOPs", "12.30 ms", "k 23"):
        label = f"{escaped}: 0.3750 ± 0.0060 (n = 3), {where}"
        assert re.search(
            rf'<a class="s\d" href="#{link}" aria-label="{re.escape(label)}"><title>{re.escape(label)}', page
        )
    label = f"{escaped}: +23,000, +0.460 GFLOPs"
    assert f'<a class="s0" href="#{link}" aria-label="{label}"><title>{label}</title>' in page  # in the curves
    assert '<g class="s2"><title>lka, k 23: +46,000, +0.460 GFLOPs</title>' in page  # none of the page's networks


def test_error_bars_are_as_long_as_the_deviation() -> None:
    """On one axis: the bar of the variant is 0.006 / 0.004 as long as that of the base; one seed has none."""
    chart = render(REPORT).partition("Accuracy against GFLOPs")[2].partition("</svg>")[0]
    bars = re.findall(r'<path class="bar" d="M[\d.]+ ([\d.]+) V([\d.]+) ', chart)
    lengths = [float(low) - float(high) for low, high in bars]
    assert len(lengths) == 2
    assert lengths[1] / lengths[0] == pytest.approx(1.5, abs=0.02)


def test_scores_of_nothing_have_an_axis_from_nothing_up() -> None:
    rows = [replace(row, scores={name: Score(0.0, None, 1) for name in row.scores}) for row in ROWS]
    chart = render(replace(REPORT, rows=rows)).partition("Accuracy against GFLOPs")[2].partition("</svg>")[0]
    marked = [float(text) for text in re.findall(r'class="end">([-\d.]+)<', chart)]
    assert (min(marked), max(marked)) == (0.0, 1.0)


def test_what_the_results_come_to_stands_before_their_numbers() -> None:
    grid = results_grid(REPORT, WORDS["en"])
    assert grid is not None
    assert REPORT.results is not None
    first = grid.header.index("shown")
    assert first == min(grid.numbers) - 1
    assert sorted(grid.header) == sorted(REPORT.results.header)
    for _, cells in grid.rows:
        assert not cells[first].text[:1].isdigit()
        assert all(cells[column].text[:1] in "+-[0123456789" for column in grid.numbers)
    assert REPORT.results.markdown == grid.markdown


def test_tables_to_copy() -> None:
    page = Seen(render(REPORT)).text
    assert "| network | edits | params | added parameters | GFLOPs | added GFLOPs | latency, ms | mAP50-95 |" in page
    assert "| variants/b.yaml | lska k7 at neck | 3,217,200 | +60,000 | 8.804 | +0.0600 | 10.10 | 0.3690 |" in page
    assert "\\begin{tabular}{llrrrrrr}" in page
    assert "0.3710 $\\pm$ 0.0040" in page
    assert "not known" in page


def test_without_results_the_plot_is_of_costs() -> None:
    rows = [
        ReportRow("a.yaml", "", "a.yaml", 3_000_000, 4_000_000_000),
        ReportRow("b", "x", "a.yaml", 3_100_000, 4_100_000_000, 100_000, 100_000_000),
    ]
    page = render(Report("r", "c", (640, 640), rows))
    assert "Parameters against GFLOPs" in page
    assert page.count("<title>a.yaml: 3,000,000, 8.000 GFLOPs</title>") == 1
    unknown = [replace(row, params=None, macs=None) for row in rows]
    page = render(Report("r", "c", (640, 640), unknown))
    assert "<title>b: +100,000, +0.200 GFLOPs</title>" in page
    assert "<title>a.yaml" not in page


def test_several_data_and_bases_are_told_apart() -> None:
    rows = [
        replace(row, scores={f"set {at}": score for score in row.scores.values() for at in (1, 2)}) for row in ROWS[:2]
    ]
    other = ReportRow("yolov8s.yaml", "", "yolov8s.yaml", 11_000_000, 14_000_000_000, scores=rows[0].scores)
    page = render(replace(REPORT, rows=[*rows, other, *ROWS[2:]], fields=()))
    assert "mAP50-95, set 1" in page
    for base in ("yolov8n.yaml", "yolov8s.yaml"):
        for at in (1, 2):
            assert f"<figcaption>Accuracy against GFLOPs: {base}, set {at}</figcaption>" in page


def test_receptive_fields_have_words_beside_them() -> None:
    seen = Seen(render(REPORT))
    assert [image["alt"] for image in seen.all("img")] == [f"{one.network}, {one.at}" for one in FIELDS]
    assert "1.0%" in seen.text
    assert "all of it" in seen.text


def test_the_languages_have_the_same_words() -> None:
    english = set(WORDS["en"])
    assert english <= set(WORDS["zh"])
    assert all(word.startswith(("column ", "verdict ")) for word in set(WORDS["zh"]) - english)
    page = render(REPORT, "zh")
    assert '<html lang="zh-CN">' in page
    for word in ("网络一览", "训练结果", "mAP50-95 与基线之差", "种子太少", "有下降", "有效感受野", "整张图片"):
        assert word in page


def test_the_same_report_gives_the_same_bytes() -> None:
    assert render(REPORT) == render(REPORT)
