"""What is written, whatever names and files say: no line, cell, tag, formula or command of theirs in any format."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from support.ablations import RECIPE, experiment, neck_gains, pretend, write_recipe
from support.cells import Cells

import lska_surgeon as ls
from lska_surgeon import reports
from lska_surgeon.ablation.runs import plan_ablation
from lska_surgeon.checkpoints.contents import surgery_in_words
from lska_surgeon.cli import say
from lska_surgeon.cli.main import main
from lska_surgeon.drawing.content import BACKBONE, OUTPUT, PLAIN, Edge, Figure, FigureNode
from lska_surgeon.drawing.flowcharts import dot_of, markdown_of
from lska_surgeon.drawing.images import scene_of, svg_of
from lska_surgeon.errors import SurgeonError
from lska_surgeon.reports import Annotation, Report, Strong, Table
from lska_surgeon.wording import clean, printable, visible

HOSTILE = (
    "a\n\\input{x}\nb",
    "\x1b[2J\x1b]0;title\x07",
    "::error::x",
    "  ::error::x",
    "a\n::error::x",
    "##[error]x",
    "##vso[task.setvariable variable=a]b",
    "=HYPERLINK(1)",
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(1)",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "a|b",
    "a\\|b",
    "a\\",
    "`x`|`y`",
    "**x** _y_ ~~z~~",
    "[x](javascript:alert(1)) ![y](http://z) [a]: b",
    "&lt;b&gt; & &#60;",
    "$x_{$ 50% # ~ ^ {} [a] *",
    "a & b \\\\",
    "\u202eevil\u2028\x85\x9b2J",
    'x,y"z',
    "```\nx",
    "# x",
)
#: Pieces of which Hypothesis makes more.
PIECES = st.sampled_from([*HOSTILE, *"|\\`*_<>&$%#~^{}[]()=+-@:'\"\n\r\t\x1b ,;!?.", "x", "注", "\\n", "##", "::"])
TEXTS = st.lists(PIECES, max_size=6).map("".join)
COLUMNS = 3
TABLES = st.lists(st.tuples(*[TEXTS] * COLUMNS), min_size=1, max_size=4)
COMMONMARK = MarkdownIt("commonmark").enable(["table", "strikethrough"])


Test = TypeVar("Test", bound=Callable[..., None])


def each_table(test: Test) -> Test:
    """A test of `rows`: every hostile text, and what Hypothesis makes of them."""
    hostile = [(text, Strong(text), f"a{text}") for text in HOSTILE]
    return settings(max_examples=20, deadline=None)(example(rows=hostile)(given(rows=TABLES)(test)))


def assert_seen(text: str) -> None:
    """Lines of what can be seen, none of which gives a command to a CI job's runner."""
    for line in text.split("\n"):
        assert line.isprintable(), ascii(line)
        assert not line.lstrip().startswith("::"), line
        assert not re.search(r"##\w*\[", line), line


@each_table
def test_latex_has_one_row_for_each_and_nothing_but_its_own_commands(rows: list[tuple[str, ...]]) -> None:
    header = [printable(cell)[:9] for cell in rows[0]]
    text = reports.latex(Table(header, rows, (1,)))
    assert_seen(text)
    lines = text.splitlines()
    assert (lines[0], lines[1], lines[3]) == (r"\begin{tabular}{lrl}", r"\toprule", r"\midrule")
    assert lines[-2:] == [r"\bottomrule", r"\end{tabular}"]
    body = [lines[2], *lines[4:-2]]
    assert len(body) == 1 + len(rows)
    own = "|".join((r"\\text(?:backslash|ascii\w+)\{\}", r"\\[&%$#_{}]", r"\\textbf\{", r"\$\\(?:pm|times)\$"))
    for line in body:
        assert line.endswith(r" \\")
        left = re.sub(own, lambda found: "{" if found[0] == r"\textbf{" else "", line.removesuffix(r" \\"))
        assert left.count(" & ") == left.count("&") == COLUMNS - 1
        assert not set("\\%#~^`_") & set(left), left
        assert left.count("{") == left.count("}")
        assert not left.count("$") % 2


@each_table
def test_csv_comes_back_as_it_was_but_for_formulas(rows: list[tuple[str, ...]]) -> None:
    text = reports.csv(["a", "b", "c"], [*rows, (1, -2.5, None)])
    assert_seen(text)
    *found, numbers = list(csv.reader(io.StringIO(text)))[1:]
    assert numbers == ["1", "-2.5", ""]
    for row, cells in zip(rows, found):
        for cell, back in zip(row, cells):
            formula = printable(cell).lstrip().startswith(tuple("=+-@"))
            assert back == ("'" if formula else "") + printable(cell)


@each_table
def test_markdown_has_every_cell_and_nothing_in_it_but_text(rows: list[tuple[str, ...]]) -> None:
    text = reports.markdown(Table(rows[0], rows, (1,)))
    assert_seen(text)
    tokens = COMMONMARK.parse(text)
    assert {token.type for token in tokens} <= {f"{tag}_{end}" for tag in ("table", "thead", "tbody", "tr", "th", "td") for end in ("open", "close")} | {"inline"}  # fmt: skip  # noqa: E501
    assert sum(token.type == "tr_open" for token in tokens) == 1 + len(rows)
    found = [token for token in tokens if token.type == "inline"]
    cells = [cell for row in (rows[0], *rows) for cell in row]
    assert len(found) == len(cells)
    for token, cell in zip(found, cells):
        kinds = {child.type for child in token.children or ()}
        strong = {"strong_open", "strong_close"} if isinstance(cell, Strong) else set()
        assert kinds <= {"text", "text_special"} | strong, (cell, kinds)
        assert "".join(child.content for child in token.children or ()) == printable(cell).strip()


@each_table
def test_a_list_of_notes_has_one_item_for_each(rows: list[tuple[str, ...]]) -> None:
    notes = [cell for row in rows for cell in row if printable(cell).strip()]
    tokens = COMMONMARK.parse(reports.bullets(notes))
    kinds = {token.type for token in tokens}
    assert kinds <= {f"{tag}_{end}" for tag in ("bullet_list", "list_item", "paragraph") for end in ("open", "close")} | {"inline"}  # fmt: skip  # noqa: E501
    assert sum(token.type == "list_item_open" for token in tokens) == len(notes)


@each_table
def test_html_shows_every_cell(rows: list[tuple[str, ...]]) -> None:
    text = reports.html(Table(["a", "b", "c"], rows))
    assert_seen(text)
    page = Cells(text)
    assert page.tags <= {"table", "tr", "th", "td", "b"}
    assert page.cells == ["a", "b", "c", *(printable(cell) for row in rows for cell in row)]


@each_table
def test_a_pipe_gets_a_line_for_each_row(rows: list[tuple[str, ...]]) -> None:
    text = reports.drawn([Table(rows[0], rows)])
    assert_seen(text)
    assert text.count("\n") == 1 + len(rows)


class Terminal:
    """What stands in for `sys.stdout`."""

    def isatty(self) -> bool:
        return True


def on_a_terminal(window: int, table: Table) -> tuple[str, list[str]]:
    """The table as a terminal of that width shows it, without colours, and the columns that are left out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", Terminal())
        patch.setattr("shutil.get_terminal_size", lambda *_, **__: os.terminal_size((window, 24)))
        text = re.sub(r"\x1b\[[0-9;]*m", "", reports.drawn([table]))
    body, _, note = text.partition("\n\nLeft out, for the window is too narrow: ")
    return body, note.removesuffix(" (`| cat` shows all).").split(", ") if note else []


@each_table
def test_a_terminal_gets_no_control_characters(rows: list[tuple[str, ...]]) -> None:
    body, _ = on_a_terminal(60, Table(rows[0], rows))
    assert body.replace("\n", "").isprintable()


COSTS = Table(
    ("model", "params", "GMACs", "GFLOPs", "layers"),
    [
        ("yolov8s-lska-neck-k35.yaml", "11,618,944", "14.913", "29.826", "183"),
        ("  difference", "+452,224 (+4.1%)", "+0.594", "+1.188 (+4.1%)", "+20"),
    ],
    range(1, 5),
)


@pytest.mark.parametrize(("window", "left_out"), [(45, ["GFLOPs", "layers"]), (60, [])])
def test_where_the_window_is_too_narrow_columns_go_from_the_right_and_are_named(
    window: int, left_out: list[str]
) -> None:
    body, named = on_a_terminal(window, COSTS)
    assert named == left_out
    assert max(map(len, body.splitlines())) <= window


WORDS = st.text("ab,.:-漢 ", max_size=25)  # wide characters take two columns


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 6).flatmap(lambda n: st.lists(st.tuples(*[WORDS] * n), max_size=4)),
    st.sampled_from((20, 40, 60, 80, 120)),
)
@example(rows=COSTS.rows, window=20)
def test_any_words_stay_whole_in_any_window(rows: list[tuple[str, ...]], window: int) -> None:
    header = tuple(f"column{index}" for index in range(len(rows[0]) if rows else 3))
    body, left_out = on_a_terminal(window, Table(header, rows))
    count = len(header) - len(left_out)
    assert left_out == [*header[count:]]
    shown = body.split()
    for row in (header, *rows):
        assert all(word in shown for cell in row[:count] for word in printable(cell).split())


@pytest.mark.parametrize(
    ("cell", "whole"), [("0.4023 ± 0.0760", True), ("[+0.0093, +0.1171]", True), ("two words", False)]
)
def test_a_number_with_its_spread_never_folds(cell: str, whole: bool) -> None:
    table = Table(["network", "a", "b"], [["some words that fold well", cell, cell]], (1, 2))
    assert all(cell in on_a_terminal(window, table)[0] for window in range(24, 60)) == whole


@each_table
def test_json_comes_back_as_it_was(rows: list[tuple[str, ...]]) -> None:
    text = reports.dump({"rows": rows, "number": float("nan")})
    assert_seen(text)
    assert json.loads(text) == {"rows": [list(row) for row in rows], "number": None}


@given(TEXTS, TEXTS)
@settings(max_examples=20, deadline=None)
def test_an_annotation_is_one_line_of_its_own(message: str, name: str) -> None:
    text = reports.render(Report("", annotations=[Annotation("error", message, name, name)]), "github")
    assert text.isprintable()
    properties, _, said = text.removeprefix("::error ").partition("::")
    assert properties.startswith("file=")
    assert properties.count(",") == 1
    assert said.replace("%0A", "\n").replace("%25", "%") == "\n".join(map(printable, message.split("\n")))


@pytest.mark.parametrize(
    ("annotation", "line"),
    [
        (Annotation("notice", "all well"), "::notice::all well"),
        (
            Annotation("error", "no layer 31", "source", "a/b.yaml", 3),
            "::error file=a/b.yaml,line=3,title=source::no layer 31",
        ),
        (Annotation("error", "50%: a, b\nc\n"), "::error::50%25: a, b%0Ac%0A"),
        (Annotation("error", "a\r\x1b[2J\n::error::b", "a\nb"), r"::error title=a\nb::a\r\x1b[2J%0A\x3a:error::b"),
        (Annotation("error", "m", "a", "c:\\x,y%.yaml"), r"::error file=c%3A\x%2Cy%25.yaml,title=a::m"),
        (Annotation("notice", "%0A"), "::notice::%250A"),
    ],
)
def test_an_annotation_for_github_is_one_line(annotation: Annotation, line: str) -> None:
    assert reports.render(Report("", annotations=[annotation]), "github") == line


def test_latex_has_minus_signs_and_no_ligatures() -> None:
    texts = {"50%_a&b": r"50\%\_a\&b", "-0.5": "$-0.5$", "a--b": "a-{}-b"}
    assert {text: reports.latex_text(text) for text in texts} == texts


def test_notes_stand_in_every_document() -> None:
    report = Report("all", notes=["a <b>", "c_d"])
    assert reports.render(report, "text") == "all"
    assert reports.render(report, "md") == "all\n\n- a &lt;b>\n- c_d"
    assert "% a <b>\n% c_d\n" in reports.render(report, "latex")
    assert "<li>a &lt;b&gt;</li>" in reports.render(report, "html")
    assert reports.render(Report("a & b"), "github") == "::notice title=lska-surgeon::a & b"


def figure_of(texts: tuple[str, ...]) -> Figure:
    """A chain of boxes with these texts."""
    nodes = tuple(
        FigureNode(at, OUTPUT if at == len(texts) - 1 else BACKBONE, 8.0, (text or "x", "detail"), "conv", text)
        for at, text in enumerate(texts)
    )
    edges = tuple(Edge(at, at + 1, 0, PLAIN, texts[at]) for at in range(len(texts) - 1))
    return Figure(texts[0], texts[1], nodes, edges, {8.0: "P3/8"}, (texts[2],))


@each_table
def test_drawings_have_one_box_for_each_row_and_no_markup(rows: list[tuple[str, ...]]) -> None:
    for row in rows:
        figure = figure_of(row)
        assert_drawn(dot_of(figure), row)
        assert_mermaid(markdown_of(figure))
        titles = [one.text or "" for one in ET.fromstring(svg_of(scene_of(figure))).iter("{http://www.w3.org/2000/svg}title")]  # fmt: skip  # noqa: E501
        assert titles[0] == "\n".join(map(printable, row[0].split("\n")))


def assert_drawn(text: str, row: tuple[str, ...]) -> None:
    assert_seen(text)
    strings = re.compile(r'"(?:[^"\\]|\\.)*"')
    bare = strings.sub('""', text)
    assert not set("\\<&") & set(bare)
    assert len(re.findall(r"^ +row\d+ \[", bare, re.MULTILINE)) == len(row)
    assert len(re.findall(r"^ +row\d+ -> row\d+ \[", bare, re.MULTILINE)) == len(row) - 1
    labels = [unescape(one.replace("\\n", "\n").replace("\\\\", "\\")) for one in re.findall(r'row\d+ \[label="((?:[^"\\]|\\.)*)"', text)]  # fmt: skip  # noqa: E501
    assert len(labels) == len(row)
    assert not re.search(r"<(?!br)", re.sub("->", "", text))


def assert_mermaid(text: str) -> None:
    assert_seen(text)
    tokens = COMMONMARK.parse(text)
    kinds = [token.type for token in tokens]
    assert kinds.count("fence") == 1
    assert set(kinds) <= {"paragraph_open", "paragraph_close", "inline", "fence"}, kinds
    inside = {child.type for token in tokens for child in token.children or ()}
    assert inside <= {"text", "text_special", "code_inline"}, inside
    chart = next(token.content for token in tokens if token.type == "fence")
    assert set(re.findall(r"<[^>-]*>", chart)) <= {"<br>"}


def test_each_form_is_written_in_one_place() -> None:
    """What is escaped there can't be forgotten elsewhere."""
    second = re.compile(r"csv\.writer|import writer|saxutils|textbf|toprule|<td|\| --- \|")
    package = Path(ls.__file__).parent
    found = {path.name for path in package.rglob("*.py") if second.search(path.read_text(encoding="utf-8"))}
    assert found == {"reports.py"}


# Commands.

#: File names: what a name may hold of the above, and one that begins a line of its own.
NAMES = (
    "::error::of mine",
    "=HYPERLINK(1)",
    "a\n::error::b\x1b[2J\u202e|<img src=x>`\\input{x}`##[error]c\r&",
)
#: The last as it is shown.
SHOWN = r"a\n::error::b\x1b[2J\u202e|<img src=x>`\input{x}`\x23#[error]c\r&"
MODEL = """\
nc: 1
backbone:
  - [-1, 1, Conv, [8, 3, 2]]
  - [-1, 1, "C2f", [8]]
head:
  - [[-1], 1, Detect, [nc]]
"""
#: A block with such a name, and what else of a file is shown.
ODD = MODEL.replace('"C2f"', json.dumps(NAMES[2]))
COMMANDS = (
    "check NAME",
    "check NAME NAME",
    "check NAME --format github",
    "check gone/NAME NAME --format github",
    "check NAME --fix",
    "positions NAME",
    "positions NAME --json",
    "blocks NAME",
    "blocks NAME --json",
    "diff NAME yolov8n.yaml",
    "diff NAME yolov8n.yaml --format md",
    "diff NAME yolov8n.yaml --format github",
    "diff yolov8n.yaml NAME --json",
    "insert NAME --at after:1 --dry-run",
    "insert NAME --at after:1 --format github -o NAME.new.yaml",
    "insert NAME --at NAME",
    "insert yolov8n.yaml --at neck -o NAME",
    "insert yolov8n.yaml --at neck -o gone/NAME",
    "insert NAME --at neck --op NAME",
    "remove NAME",
    "draw NAME",
    "draw NAME -o NAME.md",
    "draw NAME -o NAME.dot",
    "draw NAME -o NAME.svg",
    "curves NAME --at after:1 --k 7 --op lska",
    "flops NAME.pt",
    "flops NAME --imgsz 64 --top 1",
    "flops NAME --imgsz 64 --format md --notes",
    "flops NAME NAME --imgsz 64 --top 2 --format csv",
    "flops NAME --imgsz 64 --format github --max-gflops 0",
    "curves NAME --at after:1 --k 7 --format md",
    "curves NAME --at after:1 --k 7 --format csv",
    "variants RECIPE --dry-run",
    "variants RECIPE --format md",
    "variants RECIPE --format csv",
    "variants RECIPE --check --format github",
    "report RECIPE -o NAME.html",
    "graft NAME.pt --at neck",
    "inspect NAME.pt",
    "train NAME data=NAME",
    "results NAME",
    "ablate NAME --dry-run",
    "latency gone/NAME",
    "NAME",
    "positions --NAME",
)


def words_of(command: str, name: str) -> Iterator[str]:
    for word in command.split():
        file = {"NAME": "NAME.yaml", "gone/NAME": "gone/NAME.yaml", "RECIPE": "NAME-recipe.yaml"}.get(word, word)
        yield file.replace("NAME", name)


@pytest.mark.parametrize("content", [MODEL, ODD], ids=["name", "block"])
@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_no_command_lets_a_name_act(name: str, content: str, tmp_path: Path) -> None:
    Path(f"{name}.yaml").write_text(content, encoding="utf-8")
    base = json.dumps(f"{name}.yaml")
    recipe = f"base: {base}\nmatrix: {{at: 'after:1', k: 7}}\nout: 'out/{{base}}-k{{k}}.yaml'\n"
    Path(f"{name}-recipe.yaml").write_text(recipe, encoding="utf-8")
    for command in COMMANDS:
        result = CliRunner().invoke(main, list(words_of(command, name)))
        assert result.exception is None or isinstance(result.exception, SystemExit), (command, result.exc_info)
        output = re.sub(r"\x1b\[[0-9;]*m", "", result.output)
        own = [line for line in output.splitlines() if re.match("::(error|warning|notice) (file|title)=", line)]
        assert_seen("\n".join(line for line in output.split("\n") if line not in own))
        if " md" in command and result.exit_code == 0:
            assert "<img" not in result.stdout
        if " csv" in command and result.exit_code == 0:
            assert not [cell for row in csv.reader(io.StringIO(result.stdout)) for cell in row if cell.startswith("=")]
        if "--json" in command and result.exit_code == 0:
            json.loads(result.stdout)
    for file in tmp_path.rglob("*"):
        if file.suffix in (".dot", ".svg", ".html"):
            text = file.read_text(encoding="utf-8")
            assert "<img" not in text, file
            assert "\x1b" not in text, file
        elif file.suffix == ".md" and "recipe" not in file.name and file.parent == tmp_path:
            assert_mermaid(file.read_text(encoding="utf-8"))


def test_an_error_is_one_line_in_python_too(tmp_path: Path) -> None:
    assert str(SurgeonError(f"no file {NAMES[2]}, {chr(0xDCFF)}")) == f"no file {SHOWN}, \\xff"
    with pytest.raises(SurgeonError) as told:
        ls.positions(f"gone/{NAMES[2]}.yaml")
    assert "\n" not in str(told.value)
    (tmp_path / "odd.yaml").write_text(ODD, encoding="utf-8")
    assert "\n" not in ls.check(tmp_path / "odd.yaml").line + ls.positions(tmp_path / "odd.yaml").line


def test_a_record_of_a_graft_has_its_own_lines_only() -> None:
    told = surgery_in_words({"version": "1", "base": NAMES[2], "certificate": {"max_delta": 0.0}})
    assert len(told.splitlines()) == 3  # what was grafted is empty here
    assert told.startswith(f"lska-surgeon 1, base {SHOWN} (SHA-256 None)\n")


def test_what_is_there_to_be_seen_stays() -> None:
    for text in ("a b", "注意力", "é😀", "max |Δ| 0.0"):
        assert printable(text) == visible(text) == clean(text) == text
    assert printable(NAMES[2]) == visible(NAMES[2]) == SHOWN
    assert printable("\udcff") == "\udcff"  # standard output gives the byte back


def test_commands_say_nothing_past_the_one_place() -> None:
    for path in sorted(Path(say.__file__).parent.rglob("*.py")):
        said = re.findall(r"click\.(?:s?echo)\(([^)]*)", path.read_text(encoding="utf-8"))
        assert path.samefile(say.__file__) or said in ([], ["err=True"]), path


def test_what_strangers_runs_say_stays_in_its_cell(tmp_path: Path) -> None:
    names = dict.fromkeys(text.replace("/", "").strip() for text in HOSTILE)
    for at, name in enumerate(names):
        for seed, other in enumerate((name, "b", "b")):
            run = tmp_path / f"run{at}-{seed}"
            run.mkdir()
            args = {"model": f"{other}.yaml", "data": f"{name}.yaml", "seed": seed, "epochs": 1}
            (run / "args.yaml").write_text(json.dumps({**args, "note": name * (seed + 1)}), encoding="utf-8")
            pretend(run, None, [{"metrics/mAP50-95(B)": 0.5 + seed / 100}])
    found = ls.results(tmp_path, costs=False)
    assert len(found.rows) == 2 * len(names)
    for form in ("table", "md", "latex", "csv", "json", "html"):
        shown = reports.render(found.report(), form)
        assert_seen(shown)
        lines = shown.splitlines()
        assert not [line for line in lines if line.startswith("\\input")]
        if form == "latex":
            rows = [line for line in lines if line.endswith(r" \\")]
            assert len(rows) == 1 + len(found.rows)
        if form == "csv":
            cells = list(csv.reader(io.StringIO(shown)))
            assert {len(row) for row in cells} == {len(cells[0])}
            assert not [cell for row in cells for cell in row if cell.startswith(tuple("=+@"))]
        if form == "md":
            tokens = COMMONMARK.parse(shown)
            kinds = [one.type for one in tokens]
            assert kinds.count("td_open") == len(found.rows) * kinds.count("th_open")
            assert not [one for one in (*tokens, *(x for y in tokens for x in y.children or ())) if "html" in one.type]
        if form == "html":
            assert not {"script", "img"} & Cells(f"<td>{shown}").tags
        if form == "json":
            assert json.loads(shown)["rows"]
    found.write(tmp_path / "figure.svg")
    ET.parse(tmp_path / "figure.svg")


@pytest.mark.parametrize("texts", [HOSTILE[at::3] for at in range(3)], ids=range(3))
def test_what_records_of_cells_say_stays_in_its_line(texts: tuple[str, ...], tmp_path: Path) -> None:
    """Each text in the records of runs of its own: one that failed, and one that is done."""
    recipe = write_recipe(tmp_path / "a", RECIPE.replace("[0, 1, 2]", str([*range(len(texts))])))
    for cell in plan_ablation(recipe).runs:
        text, failed = texts[cell.seed], "neck" in cell.network.name
        pretend(cell.folder, None, [{"metrics/mAP50-95(B)": 0.5 + cell.seed / 100}])
        record = {
            **msgspec.to_builtins(cell.record()),
            "state": "failed" if failed else "done",
            "error": {"text": text * 100},
            "notes": {"NaN": text, text: text},
        }
        (cell.folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
    for words in (
        "ablate --dry-run",
        "ablate --dry-run --json",
        "ablate --devices cpu",
        "results",
        "results --format md",
    ):
        result = CliRunner().invoke(main, [*words.split(), str(recipe)])
        assert result.exit_code == ("devices" in words), result.output
        assert_seen(result.output)
        assert "--json" in words or max(map(len, result.output.splitlines())) <= 1010


@pytest.mark.parametrize("text", ["x" * 100_000, "'" + "a b " * 50_000 + "'", "a" + "\x1b" * 50_000])
def test_a_message_quotes_at_most_a_line_and_keeps_its_remedy(text: str, tmp_path: Path) -> None:
    said = str(SurgeonError(f"no position {text!r}: give one such as neck"))
    assert len(said) <= 1000
    assert said.startswith("no position ")
    assert said.endswith(": give one such as neck")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"base: {json.dumps(text)}\nmatrix: {{at: {json.dumps(text)}}}\n", encoding="utf-8")
    for words in (
        ["positions", text],
        ["insert", "yolov8n.yaml", "--at", text],
        ["insert", "yolov8n.yaml", "--at", "neck", "--op", text],
        ["insert", "yolov8n.yaml", "--at", "neck", "--k", text],
        ["check", text, text],
        ["variants", str(recipe)],
        ["results", text],
        ["train", text, f"data={text}"],
        [text],
    ):
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 2, words
        assert max(map(len, result.output.splitlines())) <= 1010, (words[0], result.output[:300])


def test_labels_and_columns_are_those_that_were_asked_for(tmp_path: Path) -> None:
    recipe = experiment(tmp_path / "a", neck_gains)
    text = recipe.read_text(encoding="utf-8")
    recipe.write_text(f"{text}labels: {{tiny: Tiny, tiny-lska-neck-k7: '<neck> & 7'}}\n", encoding="utf-8")
    found = CliRunner().invoke(
        main, ["results", str(recipe), "--columns", "network,p (adjusted), verdict", "--format", "md"]
    )
    assert found.output.splitlines()[:5] == [
        "| network | p (adjusted) | verdict |",
        "| --- | ---: | --- |",
        "| Tiny |  |  |",
        "| &lt;neck> & 7 | 0.016 | gain |",
        "| tiny-lska-sppf-k7 | 1.000 | not significant |",
    ]
