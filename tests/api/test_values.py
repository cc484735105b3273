"""State travels in values: what one call was told of custom modules, no other call knows."""

from __future__ import annotations

import ast
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import lska_surgeon as ls
from lska_surgeon.checks.check import check_file
from lska_surgeon.core.blocks import STOCK, Block, HostRule
from lska_surgeon.core.operators import operators_in
from lska_surgeon.core.positions import named_sites
from lska_surgeon.core.surgery import Placement
from lska_surgeon.declarations.find import find_blocks
from lska_surgeon.drawing.content import Content
from lska_surgeon.errors import KernelError, RecipeError
from lska_surgeon.modelfile.insert import plan_insert
from lska_surgeon.modelfile.model import load
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
def project(tmp_path: Path) -> Path:
    """A working folder without a declaration, and the project with its declaration below it."""
    shutil.copytree(PROJECT, tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "project" / "lska-surgeon.toml").rename(tmp_path / "project" / "away.toml")
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


def test_a_new_stock_block_is_one_row(tmp_path: Path) -> None:
    """Made up: a block that halves the map, and one with bottlenecks that may hold operators."""
    halving = Block("Halving", "down", "scaled", ("fixed", 2), "Halving")
    host = HostRule("Wave", 3, lambda row: (row.c2 // 4, 2 * row.n), lambda row: row.arg(1, False), also=("_LSKA",))
    wave = Block("Wave", "block", "scaled", ("fixed", 1), "Wave", host=host)
    table = STOCK.with_rows(halving, wave)
    file = tmp_path / "net.yaml"
    file.write_text(
        "nc: 3\nbackbone:\n  - [-1, 1, Halving, [16]]\n  - [-1, 2, Wave, [16, True]]\n  - [-1, 1, Halving, [32]]\n"
        "  - [-1, 1, Wave_LSKA, [32, True, 11]]\nhead:\n  - [[1, 3], 1, Detect, [nc]]\n",
        encoding="utf-8",
    )
    model = load(str(file), blocks=table)
    assert [shape.channels for shape in model.shapes[:4]] == [16, 16, 32, 32]
    assert [shape.stride for shape in model.shapes[:4]] == [2, 2, 4, 4]
    assert not any(shape.guessed for shape in model.shapes)
    assert {name: [site.layer for site in sites] for name, sites in named_sites(model.graph, model.shapes).items()} == {
        "backbone": [1, 3],
        "head": [1, 3],
        "residual": [1],
    }
    held = operators_in(model.graph, 3, model.shapes, model.scaling)
    assert (held.kernel.k, held.channels, held.count) == (11, 8, 2)
    plan = plan_insert(model, Placement(("residual",), k=7), output="-")
    assert "[-1, 2, WaveLSKA, [16, True, {k: 7}]]" in plan.text
    drawn = Content(model, (640, 640)).figure().nodes[1:5]
    assert [node.kind for node in drawn] == ["conv", "block", "conv", "operator"]
    assert not [finding.rule for finding in check_file(str(file), table).findings if finding.rule == "block"]
    unknown = load(str(file))
    assert all(shape.channels is None for shape in unknown.shapes[:4])


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


#: The table, and what is about one class of Ultralytics or of ours, whatever a row says.
ABOUT_CLASSES = {
    "core/blocks.py": "the table",
    "nn/__init__.py": "its public names",
    "grafting/adopt.py": "it makes these classes out of others'",
    "grafting/transplant.py": "a class without a plain form",
}


def known_by_name(path: Path) -> set[str]:
    """Block names that a module compares with, or keeps in a list, set, mapping, or text of nothing but words."""
    names = {block.name for block in STOCK} - {"attention", "add"}
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        parts = [*node.keys, *node.values] if isinstance(node, ast.Dict) else getattr(node, "elts", [])
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
        found.update({str(part.value) for part in parts if isinstance(part, ast.Constant)} & names)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and not set(node.value) & set(".,:;()`"):
            words = set(node.value.split()) & names
            found.update(words if len(words) > 1 else ())
    return found


def test_blocks_are_known_by_the_table_alone() -> None:
    rooms = {path.relative_to(PACKAGE).as_posix(): known_by_name(path) for path in PACKAGE.rglob("*.py")}
    found = {room: sorted(names) for room, names in rooms.items() if names and room not in ABOUT_CLASSES}
    assert not found
