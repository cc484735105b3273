"""The house: which room may import which, read from every import in the package, the lazy ones too."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "lska_surgeon"
NAME = PACKAGE.name
#: From the ground up; rooms of one floor know nothing of each other.
FLOORS = (
    ("wording",),
    ("errors",),
    ("files", "installed", "reports"),
    ("core",),
    ("declarations",),
    ("nn", "modelfile"),
    ("yolo", "checks"),
    ("checkpoints",),
    ("grafting", "cost"),
    ("recipes",),
    ("drawing",),
    ("ablation", "insight"),
    ("page", "exporting"),
    ("api",),
    ("cli",),
)
#: The facade that forwards to `api` when a name is asked for, and what `python -m` runs.
DOORS = ("__init__", "__main__")
#: Rooms that a light process may enter: nothing that they import, now or later, may be torch.
WITHOUT_TORCH = (
    *FLOORS[0],
    "errors",
    "files",
    "installed",
    "reports",
    "core",
    "declarations",
    "modelfile",
    "checks",
)


def modules() -> dict[str, Path]:
    """Dotted name inside of the package -> file."""
    return {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(module: str, text: str) -> Iterator[tuple[int, str]]:
    """Line and absolute name of everything that a module imports, at its top or inside of a function."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = [NAME, *module.split(".")][: -node.level] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node.lineno, f"{source}.{alias.name}"


def own_imports(known: set[str], module: str, text: str) -> Iterator[tuple[int, str]]:
    """Line and module of everything that a module imports from this package."""
    for line, name in imports(module, text):
        inside = name.split(".")[1:] if name.split(".")[0] == NAME else None
        if inside is None:
            continue
        for length in range(len(inside), -1, -1):
            found = ".".join(inside[:length])
            if found in known:
                yield line, found
                break
            if f"{found}.__init__".lstrip(".") in known:
                yield line, f"{found}.__init__".lstrip(".")
                break


def room(module: str) -> str:
    return module.split(".")[0]


def floor_of(module: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room(module) in rooms)


MODULES = modules()
TEXTS = {module: path.read_text(encoding="utf-8") for module, path in MODULES.items()}


def test_imports_run_one_way() -> None:
    for module in MODULES.keys() - set(DOORS):
        for line, found in own_imports(set(MODULES), module, TEXTS[module]):
            if found not in DOORS and room(found) != room(module):
                assert floor_of(found) < floor_of(module), f"{module}, line {line}: {found} is not below it"


def test_no_circle() -> None:
    graph = {
        module: {found for _, found in own_imports(set(MODULES), module, text)} - {module}
        for module, text in TEXTS.items()
    }
    for found in graph.values():
        found.discard("__init__")
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))
    assert len(order) >= len(MODULES) - 1


def test_every_room_has_a_floor_and_every_floor_is_one_line() -> None:
    rooms = {room(module) for module in MODULES} - set(DOORS)
    assert rooms <= {name for floor in FLOORS for name in floor}


def test_few_files_lie_in_the_hall() -> None:
    lying = {path.name for path in PACKAGE.iterdir() if path.is_file()} - {"__init__.py", "__main__.py", "py.typed"}
    assert len(lying) <= 6, lying


def test_light_rooms_know_no_torch_and_the_pure_room_no_format() -> None:
    for module, text in TEXTS.items():
        heavy = {"torch", "ultralytics", "fvcore"} if room(module) in WITHOUT_TORCH else set()
        heavy |= {"click", "rich", "ruamel"} if room(module) == "core" else set()
        assert not heavy & {name.split(".")[0] for _, name in imports(module, text)}, module


#: What of Ultralytics runs what a file says -> the modules that may name it: the doors, in which the screen stands.
BEHIND_DOORS = {
    "parse_model": ("nn.parsing", "yolo.build"),
    "YOLO": ("checkpoints.checkpoint",),
    "torch_safe_load": (),
    "attempt_load_weights": (),
    "attempt_load_one_weight": (),
    "cfg2dict": (),
    "check_cls_dataset": (),
    "check_det_dataset": ("grafting.trainers", "grafting.train"),
    "load_dataset_cache_file": ("grafting.trainers",),
    "generate_ddp_file": (),
}
#: Modules of Ultralytics that hand out what is behind the doors, and names of theirs that are harmless.
HARMLESS = {"ultralytics.nn.tasks": ("BaseModel", "guess_model_task")}
TASK_MODELS = re.compile(r"\w*(Detection|Segmentation|Pose|OBB|Classification|World|YOLOE|Depth|YOLOESeg)Model")


def names_in(module: str, text: str) -> Iterator[tuple[int, str]]:
    """Line and name of all that a module uses of others: what it imports, calls and takes as an attribute."""
    for line, name in imports(module, text):
        yield line, name.rpartition(".")[2]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Name):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute):
            yield node.lineno, node.attr


def test_only_the_doors_lead_to_ultralytics_parser_loader_and_trainer() -> None:
    for module, text in TEXTS.items():
        for line, name in names_in(module, text):
            doors = BEHIND_DOORS.get(name, () if TASK_MODELS.fullmatch(name) else (module,))
            assert module in doors, f"{module}, line {line}: {name} is behind a door"
        for line, name in imports(module, text):
            source, _, imported = name.rpartition(".")
            assert source not in HARMLESS or imported in HARMLESS[source], f"{module}, line {line}: {name}"


def test_torch_loads_nothing_but_through_the_doors() -> None:
    loading = [
        module
        for module, text in TEXTS.items()
        if any(
            ast.unparse(node) == "torch.load" for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)
        )
    ]
    assert set(loading) <= {"ablation.resuming", "checkpoints.checkpoint"}


def test_trainer_is_called_in_one_place() -> None:
    """A call `.train(trainer=...)`, which a module's own `.train(mode)` is not."""
    found = [
        module
        for module, text in TEXTS.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "train"
        and any(keyword.arg is None or keyword.arg in ("trainer", "data") for keyword in node.keywords)
    ]
    assert found == ["grafting.train"]


def test_every_module_says_in_one_sentence_what_it_is() -> None:
    for name, text in TEXTS.items():
        doc = ast.get_docstring(ast.parse(text))
        assert doc, name
        assert doc.splitlines()[0].endswith((".", "?", ":")), name


def test_one_class_name_is_one_class() -> None:
    places: dict[str, list[str]] = {}
    for module, text in TEXTS.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(f"{module}, line {node.lineno}")
    assert {name: classes for name, classes in places.items() if len(classes) > 1} == {}


@pytest.mark.parametrize(
    ("module", "text", "found"),
    [
        ("checks.check", "from ..cli import main", "cli.main"),
        ("checks.check", "def later():\n    from lska_surgeon.cli.main import main", "cli.main"),
        ("checks.check", "import lska_surgeon.nn", "nn.__init__"),
        ("checks.check", "from . import findings", "checks.findings"),
    ],
)
def test_every_kind_of_import_is_seen(module: str, text: str, found: str) -> None:
    assert [name for _, name in own_imports(set(MODULES), module, text)] == [found]
