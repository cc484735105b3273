"""State travels in values: what one call was told of custom modules, no other call knows."""

from __future__ import annotations

import ast
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import lska_surgeon as ls
from lska_surgeon.core.blocks import STOCK, Block, BlockTable
from lska_surgeon.core.graph import Scaling, graph_of
from lska_surgeon.core.positions import named_sites
from lska_surgeon.core.shapes import shapes_of
from lska_surgeon.declarations.find import find_blocks
from lska_surgeon.errors import KernelError, RecipeError
from lska_surgeon.recipes.recipe import read_recipe
from lska_surgeon.recipes.variants import plan_variants

PACKAGE = Path(ls.__file__).parent
PROJECT = Path(__file__).parents[1] / "projects" / "own_blocks"
#: Containers that a module fills as it goes, and why that changes no answer.
CACHES = {
    "declarations/find.py: _said": "which notes were printed",
    "nn/declared.py: _tried": "classes that kept their word",
    "nn/declared.py: _imported": "classes, by the declaration and the name that say which",
    "nn/parsing.py: _placed": "what was put into Ultralytics' own globals, to be taken out again",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder without a declaration, and the project with its declaration below it."""
    shutil.copytree(PROJECT, tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "project" / "lska-surgeon.toml").rename(tmp_path / "project" / "away.toml")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "project"


def test_a_result_knows_its_modules_after_an_unrelated_call(project: Path) -> None:
    variant = ls.insert(project / "yolov8n-own.yaml", "neck", op="EMA", blocks=project / "away.toml")
    ls.positions("yolov8n.yaml")
    written = variant.write("w.yaml")
    assert written.read_text(encoding="utf-8").count("EMA") > variant.before.count("EMA")
    with pytest.raises(KernelError, match="no operator 'EMA'"):
        ls.insert("yolov8n.yaml", "neck", op="EMA")


def test_a_recipe_is_planned_by_the_table_that_it_was_read_with(project: Path) -> None:
    path = project / "recipe.yaml"
    path.write_text("base: yolov8n-own.yaml\nmatrix: {at: neck, op: EMA}\n", encoding="utf-8")
    found = read_recipe(path, find_blocks(project / "away.toml"))
    ls.positions("yolov8n.yaml")
    (variant,) = plan_variants(found)
    assert variant.text.count("EMA") > variant.base.text.count("EMA")
    with pytest.raises(RecipeError, match="no operator 'EMA'"):
        read_recipe(path)


def test_threads_with_declarations_of_their_own_give_right_results(project: Path) -> None:
    """One name, declared as two things: attention keeps the map, the other halves it."""
    (project / "half.toml").write_text(
        '[blocks.EMA]\nclass = "my_blocks:EMA"\nlike = "attention"\nstride = 2\n', encoding="utf-8"
    )
    (project / "net.yaml").write_text(
        "nc: 3\nbackbone:\n  - [-1, 1, Conv, [16, 3, 2]]\n  - [-1, 1, EMA, []]\n  - [-1, 1, C2f, [16]]\n"
        "head:\n  - [[2], 1, Detect, [nc]]\n",
        encoding="utf-8",
    )

    def level(number: int) -> tuple[int, float | None]:
        file = ("away.toml", "half.toml")[number % 2]
        variant = ls.insert(project / "net.yaml", "head", k=7, unchecked=True, blocks=project / file)
        return number % 2, variant.sites[0].stride

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(level, range(200)))
    assert found == {(0, 2.0), (1, 4.0)}


def test_a_new_stock_block_is_one_row() -> None:
    row = Block("Halving", "down", "scaled", ("fixed", 2), "Halving")
    table = BlockTable({**STOCK.rows, row.name: row})
    yaml = {
        "backbone": [[-1, 1, "Halving", [16]], [-1, 1, "C2f", [16]], [-1, 1, "Halving", [32]], [-1, 1, "C2f", [32]]],
        "head": [[[1, 3], 1, "Detect", ["nc"]]],
    }
    for blocks, known in ((table, True), (STOCK, False)):
        graph = graph_of(yaml, "net", blocks)
        shapes = shapes_of(graph, Scaling())
        assert ([shape.channels for shape in shapes[:4]] == [16, 16, 32, 32]) is known
        assert (not any(shape.guessed for shape in shapes)) is known
    graph = graph_of(yaml, "net", table)
    assert [site.layer for site in named_sites(graph, shapes_of(graph, Scaling()))["backbone"]] == [1, 3]


def containers(path: Path) -> set[str]:
    """Names of a module's own lists, sets and mappings that are empty, or that a function of it writes into."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    bound = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    empty = {name for name, value in bound.items() if _is_empty(value)}
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    stated = {
        name for one in functions for node in ast.walk(one) if isinstance(node, ast.Global) for name in node.names
    }
    return empty | stated


def _is_empty(value: ast.expr) -> bool:
    if isinstance(value, ast.Call):
        return isinstance(value.func, ast.Name) and value.func.id in ("set", "dict", "list") and not value.args
    return isinstance(value, (ast.List, ast.Dict, ast.Set)) and not ast.unparse(value).strip("[]{}")


def test_no_state_of_a_module_changes_an_answer() -> None:
    found = {
        f"{path.relative_to(PACKAGE).as_posix()}: {name}" for path in PACKAGE.rglob("*.py") for name in containers(path)
    }
    assert found == set(CACHES)


def named_together(path: Path) -> list[list[str]]:
    """Block names that stand together in one list, set, mapping, or text of nothing but words."""
    names = {block.name for block in STOCK} - {"attention", "add"}
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = []
    for node in ast.walk(tree):
        parts = [*node.keys, *node.values] if isinstance(node, ast.Dict) else getattr(node, "elts", [])
        words = [str(part.value) for part in parts if isinstance(part, ast.Constant)]
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and not set(node.value) & set(".,:;()`"):
            words = node.value.split()
        found.append([word for word in words if word in names])
    return [one for one in found if len(one) > 1]


def test_blocks_are_listed_in_the_table_alone() -> None:
    """But for the classes that `lska_surgeon.nn` hands on: they are its public names."""
    rooms = {path: named_together(path) for path in PACKAGE.rglob("*.py")}
    found = {path.relative_to(PACKAGE).as_posix() for path, names in rooms.items() if names}
    assert found == {"nn/__init__.py"}
