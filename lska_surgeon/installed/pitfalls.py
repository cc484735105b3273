"""What of Ultralytics fails with the packages that are here, by its source text: nothing of it is imported.

Forks are older than what is around them. Those that use what NumPy or torch has changed since, or a package that
nobody has installed, fail in the middle of a training.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

#: Modules that Ultralytics imports when it needs them, and has required in one release or another -> their packages.
REQUIRED = {
    "cpuinfo": "py-cpuinfo",
    "cv2": "opencv-python",
    "hub_sdk": "hub-sdk",
    "matplotlib": "matplotlib",
    "pandas": "pandas",
    "PIL": "pillow",
    "polars": "polars",
    "psutil": "psutil",
    "requests": "requests",
    "scipy": "scipy",
    "seaborn": "seaborn",
    "thop": "ultralytics-thop",
    "torchvision": "torchvision",
    "tqdm": "tqdm",
    "yaml": "pyyaml",
}
#: What forks' blocks often import besides -> its package.
OFTEN = {"einops": "einops", "pywt": "PyWavelets", "skimage": "scikit-image", "sklearn": "scikit-learn", "timm": "timm"}
#: What runs when a model is built, trained, validated or exported.
_AT_WORK = ("data/*.py", "engine/*.py", "models/yolo/**/*.py", "nn/**/*.py", "utils/**/*.py")
_LATER = re.compile(rf"^[ \t]+(?:import|from)[ \t]+({'|'.join(REQUIRED)})\b", re.MULTILINE)
_TRAPZ = re.compile(r"\b(?:np|numpy)\.trapz\b")
_PATCHED = re.compile(r"^torch\.load[ \t]*=", re.MULTILINE)
_LISTED = re.compile(r"[A-Za-z0-9][\w.-]*")


class Place(NamedTuple):
    """Where something stands.

    Attributes:
        file: the file.
        line: the line in it.
    """

    file: Path
    line: int

    def __str__(self) -> str:
        return f"line {self.line} of {self.file}"


class MissingModule(NamedTuple):
    """A module that is imported and not installed.

    Attributes:
        name: its name, `einops`.
        place: where it is imported first.
        package: the package to install; None where nothing says which has it.
        at_once: whether Ultralytics can't be imported without it; else it fails later.
    """

    name: str
    place: Place
    package: str | None
    at_once: bool

    @property
    def problem(self) -> str:
        """What is wrong."""
        return f"{self.name} is not installed, and {self.place} imports it"

    @property
    def remedy(self) -> str:
        """What to type, where that is known."""
        return f"pip install {self.package}" if self.package else "install the package that has it, as the fork says"


def trapz_calls(root: Path) -> list[Place]:
    """Where `numpy.trapz` is called, which NumPy has no longer, and nothing else in its place.

    Args:
        root: the folder of Ultralytics.
    """
    file = root / "utils" / "metrics.py"
    text = _read(file)
    return [] if "trapezoid" in text else [Place(file, _line(text, found.start())) for found in _TRAPZ.finditer(text)]


def onnx_exports(root: Path) -> list[Place]:
    """Where a network is exported to ONNX by torch's way of the day, which since torch 2.9 needs `onnxscript`.

    Args:
        root: the folder of Ultralytics.
    """
    file = root / "engine" / "exporter.py"
    calls = [node for part in _parsed(file) for node in ast.walk(part) if isinstance(node, ast.Call)]
    exports = [call for call in calls if ast.unparse(call.func) == "torch.onnx.export"]
    return [Place(file, call.lineno) for call in exports if not {"dynamo", None} & {word.arg for word in call.keywords}]


def unsafe_loads(root: Path) -> list[Place]:
    """Where a checkpoint is opened by a `torch.load` that is not told whether it may hold more than weights."""
    if _PATCHED.search(_read(root / "utils" / "__init__.py")):
        return []
    file = root / "nn" / "tasks.py"
    loaders = [node for node in _parsed(file) if isinstance(node, ast.FunctionDef) and node.name == "torch_safe_load"]
    calls = [node for loader in loaders for node in ast.walk(loader) if isinstance(node, ast.Call)]
    return [Place(file, call.lineno) for call in calls if _is_untold(call)]


def _is_untold(call: ast.Call) -> bool:
    told = {word.arg for word in call.keywords}
    return ast.unparse(call.func) == "torch.load" and not told & {"weights_only", "pickle_module", None}


def missing_modules(root: Path) -> list[MissingModule]:
    """The modules that Ultralytics lacks here: those of `import ultralytics.nn.tasks`, and known ones that come later.

    Where an import may fail (`try`, `suppress`), nothing is missing.

    Args:
        root: the folder of Ultralytics.
    """
    found: dict[str, MissingModule] = {}
    listed = _listed(root)
    for at_once, imports in ((True, _imports_of_all(root)), (False, _later(root))):
        for name, place in imports:
            if name not in found and not _is_here(name, root):
                package = {**REQUIRED, **OFTEN}.get(name) or listed.get(_normal(name))
                found[name] = MissingModule(name, place, package, at_once)
    return list(found.values())


def _is_here(name: str, root: Path) -> bool:
    with suppress(ImportError, ValueError):
        return importlib.util.find_spec(name) is not None or (root.parent / name).is_dir()
    return False


def _imports_of_all(root: Path) -> Iterator[tuple[str, Place]]:
    """The modules of others that are imported by all that `import ultralytics.nn.tasks` runs."""
    waiting = [*_modules(root.parent, "ultralytics.nn.tasks")]
    seen = set(waiting)
    while waiting:
        file = waiting.pop(0)
        for node in _running(_parsed(file)):
            for name in _named(node, file, root.parent):
                inside = _modules(root.parent, name) if name.partition(".")[0] == root.name else []
                if not inside:
                    yield name.partition(".")[0], Place(file, node.lineno)
                waiting += [module for module in inside if module not in seen]
                seen |= {*inside}


def _running(body: Sequence[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    """The imports that run when a module does, but those that may fail."""
    for node in body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.unparse(node.test):
            yield from _running(node.body)
            yield from _running(node.orelse)
        elif isinstance(node, ast.ClassDef) or (isinstance(node, ast.With) and "suppress" not in ast.unparse(node)):
            yield from _running(node.body)


def _named(node: ast.Import | ast.ImportFrom, file: Path, top: Path) -> Iterator[str]:
    """The dotted names that an import may mean: of `from a import b` also `a.b`, for that may be a module."""
    if isinstance(node, ast.Import):
        yield from (one.name for one in node.names)
        return
    folders = file.relative_to(top).parts[: -node.level] if node.level else ()
    source = ".".join([*folders, *([node.module] if node.module else [])])
    yield source
    if source.partition(".")[0] == file.relative_to(top).parts[0]:
        yield from (f"{source}.{one.name}" for one in node.names)


def _modules(top: Path, name: str) -> list[Path]:
    """The files that run for a dotted name: those of the packages above it, and its own."""
    found, folder = [], top
    for part in name.split("."):
        folder = folder / part
        files = (folder / "__init__.py", folder.with_suffix(".py"))
        found += [file for file in files if file.is_file()][:1]
    return found


def _later(root: Path) -> Iterator[tuple[str, Place]]:
    """The known modules that functions import, where Ultralytics is at work."""
    for files in _AT_WORK:
        for file in sorted(root.glob(files)):
            names = {found[1] for found in _LATER.finditer(_read(file))}
            for node in _certain(_parsed(file)) if names else ():
                for name in (one.partition(".")[0] for one in _named(node, file, root.parent)):
                    if name in names:
                        yield name, Place(file, node.lineno)


def _certain(body: Sequence[ast.AST]) -> Iterator[ast.Import | ast.ImportFrom]:
    """All imports in a text, but those that may fail."""
    for node in body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif not isinstance(node, ast.Try) and not (isinstance(node, ast.With) and "suppress" in ast.unparse(node)):
            yield from _certain([child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)])


def _listed(root: Path) -> dict[str, str]:
    """The packages that the requirements of a fork's repository name, by what their modules are likely called."""
    texts = [_read(root.parent / name) for name in ("requirements.txt", "pyproject.toml", "setup.py")]
    words = (word.rstrip(".-") for text in texts for word in _LISTED.findall(re.sub(r"#.*", "", text)))
    return {_normal(word): word for word in words}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).lower()


def _parsed(file: Path) -> list[ast.stmt]:
    with suppress(SyntaxError, ValueError, RecursionError):
        return ast.parse(_read(file)).body
    return []


def _read(file: Path) -> str:
    with suppress(OSError):
        return file.read_text(encoding="utf-8", errors="replace")
    return ""


def _line(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1
