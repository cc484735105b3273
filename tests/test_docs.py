"""README, docs and examples: what they tell users to type works as written; the notebook runs, and the site builds."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import torch
from click.testing import CliRunner
from support import shapes
from support.ablations import write_recipe
from support.forks import Fork, make_fork
from support.insertions import plan_insert
from support.light import full_environment

import lska_surgeon
from lska_surgeon.ablation.outcomes import KnownCosts
from lska_surgeon.ablation.results import Results
from lska_surgeon.ablation.runs import plan_ablation
from lska_surgeon.ablation.table import Summary, TableRow
from lska_surgeon.cli.main import main
from lska_surgeon.core.operators import OP_BLOCKS
from lska_surgeon.core.positions import NAMES, named_sites
from lska_surgeon.core.surgery import Placement
from lska_surgeon.modelfile.model import load
from lska_surgeon.modelfile.sources import stock_models, without_scale
from lska_surgeon.nn import named_operators
from lska_surgeon.recipes.recipe import read_recipe
from lska_surgeon.yolo.build import build
from lska_surgeon.yolo.exported import RUNTIMES
from lska_surgeon.yolo.trial import REFUSED, STEPS, UNABLE

ROOT = Path(__file__).parents[1]
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))
OWN_BLOCKS = ROOT / "tests" / "projects" / "own_blocks"
READMES = ("README.md", "README.zh-CN.md")
#: Every page in English has its Chinese one beside it; the tutorial is there in Chinese alone.
TRANSLATED = ["README.md", "examples/README.md", *(page for page in PAGES if not page.endswith(".zh-CN.md"))]
ALL = [found for page in TRANSLATED for found in (page, page.replace(".md", ".zh-CN.md"))] + ["docs/tutorial.zh-CN.md"]
#: What every training of a page is told besides, so that it takes seconds.
QUICK = ["device=cpu", "workers=0", "plots=False", "imgsz=64", "batch=2", "exist_ok=True"]
_FENCE = re.compile(r"((?:^<!-- [^\n]*-->\n)*)^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_BRINGS = re.compile(r"^<!-- (?:the tests bring|测试自带): (.*?) -->$", re.MULTILINE)
#: Runtimes of exported networks, without which a block is passed over; the tests' extra brings those.
_NEEDS = re.compile(r"^<!-- needs: (.*?) -->$", re.MULTILINE)
_NUMBER = re.compile(r"(?<![\w.])\d[\d.,]*(?![\w])")


def blocks(page: str, language: str) -> Iterator[tuple[str, str]]:
    """(the comments before it, its text) of each fenced block of a language."""
    for comments, found, text in _FENCE.findall((ROOT / page).read_text(encoding="utf-8")):
        if found == language:
            yield comments, text


def block_after(marker: str, page: str = "README.md") -> str:
    """The fenced block that follows `<!-- marker -->`."""
    found = [text for comments, text in blocks(page, "bash") if f"<!-- {marker} -->" in comments]
    assert len(found) == 1, f"{page} has no fenced bash block after <!-- {marker} -->"
    return found[0]


def invoke(words: list[str]) -> None:
    assert words[0].rpartition("/")[2] == "lska-surgeon"
    more = QUICK if "train" in words and words[-1] != "--help" else []
    result = CliRunner().invoke(main, [*words[1:], *more])
    assert result.exit_code == 0, f"{shlex.join(words)}\n{result.output}"


def invoke_in(fork: Fork, words: list[str]) -> None:
    """The same in the root of a fork, which is what is imported there."""
    done = fork.run(*words[1:], cwd=fork.root)
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}{done.stderr}"


def bring(folder: Path, name: str) -> None:
    """A file that a page speaks of as the user's own."""
    target = folder / name
    if target.exists() or name == "fork":
        return
    if name == "images":
        shapes.write_data(folder / "made")
        (folder / "made" / "images" / "train").rename(target)
    elif name == "graft.pt":
        shapes.graft(shapes.write_checkpoint(folder), "neck")
    elif name == "my-data.yaml":
        shapes.write_data(folder).rename(target)
    elif name == "yolov8n.pt":
        shapes.write_checkpoint(folder, stock_models()["yolov8.yaml"], "n").rename(target)
    elif name.endswith(".pt"):
        (shapes.write_checkpoint(folder)).rename(target)
    elif name == "my-variant.yaml":
        network = shapes.write_network(folder)
        invoke(["lska-surgeon", "insert", str(network), "--at", "neck", "-o", str(target)])
    elif name == "my-p2.yaml":  # one level more
        rows = "  - [5, 1, Conv, [16, 3, 2]]\n  - [[8, 5, 9], 1, Detect"
        network = shapes.NETWORK.replace("  - [[8, 5], 1, Detect", rows)
        target.write_text(network, encoding="utf-8")
    elif name == "my-block.yaml":  # one block more
        rows = "  - [-1, 1, C2f, [16]]\n  - [[9, 5], 1, Detect"
        target.write_text(shapes.NETWORK.replace("  - [[8, 5], 1, Detect", rows), encoding="utf-8")
    elif name == "my_blocks.py":
        shutil.copytree(OWN_BLOCKS / "nets", folder / "nets")
        shutil.copy(OWN_BLOCKS / name, target)
    elif name == "my-network.yaml":
        shutil.copy(OWN_BLOCKS / "yolov8n-own.yaml", target)
    else:
        at = {"new.yaml": "neck", "yolov8s-lska-neck-k35.yaml": "neck", "mine.yaml": "sppf"}.get(name, "head")
        k = "35" if "k35" in name else "23"
        invoke(["lska-surgeon", "insert", "yolov8s.yaml", "--at", at, "--k", k, "-o", str(target)])


def commands(text: str) -> list[list[str]]:
    """The lines of a block as words, comments off, lines that go on joined."""
    joined = text.replace("\\\n", " ")
    return [words for line in joined.splitlines() if (words := shlex.split(line, comments=True))]


@pytest.mark.slow
@pytest.mark.parametrize("page", sorted({page.replace(".zh-CN.md", ".md") for page in PAGES}))
def test_a_page_runs_from_top_to_bottom(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path / "settings"))
    page = page if page in PAGES else page.replace(".md", ".zh-CN.md")  # one that is there in Chinese alone
    text = (ROOT / page).read_text(encoding="utf-8")
    brought = [name for names in _BRINGS.findall(text) for name in names.split()]
    for name in brought:
        bring(tmp_path, name)
    fork = make_fork(tmp_path / "fork", "own") if "fork" in brought else None
    space: dict[str, object] = {}
    for comments, language, body in _FENCE.findall(text):
        needed = [name for names in _NEEDS.findall(comments) for name in names.split()]
        if "<!-- not run: " in comments or any(RUNTIMES[name].problem(export=True) for name in needed):
            continue
        if language == "bash":
            for words in commands(body):
                invoke_in(fork, words) if fork else invoke(_expanded(words, tmp_path))
        elif language == "python":
            torch.manual_seed(0)
            exec(compile(body, page, "exec"), space)


def _expanded(words: list[str], folder: Path) -> list[str]:
    """The words with `*.yaml` as a shell would give it."""
    return [
        found
        for word in words
        for found in (sorted(path.name for path in folder.glob(word)) if word.startswith("*.") else [word])
    ]


@pytest.mark.parametrize("page", ALL)
def test_links_lead_somewhere_in_the_same_language(page: str) -> None:
    """A page and, behind `#`, a heading in it; but for the first line, which leads to the other language."""
    text = _FENCE.sub("", (ROOT / page).read_text(encoding="utf-8"))
    for target, heading in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", text.partition("\n")[2]):
        if "://" in target:
            continue
        found = (ROOT / page).parent / target if target else ROOT / page
        assert found.exists(), f"{page}: {target}"
        if found.suffix == ".md":
            chinese = found.name.endswith(".zh-CN.md")
            other = found.with_name(found.name.replace(".zh-CN.md", ".md") if chinese else f"{found.stem}.zh-CN.md")
            assert chinese == page.endswith(".zh-CN.md") or not other.exists(), f"{page}: {target}"
            assert not heading or heading in _anchors(found), f"{page}: {target}#{heading}"


def _anchors(page: Path) -> list[str]:
    """What GitHub calls the headings of a page."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = (heading.strip().lower() for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE))
    return [re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in headings]


def test_every_page_is_there_in_both_languages() -> None:
    assert sorted(PAGES) == sorted(page for page in ALL if page.startswith("docs/"))


def test_every_page_is_linked_from_readme() -> None:
    for readme, ending in (("README.md", ".md"), ("README.zh-CN.md", ".zh-CN.md")):
        linked = set(re.findall(r"\]\((docs/[^)#]+)", (ROOT / readme).read_text(encoding="utf-8")))
        for page in (page for page in PAGES if "zh-CN" not in page):
            if page.startswith("docs/rules/"):
                continue  # those are linked from the page on check, which a test holds
            assert page.replace(".md", ending) in linked, f"{readme}: {page}"


@pytest.mark.parametrize("page", TRANSLATED)
def test_both_languages_say_the_same(page: str) -> None:
    """Commands and figures are equal, and comments in the reader's language; the first lines lead to each other."""
    other = page.replace(".md", ".zh-CN.md")
    for language in ("bash", "python", "yaml", "toml"):
        read = commands if language == "bash" else _code
        one, two = ([read(text) for _, text in blocks(name, language)] for name in (page, other))
        assert one == two
    assert _figures(page) == _figures(other)
    first = [(ROOT / one).read_text(encoding="utf-8").splitlines()[0] for one in (page, other)]
    english, chinese = Path(page).name, Path(other).name
    assert first == [f"English | [简体中文]({chinese})", f"[English]({english}) | 简体中文"]


def _code(text: str) -> list[str]:
    return [found for line in text.splitlines() if (found := line.split("#")[0].rstrip())]


def _figures(page: str) -> list[str]:
    """The numbers of the tables, in order."""
    rows = [line for line in (ROOT / page).read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    return [number.rstrip(".,") for row in rows for number in _NUMBER.findall(row)]


def test_readme_is_short() -> None:
    for readme in READMES:
        assert len((ROOT / readme).read_text(encoding="utf-8").splitlines()) <= 160


@pytest.mark.parametrize("readme", READMES)
def test_commands_table_names_every_command(readme: str) -> None:
    text = (ROOT / readme).read_text(encoding="utf-8")
    assert re.findall(r"^\| `([a-z]+)[ `]", text, re.MULTILINE) == list(main.list_commands(None))  # type: ignore[attr-defined]


@pytest.mark.parametrize("marker", ["ci: use", "ci: test"])
def test_set_up_is_one_line_that_makes_its_own_environment(marker: str) -> None:
    (line,) = block_after(marker).splitlines()
    assert line.startswith("python3 -m venv .venv && .venv/bin/pip install ")


def test_readme_runs_from_the_set_up_on(tmp_path: Path) -> None:
    """The set-up line's own command, then the quick start in the same folder, then the Python."""
    invoke(shlex.split(block_after("ci: use").split("&&")[-1]))
    (written,) = tmp_path.iterdir()
    readme = (ROOT / "README.md").read_text(encoding="utf-8").replace("\n", " ")
    assert f"writes `{written.name}`, the network" in readme
    lines = commands(block_after("ci: quick start"))
    assert len(lines) > 3
    for words in lines:
        invoke(words)
    ((_, code),) = blocks("README.md", "python")
    exec(compile(code, "README.md", "exec"), {})


def test_the_recipe_on_its_page_works(tmp_path: Path) -> None:
    (text,) = [text for _, text in blocks("docs/variants.md", "yaml") if text.startswith("base: ")]
    (tmp_path / "recipe.yaml").write_text(text, encoding="utf-8")
    invoke(["lska-surgeon", "variants", str(tmp_path / "recipe.yaml")])
    assert len(list(tmp_path.glob("variants/*.yaml"))) == 48


def test_the_page_of_the_house_says_what_each_room_says() -> None:
    text = (ROOT / "docs" / "house.md").read_text(encoding="utf-8")
    package = Path(lska_surgeon.__file__).parent
    for room in sorted(path.parent for path in package.glob("*/__init__.py")):
        doc = ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8")))
        assert doc
        sentence = doc.splitlines()[0].rstrip(".")
        assert re.search(rf"^\| `{room.name}/` \| {re.escape(sentence)}", text, re.MULTILINE), room.name
    named = [
        re.findall(r"^\| `([a-z]+/)` \|", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.MULTILINE)
        for page in ("house.md", "house.zh-CN.md")
    ]
    assert named[0] == named[1]


def test_every_operator_is_named_where_operators_are_listed() -> None:
    ops = "lska lska-trivial lka lka-trivial strip dilated-reparam lska-attention".split()
    assert [*OP_BLOCKS] == ops
    schema = (ROOT / "templates" / "recipe.schema.json").read_text(encoding="utf-8")
    assert json.dumps([*ops, "cbam"]) in schema
    for page in ("docs/blocks.md", "docs/blocks.zh-CN.md"):
        named = re.findall(r"^\| `([a-z-]+)` \|", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
        assert [op for op in named if op in ops] == ops
    for verb in (lska_surgeon.insert, lska_surgeon.graft, lska_surgeon.curves):
        assert ", ".join(ops) in " ".join((verb.__doc__ or "").split())


# docs/ablation.md, of which little can be run in seconds.

ABLATION = "docs/ablation.md"


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_pages_exist_with_their_options(page: str) -> None:
    context = click.Context(main)
    for _, text in blocks(page, "bash"):
        for program, name, *words in commands(text):
            if program == "lska-surgeon" and not name.startswith("-"):
                command = main.get_command(context, name)
                assert command is not None, name
                known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
                assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known, words


def test_recipes_of_ablations_are_read(tmp_path: Path) -> None:
    recipes = [text for _, text in blocks(ABLATION, "yaml")]
    assert len(recipes) >= 2
    for text in recipes:
        (tmp_path / "recipe.yaml").write_text(text, encoding="utf-8")
        assert read_recipe(tmp_path / "recipe.yaml").experiment is not None


def drawn_from_the_page(folder: Path) -> Path:
    """The figure of the page's last recipe and of the table below it."""
    text = [text for _, text in blocks(ABLATION, "yaml")][-1]
    recipe = write_recipe(folder / "page", text.replace("data: shapes.yaml", "data: shapes/data.yaml"))
    rows = []
    for line in re.findall(r"^\| (tiny.*) \|$", (ROOT / ABLATION).read_text(encoding="utf-8"), re.MULTILINE):
        name, params, gflops, _, accuracy, *_ = line.split(" | ")
        mean, sd = map(float, accuracy.split(" ± "))
        network, role = (name.split()[0], "base") if name.endswith("(base)") else (name, "variant")
        costs, metrics = KnownCosts(int(params.replace(",", "")), float(gflops)), {"mAP50-95": Summary(mean, sd, 6)}
        rows.append(TableRow(network, "shapes", role, "tiny", costs, unfinished={}, metrics=metrics, values={}))
    assert len(rows) == 5
    table = Results("recipe.yaml", "mAP50-95", tuple(rows), (), kinds=plan_ablation(recipe).kinds)
    return table.write(folder / "ablation.svg")


def test_the_figure_of_an_ablation_shows_its_table(tmp_path: Path) -> None:
    """Text by text, and point by point: matplotlib's releases differ in the rest."""
    paths = (drawn_from_the_page(tmp_path), ROOT / "docs" / "ablation.svg")
    drawn, shown = (path.read_text(encoding="utf-8") for path in paths)
    for what in (r"<text [^>]*>(.*?)</text>", r'<use xlink:href="#\w+" (x="[\d.]+" y="[\d.]+")'):
        assert re.findall(what, shown) == re.findall(what, drawn)


# The table of supported positions: what is in it is there; when it is written, each is built in Ultralytics and run.
# That every stock model builds and runs with an operator at every position is held by `modelfile/test_contracts.py`.

SUPPORT = [ROOT / "docs" / name for name in ("support.md", "support.zh-CN.md")]
_SECTION = re.compile(r"(<!-- support table: start -->\n)(.*?)(<!-- support table: end -->)", re.DOTALL)
#: One model of each family and task, at its smallest scale.
MODELS = (
    "yolov3-tiny yolov3-spp yolov5n yolov5n-p6 yolov6n yolov8n yolov8n-p2 yolov8n-p6 yolov8n-ghost yolov8n-seg "
    "yolov8n-pose yolov8n-obb yolov8n-cls yolov8n-world yolov8n-worldv2 yolov8n-rtdetr yoloe-v8n yolov9t yolov10n "
    "yolo11n yolo11n-seg yolo11n-cls yolo12n yolo26n yolo26n-sem yolo26n-depth rtdetr-l rtdetr-resnet50"
).split()
HERE = [model for model in MODELS if {f"{model}.yaml", without_scale(f"{model}.yaml")} & set(stock_models())]


def places(model: str) -> dict[str, int]:
    """How many places a model has at each position."""
    opened = load(model)
    found = named_sites(opened.graph, opened.shapes)
    return {position: len(found.get(position, ())) for position in NAMES}


def run(model: str, position: str, folder: Path) -> None:
    """Build a model with operators at a position, and run it."""
    opened = load(model)
    plan = plan_insert(
        model, Placement((position,), k=7), output=str(folder / f"{Path(opened.name).stem}-{position}.yaml")
    )
    assert plan.output is not None
    plan.output.write_text(plan.text, encoding="utf-8")
    built = build(plan.output).eval()
    assert sum(1 for _ in named_operators(built)) == sum(site.operators.count for site in plan.sites if site.operators)
    size = 160 if "rtdetr" in model else 64  # older decoders want 300 cells
    with torch.inference_mode():
        built(torch.zeros(1, 3, size, size))


def test_the_table_of_support_says_what_is_there(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    found = {model: places(model) for model in HERE}
    rows = [
        f"| {model} | {' | '.join(str(count or '–') for count in here.values())} |" for model, here in found.items()
    ]
    if request.config.getoption("--update-docs"):
        for model, here in found.items():
            for position in filter(here.get, here):
                run(model, position, tmp_path)
        header = f"| model | {' | '.join(f'`{name}`' for name in NAMES)} |\n|---|{'---:|' * len(NAMES)}\n"
        table = header + "".join(f"{row}\n" for row in rows)
        for page in SUPPORT:
            text = page.read_text(encoding="utf-8")
            page.write_text(_SECTION.sub(lambda found: found[1] + table + found[3], text), encoding="utf-8")
        return
    for page in SUPPORT:
        section = _SECTION.search(page.read_text(encoding="utf-8"))
        assert section
        shown = [line for line in section[2].splitlines() if line.startswith("| yolo") or line.startswith("| rtdetr")]
        assert [row for row in shown if row.split()[1] in HERE] == rows
        assert [row.split()[1] for row in shown] == MODELS


def test_the_table_of_forks_has_a_column_for_every_step_and_says_why_one_is_not_right() -> None:
    texts = [page.read_text(encoding="utf-8") for page in SUPPORT]
    tables = {
        text.partition("<!-- fork table: start -->")[2].partition("<!-- fork table: end -->")[0] for text in texts
    }
    (table,) = tables  # one in both languages
    header, _, *rows = [line for line in table.splitlines() if line.startswith("|")]
    assert re.findall(r"[a-z]+", header) == [step.name for step in STEPS]
    words = {word for row in rows for word in re.findall(r"[a-z]+", row.split("|", 2)[2])}
    assert words <= {"right", "not", "tried", REFUSED, UNABLE}
    for word in words & {REFUSED, UNABLE}:
        assert f" {word}: " in table


# The examples: what their pages say to type works from top to bottom, and the notebook runs.

EXAMPLES = ROOT / "examples"


@pytest.fixture
def examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path / "settings"))
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    return tmp_path / "examples"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tutorial", "own-module", "ablation"])
def test_an_example_runs_from_top_to_bottom(name: str, examples: Path) -> None:
    ((_, typed),) = blocks(f"examples/{name}/README.md", "bash")
    recipe = examples / "ablation" / "recipe.yaml"
    recipe.write_text(recipe.read_text(encoding="utf-8").replace("epochs: 30", "epochs: 1"), encoding="utf-8")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", typed],
        cwd=examples / name,
        env=full_environment(),
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    if name == "ablation":
        assert "nothing learned" in done.stdout  # in one epoch


def test_every_example_is_listed_in_both_languages() -> None:
    for page in ("README.md", "README.zh-CN.md"):
        text = (EXAMPLES / page).read_text(encoding="utf-8")
        found = {path.name for path in EXAMPLES.iterdir() if path.is_dir()}
        assert set(re.findall(r"\]\(([\w-]+)/README", text)) == found


@pytest.mark.slow
def test_the_notebook_runs(examples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat", reason="needs nbclient")
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient")
    pytest.importorskip("ipykernel", reason="needs ipykernel")
    notebook = nbformat.read(examples / "notebook.ipynb", as_version=4)
    monkeypatch.setenv("PATH", full_environment()["PATH"])
    nbformat.validate(notebook)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(examples)}}).execute()
    shown = [str(output) for cell in notebook.cells for output in cell.get("outputs", ())]
    assert any("certificate: max |Δ| 0.0 of all outputs" in text for text in shown)
    assert any("<svg" in text for text in shown)


# The site: it builds, every link in it leads somewhere, and it loads nothing from elsewhere.


def build_site(root: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("material", reason="needs mkdocs-material")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(root / "mkdocs.yml"), "-d", str(folder)]
    return subprocess.run(words, capture_output=True, text=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"})


def test_the_site_is_built_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    done = build_site(ROOT, tmp_path / "site")
    assert done.returncode == 0, done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > len(list((ROOT / "docs").rglob("*.md")))
    for page in pages:
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|link|img|iframe|source)\b[^>]*(?:src|href)=\"?(?:https?:)?//[^\">]*", text)
        assert loaded == [], page


def test_a_link_that_leads_nowhere_stops_it(tmp_path: Path) -> None:
    for name in ("docs", "packaging", "light"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("mkdocs.yml", "README.md", "README.zh-CN.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    with (tmp_path / "docs" / "check.md").open("a", encoding="utf-8") as page:
        page.write("\n[nowhere](nowhere.md)\n")
    done = build_site(tmp_path, tmp_path / "site")
    assert done.returncode == 1
    assert "nowhere.md" in done.stderr
