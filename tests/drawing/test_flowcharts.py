"""Mermaid charts, read by Mermaid's own parser where its package is there: MERMAID_MODULES names a node_modules folder
with `mermaid` and `jsdom` (npm install mermaid jsdom); nothing is downloaded here.
"""

from __future__ import annotations

import html
import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from support import builds
from support.cases import written

import lska_surgeon as ls
from lska_surgeon.cli.main import main
from lska_surgeon.drawing.content import Figure
from lska_surgeon.drawing.flowcharts import MOST_CHARACTERS, MOST_EDGES, mermaid_of
from lska_surgeon.modelfile.sources import stock_models

SCRIPT = Path(__file__).with_name("mermaid_parse.mjs")
CASES = Path(__file__).parents[1] / "cases" / "draw"
STROKES = {"plain": "normal", "new": "thick", "rewired": "dotted"}


def modules() -> Path:
    """The folder with Mermaid's package, or a reason to skip."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node")
    asked = os.environ.get("MERMAID_MODULES")
    roots = [Path(asked)] if asked else []
    npm = shutil.which("npm")
    if not asked and npm:
        done = subprocess.run([npm, "root", "-g"], capture_output=True, text=True, check=False)
        roots = [Path(done.stdout.strip() or "none")]
    folder = next((root for root in roots if (root / "mermaid").is_dir() and (root / "jsdom").is_dir()), None)
    if folder is None:
        pytest.skip("no mermaid and jsdom: npm install both, and set MERMAID_MODULES to that node_modules")
    return folder


def parsed(paths: list[Path]) -> list[dict[str, Any]]:
    done = subprocess.run(
        ["node", str(SCRIPT), *map(str, paths)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MODULES": str(modules().resolve())},
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def name(index: int) -> str:
    return "image" if index < 0 else f"r{index}"


def assert_same(chart: dict[str, Any], figure: Figure) -> None:
    """The parser finds what the figure has: boxes with their words, and arrows with theirs."""
    assert chart["type"] == "flowchart-v2"
    assert chart["rows"] == [name(node.index) for node in figure.nodes]
    for text, node in zip(chart["texts"], figure.nodes):
        marks = [", ".join(mark.name for mark in node.marks)] if node.marks else []
        assert plain(text) == "<br>".join([*node.lines, *marks])
    assert [(begin, end, stroke) for begin, end, stroke, _ in chart["edges"]] == [
        (name(edge.source), name(edge.consumer), STROKES[edge.state]) for edge in figure.edges
    ]
    assert [plain(text) for *_, text in chart["edges"]] == [
        ", ".join(mark.name for mark in edge.marks) for edge in figure.edges
    ]


def plain(text: str) -> str:
    """Text without Mermaid's entities, which its parser keeps in a form of its own."""
    return html.unescape(re.sub(r"ﬂ°°(\w+?)¶ß", r"&#\1;", text))


@pytest.mark.slow
def test_mermaids_own_parser_finds_every_row_and_arrow(tmp_path: Path) -> None:
    modules()
    drawings = [ls.draw(str(stock_models()[model]), positions=bool(at % 2)) for at, model in enumerate(builds.SOME)]
    drawings.append(ls.draw(str(CASES / "yolov8n-own.yaml"), positions=True))
    drawings.append(ls.draw("yolov8s.yaml", str(CASES / "yolov8n-own.yaml")))
    paths = [one.write(tmp_path / f"{at}.md") for at, one in enumerate(drawings)]
    charts = parsed(paths)
    assert len(charts) == len(drawings)
    for chart, drawing in zip(charts, drawings):
        assert_same(chart, drawing.figure)


@pytest.mark.parametrize("model", ["yolov8s.yaml", "yolo11s.yaml", "yolo12s.yaml", "yolo26s.yaml"])
def test_gitlab_shows_charts_of_usual_networks_at_once(model: str) -> None:
    """In issues and merge requests it puts a chart of more than 2,000 characters behind a button."""
    assert len(mermaid_of(ls.draw(model).figure)) <= 2000


@pytest.mark.parametrize("model", ["yolov9e.yaml", "yolo26-p6.yaml", "rtdetr-l.yaml", "yolov8-world.yaml"])
def test_charts_keep_within_the_sites_limits(model: str) -> None:
    figure = ls.draw(str(stock_models()[model]), positions=True).figure
    chart = mermaid_of(figure)
    assert len(figure.edges) <= MOST_EDGES
    assert len(chart) <= MOST_CHARACTERS // 4
    assert len(re.findall(r"^(?:image|r\d+) (?:-->|==>|-\.->) ", chart, re.MULTILINE)) == len(figure.edges)


def test_boxes_of_unknown_blocks_have_the_dashed_border_that_the_legend_speaks_of() -> None:
    figure = ls.draw(str(CASES / "yolov8n-own.yaml")).figure
    unknown = [name(node.index) for node in figure.nodes if node.unknown]
    assert unknown
    assert any("dashed border" in caption for caption in figure.captions)
    lines = mermaid_of(figure).splitlines()
    assert f"class {','.join(unknown)} unknown" in lines
    assert "classDef unknown stroke-dasharray:4 2.5" in lines
    assert "unknown" not in mermaid_of(ls.draw("yolov8n.yaml").figure)


# What `draw` makes of the YAMLs in `cases/draw`, byte for byte: its images in the documentation, and charts as text.


DOCS = Path(__file__).parents[2] / "docs"
OWN = ["remove yolov8n-own.yaml -o yolov8n-plain.yaml -q", "draw yolov8n-own.yaml yolov8n-plain.yaml"]
NECK = ["insert yolov8s.yaml --at neck --k 35 -q", "draw yolov8s.yaml yolov8s-lska-neck-k35.yaml"]
#: Golden -> the commands that make it; the last draws.
COMMANDS = {
    DOCS / "images" / "insert-neck.svg": NECK,
    DOCS / "images" / "positions.svg": ["draw yolov8s.yaml --positions"],
    CASES / "own-removed.dot": OWN,
    CASES / "own-removed.md": OWN,
    CASES / "own-positions.md": ["draw yolov8n-own.yaml --positions --imgsz 480,640"],
}


@pytest.mark.parametrize("golden", COMMANDS, ids=lambda path: path.name)
def test_golden(golden: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    shutil.copy(CASES / "yolov8n-own.yaml", tmp_path)
    Path("yolov8s.yaml").write_text(written("# yolov8.base, but\nnc: 80\n"), encoding="utf-8")
    *before, last = COMMANDS[golden]
    made = tmp_path / f"golden{golden.suffix}"
    for command in (*before, f"{last} -o {made.name}"):
        result = CliRunner().invoke(main, shlex.split(command))
        assert result.exit_code == 0, result.output
    if request.config.getoption("--update-goldens"):
        shutil.copyfile(made, golden)
    assert made.read_bytes() == golden.read_bytes()


def test_the_page_on_drawing_shows_each_image_with_its_commands() -> None:
    page = (DOCS / "draw.md").read_text(encoding="utf-8")
    images = [path for path in COMMANDS if path.parent == DOCS / "images"]
    assert set(re.findall(r"\(images/([\w-]+\.svg)\)", page)) == {path.name for path in images}
    for command in (command for path in images for command in COMMANDS[path]):
        assert f"lska-surgeon {command.removesuffix(' -q')}" in page
