"""The page as text: nothing of the user's is read as HTML, nothing lies elsewhere, and every link has its place."""

from __future__ import annotations

import ast
import pickle
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from string import Formatter
from typing import NamedTuple

import pytest
from support.reports import EVIL, FIELDS, NETWORKS, PAGE

import lska_surgeon
from lska_surgeon.ablation.outcomes import _HOW
from lska_surgeon.ablation.records import FAILED, INTERRUPTED, RUNNING, STALE, UNREADABLE, WAITING
from lska_surgeon.ablation.table import Summary
from lska_surgeon.page.content import Charts, Page, PageNetwork
from lska_surgeon.page.render import anchors, render, results_table
from lska_surgeon.page.sentences import CHINESE, WORDS, html_of
from lska_surgeon.wording import Listed, Said, some


class Mark(NamedTuple):
    """A point of a plot: what it is told as, where it leads, and the colour of its marker."""

    label: str
    link: str | None
    colour: str


class Seen(HTMLParser):
    """Tags with their attributes, the ids, all text, and the points of plots."""

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
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def ids(self) -> list[str]:
        return [name for _, attrs in self.tags if (name := attrs.get("id"))]

    @property
    def links(self) -> list[Mark]:
        """Points that lead somewhere; each is an `a` with a name, a title and a marker."""
        marks = []
        for at, (tag, attrs) in enumerate(self.tags):
            if tag == "a" and "aria-label" in attrs:
                assert self.tags[at + 1][0] == "title"
                style = next(style for _, more in self.tags[at:] if (style := more.get("style")))
                colour = re.search(r"stroke: var\(--(\w+)\)", style)
                assert colour
                marks.append(Mark(attrs["aria-label"] or "", attrs["href"], colour[1]))
        return marks


@cache
def rendered(language: str = "en") -> str:
    """The page that has all of it."""
    return render(PAGE, language)


@pytest.mark.parametrize("language", WORDS)
@pytest.mark.parametrize("page", [PAGE, Page("r", "c", (64, 64), NETWORKS[:1])], ids=["all of it", "one network"])
def test_a_page_is_whole_by_itself_and_every_link_has_its_place(page: Page, language: str) -> None:
    text = render(page, language)
    assert text == (rendered(language) if page is PAGE else render(page, language))
    seen = Seen(text)
    assert "<script>alert" not in text
    assert len(seen.all("script")) == 1
    assert not seen.all("b")
    for tag, attrs in seen.tags:
        for name in ("src", "href", "xlink:href"):
            value = attrs.get(name) or ""
            assert value.startswith(("#", "data:")) or not value, (tag, value)
    assert "url(" not in text
    assert "@import" not in text
    assert len(seen.ids) == len(set(seen.ids))
    links = {(attrs["href"] or "")[1:] for attrs in seen.all("a")}
    assert links <= set(seen.ids)
    assert set(anchors(page.networks).values()) <= links
    labels = {attrs["aria-labelledby"] for _, attrs in seen.tags if "aria-labelledby" in attrs}
    assert labels <= set(seen.ids)


def test_what_users_wrote_is_text() -> None:
    seen = Seen(rendered())
    for text in (EVIL, "early stop in <seed> 1", "a <GPU>, batch 1", "'recipe <b>.yaml'", "<b>few</b>", "no <reason>"):
        assert text in seen.text


def test_no_other_script_than_its_own_may_run() -> None:
    """The policy names the hash of the one script, so that not even a script that got into the page would run."""
    (policy,) = [tag["content"] for tag in Seen(rendered()).all("meta") if "http-equiv" in tag]
    assert policy is not None
    assert re.search(r"script-src 'sha256-[\w+/=]{44}'(;|$)", policy)
    assert "default-src 'none'" in policy


def test_names_that_look_alike_have_places_of_their_own() -> None:
    names = ["a-b.yaml", "a_b.yaml", "A b.yaml", "模型.yaml", "图.yaml", "注意.yaml", "a-b-yaml--1"]
    ids = anchors([PageNetwork(name, "", name) for name in names])
    assert list(ids) == names
    assert len(set(ids.values())) == len(names)
    assert all(re.fullmatch(r"n-[a-z0-9-]+", one) for one in ids.values())


def test_points_lead_to_their_networks_and_say_what_they_are() -> None:
    text = rendered()
    marks = Seen(text).links
    link = f"#{anchors(NETWORKS)[EVIL]}"
    for where in ("8.944 GFLOPs", "12.30 ms", "k 23"):
        assert Mark(f"{EVIL}: 0.3750 ± 0.0060 (n = 3), {where}", link, "s0") in marks
    assert Mark(f"{EVIL}: +23,000, +0.460 GFLOPs", link, "s0") in marks  # in the curves
    assert "<title>lka, k 23: +46,000, +0.460 GFLOPs</title>" in text  # none of the page's networks, so no link
    assert not [mark for mark in marks if mark.label.startswith("lka")]


def first_plot(page: str) -> str:
    return page.partition("<figcaption>Accuracy against GFLOPs")[2].partition("</svg>")[0]


def test_error_bars_are_as_long_as_the_deviation() -> None:
    """On one axis: the bar of the variant is 0.006 / 0.004 as long as that of the base; one seed has none."""
    bars = re.findall(r'class="bar">\s*<path d="M [\d.]+ ([\d.]+)\s+L [\d.]+ ([\d.]+)', first_plot(rendered()))
    lengths = [float(low) - float(high) for low, high in bars]
    assert len(lengths) == 2
    assert lengths[1] / lengths[0] == pytest.approx(1.5, abs=0.02)


def test_a_line_over_kernel_sizes_runs_from_small_to_large() -> None:
    """In whatever order the recipe has them: here the larger one comes first."""
    plots = Charts(PAGE, WORDS["en"], anchors(NETWORKS)).networks()
    (plot,) = [plot for plot in plots if plot.title == "Accuracy against kernel size"]
    assert [[point.x for point in series.points] for series in plot.series if series.joined] == [[7, 23]]


def test_scores_of_nothing_have_an_axis_from_nothing_up() -> None:
    networks = [replace(one, scores={name: Summary(0.0, None, 1) for name in one.scores}) for one in NETWORKS]
    marked = re.findall(r"text-anchor: end[^>]*>([^<]+)<", first_plot(render(replace(PAGE, networks=networks))))
    assert (marked[0], marked[-1]) == ("0.0", "1.0")


def test_what_the_results_come_to_stands_before_their_numbers() -> None:
    shown = results_table(PAGE, WORDS["en"])
    assert PAGE.results is not None
    first = shown.table.header.index("verdict")
    assert first == min(shown.table.right) - 1
    assert sorted(shown.table.header) == sorted(PAGE.results.table.header)
    for cells in shown.table.rows:
        assert not cells[first][:1].isdigit()
        assert all(cells[column][:1] in "+-[0123456789" for column in shown.table.right)
    assert (shown.markdown, shown.latex) == (PAGE.results.markdown, PAGE.results.latex)
    assert "<strong>0.3750 ± 0.0060</strong>" in rendered()


def test_tables_to_copy() -> None:
    text = Seen(rendered()).text
    assert "| network | edits | params | added parameters | GFLOPs | added GFLOPs | latency, ms | mAP50-95 |" in text
    assert "| variants/b.yaml | lska k7 at neck | 3,217,200 | +60,000 | 8.804 | +0.0600 | 10.10 | 0.3690 |" in text
    assert "\\begin{tabular}{llrrrrrr}" in text
    assert "0.3710 $\\pm$ 0.0040" in text
    assert "not known" in text


def test_without_results_the_plot_is_of_costs() -> None:
    networks = [
        PageNetwork("a.yaml", "", "a.yaml", 3_000_000, 4_000_000_000),
        PageNetwork("b", "x", "a.yaml", 3_100_000, 4_100_000_000, 100_000, 100_000_000),
    ]
    text = render(Page("r", "c", (640, 640), networks))
    assert "Parameters against GFLOPs" in text
    assert text.count("<title>a.yaml: 3,000,000, 8.000 GFLOPs</title>") == 1
    text = render(Page("r", "c", (640, 640), [replace(network, params=None, macs=None) for network in networks]))
    assert "<title>b: +100,000, +0.200 GFLOPs</title>" in text
    assert "<title>a.yaml" not in text


def test_several_data_and_bases_are_told_apart() -> None:
    networks = [
        replace(one, scores={f"set {at}": score for score in one.scores.values() for at in (1, 2)})
        for one in NETWORKS[:2]
    ]
    other = PageNetwork("yolov8s.yaml", "", "yolov8s.yaml", 11_000_000, 14_000_000_000, scores=networks[0].scores)
    text = render(replace(PAGE, networks=[*networks, other, *NETWORKS[2:]], fields=()))
    assert "mAP50-95, set 1" in text
    for base in ("yolov8n.yaml", "yolov8s.yaml"):
        for at in (1, 2):
            assert f"<figcaption>Accuracy against GFLOPs: {base}, set {at}</figcaption>" in text


def test_receptive_fields_have_words_beside_them() -> None:
    seen = Seen(rendered())
    assert [image["alt"] for image in seen.all("img")] == [f"{field.network}, {field.at}" for field in FIELDS]
    assert "1.0%" in seen.text
    assert "all of it" in seen.text


def test_every_sentence_that_may_reach_a_page_has_its_chinese_one() -> None:
    """Both have the same values; and no row of the table is left from a sentence that is gone."""
    said, constants = set(), set()
    for path in Path(lska_surgeon.__file__).parent.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if path.parent.name != "page" or path.name == "gather.py":
            tree = ast.parse(text)
            constants |= {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
            said |= set(_forms(tree)) if "Said" in text else set()
    words = {key.partition(" ")[2] for key in WORDS["zh"]}
    assert said - set(CHINESE) - words == set()
    states = {WAITING, RUNNING, FAILED, STALE, INTERRUPTED, UNREADABLE}
    assert states <= set(CHINESE)
    assert set(CHINESE) - constants - states == set()
    for form, chinese in CHINESE.items():
        assert _fields(chinese) - _fields(form) <= _MORE.get(form, set()), form


#: What some know besides what their English says.
_MORE = {"{text}": {"kind"}, "{column}: median for one image, {said}": {"runtime", "noisy", *_HOW}}


def _fields(form: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(form) if name}


def _forms(tree: ast.AST) -> Iterator[str]:
    """What `Said` and `some` are given as a form, at once or by that name."""
    for node in ast.walk(tree):
        given: list[ast.expr] = []
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Said", "some"):
            given = node.args
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "form":
            given = [node.value]
        yield from (one.value for one in given if isinstance(one, ast.Constant))


def test_a_sentence_is_its_english_and_its_values_whatever_stands_in_them() -> None:
    note = Said("{network}: {note}", network="{note}", note=Listed([EVIL, some(2)]))
    assert note == f"{{note}}: {EVIL}, 2 seeds"
    kept = pickle.loads(pickle.dumps(note))
    assert (kept, kept.form, kept.values["note"].parts) == (note, note.form, note.values["note"].parts)
    assert html_of(note, "zh") == f"{{note}}\uff1a{escape(EVIL)}\uff0c2 个种子"
    assert html_of(EVIL, "zh") == f'<code lang="en">{escape(EVIL)}</code>'
    assert html_of(note, "en") == escape(note)


def test_chinese() -> None:
    assert set(WORDS["en"]) <= set(WORDS["zh"])
    text = rendered("zh")
    assert '<html lang="zh-CN">' in text
    for word in ("网络一览", "训练结果", "mAP50-95 与基线之差", "种子太少", "有下降", "有效感受野", "整张图片"):
        assert word in text
