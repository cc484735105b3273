"""README and docs: what they tell users to type exists and works as written, from top to bottom of each page."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from support import shapes

import lska_surgeon
from lska_surgeon.cli.main import main

ROOT = Path(__file__).parents[1]
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))
OWN_BLOCKS = ROOT / "tests" / "projects" / "own_blocks"
READMES = ("README.md", "README.zh-CN.md")
#: What every training of a page is told besides, so that it takes seconds.
QUICK = ["device=cpu", "workers=0", "plots=False", "imgsz=64", "batch=2", "exist_ok=True"]
_FENCE = re.compile(r"((?:^<!-- [^\n]*-->\n)*)^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_BRINGS = re.compile(r"^<!-- (?:the tests bring|测试自带): (.*?) -->$", re.MULTILINE)
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


def bring(folder: Path, name: str) -> None:
    """A file that a page speaks of as the user's own."""
    target = folder / name
    if target.exists():
        return
    if name == "images":
        shapes.write_data(folder / "made")
        (folder / "made" / "images" / "train").rename(target)
    elif name == "graft.pt":
        shapes.graft(shapes.write_checkpoint(folder), "neck")
    elif name == "my-data.yaml":
        shapes.write_data(folder).rename(target)
    elif name.endswith(".pt"):
        (shapes.write_checkpoint(folder)).rename(target)
    elif name == "my-variant.yaml":
        network = shapes.write_network(folder)
        invoke(["lska-surgeon", "insert", str(network), "--at", "neck", "-o", str(target)])
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
@pytest.mark.parametrize("page", [page for page in PAGES if "zh-CN" not in page])
def test_a_page_runs_from_top_to_bottom(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path / "settings"))
    text = (ROOT / page).read_text(encoding="utf-8")
    for names in _BRINGS.findall(text):
        for name in names.split():
            bring(tmp_path, name)
    space: dict[str, object] = {}
    for comments, language, body in _FENCE.findall(text):
        if "<!-- not run: " in comments:
            continue
        if language == "bash":
            for words in commands(body):
                invoke(_expanded(words, tmp_path))
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


@pytest.mark.parametrize("page", [*READMES, *PAGES])
def test_links_lead_somewhere(page: str) -> None:
    text = _FENCE.sub("", (ROOT / page).read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if "://" not in target:
            assert ((ROOT / page).parent / target).exists(), f"{page}: {target}"


def test_every_page_is_linked_from_readme() -> None:
    for readme, ending in (("README.md", ".md"), ("README.zh-CN.md", ".zh-CN.md")):
        linked = set(re.findall(r"\]\((docs/[^)#]+)", (ROOT / readme).read_text(encoding="utf-8")))
        for page in (page for page in PAGES if "zh-CN" not in page):
            own = page.replace(".md", ending)
            assert (own if (ROOT / own).exists() else page) in linked, f"{readme}: {page}"


@pytest.mark.parametrize(
    "page", ["README.md", *(page for page in PAGES if (ROOT / page.replace(".md", ".zh-CN.md")).exists())]
)
def test_both_languages_say_the_same(page: str) -> None:
    """Commands and figures are equal; comments behind commands may be in the reader's language."""
    other = page.replace(".md", ".zh-CN.md")
    for language in ("bash", "python", "yaml", "toml"):
        one = [commands(text) if language == "bash" else _code(text) for _, text in blocks(page, language)]
        two = [commands(text) if language == "bash" else _code(text) for _, text in blocks(other, language)]
        assert one == two
    assert _figures(page) == _figures(other)


def _code(text: str) -> list[str]:
    return [found for line in text.splitlines() if (found := line.split("#")[0].rstrip())]


def _figures(page: str) -> list[str]:
    """The numbers of the tables, in order."""
    rows = [line for line in (ROOT / page).read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    return [number for row in rows for number in _NUMBER.findall(row)]


def test_readme_is_short() -> None:
    for readme in READMES:
        assert len((ROOT / readme).read_text(encoding="utf-8").splitlines()) <= 150


def test_the_languages_lead_to_each_other() -> None:
    first = [(ROOT / readme).read_text(encoding="utf-8").splitlines()[0] for readme in READMES]
    assert first == ["English | [简体中文](README.zh-CN.md)", "[English](README.md) | 简体中文"]


@pytest.mark.parametrize("readme", READMES)
def test_commands_table_names_every_command(readme: str) -> None:
    text = (ROOT / readme).read_text(encoding="utf-8")
    assert re.findall(r"^\| `([a-z]+)[ `]", text, re.MULTILINE) == list(main.list_commands(None))  # type: ignore[attr-defined]


@pytest.mark.parametrize("marker", ["ci: use", "ci: test"])
def test_set_up_is_one_line_that_makes_its_own_environment(marker: str) -> None:
    (line,) = block_after(marker).splitlines()
    assert line.startswith("python3 -m venv .venv && .venv/bin/pip install ")


def test_readme_runs_from_the_set_up_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The set-up line's own command, then the quick start in the same folder, then the Python."""
    monkeypatch.chdir(tmp_path)
    invoke(shlex.split(block_after("ci: use").split("&&")[-1]))
    (written,) = tmp_path.iterdir()
    assert f"writes `{written.name}`" in (ROOT / "README.md").read_text(encoding="utf-8").replace("\n", " ")
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
    assert len(list(tmp_path.glob("variants/*.yaml"))) == 47


def test_the_page_of_the_house_says_what_each_room_says() -> None:
    text = (ROOT / "docs" / "house.md").read_text(encoding="utf-8")
    package = Path(lska_surgeon.__file__).parent
    for room in sorted(path.parent for path in package.glob("*/__init__.py")):
        doc = ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8")))
        assert doc
        sentence = doc.splitlines()[0].rstrip(".")
        assert re.search(rf"^\| `{room.name}/` \| {re.escape(sentence)}", text, re.MULTILINE), room.name
